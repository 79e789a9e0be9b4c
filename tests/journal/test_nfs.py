"""Two mounts of one export of a network file system, as two machines have them.

Set QRMI_TEST_NFS=/mnt/a:/mnt/b to two mount points of the same export to run these, for example

    exportfs -o rw,no_root_squash 127.0.0.1:/srv/export
    mount -t nfs -o nosharecache 127.0.0.1:/srv/export /mnt/a
    mount -t nfs -o nosharecache 127.0.0.1:/srv/export /mnt/b
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from qrmi.journal import Journal

_MOUNTS = os.environ.get("QRMI_TEST_NFS", "")
_STALE_SECONDS = 65.0
pytestmark = [
    pytest.mark.skipif(
        not _MOUNTS, reason="QRMI_TEST_NFS does not name two mounts of one network export"
    ),
    pytest.mark.timeout(600),
]


@pytest.fixture
def sides() -> Iterator[tuple[Path, Path]]:
    """The same new folder through both mounts."""
    first, second = (Path(point) for point in _MOUNTS.split(":"))
    name = f"qrmi-{uuid.uuid4().hex}"
    (first / name).mkdir()
    yield first / name, second / name
    for path in sorted((first / name).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (first / name).rmdir()


def test_it_is_known_to_be_a_network(sides: tuple[Path, Path]) -> None:
    """Else lines would not be flushed."""
    assert all(Journal(side).check().is_shared for side in sides)


def test_what_one_side_flushed_the_other_side_reads(sides: tuple[Path, Path]) -> None:
    """At once in a file that it knows; in a new file, when its listing is a minute old at most."""
    writer, reader = Journal(sides[0]), Journal(sides[1])
    writer.append("seen", resource="r", task="0", status="RUNNING")
    deadline = time.monotonic() + _STALE_SECONDS
    while not list(reader.export()):
        assert time.monotonic() < deadline
    for number in range(1, 50):
        writer.append("seen", resource="r", task=str(number), status="RUNNING")
        assert [json.loads(line)["task"] for line in reader.export()][-1] == str(number)


def test_a_claim_is_given_to_one_side(sides: tuple[Path, Path]) -> None:
    """Exclusive creation holds between machines."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(8) as pool:
        for number in range(20):
            tries = [(sides[n % 2], f"key-{number}") for n in range(8)]
            assert sum(pool.starmap(_claimed, tries)) == 1
    assert all(len(Journal(side).claimed("key-3")) == 1 for side in sides)


def _claimed(folder: Path, key: str) -> bool:
    return Journal(folder).claim(key, 1)


def test_compaction_on_one_side_loses_nothing_on_the_other(sides: tuple[Path, Path]) -> None:
    """A reader sees every event before, during and after."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(4, maxtasksperchild=1) as pool:
        pool.starmap(_write, [(sides[0], number) for number in range(12)])
    reader = Journal(sides[1])
    deadline = time.monotonic() + _STALE_SECONDS
    while len(list(reader.export())) < 12:
        assert time.monotonic() < deadline
    assert Journal(sides[0]).compact().files == 12
    deadline = time.monotonic() + _STALE_SECONDS
    while time.monotonic() < deadline:
        assert len(list(reader.export())) == 12
        assert len(list(Journal(sides[1]).export())) == 12


def _write(folder: Path, number: int) -> None:
    Journal(folder).append("seen", resource="r", task=str(number), status="RUNNING")
