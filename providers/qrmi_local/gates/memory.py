"""How much memory a simulation may take without harm to the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["available_mib"]

_MIB = 1 << 20
# By hierarchy: where control groups lie, and their files of the limit and of the use, in bytes.
_LAYOUTS = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}


def available_mib(root: Path = Path("/")) -> int | None:
    """MiB that can be had now: what the machine has free, within our control groups' limits.

    Args:
        root: where ``proc`` and ``sys`` are.

    Returns:
        At least 1; ``None`` where the system does not tell (it is not Linux).
    """
    found = [*_of_machine(root), *_of_groups(root)]
    return max(min(found) // _MIB, 1) if found else None


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            yield int(amount.split()[0]) << 10


def _of_groups(root: Path) -> Iterator[int]:
    """What remains in our control group and in those around it, each of which may have a limit."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in _LAYOUTS:
                place, limit, use = _LAYOUTS[controller]
                inside = PurePosixPath(path.lstrip("/"))
                for group in (inside, *inside.parents):
                    yield from _of_group(root / place / group, limit, use)


def _of_group(folder: Path, limit: str, use: str) -> Iterator[int]:
    most, used = (" ".join(_lines(folder / name)) for name in (limit, use))
    if most.isdigit() and used.isdigit():
        counted = dict(line.split() for line in _lines(folder / "memory.stat"))
        cached = sum(int(counted.get(name, 0)) for name in ("active_file", "inactive_file"))
        yield max(int(most) - int(used) + cached, 0)  # the kernel drops cached files first


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
