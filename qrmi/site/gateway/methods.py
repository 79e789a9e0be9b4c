"""What a job may ask of a driver through the daemon: the whole table, and nothing beside it."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from qrmi.driver import Driver
from qrmi.errors import InvalidInputError, UnsupportedFunctionError
from qrmi.interchange.values import Foreign
from qrmi.payloads import AnalogJob, Payload

__all__ = ["METHODS", "Method", "Need", "method_of"]

_LONGEST_NAME = 1000
_MOST_SECONDS = 3600.0
_MOST_JOBS = 100_000
_Arguments = Mapping[str, Any]


class Need(enum.Enum):
    """What a caller has to have."""

    LEASE = enum.auto()
    """The token of a lease that is held: it uses the resource."""

    START = enum.auto()
    """The same, and what comes of it is kept: it makes a task."""

    TASK = enum.auto()
    """The task is the caller's own; whether the job has ended does not matter."""

    TASK_AND_LEASE = enum.auto()
    """Both: it gives a task that exists something to run."""

    PLACE = enum.auto()
    """A lease, or a task on the resource of this caller, ended or not: it only looks."""

    OWN = enum.auto()
    """Nothing: the answer has the caller's own tasks alone."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise InvalidInputError(f"it must be a text of 1 to {_LONGEST_NAME} characters")
    return value


def _payload(value: Any) -> Payload:
    if isinstance(value, Foreign):
        raise InvalidInputError("the site's daemon knows no such payload")
    if not isinstance(value, Payload):
        raise InvalidInputError("it must be a payload")
    return value


def _seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise InvalidInputError("it must be a number of seconds")
    return float(value)


def _hold(value: Any) -> float:
    return min(_seconds(value), _MOST_SECONDS)


def _jobs(value: Any) -> list[AnalogJob]:
    is_list = isinstance(value, list | tuple) and 0 < len(value) <= _MOST_JOBS
    if not is_list or not all(isinstance(each, AnalogJob) for each in value):
        raise InvalidInputError("they must be jobs")
    return list(value)


@attrs.frozen(kw_only=True)
class Method:
    """A method that may be asked for.

    Attributes:
        need: what the caller has to have.
        arguments: what reads and checks each argument, by name.
        call: asks a driver.
    """

    need: Need
    arguments: Mapping[str, Callable[[Any], Any]]
    call: Callable[[Driver, _Arguments], Any]

    def read(self, arguments: object) -> dict[str, Any]:
        """The arguments, checked.

        Raises:
            InvalidInputError: one is absent, unknown or malformed; the message names it.
        """
        if not isinstance(arguments, Mapping) or arguments.keys() != self.arguments.keys():
            wanted = ", ".join(self.arguments) or "none"
            raise InvalidInputError(f"its arguments are not those that it takes: {wanted}")
        return {name: self._checked(name, arguments) for name in self.arguments}

    def subject(self, arguments: object) -> str:
        """The id of the task that it is about, whatever else is asked. Raises as `read`."""
        name = next(name for name in ("task_id", "batch_id") if name in self.arguments)
        if not isinstance(arguments, Mapping) or name not in arguments:
            raise InvalidInputError(f"it lacks {name}")
        return str(self._checked(name, arguments))

    def _checked(self, name: str, arguments: _Arguments) -> Any:
        try:
            return self.arguments[name](arguments[name])
        except InvalidInputError as error:
            raise InvalidInputError(f"{name}: {error.message}") from None


_TASK = {"task_id": _text}
_BATCH = {"batch_id": _text}
_PROGRAM = {"payload": _payload, "key": _text}


def _described(driver: Driver, _: _Arguments) -> dict[str, Any]:
    return {"settle": driver.settle_seconds, "sending": driver.sending_seconds}


def _no_more(_driver: Driver, _: _Arguments) -> None:
    """The lease is good: that is all there is to know."""


_Row = tuple[Need, Mapping[str, Callable[[Any], Any]], Callable[[Driver, _Arguments], Any]]
_TABLE: dict[str, _Row] = {
    "acquire": (Need.LEASE, {}, _no_more),
    "describe": (Need.PLACE, {}, _described),
    "is_accessible": (Need.PLACE, {}, lambda d, _: d.is_accessible()),
    "status": (Need.PLACE, {}, lambda d, _: d.status()),
    "target": (Need.PLACE, {}, lambda d, _: d.target()),
    "metadata": (Need.PLACE, {}, lambda d, _: d.metadata()),
    "can_find": (Need.PLACE, {"payload": _payload}, lambda d, a: d.can_find(a["payload"])),
    "mark_of": (Need.PLACE, _PROGRAM, lambda d, a: d.mark_of(a["payload"], a["key"])),
    "task_start": (Need.START, _PROGRAM, lambda d, a: d.task_start(a["payload"], a["key"])),
    "task_create": (Need.START, _PROGRAM, lambda d, a: d.task_create(a["payload"], a["key"])),
    "batch_start": (Need.START, _PROGRAM, lambda d, a: d.batch_start(a["payload"], a["key"])),
    "task_submit": (
        Need.TASK_AND_LEASE,
        {**_TASK, **_PROGRAM},
        lambda d, a: d.task_submit(a["task_id"], a["payload"], a["key"]),
    ),
    "batch_add": (
        Need.TASK_AND_LEASE,
        {**_BATCH, "jobs": _jobs},
        lambda d, a: d.batch_add(a["batch_id"], a["jobs"]),
    ),
    "batch_close": (Need.TASK, _BATCH, lambda d, a: d.batch_close(a["batch_id"])),
    "batch_jobs": (Need.TASK, _BATCH, lambda d, a: d.batch_jobs(a["batch_id"])),
    "task_submitted": (Need.TASK, _TASK, lambda d, a: d.task_submitted(a["task_id"])),
    "task_status": (Need.TASK, _TASK, lambda d, a: d.task_status(a["task_id"])),
    "task_wait": (
        Need.TASK,
        {**_TASK, "timeout_seconds": _hold},
        lambda d, a: d.task_wait(a["task_id"], a["timeout_seconds"]),
    ),
    "task_result": (Need.TASK, _TASK, lambda d, a: d.task_result(a["task_id"])),
    "task_reason": (Need.TASK, _TASK, lambda d, a: d.task_reason(a["task_id"])),
    "task_logs": (Need.TASK, _TASK, lambda d, a: d.task_logs(a["task_id"])),
    "task_stop": (Need.TASK, _TASK, lambda d, a: d.task_stop(a["task_id"])),
    "task_free": (Need.TASK, _TASK, lambda d, a: d.task_free(a["task_id"])),
    "find_task": (Need.OWN, {"key": _text}, lambda d, a: d.find_task(a["key"])),
    "list_tasks": (Need.OWN, {}, lambda d, _: d.list_tasks()),
    "recent_tasks": (Need.OWN, {"since": _seconds}, lambda d, a: d.recent_tasks(a["since"])),
}
METHODS = {
    name: Method(need=need, arguments=arguments, call=call)
    for name, (need, arguments, call) in _TABLE.items()
}
"""The methods by name. A session is neither begun nor ended here: that is the scheduler's."""


def method_of(name: str) -> Method:
    """A method of the table.

    Raises:
        UnsupportedFunctionError: it has no such method.
    """
    method = METHODS.get(name)
    if method is None:
        raise UnsupportedFunctionError(
            f"the site's daemon has no method {name[:60]!r} of drivers",
            hint="the job's openqrmi may be newer than the daemon's: tell the site",
        )
    return method
