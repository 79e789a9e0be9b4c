"""Writes of many threads to one file, and threads that are kept on one core."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from qrmi.errors import ConfigError, ResourceUnavailableError
from qrmi.site.doors import one_core
from qrmi.site.keeping.database import Database

_THREADS = 12
_WRITES = 40


class RefusedError(Exception):
    """What a write of the tests fails with."""


@pytest.fixture
def file(tmp_path: Path) -> Database:
    made = Database(tmp_path / "f.sqlite", schema="CREATE TABLE t (n TEXT PRIMARY KEY);", version=7)
    made.open()
    return made


def numbers(file: Database) -> set[str]:
    return {name for (name,) in file.read("SELECT n FROM t")}


def in_threads(work: object, count: int = _THREADS) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_each_thread_gets_its_own_answer(file: Database) -> None:
    """Whoever writes for it; what fails undoes itself and nothing else, and is told who sent it."""
    wrong: list[str] = []

    def many(thread: int) -> None:
        for number in range(_WRITES):
            name = f"{thread}.{number}"
            fails = (thread + number) % 7 == 0

            def work(connection: sqlite3.Connection, name: str = name, fails: bool = fails) -> str:
                connection.execute("INSERT INTO t VALUES (?)", (name,))
                if fails:
                    raise RefusedError(name)
                return name

            try:
                answer = file.write(work)
            except RefusedError as error:
                answer = f"refused {error}"
            if answer != (f"refused {name}" if fails else name):
                wrong.append(f"{name}: {answer}")
            if (name in numbers(file)) is fails:
                wrong.append(f"{name}: is not as it was told")

    in_threads(many)
    assert not wrong
    whole = {f"{t}.{n}" for t in range(_THREADS) for n in range(_WRITES) if (t + n) % 7}
    assert numbers(file) == whole
    file.close()


def test_what_was_answered_is_there_after_the_close(file: Database, tmp_path: Path) -> None:
    """A close comes amid the writes: those before it are whole, those after it are refused."""
    written: list[str] = []
    refused: list[str] = []

    def many(thread: int) -> None:
        if thread == 0:
            while len(written) < 20:
                pass
            file.close()
            return
        for number in range(_WRITES):
            name = f"{thread}.{number}"
            try:
                file.write(lambda c, name=name: c.execute("INSERT INTO t VALUES (?)", (name,)))  # type: ignore[misc]
            except ResourceUnavailableError:
                refused.append(name)
            else:
                written.append(name)

    in_threads(many)
    again = Database(tmp_path / "f.sqlite", schema="", version=7)
    again.open()
    assert numbers(again) == set(written)
    assert len(written) + len(refused) == (_THREADS - 1) * _WRITES
    again.close()
    again.close()


def test_a_file_of_another_version_is_left_alone(file: Database, tmp_path: Path) -> None:
    file.close()
    other = Database(tmp_path / "f.sqlite", schema="", version=8)
    with pytest.raises(ConfigError, match="is of version 7, this qrmid knows 8"):
        other.open()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_thread_is_kept_on_one_core_and_no_other_is() -> None:
    before = os.sched_getaffinity(0)
    keep = one_core.keeper()
    seen: list[set[int]] = []

    def kept() -> None:
        keep()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=kept)
    thread.start()
    thread.join(10)
    assert len(seen[0]) == 1
    assert seen[0] <= before
    assert os.sched_getaffinity(0) == before


def test_a_system_that_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said, and nothing changes."""

    def forbidden(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden, raising=False)
    one_core.keeper()()
    monkeypatch.delattr(os, "sched_setaffinity")
    one_core.keeper()()
