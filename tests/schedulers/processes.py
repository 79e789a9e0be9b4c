"""Processes of this machine, and Python as another user."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["REPOSITORY", "command_lines", "end", "environment_of", "user_python"]

REPOSITORY = Path(__file__).resolve().parents[2]
"""Where this library is."""


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """The words that each process was started with, by process id; read by and by."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
                yield int(entry.name), line.split("\0")


def end(process: subprocess.Popen[Any], seconds: float) -> None:
    """Have a child end in order, as systemd would; ``kill -9`` when it does not in time."""
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment_of(pid: int) -> list[str]:
    """A process's variables, ``NAME=VALUE`` each; none of one that has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return []


def user_python(name: str, **as_user: Any) -> list[str]:
    """A command that runs Python with this library as somebody else.

    The tests' own interpreter, or where it is out of that user's reach the system's of the same
    version with the same packages.

    Args:
        name: the user's, for the error.
        **as_user: what `subprocess.run` needs to become that user.
    """
    site = [path for path in sys.path if path.endswith("site-packages")]
    path = ":".join([str(REPOSITORY), str(REPOSITORY / "providers"), *site])
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    for command in ([sys.executable], ["/usr/bin/env", f"PYTHONPATH={path}", system]):
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [*command, "-c", "import qrmi, attrs"],
                cwd="/",
                capture_output=True,
                check=False,
                **as_user,
            )
            if done.returncode == 0:
                return command
    raise AssertionError(f"{name} can run no Python with the library")
