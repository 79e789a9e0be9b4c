"""Small devices in IBM's form, and what runs programs for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from qiskit_aer.primitives import EstimatorV2, SamplerV2

from qrmi.codecs import gate
from qrmi.codecs.primitive_results import decode_result
from qrmi.payloads import QiskitPrimitive
from qrmi_local.gates.run import run as run_gates

__all__ = [
    "WIDE",
    "configuration",
    "device",
    "plain_form",
    "properties",
    "run_primitive",
    "sandbox_devices",
]

WIDE = ("test_wide", 127)
"""Name and size of a device as wide as a real one, which the servers make when it is asked for."""

_MOST_QUBITS = 28
_PRIMITIVES_OF_WIDE = {"sampler": SamplerV2, "estimator": EstimatorV2}
_OPTIONS_OF_WIDE = {"backend_options": {"method": "matrix_product_state"}}

_DATE = "2026-01-01T00:00:00Z"
_BASIS = ["cz", "id", "rz", "sx", "x"]
_EXTRA = ["measure", "reset", "delay"]
_ONE_QUBIT_SECONDS = {"id": 32, "rz": 0, "sx": 32, "x": 32}


def configuration(name: str, qubits: int, *, simulator: bool = False) -> dict[str, Any]:
    """The configuration of a line of qubits with the gates of a Heron processor."""
    pairs = [[a, b] for i in range(qubits - 1) for a, b in ((i, i + 1), (i + 1, i))]
    singles = [[i] for i in range(qubits)]
    gates = [
        {"name": "cz", "parameters": [], "qasm_def": "gate cz q0,q1 {}", "coupling_map": pairs},
        {"name": "id", "parameters": [], "qasm_def": "gate id q {}", "coupling_map": singles},
        {"name": "rz", "parameters": ["t"], "qasm_def": "gate rz(t) q {}", "coupling_map": singles},
        {"name": "sx", "parameters": [], "qasm_def": "gate sx q {}", "coupling_map": singles},
        {"name": "x", "parameters": [], "qasm_def": "gate x q {}", "coupling_map": singles},
    ]
    return {
        "backend_name": name,
        "backend_version": "1.0.0",
        "online_date": _DATE,
        "n_qubits": qubits,
        "basis_gates": _BASIS,
        "gates": gates,
        "supported_instructions": [*_BASIS, *_EXTRA],
        "supported_features": ["qasm3"],
        "local": False,
        "simulator": simulator,
        "conditional": False,
        "open_pulse": False,
        "memory": True,
        "max_shots": 100000,
        "max_experiments": 300,
        "coupling_map": pairs,
        "dt": 4.0,
        "dtm": 4.0,
        "processor_type": {"family": "Heron", "revision": "1"},
        "a_key_of_tomorrow": {"unknown": True},
    }


def properties(name: str, qubits: int) -> dict[str, Any]:
    """Its calibration: the same small errors everywhere."""
    line = [[i, i + 1] for i in range(qubits - 1)]
    gates = [_gate("cz", pair, 0.005, 68) for ab in line for pair in (ab, ab[::-1])] + [
        _gate(gate, [i], 0.0 if gate == "rz" else 0.0003, length)
        for gate, length in _ONE_QUBIT_SECONDS.items()
        for i in range(qubits)
    ]
    return {
        "backend_name": name,
        "backend_version": "1.0.0",
        "last_update_date": _DATE,
        "qubits": [
            [
                _value("T1", 150.0, "us"),
                _value("T2", 120.0, "us"),
                _value("readout_error", 0.01, ""),
                _value("prob_meas0_prep1", 0.012, ""),
                _value("prob_meas1_prep0", 0.008, ""),
                _value("readout_length", 1000, "ns"),
            ]
            for _ in range(qubits)
        ],
        "gates": gates,
        "general": [],
    }


def sandbox_devices() -> dict[str, dict[str, Any]]:
    """Two devices that work, one that is paused, and a simulator, by name."""
    devices = (
        device("test_heron", 5, queue_length=3),
        device("test_eagle", 7, queue_length=1),
        device("test_paused", 5, queue_length=0, status="paused"),
        device("test_simulator", 8, queue_length=0, simulator=True),
    )
    return {entry["listed"]["name"]: entry for entry in devices}


def device(
    name: str, qubits: int, *, queue_length: int, status: str = "online", simulator: bool = False
) -> dict[str, Any]:
    """Configuration, properties (none of a simulator) and the entry in the service's list."""
    reasons = {"online": "available", "paused": "calibration"}
    return {
        "configuration": configuration(name, qubits, simulator=simulator),
        "properties": None if simulator else properties(name, qubits),
        "listed": {
            "name": name,
            "status": {"name": status, "reason": reasons[status]},
            "is_simulator": simulator,
            "qubits": qubits,
            "clops": {"type": "hardware", "value": 3800},
            "processor_type": {"family": "Heron", "revision": "1"},
            "queue_length": queue_length,
        },
    }


def _gate(name: str, qubits: list[int], error: float, length: float) -> dict[str, Any]:
    return {
        "gate": name,
        "name": name + "_".join(map(str, qubits)),
        "qubits": qubits,
        "parameters": [_value("gate_error", error, ""), _value("gate_length", length, "ns")],
    }


def _value(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "date": _DATE}


def run_primitive(
    program: str,
    params: str,
    *,
    device: dict[str, Any],
    noise: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> str:
    """Run a sampler's or an estimator's program on Aer; what the device lacks is refused.

    Args:
        program: ``sampler`` or ``estimator``.
        params: its input, JSON text.
        device: ``configuration`` and ``properties``.
        noise: whether the device's errors are in the results.
        log: takes lines about the run.

    Returns:
        The result in Qiskit's tagged form when the input asks for it with ``support_qiskit``, else
        in the plain schema.
    """
    payload = QiskitPrimitive(params, program)
    if device["configuration"]["n_qubits"] > _MOST_QUBITS:
        result = _run_wide(payload)
    else:
        result = run_gates(payload, device=json.dumps(device), noise=noise, log=log)
    return result if json.loads(params).get("support_qiskit") else plain_form(result)


def _run_wide(payload: QiskitPrimitive) -> str:
    """Circuits with little entanglement on many qubits; without noise, and nothing is checked."""
    pubs = gate.decode_program(payload).pubs
    primitive = _PRIMITIVES_OF_WIDE[payload.program_id](options=_OPTIONS_OF_WIDE)
    return gate.encode_result(primitive.run(pubs).result())


def plain_form(tagged: str) -> str:
    """A result in the plain schema: hexadecimal samples of each register, lists of values."""
    result = decode_result(tagged)
    return json.dumps(
        {
            "results": [
                {"data": _plain_data(pub.data), "metadata": {"circuit_metadata": {}}}
                for pub in result
            ],
            "metadata": {"version": 2},
        }
    )


def _plain_data(data: Any) -> dict[str, Any]:
    if hasattr(data, "evs"):
        return {"evs": data.evs.tolist(), "stds": data.stds.tolist()}
    return {
        name: {
            "samples": [hex(int(bits, 2)) for bits in register.get_bitstrings()],
            "num_bits": register.num_bits,
        }
        for name, register in data.items()
    }
