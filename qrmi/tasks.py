"""What a resource answers: task ids, statuses, results, targets, and its own status."""

from __future__ import annotations

import enum
from typing import Any, NewType

import attrs

from qrmi.secrecy.scrubbing import scrub

__all__ = [
    "FINAL",
    "BatchJob",
    "ResourceCapacity",
    "ResourceStatus",
    "ResourceStatusCode",
    "ResourceType",
    "SessionUse",
    "Target",
    "TaskId",
    "TaskResult",
    "TaskStatus",
]

TaskId = NewType("TaskId", str)
"""The id of a task, unique on its resource and valid in any process."""


class _UpstreamEnum(enum.IntEnum):
    """An enum whose members are written, compared and tested as those of the upstream library.

    A member is true, is written with its camel-case name, and equals its integer but no member of
    another enum.
    """

    def __str__(self) -> str:
        names = (name for name, member in type(self).__members__.items() if member is self)
        return f"{type(self).__name__}.{list(names)[-1]}"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if isinstance(other, enum.Enum) and type(other) is not type(self):
            return False
        return int.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        equal = self == other
        return equal if equal is NotImplemented else not equal

    __hash__ = int.__hash__


class TaskStatus(_UpstreamEnum):
    """Where a task is. Integers and camel-case aliases are those of the upstream library."""

    QUEUED = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELLED = 4

    Queued = QUEUED
    Running = RUNNING
    Completed = COMPLETED
    Failed = FAILED
    Cancelled = CANCELLED

    @property
    def is_final(self) -> bool:
        """Whether the task has ended, one way or another."""
        return self > _LAST_UNENDED


_LAST_UNENDED = int(TaskStatus.RUNNING)  # a plain number: quicker, and asked for at each look
FINAL = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})


class ResourceType(_UpstreamEnum):
    """The eight resource types of the upstream library; every other type is a plain string."""

    IBM_QUANTUM_SYSTEM = 0
    IBM_QISKIT_RUNTIME_SERVICE = 1
    IBM_QUANTUM_COMPUTE_SERVICE = 2
    PASQAL_CLOUD = 3
    PASQAL_LOCAL = 4
    ALICE_BOB_FELIS = 5
    IQM_SERVER = 6
    OQTOPUS = 7

    IBMQuantumSystem = IBM_QUANTUM_SYSTEM
    IBMQiskitRuntimeService = IBM_QISKIT_RUNTIME_SERVICE
    IBMQuantumComputeService = IBM_QUANTUM_COMPUTE_SERVICE
    PasqalCloud = PASQAL_CLOUD
    PasqalLocal = PASQAL_LOCAL
    AliceBobFelis = ALICE_BOB_FELIS
    IQMServer = IQM_SERVER

    @property
    def type_name(self) -> str:
        """The type as configuration files spell it, for example ``pasqal-cloud``."""
        return _TYPE_NAMES[self]

    @classmethod
    def from_name(cls, name: str) -> ResourceType | str:
        """The enum member for one of upstream's names, any other name unchanged."""
        return _TYPES_BY_NAME.get(name, name)


_TYPE_NAMES = {
    ResourceType.IBM_QUANTUM_SYSTEM: "ibm-quantum-system",
    ResourceType.IBM_QISKIT_RUNTIME_SERVICE: "qiskit-runtime-service",
    ResourceType.IBM_QUANTUM_COMPUTE_SERVICE: "ibm-quantum-compute-service",
    ResourceType.PASQAL_CLOUD: "pasqal-cloud",
    ResourceType.PASQAL_LOCAL: "pasqal-local",
    ResourceType.ALICE_BOB_FELIS: "alice-bob-felis",
    ResourceType.IQM_SERVER: "iqm-server",
    ResourceType.OQTOPUS: "oqtopus",
}
_TYPES_BY_NAME = {name: member for member, name in _TYPE_NAMES.items()}


class ResourceStatusCode(_UpstreamEnum):
    """Whether a resource takes tasks."""

    ONLINE = 0
    OFFLINE = 1
    PAUSED = 2

    Online = ONLINE
    Offline = OFFLINE
    Paused = PAUSED


@attrs.frozen
class ResourceCapacity:
    """How many tasks or sessions a resource can hold at once."""

    available_slots: int
    max_slots: int


@attrs.frozen
class ResourceStatus:
    """What a resource says of itself. ``None`` means "not reported", never zero or false."""

    status: ResourceStatusCode
    status_reason: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(scrub)
    )
    healthy: bool | None = None
    busy: bool | None = None
    capacity: ResourceCapacity | None = None
    pending_job_count: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values, in the upstream library's form."""
        return {**attrs.asdict(self), "status": self.status.name.lower()}


@attrs.frozen
class TaskResult:
    """A task's result as the service wrote it: text, usually JSON, never re-serialised."""

    value: str = attrs.field(repr=lambda value: f"<{len(value)} characters>")


@attrs.frozen
class Target:
    """What a device can do, as its service describes it: JSON text."""

    value: str = attrs.field(repr=lambda value: f"<{len(value)} characters>")


@attrs.frozen(kw_only=True)
class BatchJob:
    """One job of a batch.

    Attributes:
        id: the job's id, unique on its resource.
        status: where it is.
        result: its result, JSON text, once it is completed; ``None`` before and otherwise.
        reason: why it failed, in the resource's words; empty when it did not.
    """

    id: str
    status: TaskStatus
    result: str | None = attrs.field(default=None, repr=False)
    reason: str = attrs.field(default="", converter=scrub)


@attrs.frozen(kw_only=True)
class SessionUse:
    """What the tasks of a session used that has ended, as the service accounts for them.

    Attributes:
        tasks: how many have ended; failed: how many of them failed.
        shots: their shots.
        qpu_seconds: their time on the QPU.
        wait_seconds: their time before it.
    """

    tasks: int
    failed: int = 0
    shots: int | None = None
    qpu_seconds: float | None = None
    wait_seconds: float | None = None
