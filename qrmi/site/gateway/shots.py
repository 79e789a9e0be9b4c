"""How many shots a payload asks for, where it says so. Pure; no SDK is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from qrmi.payloads import (
    AliceBobFelis,
    AnalogJob,
    IQMServer,
    Oqtopus,
    PasqalCloud,
    Payload,
    PulserBatch,
    QiskitPrimitive,
)

__all__ = ["shots_of", "shots_of_jobs"]

_MOST_READ = 4_000_000  # characters; a larger program is not parsed for the books' sake
_PLACE_IN_PUB = 2  # a sampler's pub is circuit, parameters, shots


def shots_of(payload: Payload) -> int | None:
    """The shots of all its circuits or runs together; ``None`` when it does not say."""
    reader = _READERS.get(type(payload))
    try:
        return None if reader is None else reader(payload)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # the vendor says what is wrong with it


def shots_of_jobs(jobs: Iterable[AnalogJob]) -> int | None:
    """The runs of jobs together; ``None`` when one leaves them to the emulator."""
    return _sum(job.runs for job in jobs)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(filter(None, known))


def _read(text: str) -> Any:
    return json.loads(text) if len(text) <= _MOST_READ else {}


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count else None


def _of_primitive(payload: QiskitPrimitive) -> int | None:
    data = _read(payload.input)
    options = data.get("options") or {}
    default = _count((options.get("execution") or {}).get("shots")) or _count(
        options.get("default_shots")
    )
    if payload.program_id != "sampler":
        return default
    default = _count(data.get("shots")) or default
    pubs = data["pubs"]
    return _sum(
        (_count(pub[_PLACE_IN_PUB]) if len(pub) > _PLACE_IN_PUB else None) or default
        for pub in pubs
    )


def _of_batch(payload: PulserBatch) -> int | None:
    return shots_of_jobs(payload.jobs)


def _of_felis(payload: AliceBobFelis) -> int | None:
    return _count(_read(payload.input_params).get("nbShots"))


def _of_iqm(payload: IQMServer) -> int | None:
    data = _read(payload.iqmjson)
    shots, circuits = _count(data.get("shots")), data.get("circuits")
    return shots * len(circuits) if shots and isinstance(circuits, list) and circuits else shots


def _of_oqtopus(payload: Oqtopus) -> int | None:
    data = _read(payload.job_spec)
    shots, program = _count(data.get("shots")), data.get("program")
    return shots * len(program) if shots and isinstance(program, list) and program else shots


_READERS: dict[type[Payload], Callable[[Any], int | None]] = {
    QiskitPrimitive: _of_primitive,
    PasqalCloud: lambda payload: int(payload.job_runs),
    PulserBatch: _of_batch,
    AliceBobFelis: _of_felis,
    IQMServer: _of_iqm,
    Oqtopus: _of_oqtopus,
}
