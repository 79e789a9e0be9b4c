"""Real processes on a real disk: killed in the middle of a write, without room, many at once.

QRMI_TEST_JOURNAL_KILLS sets how many processes are killed (40).
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qrmi import Secret
from qrmi.errors import JournalError
from qrmi.journal import Journal
from qrmi.journal.files import Files
from qrmi.journal.writer import Appender

_KILLS = int(os.environ.get("QRMI_TEST_JOURNAL_KILLS", "40"))
_WRITE_MANY = """
import sys
from pathlib import Path
from qrmi.journal import Journal
from qrmi.journal.files import Files
from qrmi.journal.writer import Appender
journal = Journal(Path(sys.argv[1]))
for number in range(200):
    key = f"{sys.argv[2]}-{number}"
    journal.append("intent", key=key, resource="r", type="t", format="f", digest="d")
    journal.append("started", key=key, resource="r", task=key)
"""


def begin(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def write_for_ever(folder: Path, name: int, told: int) -> None:
    """What a child does until it is killed: it tells each line that it was promised."""
    journal = Journal(folder)
    os.write(told, b"begun\n")
    for number in itertools.count():
        filler = "x" * (number * 37 % 5000)
        task = f"{name}-{number}"
        journal.append("seen", resource="r", task=task, status="RUNNING", filler=filler)
        os.write(told, b"%d\n" % number)


def killed_in_mid_write(folder: Path, name: int, after: float) -> set[str]:
    """The tasks that a child was promised before it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_for_ever(folder, name, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as told:  # noqa: PTH123 (a pipe)
        told.readline()
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines = told.read().split(b"\n")[:-1]  # what follows is half a number
    return {f"{name}-{line.decode()}" for line in lines}


def test_a_kill_in_mid_write_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Whatever a process had been promised is there; half of its last line is passed over."""
    chance = random.Random(7)
    promised: set[str] = set()
    for number in range(_KILLS):
        promised |= killed_in_mid_write(tmp_path, number, chance.uniform(0, 0.01))
    seen = {json.loads(line)["task"] for line in Journal(tmp_path).export()}
    assert promised <= seen
    assert len(promised) > _KILLS
    assert Journal(tmp_path).compact().events == len(seen)
    assert {json.loads(line)["task"] for line in Journal(tmp_path).export()} == seen


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    """Eight processes, one folder, no lock: every start is there, once, compacted or not."""
    children = [begin(_WRITE_MANY, str(tmp_path), str(number)) for number in range(8)]
    for child in children:
        assert child.wait() == 0
    journal = Journal(tmp_path)
    assert sorted(str(r.id) for r in journal.tasks()) == sorted(
        f"{n}-{m}" for n in range(8) for m in range(200)
    )
    assert journal.compact().files == 8
    assert journal.count() == len(Journal(tmp_path).tasks()) == 1600
    assert Journal(tmp_path).task("3-77").key == "3-77"


# --- no room ------------------------------------------------------------------------------------


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """The line that does not fit is refused; the file ends with a whole line; then all is well."""
    journal = Journal(tmp_path)
    journal.append("seen", resource="r", task="first", status="RUNNING")
    (file,) = tmp_path.iterdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, before[1]))
    try:
        for _ in range(3):
            with pytest.raises(JournalError, match="too large"):
                journal.append("seen", resource="r", task="lost", status="RUNNING")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert file.read_bytes().endswith(b"\n")
    journal.append("seen", resource="r", task="last", status="RUNNING")
    assert [json.loads(line)["task"] for line in journal.export()] == ["first", "last"]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no command `mount`")
    if done.returncode:
        pytest.skip(f"no small file system can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """Each append that returned can be read; each that raised cannot; no file is left half."""
    journal, told = Journal(small_disk / "journal"), []

    def fill() -> None:
        for number in range(10_000):
            journal.append("seen", resource="r", task=str(number), status="RUNNING", pad="x" * 300)
            told.append(str(number))

    with pytest.raises(JournalError, match="space"):
        fill()
    assert len(told) > 50
    assert [json.loads(line)["task"] for line in journal.export()] == told
    with pytest.raises(JournalError):
        journal.claim("key", 1)
    with pytest.raises(JournalError):
        Journal(small_disk / "journal").append("seen", resource="r", task="t", status="RUNNING")
    with pytest.raises(JournalError):
        Journal(small_disk / "journal").compact()
    assert [json.loads(line)["task"] for line in Journal(small_disk / "journal").export()] == told
    assert journal.check().torn == ()


def test_what_cannot_be_written_is_an_error_before_it_is_sent(tmp_path: Path) -> None:
    """A device that is always full."""
    journal = Journal(tmp_path)
    journal.append("seen", resource="r", task="t", status="RUNNING")
    (file,) = tmp_path.iterdir()
    descriptor = next(
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if entry.is_symlink() and entry.readlink() == file
    )
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    os.close(full)
    with pytest.raises(JournalError, match="space"):
        journal.append("seen", resource="r", task="t", status="RUNNING")
    journal.append("seen", resource="r", task="u", status="RUNNING")
    assert [json.loads(line)["task"] for line in journal.export()] == ["t", "u"]


# --- signals, threads, forks ----------------------------------------------------------------------


def test_a_signals_handler_may_write_while_a_line_is_written(tmp_path: Path) -> None:
    """It neither waits for the line for ever nor lands in the middle of it."""
    journal = Journal(tmp_path)
    count = 0

    def on_alarm(_number: int, _frame: object) -> None:
        nonlocal count
        count += 1
        journal.append("seen", resource="r", task=f"signal-{count}", status="RUNNING")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
    try:
        for number in range(4000):
            journal.append("seen", resource="r", task=f"main-{number}", status="RUNNING")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    seen = [json.loads(line)["task"] for line in Journal(tmp_path).export()]
    assert count > 3
    assert sorted(seen) == sorted(
        [*(f"main-{n}" for n in range(4000)), *(f"signal-{n + 1}" for n in range(count))]
    )
    assert Journal(tmp_path).check().damaged == ()


class BreakIn:
    """Handlers that come at chosen points of an append, also into one another.

    Points are where it looks which file is current, and where it writes to one.
    """

    def __init__(self) -> None:
        self._plans: list[list[Any]] = []

    def during(self, at: int, handler: Callable[[], object], work: Callable[[], object]) -> None:
        """Do this work; the handler comes at the point with this number, from 0."""
        self._plans.append([at, handler])
        work()
        self._plans.pop()

    def point(self) -> None:
        if not self._plans:
            return
        plan = self._plans[-1]
        plan[0] -= 1
        if plan[0] == -1:
            plan[1]()


def test_handlers_may_break_in_anywhere_and_into_one_another(tmp_path: Path) -> None:
    """A handler that is broken into itself closes the file that what it interrupted had taken."""
    breaks, count = BreakIn(), itertools.count()

    class PointedFiles(Files):
        def append(self, descriptor: int, data: bytes, flush: bool) -> None:
            breaks.point()
            super().append(descriptor, data, flush)

    class PointedAppender(Appender):
        @property
        def _file(self) -> Any:
            found = self.__dict__["current"]
            breaks.point()
            return found

        @_file.setter
        def _file(self, file: Any) -> None:
            self.__dict__["current"] = file

    appender = PointedAppender(tmp_path, PointedFiles())

    def append() -> None:
        appender.append(b"%d\n" % next(count), 0.0)

    def nothing() -> None:
        return None

    append()
    for first, second in itertools.product(range(6), repeat=2):
        last = partial(breaks.during, -1, nothing, append)
        handler = partial(breaks.during, second, last, append)
        breaks.during(first, handler, append)
    found = [int(text) for path in tmp_path.iterdir() for text in path.read_text().split()]
    assert sorted(found) == list(range(next(count)))


def test_an_interrupted_write_leaves_the_journal_in_order(tmp_path: Path) -> None:
    """Ctrl-C anywhere in an append: later lines are whole, earlier ones stay."""

    class BreakInError(BaseException):
        pass

    def on_alarm(_number: int, _frame: object) -> None:
        if number < 3000:  # the last alarm may come after the last line
            raise BreakInError

    journal, told, number = Journal(tmp_path), [], 0
    before = signal.signal(signal.SIGALRM, on_alarm)
    while number < 3000:
        try:
            while number < 3000:
                number += 1
                if number % 10 == 0:
                    signal.setitimer(signal.ITIMER_REAL, 0.00002)
                journal.append("seen", resource="r", task=str(number), status="RUNNING")
                told.append(str(number))
        except BreakInError:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    seen = [json.loads(line)["task"] for line in journal.export()]
    assert set(told) <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_long_file_is_closed_and_another_one_begun(tmp_path: Path) -> None:
    """So that what a process that never ends has written can be compacted too."""
    journal = Journal(tmp_path)
    for number in range(3000):
        journal.append("seen", resource="r", task=str(number), status="RUNNING", pad="x" * 900)
    assert len(list(tmp_path.glob("*.jsonl"))) == 3
    assert journal.compact().files == 2
    journal.append("seen", resource="r", task="3000", status="RUNNING")
    found = [json.loads(line)["task"] for line in Journal(tmp_path).export()]
    assert sorted(found, key=int) == [str(number) for number in range(3001)]


def test_a_folder_that_was_cleaned_is_made_again(tmp_path: Path) -> None:
    """What is written to a file that somebody removed, nobody would find."""
    journal = Journal(tmp_path / "journal")
    journal.append("seen", resource="r", task="1", status="RUNNING")
    for path in (tmp_path / "journal").iterdir():
        path.unlink()
    (tmp_path / "journal").rmdir()
    time.sleep(1.1)  # on a disk of this machine it is looked once a second
    journal.append("seen", resource="r", task="2", status="RUNNING")
    assert [json.loads(line)["task"] for line in journal.export()] == ["2"]


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    """Files and folders are the user's alone, compacted ones and claims too."""
    folder = tmp_path / "state" / "journal"
    child = begin(_WRITE_MANY, str(folder), "0")
    assert child.wait() == 0
    journal = Journal(folder)
    journal.compact()
    journal.claim("key", 1)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_secret_cannot_be_written(tmp_path: Path) -> None:
    """A secret is no JSON value, wherever it hides; nothing of it reaches the disk."""
    journal, secret = Journal(tmp_path), Secret("canary-7f3a")
    for fields in ({"settings": {"TOKEN": secret}}, {"context": {"a": [secret]}}, {"key": secret}):
        with pytest.raises(TypeError):
            journal.append("intent", **fields)
        with pytest.raises(TypeError):
            journal.claim("key", 1, **fields)
    journal.append("intent", settings={"TOKEN": str(secret)})
    assert all(b"canary" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
