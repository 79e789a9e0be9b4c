"""Options of a run: what IQM's run request has beyond circuits and shots."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi.errors import InvalidInputError

__all__ = ["COMPILATION", "Options", "read_options"]

COMPILATION = (
    "active_reset_cycles",
    "dd_mode",
    "dd_strategy",
    "heralding_mode",
    "max_circuit_duration_over_t2",
    "move_gate_frame_tracking",
    "move_gate_validation",
)
"""The fields of iqm-client's ``CircuitCompilationOptions``."""

_FIELDS = frozenset({*COMPILATION, "calibration_set_id"})
_OTHERS = frozenset({"circuit_compilation_options", "qubit_index_to_name", "tag", "use_timeslot"})
_LONGEST_TAG = 50


@attrs.frozen(kw_only=True)
class Options:
    """Options as they are used.

    Attributes:
        fields: what is put into the request.
        names: component names by qubit number; ``None`` for the device's own order.
        use_timeslot: of the payload.
        tag: of the payload.
    """

    fields: Mapping[str, Any] = attrs.field(factory=dict)
    names: Mapping[int, str] | None = None
    use_timeslot: bool | None = None
    tag: str | None = None


def read_options(given: Mapping[str, Any]) -> Options:
    """Sort an adapter's options.

    Args:
        given: fields of the run request, with IQM's names and values: those of ``COMPILATION``
            and ``calibration_set_id``; ``circuit_compilation_options``, an object or mapping that
            has the former; ``use_timeslot``; ``tag``; ``qubit_index_to_name``, a mapping. What is
            ``None`` is left to the server.

    Raises:
        InvalidInputError: another option; a value of a wrong kind.
    """
    unknown = sorted(set(given) - _FIELDS - _OTHERS)
    if unknown:
        raise InvalidInputError(
            f"IQM Server has no option {unknown[0]}",
            hint="it has: " + ", ".join(sorted(_FIELDS | _OTHERS)),
        )
    fields = _compilation(given.get("circuit_compilation_options"))
    fields |= {name: given[name] for name in _FIELDS if name in given}
    return Options(
        fields={name: _plain(value) for name, value in fields.items() if value is not None},
        names=_names(given.get("qubit_index_to_name")),
        use_timeslot=_of_kind("use_timeslot", given.get("use_timeslot"), bool),
        tag=_tag(given.get("tag")),
    )


def _compilation(options: Any) -> dict[str, Any]:
    """Out of a mapping, or an object such as iqm-client's ``CircuitCompilationOptions``."""
    if options is None:
        return {}
    if isinstance(options, Mapping):
        unknown = sorted(set(options) - set(COMPILATION))
        if unknown:
            raise InvalidInputError(
                f"circuit_compilation_options has no {unknown[0]}",
                hint="it has: " + ", ".join(COMPILATION),
            )
        return dict(options)
    found = {name: getattr(options, name) for name in COMPILATION if hasattr(options, name)}
    if not found:
        raise InvalidInputError(
            "circuit_compilation_options is a mapping or iqm-client's CircuitCompilationOptions"
        )
    return found


def _plain(value: Any) -> Any:
    """JSON's values for enumerations, identifiers, sets, and objects of iqm-client."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value


def _names(given: Any) -> Mapping[int, str] | None:
    names = _of_kind("qubit_index_to_name", given, Mapping)
    return None if names is None else {int(number): str(name) for number, name in names.items()}


def _tag(given: Any) -> str | None:
    tag: str | None = _of_kind("tag", given, str)
    if tag is not None and len(tag) > _LONGEST_TAG:
        raise InvalidInputError(f"a tag has at most {_LONGEST_TAG} characters, not {len(tag)}")
    return tag


def _of_kind(name: str, value: Any, kind: type) -> Any:
    if value is not None and not isinstance(value, kind):
        raise InvalidInputError(f"{name} is no {type(value).__name__}")
    return value
