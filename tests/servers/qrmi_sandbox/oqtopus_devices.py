"""Devices of the OQTOPUS sandbox: documents of the user API, and topologies of the engine."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["DEVICES", "TOPOLOGY"]

TOPOLOGY: dict[str, Any] = {
    "name": "ring",
    "device_id": "ring",
    "qubits": [
        {
            "id": index,
            "physical_id": index + 8,
            "position": {"x": index % 2, "y": -(index // 2)},
            "fidelity": 0.999,
            "meas_error": {
                "prob_meas1_prep0": 0.01,
                "prob_meas0_prep1": 0.02,
                "readout_assignment_error": 0.015,
            },
            "qubit_lifetime": {"t1": 100.0, "t2": 80.0},
            "gate_duration": {"rz": 0, "sx": 20, "x": 20},
        }
        for index in range(4)
    ],
    "couplings": [
        {
            "control": control,
            "target": target,
            "fidelity": 0.99,
            "gate_duration": {"cx": 40, "rzx90": 40},
        }
        for control, target in ((0, 1), (0, 2), (1, 3), (2, 3))
    ],
    "calibrated_at": "2026-01-01T00:00:00Z",
}

DEVICES: dict[str, dict[str, Any]] = {
    device["device_id"]: device
    for device in (
        {
            "device_id": "qulacs",
            "device_type": "simulator",
            "status": "available",
            "n_pending_jobs": 0,
            "n_qubits": 20,
            "basis_gates": ["sx", "rz", "cx"],
            "supported_instructions": ["measure", "barrier"],
            "device_info": json.dumps({"n_nodes": 1}),
            "description": "State vector",
            "region": "not in the documentation",
        },
        {
            "device_id": "ring",
            "device_type": "QPU",
            "status": "available",
            "available_at": None,
            "n_pending_jobs": 3,
            "n_qubits": 4,
            "basis_gates": ["sx", "x", "rz", "cx", "rzx90"],
            "supported_instructions": ["measure", "barrier", "reset"],
            "device_info": json.dumps(TOPOLOGY),
            "calibrated_at": "2026-01-01T00:00:00Z",
            "description": "Superconducting ring",
        },
        {
            "device_id": "asleep",
            "device_type": "QPU",
            "status": "unavailable",
            "available_at": "2026-02-01T09:00:00+09:00",
            "n_pending_jobs": 0,
            "n_qubits": 64,
            "basis_gates": ["sx", "x", "rz", "cx"],
            "supported_instructions": ["measure"],
            "description": "In maintenance",
        },
    )
}
"""By id."""
