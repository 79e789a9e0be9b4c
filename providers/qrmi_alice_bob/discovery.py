"""Which targets of an account pass a filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrmi.discovery import passes
from qrmi.errors import UnexpectedAnswerError
from qrmi.transport import answer_field, reading

__all__ = ["matching", "most_shots"]


def matching(targets: Any, filters: Mapping[str, str]) -> list[str]:
    """The names of the targets that pass, in the order of the list.

    Args:
        targets: the answer to ``GET /v1/targets/``, which does not say which ones are enabled.
        filters: as `qrmi.discovery.parse_filters` gives them. Emulators, whose names begin with
            ``EMU``, pass only with ``is_simulator=true``.
    """
    if not isinstance(targets, list):
        raise UnexpectedAnswerError("the service's answer is no list of targets")
    with reading("GET targets"):
        named = {answer_field(entry, "name", str): entry for entry in targets}
        return [
            name
            for name, entry in named.items()
            if passes(
                filters,
                name=name,
                num_qubits=int(entry["numQubits"]),
                max_shots=most_shots(entry),
                is_simulator=name.upper().startswith("EMU"),
            )
        ]


def most_shots(entry: Mapping[str, Any]) -> int | None:
    """The most shots of one job, or ``None`` when the target does not say."""
    declared = (entry.get("inputParams") or {}).get("nbShots") or {}
    bounds = [limit["max"] for limit in declared.get("constraints") or () if "max" in limit]
    return int(min(bounds)) if bounds else None
