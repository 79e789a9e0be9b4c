"""What memory a simulation may take, and that Aer keeps to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qrmi.errors import InvalidInputError
from qrmi_local.gates import aer as gate_aer
from qrmi_local.gates.aer import Experiment, simulate
from qrmi_local.gates.circuits import prepare
from qrmi_local.gates.memory import available_mib

MIB = 1 << 20


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


FREE = {"proc/meminfo": f"MemTotal: {900 << 10} kB\nMemAvailable: {500 << 10} kB\n"}


def test_the_machine_alone(tmp_path: Path) -> None:
    """Without limits it is what the kernel says is available, not what is built in."""
    assert available_mib(machine(tmp_path, FREE)) == 500


def test_a_job_within_its_limit(tmp_path: Path) -> None:
    """A scheduler's limit holds wherever above us it is set; cached files are not counted."""
    group = "sys/fs/cgroup/slurm/job_7"
    files = {
        "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
        f"{group}/step_0/memory.max": "max\n",
        f"{group}/step_0/memory.current": str(90 * MIB),
        f"{group}/memory.max": str(300 * MIB),
        f"{group}/memory.current": str(100 * MIB),
        f"{group}/memory.stat": f"anon {60 * MIB}\nactive_file 0\ninactive_file {40 * MIB}\n",
    }
    assert available_mib(machine(tmp_path, FREE | files)) == 240


def test_an_older_kernel(tmp_path: Path) -> None:
    """Control groups of version 1 have other names; one that is full leaves the least there is."""
    group = "sys/fs/cgroup/memory/job"
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/job\n",
        f"{group}/memory.limit_in_bytes": str(50 * MIB),
        f"{group}/memory.usage_in_bytes": str(50 * MIB),
    }
    assert available_mib(machine(tmp_path, FREE | files)) == 1


def test_elsewhere(tmp_path: Path) -> None:
    """A system without these files does not tell."""
    assert available_mib(tmp_path) is None


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that takes more than is free is refused; the same circuit runs where it fits."""
    circuit = QuantumCircuit(18)
    circuit.rx(0.3, range(18))
    circuit.measure_all()
    experiment = Experiment(prepared=prepare(circuit), circuit=circuit, values=np.zeros((1, 0)))
    monkeypatch.setattr(gate_aer, "available_mib", lambda: 3)  # the state takes 4 MiB
    with pytest.raises(InvalidInputError, match=r"18 qubits.*memory"):
        simulate([experiment], rng=np.random.default_rng(1), shots=1)
    monkeypatch.setattr(gate_aer, "available_mib", lambda: 8)
    assert simulate([experiment], rng=np.random.default_rng(1), shots=1)
