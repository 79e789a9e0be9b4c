"""What a single device can do, as far as its target tells, for filters to be held against."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from qrmi.config_file import ResourceDef
from qrmi.discovery import passes
from qrmi.driver import Driver

__all__ = ["Facts", "facts_in"]

_KEPT_SECONDS = 600.0
_DEPTH = 5
_LONGEST_TEXT = 20_000_000
_QUBITS = ("num_qubits", "n_qubits", "number_of_qubits", "max_atom_num")
_SHOTS = ("max_shots", "max_shots_per_circuit", "max_runs")
_SIMULATOR = ("simulator", "is_simulator")
_SIMULATED_TYPES = ("local",)


@attrs.frozen(kw_only=True)
class _Fact:
    """What is known of a device; ``None`` for what is not."""

    num_qubits: int | None = None
    max_shots: int | None = None
    is_simulator: bool = False


class Facts:
    """Devices held against filters; their targets are asked for now and then. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[ResourceDef, float, _Fact]] = {}

    def passes(self, definition: ResourceDef, filters: Mapping[str, str], driver: Driver) -> bool:
        """Whether a device passes; what is not known of it fails a limit.

        Raises:
            InvalidInputError: a filter's value makes no sense.
            QrmiError: its target is needed and cannot be had.
        """
        wanted = dict(filters)
        needed = wanted.keys() & {"num_qubits", "max_shots", "is_simulator"}
        fact = _Fact()
        named = {key: value for key, value in wanted.items() if key not in needed}
        passes({**wanted, "name": "*"}, name="")  # wrong values are wrong for every device
        if needed and passes(named, name=definition.name):
            fact = self._fact(definition, driver)
        if "is_simulator" not in wanted:
            wanted["is_simulator"] = "true" if fact.is_simulator else "false"
        return passes(wanted, name=definition.name, **attrs.asdict(fact))

    def _fact(self, definition: ResourceDef, driver: Driver) -> _Fact:
        with self._lock:
            made_for, until, fact = self._known.get(definition.name, (None, 0.0, _Fact()))
        if made_for == definition and time.monotonic() < until:
            return fact
        told = facts_in(driver.target().value)
        fact = attrs.evolve(
            told, is_simulator=told.is_simulator or definition.type_name in _SIMULATED_TYPES
        )
        with self._lock:
            until = time.monotonic() + _KEPT_SECONDS
            self._known[definition.name] = (definition, until, fact)
        return fact


def facts_in(target: str) -> _Fact:
    """What a target says, in whatever form its vendor writes it; nothing of what is not JSON."""
    found: dict[str, Any] = {}
    for key, value in _fields(_parsed(target), _DEPTH):
        found.setdefault(key, value)
    return _Fact(
        num_qubits=_number(found, _QUBITS),
        max_shots=_number(found, _SHOTS),
        is_simulator=any(found.get(key) is True for key in _SIMULATOR),
    )


def _fields(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Fields of an object and of what is in it, the outer ones first."""
    if depth == 0:
        return
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = _parsed(value)
    if isinstance(value, dict):
        yield from value.items()
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for each in inner:
            if isinstance(each, dict | list | str):
                yield from _fields(each, depth - 1)


def _parsed(text: str) -> Any:
    if len(text) > _LONGEST_TEXT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _number(found: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    values = (found.get(key) for key in keys)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool)), None)
