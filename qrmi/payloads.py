"""Payload formats: what travels from an adapter, through the handle, to a driver.

Each format is a frozen class. The classes that the upstream library has keep its positional order
and are reachable under its names as attributes of `Payload`, for example
``Payload.QiskitPrimitive(input, program_id)``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import attrs
from attrs import field

from qrmi.errors import InvalidInputError

__all__ = [
    "AliceBobFelis",
    "AnalogJob",
    "IQMServer",
    "Oqtopus",
    "PasqalCloud",
    "Payload",
    "PulserBatch",
    "QiskitPrimitive",
    "digest",
    "values_of",
]


class Payload:
    """Base of all payloads.

    Attributes:
        FORMAT: the format's name; drivers list the formats that they take in ``PAYLOADS``.
    """

    FORMAT: ClassVar[str]

    QiskitPrimitive: ClassVar[type[QiskitPrimitive]]
    PasqalCloud: ClassVar[type[PasqalCloud]]
    PulserBatch: ClassVar[type[PulserBatch]]
    AliceBobFelis: ClassVar[type[AliceBobFelis]]
    IQMServer: ClassVar[type[IQMServer]]
    Oqtopus: ClassVar[type[Oqtopus]]

    def __new__(cls, *_args: object, **_kwargs: object) -> Payload:
        """Refuse to make a bare `Payload`."""
        if cls is Payload:
            raise TypeError("Payload is a family: make one of its members, as Payload.PasqalCloud")
        return super().__new__(cls)


def _sized(value: object) -> str:
    return f"<{len(value)} characters>" if isinstance(value, str) else repr(value)


def _text(_instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    """Validate that a value is a text; the value, which may be a program, is not shown."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{attribute.name} must be a text, not {type(value).__name__}")


def _iqm_job_type(_instance: object, _attribute: attrs.Attribute[str], value: object) -> None:
    if value not in ("circuit", "run", "sweep"):
        raise InvalidInputError("job_type must be circuit, run or sweep")


