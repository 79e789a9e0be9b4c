"""The examples run as they stand, without configuration, and are right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def run(name: str) -> str:
    done = subprocess.run(
        [sys.executable, str(_EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rydberg() -> None:
    """The corners of the square are excited most often."""
    first = re.search(r"^([01]{8}) (\d+)$", run("pulser_rydberg.py"), re.MULTILINE)
    assert first is not None
    assert first[1] == "10101010"
    assert int(first[2]) > 150


def test_sweep() -> None:
    """Every duration's excitation is as the blockade has it."""
    rows = re.findall(r"ns +(\d\.\d+) +(\d\.\d+) +(\d+)", run("pulser_sweep.py"))
    assert len(rows) == 6
    assert all(abs(float(measured) - float(expected)) < 0.05 for measured, expected, _ in rows)
