"""What commands look like on terminals of usual widths."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest

pytest.importorskip("rich")

LONG_NAME = "cold-one-in-a-cellar"
WIDTHS = pytest.mark.parametrize("width", [80, 110])


def on_terminal(width: int, folder: Any, *argv: str) -> list[str]:
    """The lines that a command writes to a terminal of this width, without their colours."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    gone = ("COLUMNS", "LINES", "NO_COLOR")
    done = subprocess.Popen(
        [sys.executable, "-m", "qrmi", *argv],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in gone}
        | {"TERM": "xterm", "PYTHONPATH": str(folder)},
    )
    os.close(writer)
    text = b""
    while True:
        try:
            part = os.read(reader, 65536)
        except OSError:  # all of it was read, and the other side is closed
            break
        if not part:
            break
        text += part
    os.close(reader)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors.decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).splitlines()


def squeezed(*lines: str) -> str:
    """The texts without blanks: they may be folded anywhere."""
    return "".join("".join(lines).split())


@WIDTHS
def test_resources(paper: Any, width: int) -> None:
    """No name, type or reason is cut, and no line is wider than the terminal."""
    paper.configure(
        {"name": LONG_NAME, "type": "ibm-quantum-compute-service", "environment": {}},
    )
    lines = on_terminal(width, paper.folder, "resources")
    (row,) = (line for line in lines if line.startswith(LONG_NAME))
    assert "ibm-quantum-compute-service" in row
    assert max(len(line.rstrip()) for line in lines) <= width
    reason = f"{LONG_NAME}_QRMI_IBM_QCS_ENDPOINT environment variable is not set"
    assert squeezed(reason) in squeezed(*lines)


@WIDTHS
def test_config(paper: Any, width: int) -> None:
    """What is set is there, defaults only on demand, and sentences are not folded to single words.

    The settings that all types over HTTP have in common are listed once.
    """
    paper.configure(PAPER_TOKEN="hunter2")
    check = on_terminal(width, paper.folder, "config", "check")
    assert not any("PAPER_LOOKS" in line for line in check)
    everything = on_terminal(width, paper.folder, "config", "check", "--all")
    assert any("PAPER_LOOKS" in line and "(default)" in line for line in everything)
    listed = on_terminal(width, paper.folder, "config", "settings")
    assert sum("QRMI_HTTP_PROXY" in line for line in listed) == 1
    for lines in (check, everything, listed):
        told = [line for line in lines if not line.startswith("file: ")]  # the folder's own length
        assert max(len(line.rstrip()) for line in told) <= width
    assert squeezed("URL of the API, for example https://demo-api.oqtopus.io.") in squeezed(*listed)


@WIDTHS
def test_show_and_tasks(paper: Any, width: int) -> None:
    """Abilities are said in words, the id of a task can be copied from one line."""
    paper.run("run", "paper", str(paper.sequence()))
    shown = on_terminal(width, paper.folder, "show", "paper")
    assert any("give logs, stop a running task" in line for line in shown)
    tasks = on_terminal(width, paper.folder, "tasks")
    assert tasks[1].startswith("paper-000  paper ")
    for lines in (shown, tasks):
        assert max(len(line.rstrip()) for line in lines) <= width
