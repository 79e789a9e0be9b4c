"""Looking at the machine: the state folder, its file system, the journal, the scheduler's job."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from qrmi import config, journal, registry
from qrmi.diagnosis.findings import Finding, Verdict, of_error
from qrmi.errors import QrmiError
from qrmi.journal import mounts

__all__ = ["job", "state"]

_STATE = "state"
_JOB = "job"
_LEAST_BYTES = 1_000_000
_LITTLE_BYTES = 50_000_000
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_SLOW_SECONDS = 2.0
_CHOOSE = "set QRMI_STATE_DIR to a folder of yours"


def state() -> Iterator[Finding]:
    """Whether the journal can be written and read, and where it is kept."""
    folder = config.state_dir()
    yield _writable(folder)
    yield from _private(folder)
    yield _file_system(folder)
    yield from _room(_existing(folder))
    yield from _journal()


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))


def _writable(folder: Path) -> Finding:
    place = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"qrmi")
            probe.flush()
    except OSError as error:
        return Finding(
            subject=_STATE,
            check="folder",
            verdict=Verdict.PROBLEM,
            text=f"{place} cannot be written: {error.strerror or error}; nothing can be started",
            advice=f"check its permissions and space, or {_CHOOSE}",
        )
    made = "" if place == folder else ", to be made at the first start"
    return Finding(subject=_STATE, check="folder", text=f"{folder}{made}")


def _private(folder: Path) -> Iterator[Finding]:
    try:
        about = folder.stat()
    except OSError:
        return
    if about.st_uid != os.getuid():
        yield Finding(
            subject=_STATE,
            check="owner",
            verdict=Verdict.WARNING,
            text=f"{folder} belongs to another user",
            advice=_CHOOSE,
        )
    elif about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding(
            subject=_STATE,
            check="permissions",
            verdict=Verdict.WARNING,
            text=f"others can write into {folder}",
            advice=f"chmod 700 {folder}",
        )


def _file_system(folder: Path) -> Finding:
    kind = mounts.kind_of(folder)
    if kind in _IN_MEMORY:
        return Finding(
            subject=_STATE,
            check="file system",
            verdict=Verdict.WARNING,
            text=f"{kind}: the journal is lost when this machine restarts",
            advice=f"{_CHOOSE} on a disk",
            values={"kind": kind},
        )
    shared = "; other machines see it, each record is flushed" if mounts.is_network(kind) else ""
    return Finding(
        subject=_STATE,
        check="file system",
        text=f"{kind or 'unknown'}{shared}",
        values={"kind": kind},
    )


def _room(place: Path) -> Iterator[Finding]:
    try:
        about = os.statvfs(place)
    except OSError:
        return
    free = about.f_bavail * about.f_frsize
    full = free < _LEAST_BYTES or (about.f_files > 0 and about.f_favail == 0)
    little = free < _LITTLE_BYTES
    verdict = Verdict.PROBLEM if full else Verdict.WARNING if little else Verdict.OK
    yield Finding(
        subject=_STATE,
        check="space",
        verdict=verdict,
        text=f"{_size(free)} free" + (", and no room for another file" if full else ""),
        advice=f"free some space, or {_CHOOSE} elsewhere" if full or little else "",
        values={"free_bytes": free},
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.0f} TB"


def _journal() -> Iterator[Finding]:
    begun = time.monotonic()
    try:
        tasks = journal.default().tasks()
        took = time.monotonic() - begun
        health = journal.default().check()
    except QrmiError as error:
        yield of_error(_STATE, "journal", error)
        return
    unsettled = sum(record.id is None and not record.reason for record in tasks)
    trouble = [
        (took > _SLOW_SECONDS, "it is slow", "`qrmi journal compact` makes it quicker"),
        (unsettled > 0, f"{unsettled} without a known end", "`qrmi explain ID` tells more of each"),
        (bool(health.damaged), f"{len(health.damaged)} damaged file(s)", "`qrmi journal check`"),
        (
            health.newest_format > journal.FORMAT_VERSION,
            "a later release wrote parts that this one cannot read",
            "pip install --upgrade openqrmi",
        ),
    ]
    found = [(words, advice) for is_so, words, advice in trouble if is_so]
    text = [f"{len(tasks)} start(s), read in {took * 1000:.0f} ms", *(words for words, _ in found)]
    yield Finding(
        subject=_STATE,
        check="journal",
        verdict=Verdict.WARNING if found else Verdict.OK,
        text="; ".join(text),
        advice="; ".join(advice for _, advice in found),
        values={"starts": len(tasks), "seconds": took, "unsettled": unsettled},
    )


def job() -> Iterator[Finding]:
    """What the scheduler gave this job; nothing outside one."""
    environment = config.environment()
    try:
        granted = config.job_resources()
    except QrmiError as error:
        yield of_error(_JOB, "resources", error)
        return
    if granted:
        names = ", ".join(f"{each.name} ({each.type_name})" for each in granted)
        yield Finding(subject=_JOB, check="resources", text=names)
    elif config.job_identity() is not None:
        yield Finding(
            subject=_JOB,
            check="resources",
            verdict=Verdict.WARNING,
            text="this scheduler's job was given no QPU",
            advice=f"ask for one when you submit it; qrmi.open() gives {registry.EMBEDDED} here",
        )
    if granted and not environment.get("QRMI_JOB_ID") and config.job_identity() is None:
        yield Finding(
            subject=_JOB,
            check="variables",
            verdict=Verdict.WARNING,
            text="QPUs are given and no scheduler's job can be seen",
            advice="run inside the job, or unset QRMI_JOB_QPU_RESOURCES and QRMI_JOB_QPU_TYPES",
        )
