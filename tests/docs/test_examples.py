"""Every program of docs/examples runs as it stands, and what it prints is true."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def counts(printed: str) -> dict[str, int]:
    """The counts in what a program printed, in the form of any of the three SDKs."""
    found = re.findall(r"'?\b([01]{2,})'?\s*:\s*(\d+)", printed)
    return {bits: int(number) for bits, number in found}


def number_after(label: str, printed: str) -> float:
    """The number that follows a label."""
    (text,) = re.findall(rf"{re.escape(label)}\D*?(-?\d+(?:\.\d+)?)", printed)
    return float(text)


def is_ghz(printed: str) -> None:
    found = counts(printed)
    assert {frozenset(bits) for bits in found} == {frozenset("0"), frozenset("1")}
    assert min(found.values()) > 0.4 * sum(found.values())


def finds_ground_state(printed: str) -> None:
    found = number_after("energy found:", printed)
    exact = number_after("exact energy:", printed)
    assert exact == pytest.approx(-1.857, abs=1e-3)
    assert found == pytest.approx(exact, abs=0.06)


def is_deuteron(printed: str) -> None:
    assert number_after("lowest energy", printed) == pytest.approx(-1.7487, abs=1e-3)
    assert number_after("theta =", printed) == pytest.approx(0.6)
    assert number_after("a term:", printed) == pytest.approx(-1.7487, abs=0.6)


def is_ends_excited(printed: str) -> None:
    found = counts(printed)
    assert sum(found.values()) == 500
    assert found["101"] > 250
    assert "most probable: 101" in printed


def is_every_other_atom(printed: str) -> None:
    found = re.findall(r"^([01]{8}) (\d+)$", printed, re.MULTILINE)
    assert found[0][0] == "10101010"
    assert int(found[0][1]) > 150  # of 500


def oscillates_in_blockade(printed: str) -> None:
    rows = re.findall(r"^ *\d+ ns +(\S+) +(\S+) +(\d+)$", printed, re.MULTILINE)
    assert len(rows) == 6
    for measured, expected, both in rows:
        assert float(measured) == pytest.approx(float(expected), abs=0.03)
        assert int(both) < 10  # of 500


CHECKS: dict[str, Callable[[str], None]] = {
    "cudaq_ghz.py": is_ghz,
    "cudaq_observe.py": is_deuteron,
    "cudaq_rydberg.py": is_ends_excited,
    "pulser_rydberg.py": is_every_other_atom,
    "pulser_sweep.py": oscillates_in_blockade,
    "qiskit_ghz.py": is_ghz,
    "qiskit_vqe.py": finds_ground_state,
}


def test_every_example_is_checked() -> None:
    """A program that is added to docs/examples needs a check here."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == CHECKS.keys()


@pytest.mark.parametrize("name", CHECKS)
def test_example(name: str) -> None:
    """The program ends well, says nothing on stderr, and prints what is true."""
    if name.startswith("cudaq"):
        pytest.importorskip("cudaq")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    CHECKS[name](done.stdout)


def test_every_example_is_shown() -> None:
    """Each program is on a page of the documentation."""
    pages = "".join(path.read_text("utf-8") for path in EXAMPLES.parent.glob("*.md"))
    assert set(re.findall(r"^```\{example\} (\S+)$", pages, re.MULTILINE)) == CHECKS.keys()
