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


@cache
def edition() -> tuple[int, ...]:
    """The supervisor's: the version, then when its code was last changed, in nanoseconds."""
    numbers = [int(number) for number in re.findall(r"\d+", qrmi.__version__)[:3]]
    return (*numbers, *([0] * (3 - len(numbers))), _last_change(Path(__file__).parent))


@cache
def executor_edition() -> str:
    """An executor's, which runs more of our code; it is compared, and has no order."""
    provider, core = Path(__file__).parents[1], Path(qrmi.__file__).parent
    folders = (provider, provider / "gates", provider / "pulses", core, core / "codecs")
    return ".".join(map(str, (*edition(), *map(_last_change, folders))))


def _last_change(folder: Path) -> int:
    """When the newest module of a folder was changed, in nanoseconds since 1970."""
    with os.scandir(folder) as entries:
        modules = [entry for entry in entries if entry.name.endswith(".py")]
        return max((module.stat().st_mtime_ns for module in modules), default=0)
