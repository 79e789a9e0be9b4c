"""What a job used: the values that the gateway counts and that the books keep.

What a vendor or the site does not report is ``None``, never 0. A job that reaches its resource
directly is known by the time that it held it, and by nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from qrmi.errors import TaskFailedError
from qrmi.site.terms import Job, Message
from qrmi.tasks import SessionUse

__all__ = ["JobUsage", "ResourceUse", "TaskUse", "counted", "measured"]

_OWNERS = ("user", "site", "vendor", "network")


def _amount(_: object, field: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{field.name} is a number from 0 up")


def _owners(_: object, field: attrs.Attribute[Any], value: Mapping[str, int]) -> None:
    if any(owner not in _OWNERS or count < 0 for owner, count in value.items()):
        raise ValueError(f"{field.name} counts by owner: {', '.join(_OWNERS)}")


@attrs.frozen(kw_only=True)
class TaskUse(Message):
    """One task of a job that has ended, or that could not be started.

    Attributes:
        resource: the resource that it ran on.
        task: its id there; empty for a start that was refused.
        shots: how many shots it ran, or analog runs.
        qpu_seconds: how long it had the QPU.
        wait_seconds: from its start to its beginning on the QPU.
        error: who owns the error that it ended with (`qrmi.errors.Owner`); empty for none.
    """

    resource: str
    task: str = ""
    shots: int | None = attrs.field(default=None, validator=_amount)
    qpu_seconds: float | None = attrs.field(default=None, validator=_amount)
    wait_seconds: float | None = attrs.field(default=None, validator=_amount)
    error: str = attrs.field(default="", validator=attrs.validators.in_(("", *_OWNERS)))


@attrs.frozen(kw_only=True)
class ResourceUse(Message):
    """What one resource did for a job.

    Attributes:
        resource: its name; of an account: the device's.
        type: its type, as files spell it.
        slots: how many of its slots were held.
        held_seconds: how long.
        tasks: how many tasks were started; ``None`` when nobody counted, as for the next four.
        shots: their shots.
        qpu_seconds: their time on the QPU.
        task_wait_seconds: their time before it, summed.
        errors: errors by owner; those without one were none.
    """

    resource: str
    type: str
    slots: int = attrs.field(default=1, validator=_amount)
    held_seconds: float = attrs.field(default=0.0, validator=_amount)
    tasks: int | None = attrs.field(default=None, validator=_amount)
    shots: int | None = attrs.field(default=None, validator=_amount)
    qpu_seconds: float | None = attrs.field(default=None, validator=_amount)
    task_wait_seconds: float | None = attrs.field(default=None, validator=_amount)
    errors: dict[str, int] = attrs.field(factory=dict, validator=_owners)


def _uses(uses: Iterable[ResourceUse | Mapping[str, Any]]) -> tuple[ResourceUse, ...]:
    return tuple(u if isinstance(u, ResourceUse) else ResourceUse.from_json(u) for u in uses)


def _job(job: Job | Mapping[str, Any]) -> Job:
    return job if isinstance(job, Job) else Job.from_json(job)


@attrs.frozen(kw_only=True)
class JobUsage(Message):
    """What a run of a job used, told once, at its end.

    Attributes:
        job: the run, with its time of submission: ``job.key`` names this entry for ever.
        ended: when its lease ended, epoch seconds.
        wait_seconds: from its submission to its lease; ``None`` when either is not known.
        resources: what it held.
    """

    job: Job = attrs.field(converter=_job)
    ended: float = attrs.field(validator=_amount)
    wait_seconds: float | None = attrs.field(default=None, validator=_amount)
    resources: tuple[ResourceUse, ...] = attrs.field(default=(), converter=_uses)

    def totals(self) -> dict[str, float | int]:
        """Sums over the resources of what is known, by name; what is not known is left out.

        For the scheduler's own accounting (``AdminComment``, a job's ``usage`` file):
        ``held_seconds``, ``wait_seconds``, ``tasks``, ``shots``, ``qpu_seconds``,
        ``task_wait_seconds``, ``errors``.
        """
        sums: dict[str, float | int] = {}
        for name in ("held_seconds", "tasks", "shots", "qpu_seconds", "task_wait_seconds"):
            known = [v for use in self.resources if (v := getattr(use, name)) is not None]
            if known:
                sums[name] = sum(known)
        if self.wait_seconds is not None:
            sums["wait_seconds"] = self.wait_seconds
        if "tasks" in sums:
            sums["errors"] = sum(sum(use.errors.values()) for use in self.resources)
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in sums.items()}


def counted(use: ResourceUse, tasks: Iterable[TaskUse]) -> ResourceUse:
    """The same with the tasks of its resource counted: for a resource that the gateway serves.

    A sum in which one task's share is not known leaves it out; one in which none is known is
    ``None``. Without any task all sums are 0: then it is known that nothing ran.
    """
    own = [task for task in tasks if task.resource == use.resource]
    started = [task for task in own if task.task]
    errors = {owner: n for owner in _OWNERS if (n := sum(t.error == owner for t in own))}
    shots = _sum(task.shots for task in started)
    return attrs.evolve(
        use,
        tasks=len(started),
        shots=None if shots is None else int(shots),
        qpu_seconds=_sum(task.qpu_seconds for task in started),
        task_wait_seconds=_sum(task.wait_seconds for task in started),
        errors=errors,
    )


def measured(use: ResourceUse, told: SessionUse) -> ResourceUse:
    """The same with what the vendor accounts for the job's session.

    It does not say whose a failure is; as where a program waits for its task, it is the user's
    until somebody knows better.
    """
    return attrs.evolve(
        use,
        tasks=told.tasks,
        shots=told.shots,
        qpu_seconds=told.qpu_seconds,
        task_wait_seconds=told.wait_seconds,
        errors={TaskFailedError.default_owner.value: told.failed} if told.failed else {},
    )


def _sum(values: Iterable[float | None]) -> float | None:
    given = list(values)
    known = [value for value in given if value is not None]
    return sum(known) if known or not given else None
