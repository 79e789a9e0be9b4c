"""Words and units of IBM's configuration and properties."""

from __future__ import annotations

import math

__all__ = ["NON_UNITARY", "RZZ_BOUNDS", "TIMING", "UNITS"]

NON_UNITARY = ("measure", "reset", "delay")
"""Instructions that are no gates; every IBM device has them."""

UNITS = {
    "": 1.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
    "ps": 1e-12,
    "Hz": 1.0,
    "kHz": 1e3,
    "MHz": 1e6,
    "GHz": 1e9,
}
"""What one of each unit is in SI units; an empty unit is a pure number."""

TIMING = ("granularity", "min_length", "pulse_alignment", "acquire_alignment")
"""Constraints on instants and durations, in multiples of dt."""

RZZ_BOUNDS = [[0.0, math.pi / 2]]
"""The angles that IBM's fractional rzz takes."""
