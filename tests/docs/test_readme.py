"""README's commands are the ones that the checks run, and its programs run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

COMMANDS = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
PROGRAMS = dict(
    re.findall(r"^## ([^\n]+)\n\n```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
)


def run(program: str, folder: Path) -> str:
    """What a program prints; a CUDA-Q kernel needs a real file."""
    script = folder / "program.py"
    script.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def counts(printed: str) -> dict[str, int]:
    """The counts that a program printed, in the form of any of the three SDKs."""
    found = re.findall(r"'?\b([01]+)'?\s*:\s*(\d+)", printed)
    return {bits: int(number) for bits, number in found}


def test_there_are_two_commands() -> None:
    """One line ends in the demonstration, one in the tests."""
    assert len(COMMANDS) == 2
    assert COMMANDS[0].endswith(" && .venv/bin/qrmi demo")
    assert COMMANDS[1].endswith(" && .venv/bin/python -m pytest -n 2 --dist loadfile")


def test_checks_run_the_readme_command() -> None:
    """The pattern by which .ci/run finds its test command finds README's, and nothing else."""
    (pattern,) = re.findall(r"grep -E '(.+)' README\.md", CI)
    assert re.findall(pattern, README, re.MULTILINE) == [COMMANDS[1]]
    assert "pytest" not in CI.replace(pattern, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_install_what_is_declared(command: str) -> None:
    """The extras exist, and CUDA-Q's version is the one that the extra `cudaq` pins."""
    declared = PYPROJECT["project"]["optional-dependencies"]
    (extras,) = re.findall(r"'\.\[(.+?)\]'", command)
    assert set(extras.split(",")) <= declared.keys()
    (pinned,) = re.findall(r"--no-deps (\S+)", command)
    assert pinned in declared["cudaq"]


def test_no_page_pins_another_cudaq() -> None:
    """Wherever the CPU-only installation is shown, the version is the same."""
    (pinned,) = set(re.findall(r"--no-deps (\S+)", COMMANDS[0]))
    for page in (ROOT / "docs").glob("*.md"):
        shown = re.findall(r"--no-deps (cuda-quantum\S*?)`?(?=\s|$)", page.read_text("utf-8"))
        assert set(shown) <= {pinned}, page


@pytest.mark.parametrize("sdk", ["Qiskit", "CUDA-Q"])
def test_gate_programs(sdk: str, tmp_path: Path) -> None:
    """A GHZ state gives all zeros or all ones, both about as often."""
    if sdk == "CUDA-Q":
        pytest.importorskip("cudaq")
    found = counts(run(PROGRAMS[sdk], tmp_path))
    assert found.keys() == {"000", "111"}
    assert sum(found.values()) == 1000
    assert min(found.values()) > 400


def test_pulse_program(tmp_path: Path) -> None:
    """Two atoms within the blockade radius are never excited together."""
    found = counts(run(PROGRAMS["Pulser"], tmp_path))
    assert sum(found.values()) == 1000
    assert found.get("11", 0) < 30
    assert found["01"] + found["10"] > 800


def test_programs_are_short() -> None:
    """An example fits a screen: at most 15 lines of code."""
    assert PROGRAMS.keys() == {"Qiskit", "CUDA-Q", "Pulser"}
    for program in PROGRAMS.values():
        assert len([line for line in program.splitlines() if line.strip()]) <= 15
        ast.parse(program)


def test_links_lead_somewhere() -> None:
    """Relative links and pictures of README name files that exist."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(targets) >= 4
    assert [target for target in targets if not (ROOT / target).exists()] == []
