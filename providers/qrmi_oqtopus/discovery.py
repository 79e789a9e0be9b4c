"""Which devices of an account pass a filter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qrmi.discovery import passes
from qrmi.errors import UnexpectedAnswerError
from qrmi.transport import reading

__all__ = ["MOST_SHOTS", "matching"]

MOST_SHOTS = 10_000_000
"""Of one job, on every device (oqtopus-client 1.3)."""


def matching(devices: Any, filters: Mapping[str, str]) -> list[str]:
    """The ids of the devices that pass: available ones first, the shortest queue first.

    Args:
        devices: the answer to ``GET /devices``.
        filters: as `qrmi.discovery.parse_filters` gives them.
    """
    if not isinstance(devices, list):
        raise UnexpectedAnswerError("the service's answer is no list of devices")
    with reading("GET devices"):
        passed = [
            device
            for device in devices
            if passes(
                filters,
                name=str(device["device_id"]),
                num_qubits=device.get("n_qubits"),
                max_shots=MOST_SHOTS,
                is_simulator=device["device_type"] != "QPU",
                is_online=_is_available(device),
            )
        ]
        passed.sort(key=lambda device: (not _is_available(device), _pending(device)))
        return [str(device["device_id"]) for device in passed]


def _pending(device: Mapping[str, Any]) -> float:
    """How many jobs wait; what does not say comes last."""
    count = device.get("n_pending_jobs")
    return math.inf if count is None else int(count)


def _is_available(device: Mapping[str, Any]) -> bool:
    return bool(device["status"] == "available")
