"""A third party's driver, in a distribution of its own, installed for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ABACUS = Path(__file__).parent / "abacus"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of processes in which the distribution is installed beside ours."""
    folder = tmp_path_factory.mktemp("provider")
    sources = shutil.copytree(ABACUS, folder / "sources")
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    options = ["--no-build-isolation", "--target", str(site), str(sources)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (site / "qrmi_abacus.py").exists()
    return {**os.environ, "PYTHONPATH": str(site), "QRMI_STATE_DIR": str(folder / "state")}


def test_the_driver_is_short():
    """A driver takes fewer than 100 lines, imports, blank lines and docstrings included."""
    assert len((ABACUS / "qrmi_abacus.py").read_text().splitlines()) < 100


def test_nothing_here_knows_it():
    """No file of ours names the type; its entry point is all that connects it."""
    root = ABACUS.parents[2]
    for folder in ("qrmi", "providers"):
        for path in (root / folder).rglob("*.py"):
            assert "abacus" not in path.read_text(encoding="utf-8").lower(), path


def test_it_passes_the_kit(environment):
    """Every rule of the interface holds, faults of HTTP included."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, str(ABACUS / "test_abacus.py")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ABACUS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 200


_USE = """
import sys, json
sys.path.insert(0, sys.argv[1])
from abacus_server import AbacusServer
from qiskit import QuantumCircuit, transpile
import qrmi
from qrmi.qiskit import QRMIBackend, SamplerV2

with AbacusServer() as server:
    environment = server.resource()["environment"]
    resource = qrmi.QuantumResource.from_config("abacus", "abacus", environment)
    backend = QRMIBackend(resource)
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    job = SamplerV2(backend).run([transpile(bell, backend)], shots=200)
    print(json.dumps(job.result()[0].data.meas.get_counts()))
"""


def test_qiskit_runs_on_it(environment):
    """A Qiskit program runs on the new resource through the adapter that all others use."""
    done = subprocess.run(
        [sys.executable, "-c", _USE, str(ABACUS)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert set(counts) <= {"00", "11"}
    assert sum(counts.values()) == 200


def test_the_command_line_knows_it(environment):
    """Its settings are checked and named like those of any other type."""
    done = subprocess.run(
        [sys.executable, "-c", "from qrmi import plugins; print(plugins.driver_types())"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "'abacus'" in done.stdout


def test_the_page_shows_these_files():
    """The documentation shows the very files that are tested here."""
    page = (DOCS / "new-provider.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\{literalinclude\} (\S+)", page)
    files = {(DOCS / name).resolve() for name in shown}
    assert files >= {
        ABACUS / "pyproject.toml",
        ABACUS / "qrmi_abacus.py",
        ABACUS / "test_abacus.py",
    }
    assert all(path.exists() for path in files)
