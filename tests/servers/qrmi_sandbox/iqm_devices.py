"""Quantum computers of the IQM sandbox: what they are, and their calibration data."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

__all__ = ["DEVICES", "Machine"]

_SPACE = uuid.UUID("6f1d3b0e-9c1f-4a51-8a39-5d3f0a6f7d10")
_MOMENT = "2026-09-28T15:16:40.483662Z"
_WAYS = {
    "prx": "drag_crf",
    "cz": "tgss",
    "measure": "constant",
    "move": "tgss_crf",
    "cc_prx": "prx_composite_drag_crf",
}
_DURATIONS = {"prx": 2e-8, "cz": 4e-8, "measure": 1e-6, "move": 8e-8, "cc_prx": 4e-7}
_FIDELITIES = {"prx": 0.9991, "cz": 0.9935, "measure": 0.984, "move": 0.9951, "cc_prx": 0.98}
_METHODS = {"prx": "rb", "measure": "ssro"}


@attrs.frozen(kw_only=True)
class Machine:
    """One quantum computer.

    Attributes:
        alias: its name in URLs.
        loci: where each gate is calibrated.
        qubits: names of its qubits.
        resonators: names of its computational resonators.
        operational: its operational status.
        queue: jobs of others that wait.
        kind: what it says it is.
        has_static: whether it has a static architecture to show.
    """

    alias: str
    qubits: tuple[str, ...]
    resonators: tuple[str, ...] = ()
    loci: dict[str, list[tuple[str, ...]]]
    operational: str = "online"
    queue: int = 3
    kind: str = "qpu"
    has_static: bool = True

    @property
    def id(self) -> str:
        """Its identifier on the server."""
        return str(uuid.uuid5(_SPACE, self.alias))

    @property
    def calibration_id(self) -> str:
        """Its default calibration set."""
        return str(uuid.uuid5(_SPACE, self.alias + " calibration"))

    @property
    def summary(self) -> dict[str, Any]:
        """As it is in the list of an account."""
        return {"id": self.id, "alias": self.alias, "display_name": self.alias.capitalize()}

    def details(self, queued: int) -> dict[str, Any]:
        """What the server says of it, with so many jobs of ours in its queue."""
        return {
            **self.summary,
            "description": f"{len(self.qubits)}-qubit sandbox",
            "backend_type": self.kind,
            "number_of_qubits": len(self.qubits),
            "pulla_enabled": False,
            "limits": {
                "max_instructions_per_circuit": 10000,
                "max_shots_per_circuit": 100000,
                "max_circuits_per_job": 200,
                "max_executions_per_job": 1000000,
                "max_queued_jobs_per_user": 50,
            },
            "operational_status": self.operational,
            "health": {"healthy": self.operational == "online", "updated_at": _MOMENT},
            "queue_length": self.queue + queued,
            "pricing": {"payg_price_per_second": "0.30"},
            "additional_info": {
                "academy_url": "https://example.org",
                "best_suited_for": [],
                "documentation_url": "https://example.org",
                "mock_url": "https://example.org",
            },
        }

    def architecture(self) -> dict[str, Any]:
        """The dynamic quantum architecture."""
        return {
            "calibration_set_id": self.calibration_id,
            "qubits": list(self.qubits),
            "computational_resonators": list(self.resonators),
            "gates": {gate: self._gate(gate) for gate in self.loci},
        }

    def _gate(self, gate: str) -> dict[str, Any]:
        loci = [list(locus) for locus in self.loci[gate]]
        ways = {_WAYS[gate]: {"loci": loci}}
        overrides = {}
        if gate == "cz":  # one locus has another implementation, as devices do
            ways["crf"] = {"loci": loci[-1:]}
            overrides = {",".join(loci[-1]): "crf"}
        return {
            "implementations": ways,
            "default_implementation": _WAYS[gate],
            "override_default_implementation": overrides,
        }

    def static_architecture(self) -> list[dict[str, Any]]:
        """The static quantum architecture, as the artifact has it."""
        pairs = sorted({tuple(sorted(locus)) for locus in self.loci["cz"]})
        return [
            {
                "dut_label": f"SANDBOX_{self.alias.upper()}",
                "qubits": list(self.qubits),
                "computational_resonators": list(self.resonators),
                "connectivity": [list(pair) for pair in pairs],
            }
        ]

    def calibration_set(self) -> dict[str, Any]:
        """Durations and frequencies."""
        values = [
            (f"gates.{gate}.{way}.{'__'.join(locus)}.duration", _DURATIONS[gate], "s")
            for gate, locus, way in self._places()
        ]
        values += [
            (f"controllers.{name}.drive.frequency", 4.5e9 + 1e7 * number, "Hz")
            for number, name in enumerate(self.qubits)
        ]
        return self._observations("calibration-set", values, self.calibration_id)

    def metrics(self) -> dict[str, Any]:
        """Fidelities and coherence times."""
        values = [
            (
                f"metrics.{_METHODS.get(gate, 'irb')}.{gate}.{way}.{'__'.join(locus)}.fidelity",
                _FIDELITIES[gate],
                "",
            )
            for gate, locus, way in self._places()
        ]
        for name in self.qubits:
            values.append((f"characterization.model.{name}.t1_time", 4.1e-5, "s"))
            values.append((f"characterization.model.{name}.t2_time", 2.2e-5, "s"))
        own = str(uuid.uuid5(_SPACE, self.alias + " metrics"))
        return self._observations("quality-metric-set", values, own)

    def _places(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        for gate, loci in self.loci.items():
            for locus in loci:
                way = "crf" if gate == "cz" and locus == loci[-1] else _WAYS[gate]
                yield gate, locus, way

    def _observations(
        self, kind: str, values: Sequence[tuple[str, float, str]], own: str
    ) -> dict[str, Any]:
        return {
            "observation_set_id": own,
            "observation_set_type": kind,
            "describes_id": None if own == self.calibration_id else self.calibration_id,
            "invalid": False,
            "dut_label": f"SANDBOX_{self.alias.upper()}",
            "created_timestamp": _MOMENT,
            "end_timestamp": _MOMENT,
            "observations": [
                {
                    "observation_id": number,
                    "dut_field": name,
                    "value": value,
                    "unit": unit,
                    "uncertainty": None,
                    "invalid": False,
                    "created_timestamp": _MOMENT,
                    "modified_timestamp": _MOMENT,
                }
                for number, (name, value, unit) in enumerate(values)
            ],
        }


def _crystal(alias: str, rows: int, columns: int, **more: Any) -> Machine:
    """Qubits on a grid, with couplers between neighbours, and feedback."""
    names = tuple(f"QB{number}" for number in range(1, rows * columns + 1))
    pairs = [
        (names[row * columns + column], names[(row + down) * columns + column + right])
        for row in range(rows)
        for column in range(columns)
        for down, right in ((0, 1), (1, 0))
        if row + down < rows and column + right < columns
    ]
    single = [(name,) for name in names]
    loci = {"prx": single, "cc_prx": single, "measure": single, "cz": pairs}
    return Machine(alias=alias, qubits=names, loci=loci, **more)


def _star(alias: str, size: int, **more: Any) -> Machine:
    """Qubits around one resonator; the last qubit is not calibrated for measurements."""
    names = tuple(f"QB{number}" for number in range(1, size + 1))
    spokes = [(name, "COMPR1") for name in names]
    single = [(name,) for name in names]
    loci = {"prx": single, "measure": single[:-1], "cz": spokes, "move": spokes}
    return Machine(alias=alias, qubits=names, resonators=("COMPR1",), loci=loci, **more)


@functools.cache
def _devices() -> tuple[Machine, ...]:
    return (
        _crystal("garnet", 4, 5),
        _crystal("garnet:mock", 4, 5, queue=0),
        _star("sirius", 6, queue=1, has_static=False),
        _crystal("emerald", 6, 9, queue=0, operational="maintenance"),
        _crystal("aer", 2, 4, queue=0, kind="simulator"),
    )


DEVICES = {machine.alias: machine for machine in _devices()}
"""By alias: a device, its mock, one with a resonator, one in maintenance, a simulator."""
