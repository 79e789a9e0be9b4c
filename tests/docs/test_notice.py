"""The notice on the primitives of qiskit-ibm-runtime is true.

When a test fails here, that package has changed: revise the notice in docs/quickstart-qiskit.md.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.quantum_info import SparsePauliOp

from qrmi import QuantumResource
from qrmi.qiskit import SamplerV2, backend
from qrmi_sandbox import make_server

TYPE = "ibm-quantum-compute-service"


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


@pytest.mark.parametrize("name", ["executor_sampler.Sampler", "executor_estimator.Estimator"])
def test_client_side_primitives_send_nothing(name: str) -> None:
    """They give a result without a warning and without a request; the job's class is the sign."""
    pytest.importorskip("qiskit_ibm_runtime")
    module, _, kind = f"qiskit_ibm_runtime.{name}".rpartition(".")
    with make_server(TYPE) as server:
        entry = server.resource()
        resource = QuantumResource.from_config(entry["name"], TYPE, entry["environment"])
        device = backend(resource)
        circuit = bell()
        if kind == "Sampler":
            circuit.measure_all()
        isa: Any = generate_preset_pass_manager(backend=device).run(circuit)
        pub = (isa,) if kind == "Sampler" else (isa, SparsePauliOp("ZZ").apply_layout(isa.layout))
        before = len(server.requests)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            job = getattr(importlib.import_module(module), kind)(device).run([pub])
            job.result()
        assert len(server.requests) == before
    assert type(job).__name__ == "LocalRuntimeJob"


def test_primitives_of_this_library_do_send(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same program with the sampler of `qrmi.qiskit` is a job of the service."""
    monkeypatch.setenv("QRMI_STATE_DIR", str(tmp_path))
    with make_server(TYPE) as server:
        entry = server.resource()
        resource = QuantumResource.from_config(entry["name"], TYPE, entry["environment"])
        device = backend(resource)
        circuit = bell()
        circuit.measure_all()
        isa = generate_preset_pass_manager(backend=device).run(circuit)
        job = SamplerV2(device).run([isa], shots=50)
        assert job.result()[0].data.meas.num_shots == 50
        assert job.job_id() in resource.list_tasks()
        assert type(job).__name__ != "LocalRuntimeJob"
