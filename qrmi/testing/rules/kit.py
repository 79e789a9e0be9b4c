"""What every rule works with: the resource under test, and calls that are looked at closely."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

from qrmi.driver import Driver
from qrmi.errors import Owner, QrmiError
from qrmi.payloads import Payload
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskId, TaskStatus
from qrmi.testing.inside import driver_of
from qrmi.waiting import SystemClock

__all__ = ["Kit", "rank", "unlike"]

T = TypeVar("T")

_CONTEXT = {"sdk": "conformance"}
_RANKS = {TaskStatus.QUEUED: 0, TaskStatus.RUNNING: 1}  # every other one is final
_clock = SystemClock()


def unlike(task_id: str) -> str:
    """An id of the same shape that no task has: its digits are other ones."""
    digits = "".join(filter(str.isdigit, task_id))
    if 0 < len(digits) < 8:  # ids that are counted: far beyond the newest
        head, _, tail = task_id.rpartition(digits)
        return f"{head}{int(digits) + 7_000_000}{tail}" if digits in task_id else task_id + "9"
    table = str.maketrans("0123456789abcdef", "9876543210badcfe")
    return task_id.translate(table) if digits else task_id + "-unlike"


@attrs.define(kw_only=True)
class Kit:
    """One test's view of the resource under test.

    Attributes:
        resource: the handle.
        program: a payload that completes soon.
        patience_seconds: the longest that anything may take.
        secrets: texts that nothing may show.
    """

    resource: QuantumResource
    program: Payload
    patience_seconds: float
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    _started: list[tuple[QuantumResource, str]] = attrs.field(factory=list)

    @property
    def driver(self) -> Driver:
        """The driver below the handle."""
        return driver_of(self.resource)

    @property
    def most_attempts(self) -> int:
        """How often the handle may send a start, each time when it knows that none came of it."""
        able = self.resource.capabilities
        knows = able.two_step or able.repeatable_start or able.settle_seconds is not None
        return 3 if knows else 1

    # --- tasks ----------------------------------------------------------------------------------

    def start(
        self,
        payload: Payload | None = None,
        *,
        key: str | None = None,
        by: QuantumResource | None = None,
    ) -> TaskId:
        """Start a task (`program` unless told otherwise), which is stopped after the test."""
        resource = by or self.resource
        task = resource.task_start(payload or self.program, key=key, context=_CONTEXT)
        self._started.append((resource, task))
        return task

    def completed(self) -> TaskId:
        """A task of `program` that has completed."""
        task = self.start()
        status = self.resource.task_wait(task, self.patience_seconds)
        assert status is TaskStatus.COMPLETED, (
            f"`program` ended as {status.name}: {self.reason(task)}"
        )
        return task

    def reason(self, task: str) -> str:
        """Why a task has no result, for messages of failed rules."""
        try:
            self.resource.task_result(task)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "it has a result"

    def watch(self, task: str) -> list[TaskStatus]:
        """Every status of a task until its end, looked at as often as the service allows."""
        seen: list[TaskStatus] = []
        end = _clock.monotonic() + self.patience_seconds
        while not seen or not seen[-1].is_final:
            status = self.resource.task_status(task)
            assert isinstance(status, TaskStatus), (
                f"task_status gave {type(status).__name__}, not a TaskStatus"
            )
            seen.append(status)
            assert _clock.monotonic() < end, f"still {status.name} after {self.patience_seconds} s"
            self.pause()
        return seen

    def pause(self) -> None:
        """Let the shortest interval pass at which the service may be asked."""
        _clock.sleep(self.driver.CAPABILITIES.min_poll_seconds)

    def clean_up(self) -> None:
        """Stop what this test started."""
        for resource, task in self._started:
            with contextlib.suppress(Exception):  # stopping has rules of its own
                resource.task_stop(task)
        self._started.clear()

    # --- calls ----------------------------------------------------------------------------------

    def refused(self, call: Callable[[], object], *kinds: type[QrmiError]) -> QrmiError:
        """The error that ``call`` has to end with: of one of ``kinds``, and as errors should be."""
        wanted = " or ".join(kind.__name__ for kind in kinds)
        found: Exception | None = None
        value: object = None
        try:
            value = call()
        except Exception as error:
            found = error
        assert found is not None, f"it returned {_named(value)} instead of raising {wanted}"
        if not isinstance(found, QrmiError):
            raise AssertionError(
                f"{type(found).__name__} instead of a QrmiError ({wanted}): {found}"
            ) from found
        assert isinstance(found, kinds), f"{type(found).__name__} instead of {wanted}: {found}"
        self.check_error(found)
        return found

    def check_error(self, error: QrmiError) -> None:
        """Hold an error to the rules: owner, retryable, hint, pickling, no secrets."""
        assert isinstance(error.owner, Owner), f"its owner is {error.owner!r}"
        assert isinstance(error.retryable, bool), f"its retryable is {error.retryable!r}"
        assert isinstance(error.hint, str), f"its hint is {error.hint!r}"
        assert error.message.strip(), f"{type(error).__name__} without a message"
        try:
            copy = pickle.loads(pickle.dumps(error))
        except Exception as problem:
            raise AssertionError(
                f"{type(error).__name__} cannot be pickled: {problem}"
            ) from problem
        assert type(copy) is type(error), f"its pickle is a {type(copy).__name__}"
        for name in ("message", "owner", "retryable", "hint", "resource_id", "task_id"):
            assert getattr(copy, name) == getattr(error, name), f"its pickle has another {name}"
        for text in _texts_of(error):
            self.check_text(text, f"{type(error).__name__}")

    def check_text(self, text: str, where: str) -> None:
        """Hold a text that people see to the rules: no secret, no program."""
        __tracebackhide__ = True  # the text itself is not shown: it has a secret
        if any(secret in text for secret in self.secrets):
            raise AssertionError(f"{where} shows a secret")
        if any(content in text for content in _contents(self.program)):
            raise AssertionError(f"{where} shows the program")

    def within(self, seconds: float, call: Callable[[], T]) -> T:
        """What ``call`` gives or raises; it has to come back within ``seconds``."""
        outcome: list[Any] = []
        problem: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(call())
            except BaseException as error:
                problem.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        assert not thread.is_alive(), f"it has not come back within {seconds} s"
        if problem:
            raise problem[0]
        result: T = outcome[0]
        return result


def rank(status: TaskStatus) -> int:
    """How far a task has come: queued, running, ended."""
    return _RANKS.get(status, 2)


def _named(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _contents(payload: Payload) -> Iterator[str]:
    """The program's texts that are long enough to be told from others."""
    for value in attrs.asdict(payload).values():  # type: ignore[arg-type]
        if isinstance(value, str) and len(value) >= 24:
            yield value


def _texts_of(error: BaseException | None) -> Iterator[str]:
    """What people and logs see of an error: its own texts, and those of its causes."""
    while error is not None:
        yield str(error)
        yield repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
