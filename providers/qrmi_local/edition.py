"""Which code this is, so that processes of older code make way for newer code.

The processes of the embedded simulator outlive the programs that started them, and updates of the
package. Editions have an order and the newest wins, so that programs of two environments that use
one store never drive each other's supervisor away in turn.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import qrmi

__all__ = ["edition", "executor_edition"]

_SUPERVISOR = ("batch", "client", "process", "queues", "retention", "slot", "state", "store")
_SUPERVISOR_FILES = frozenset(f"{name}.py" for name in (*_SUPERVISOR, "supervisor", "worker"))


@cache
def edition() -> tuple[int, ...]:
    """The supervisor's: the version, then when its code was last changed, in nanoseconds."""
    numbers = [int(number) for number in re.findall(r"\d+", qrmi.__version__)[:3]]
    changes = _changes(Path(__file__).parent)
    own = max(changes.get(name, 0) for name in _SUPERVISOR_FILES)
    return (*numbers, *([0] * (3 - len(numbers))), own)


@cache
def executor_edition() -> str:
    """An executor's, which runs more of our code; it is compared, and has no order."""
    core = Path(qrmi.__file__).parent
    folders = (Path(__file__).parent, core, core / "codecs")
    changes = [max(_changes(folder).values(), default=0) for folder in folders]
    return ".".join(map(str, (*edition(), *changes)))


def _changes(folder: Path) -> dict[str, int]:
    """When each module of a folder was last changed, by its file's name."""
    with os.scandir(folder) as entries:
        modules = [entry for entry in entries if entry.name.endswith(".py")]
        return {module.name: module.stat().st_mtime_ns for module in modules}
