"""docs/examples/job.sh: one script for a laptop and for every scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SCRIPT = EXAMPLES / "job.sh"
_FOREIGN = ("QRMI_JOB", "SLURM_", "PBS_", "LSB_", "FLUX_", "SGE_")


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    return subprocess.run(
        ["/bin/sh", SCRIPT, *words],
        cwd=EXAMPLES,
        env={**plain, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("program", ["qiskit_ghz.py", "pulser_rydberg.py", "cudaq_ghz.py"])
def test_on_a_laptop(program: str) -> None:
    """As a plain program it runs each SDK's example on the embedded simulator."""
    if program.startswith("cudaq"):
        pytest.importorskip("cudaq")
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert "0" in done.stdout


def test_keeps_the_exit_code(tmp_path: Path) -> None:
    """The job ends as its program does; the name may come from the environment."""
    program = tmp_path / "fails.py"
    program.write_text("raise SystemExit(7)")
    assert run(str(program)).returncode == 7
    assert run(PROGRAM=str(program)).returncode == 7


def test_each_scheduler_finds_its_lines() -> None:
    """All directives stand before the first command, where schedulers stop reading."""
    lines = SCRIPT.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    for mark in ("#SBATCH ", "#QRMI ", "#$ "):
        found = [n for n, line in enumerate(lines) if line.startswith(mark)]
        assert found, mark
        assert max(found) < first
    assert not [line for line in lines if line.startswith(("#PBS", "#BSUB"))]  # sbatch reads them
