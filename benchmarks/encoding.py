"""Writing a circuit for a service: at first, and again when only its parameters' values change."""

from __future__ import annotations

import statistics

import attrs
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.primitives.containers.sampler_pub import SamplerPub

from benchmarks.measure import Row, seconds
from qrmi import QuantumResource
from qrmi.codecs import gate

__all__ = ["run"]

_QUBITS, _REPETITIONS, _ROUNDS = 20, 10, 15


@attrs.frozen
class _Device:
    resource: QuantumResource
    target_text: str = "{}"


def run() -> list[Row]:
    """OpenQASM 3, as an IBM Quantum System takes it, and QPY, as the compute service does."""
    return [
        _encoded("ibm-quantum-system", "OpenQASM 3"),
        _encoded("ibm-quantum-compute-service", "QPY"),
    ]


def _encoded(type_name: str, form: str) -> Row:
    device = _Device(QuantumResource.from_config("device", type_name, _SETTINGS[type_name]))
    first, again = [], []
    for _ in range(_ROUNDS):
        circuit = efficient_su2(_QUBITS, reps=_REPETITIONS)
        circuit.measure_all()
        first.append(_time(circuit, device))
        again.append(_time(circuit, device))
    once, more = statistics.median(first) * 1e3, statistics.median(again) * 1e3
    return Row(
        what=f"write an unchanged circuit again, {form}",
        value=f"{more:.1f} ms, {more / once:.2f}x",
        baseline=f"the first time {once:.1f} ms, {circuit.size()} gates",
        limit="0.2x: written once",
        holds=more <= 0.2 * once,
    )


def _time(circuit: QuantumCircuit, device: _Device) -> float:
    values = np.random.default_rng().uniform(size=circuit.num_parameters)
    pub = SamplerPub.coerce((circuit, values, 100))
    return seconds(lambda: gate.encode_sampler([pub], device=device, options={}))


_SETTINGS = {
    "ibm-quantum-system": {
        "QRMI_IBM_QS_ENDPOINT": "http://127.0.0.1:1",
        "QRMI_IBM_QS_IAM_ENDPOINT": "http://127.0.0.1:1",
        "QRMI_IBM_QS_IAM_APIKEY": "key",
        "QRMI_IBM_QS_SERVICE_CRN": "crn",
        "QRMI_JOB_TIMEOUT_SECONDS": "600",
    },
    "ibm-quantum-compute-service": {
        "QRMI_IBM_QCS_ENDPOINT": "http://127.0.0.1:1",
        "QRMI_IBM_QCS_IAM_ENDPOINT": "http://127.0.0.1:1",
        "QRMI_IBM_QCS_IAM_APIKEY": "key",
        "QRMI_IBM_QCS_SERVICE_CRN": "crn",
    },
}