def _json_object(instance: Payload, attribute: attrs.Attribute[str], value: str) -> None:
    """Validate that a text is a JSON object, without keeping the parsed value."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{attribute.name} must be JSON text, not {type(value).__name__}")
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise InvalidInputError(f"invalid JSON in {attribute.name}: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidInputError(f"{attribute.name} must be a JSON object")


@attrs.frozen
class QiskitPrimitive(Payload):
    """Input of a Qiskit primitive.

    Attributes:
        input: JSON text in the schema of the IBM services, version 2: an object with ``pubs``,
            ``version``, ``support_qiskit`` and ``options``. Circuits are tagged QPY or OpenQASM 3.
        program_id: ``sampler``, ``estimator``, or another program that the service knows.
    """

    FORMAT = "qiskit-primitive"

    input: str = field(validator=_text, repr=_sized)
    program_id: str = field(validator=_text)


def _jsonable(value: Any) -> Any:
    """The same with plain lists and numbers where NumPy's stand."""
    if isinstance(value, Mapping):
        return {name: _jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    to_list = getattr(value, "tolist", None)  # of arrays and scalars alike; NumPy is not imported
    return _jsonable(to_list()) if callable(to_list) else value


@attrs.frozen(kw_only=True)
class AnalogJob:
    """One run of a pulse sequence.

    Attributes:
        runs: how many shots; ``None`` leaves it to the emulator's configuration.
        variables: values of the sequence's variables, by name; arrays and numbers of NumPy become
            plain ones.
    """

    runs: int | None = field(default=None)
    variables: Mapping[str, Any] = field(factory=dict, converter=_jsonable)

    @runs.validator
    def _positive(self, _attribute: attrs.Attribute[int | None], value: int | None) -> None:
        if value is not None:
            _check_shots("runs", value)


def _check_shots(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"{name} must be a whole number, not {type(value).__name__}")
    if value < 1:
        raise InvalidInputError(f"{name} must be at least 1, not {value}")


def _job_tuple(jobs: Iterable[AnalogJob]) -> tuple[AnalogJob, ...]:
    return tuple(jobs)


@attrs.frozen
class PasqalCloud(Payload):
    """A pulse sequence run once.

    Attributes:
        sequence: Pulser's abstract representation, JSON text, without open variables; or an AHS
            program as CUDA-Q writes it, for services that take one.
        job_runs: number of shots, at least 1.
    """

    FORMAT = "pulser-sequence"

    sequence: str = field(validator=_text, repr=_sized)
    job_runs: int = field()

    @job_runs.validator
    def _positive(self, _attribute: attrs.Attribute[int], value: int) -> None:
        _check_shots("job_runs", value)


@attrs.frozen(kw_only=True)
class PulserBatch(Payload):
    """A pulse sequence with several jobs, or with an emulator's configuration.

    Attributes:
        sequence: Pulser's abstract representation, JSON text; may have variables.
        jobs: the jobs to run, in order; only an open batch may start without any.
        configuration: Pulser's ``EmulationConfig`` in its abstract representation, JSON text;
            ``None`` for the device's own defaults.
        device_type: the device or emulator wanted, such as ``EMU_MPS``; ``None`` leaves it to
            the resource.
    """

    FORMAT = "pulser-sequence"

    sequence: str = field(validator=_text, repr=_sized)
    jobs: tuple[AnalogJob, ...] = field(converter=_job_tuple, default=())
    configuration: str | None = field(default=None, repr=_sized)
    device_type: str | None = None


@attrs.frozen
class AliceBobFelis(Payload):
    """A program for Alice & Bob's Felis.

    Attributes:
        human_qir: human-readable QIR text.
        input_params: a JSON object, text, with the parameters of the target (``nbShots`` …).
    """

    FORMAT = "alice-bob-felis"

    human_qir: str = field(validator=_text, repr=_sized)
    input_params: str = field(validator=_json_object, repr=_sized)


@attrs.frozen
class IQMServer(Payload):
    """A job for IQM Server.

    Attributes:
        iqmjson: the job's body, JSON text (for ``circuit``: a run request).
        job_type: ``circuit``, ``run`` or ``sweep``.
        use_timeslot: whether to use a reserved time slot; ``None`` leaves it to the server.
        tag: a short label; ``None`` for none.
    """

    FORMAT = "iqm-server"

    iqmjson: str = field(validator=_json_object, repr=_sized)
    job_type: str = field(validator=_iqm_job_type)
    use_timeslot: bool | None = None
    tag: str | None = None


@attrs.frozen(init=False)
class Oqtopus(Payload):
    """A job for OQTOPUS Cloud: ``Oqtopus(job_spec)``, or its fields by keyword.

    Fields that are ``None`` are left out of the job. ``transpiler_info``, ``simulator_info``,
    ``mitigation_info`` and ``operator`` may be given as JSON text, too.

    Attributes:
        job_spec: JSON object, text, with ``job_type``, ``program`` and the optional ``shots``,
            ``name``, ``operator`` and so on; the device is added by the driver.
    """

    FORMAT = "oqtopus"

    job_spec: str = field(validator=_json_object, repr=_sized)

    def __init__(
        self,
        job_spec: str | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        job_type: str | None = None,
        program: str | Sequence[str] | None = None,
        shots: int | None = None,
        transpiler_info: Mapping[str, Any] | str | None = None,
        simulator_info: Mapping[str, Any] | str | None = None,
        mitigation_info: Mapping[str, Any] | str | None = None,
        operator: Sequence[Mapping[str, Any]] | str | None = None,
    ) -> None:
        plain = {
            "name": name,
            "description": description,
            "job_type": job_type,
            "program": program,
            "shots": shots,
        }
        structured = {
            "transpiler_info": transpiler_info,
            "simulator_info": simulator_info,
            "mitigation_info": mitigation_info,
            "operator": operator,
        }
        fields = {**plain, **{key: _parsed(key, value) for key, value in structured.items()}}
        given = {key: value for key, value in fields.items() if value is not None}
        if (job_spec is None) == (not given):
            raise TypeError("Oqtopus takes job_spec, or the fields of the job by keyword")
        self.__attrs_init__(json.dumps(_jsonable(given)) if job_spec is None else job_spec)


def _parsed(name: str, value: Any) -> Any:
    """The value that a JSON text stands for; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise InvalidInputError(f"invalid JSON in {name}: {error}") from error


for _member in (QiskitPrimitive, PasqalCloud, PulserBatch, AliceBobFelis, IQMServer, Oqtopus):
    setattr(Payload, _member.__name__, _member)


def values_of(payload: Payload) -> tuple[Any, ...]:
    """The values of a payload's fields, in order."""
    return _getter(cast(Hashable, type(payload)))(payload)


@functools.cache
def _getter(kind: Hashable) -> Callable[[object], tuple[Any, ...]]:
    names = [attribute.name for attribute in attrs.fields(cast("type[Any]", kind))]
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda payload: tuple(getattr(payload, name) for name in names)


def digest(payload: Payload) -> str:
    """SHA-256 of the payload's content, hexadecimal; equal payloads have equal digests."""
    texts = [payload.FORMAT]
    for value in values_of(payload):
        texts.append(value if isinstance(value, str) else _dumped(value))  # noqa: PERF401
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def _dumped(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, tuple):
        value = [attrs.asdict(item) if attrs.has(type(item)) else item for item in value]
    return _sorted.encode(value)


_sorted = json.JSONEncoder(sort_keys=True)
