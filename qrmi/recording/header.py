"""The first line of a recording: what wrote it, and where it could."""

from __future__ import annotations

import functools
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qrmi import config
from qrmi.errors import QrmiError

__all__ = ["FORMAT", "VERSION", "header"]

FORMAT = "openqrmi-recording"
VERSION = 1
_PACKAGES = (
    "openqrmi",
    "qiskit",
    "qiskit-aer",
    "pulser-core",
    "pulser-simulation",
    "cuda-quantum-cu13",
    "cuda-quantum-cu12",
    "cudaq",
    "numpy",
)


def header(process: str) -> dict[str, Any]:
    """The first line of a process's file: no names of people, hosts, folders or programs."""
    now = time.time()
    return {
        "kind": "process",
        "format": FORMAT,
        "version": VERSION,
        "process": process,
        "started": round(now, 6),
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(_packages()),
        "job": _job(),
    }


@functools.cache
def _packages() -> tuple[tuple[str, str], ...]:
    return tuple((name, found) for name in _PACKAGES if (found := _version(name)))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _job() -> list[list[str]]:
    """Names and types of the QPUs that a scheduler gave this job."""
    try:
        return [[each.name, each.type_name] for each in config.job_resources()]
    except QrmiError:
        return []  # who needs it will be told
