"""The examples run as they stand, without configuration, and are right."""

from __future__ import annotations

import ast
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


def test_ghz() -> None:
    """Only the two outcomes of a GHZ state, a thousand in all."""
    counts = ast.literal_eval(run("qiskit_ghz.py").splitlines()[-1])
    assert set(counts) == {"000", "111"}
    assert sum(counts.values()) == 1000
    assert min(counts.values()) > 400


def test_vqe() -> None:
    """The energy found is the exact one within a few times the precision asked for."""
    found, exact = map(float, re.findall(r"(-\d\.\d+) hartree", run("qiskit_vqe.py")))
    assert abs(found - exact) < 0.05
