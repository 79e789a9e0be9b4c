"""The table of bad servers: what goes wrong, and what a driver has to make of it.

A vendor's tests run every case against its server::

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_look(case, server, resource, task):
        case.check_read(server, lambda: resource.task_status(task), match="GET /v1/jobs")

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_start(case, server, resource, program):
        case.check_start(server, lambda: resource.task_start(program),
                         match="POST /v1/jobs", made=lambda: len(server.jobs))

where ``resource`` has the time-outs of `IMPATIENT` among its settings.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs

from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskNotFoundError,
    TaskNotReadyError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
)
from qrmi_sandbox.faults import Fault, FaultKind
from qrmi_sandbox.server import Server

__all__ = ["CASES", "IMPATIENT", "Case"]

IMPATIENT = {
    "QRMI_HTTP_CONNECT_TIMEOUT_SECONDS": "2",
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": "1",
    "QRMI_HTTP_BUDGET_SECONDS": "2",
    "QRMI_START_SETTLE_SECONDS": "0.5",
}
"""Settings that make a driver give up soon; beside those of the server."""

_DEADLINE_SECONDS = 12.0
_SILENCE_SECONDS = 30.0

Errors = tuple[type[QrmiError], ...]

_NONE: Errors = ()
_REFUSED: Errors = (InvalidInputError,)
_MISSING: Errors = (TaskNotFoundError, ResourceNotFoundError, InvalidInputError)
_CONFLICT: Errors = (InvalidInputError, TaskNotReadyError, ResourceUnavailableError)
_AWAY: Errors = (ResourceUnavailableError,)
_UNCERTAIN: Errors = (TaskStartUncertainError, ResourceUnavailableError)
_JUNK: Errors = (UnexpectedAnswerError,)


@attrs.frozen(kw_only=True)
class Case:
    """One way for a server to be bad.

    Attributes:
        name: for the test's name.
        kind: what goes wrong; see `qrmi_sandbox.faults`. ``stopped`` means that nothing listens,
            ``restarted`` that connections were cut since the last request.
        times: how many requests it hits; ``None`` for all.
        status: of kind ``status``.
        retry_after: of kind ``status``.
        read: the errors that a verb which only reads may end in; none: it gets its answer.
        start: the errors that a start may end in; none: it gets its id.
        may_pass: whether a verb may get its answer all the same.
        may_exist: whether the service may have a task after a start that ended in an error.
        owner: who can act, as a read's error says; ``None`` for anyone.
        retryable: whether a read may succeed later; ``None`` for either.
    """

    name: str
    kind: FaultKind | Literal["stopped", "restarted"] = "status"
    times: int | None = None
    status: int = 500
    retry_after: float | None = None
    read: Errors
    start: Errors
    may_pass: bool = False
    may_exist: bool = False
    owner: Owner | None = None
    retryable: bool | None = None

    def __str__(self) -> str:
        return self.name

    @contextlib.contextmanager
    def planted(self, server: Server, match: str = "* *") -> Iterator[Fault | None]:
        """Let it happen to matching requests for the length of a ``with`` block."""
        if self.kind == "stopped":
            server.stop()
            try:
                yield None
            finally:
                server.start()
            return
        if self.kind == "restarted":
            server.restart()
            yield None
            return
        fault = Fault(
            kind=self.kind,
            match=match,
            times=self.times,
            status=self.status,
            retry_after=self.retry_after,
            seconds=_SILENCE_SECONDS,
        )
        server.faults.add(fault)
        try:
            yield fault
        finally:
            server.faults.clear()

    def check_read(self, server: Server, call: Callable[[], Any], *, match: str = "* *") -> Any:
        """Hold a verb that only reads to the table; returns its answer, or its error."""
        outcome = self._outcome(server, call, match)
        if not isinstance(outcome, QrmiError):
            assert not self.read or self.may_pass, f"{self.name}: it gave {outcome!r}"
            return outcome
        _must_be(outcome, self.read, self.name)
        if self.owner is not None:
            assert outcome.owner is self.owner, f"{self.name}: the owner is {outcome.owner}"
        if self.retryable is not None:
            assert outcome.retryable is self.retryable, f"{self.name}: retryable is wrong"
        return outcome

    def check_start(
        self,
        server: Server,
        call: Callable[[], Any],
        *,
        match: str = "* *",
        made: Callable[[], int] | None = None,
    ) -> Any:
        """Hold a start to the table, with ``made`` tasks on the service; returns as above."""
        before = made() if made else 0
        outcome = self._outcome(server, call, match)
        new = (made() if made else 0) - before
        if not isinstance(outcome, QrmiError):
            assert not self.start or self.may_pass, f"{self.name}: it gave {outcome!r}"
            assert new == 1 or made is None, f"{self.name}: one start, {new} tasks"
            return outcome
        _must_be(outcome, self.start, self.name)
        assert new <= (1 if self.may_exist else 0), f"{self.name}: {new} tasks after an error"
        return outcome

    def _outcome(self, server: Server, call: Callable[[], Any], match: str) -> Any:
        begun = time.monotonic()
        with self.planted(server, match) as fault:
            try:
                outcome: Any = call()
            except QrmiError as error:
                outcome = error
        took = time.monotonic() - begun
        assert took < _DEADLINE_SECONDS, f"{self.name}: it took {took:.1f} s"
        assert fault is None or fault.hits, f"{self.name}: no request is {match!r}"
        return outcome


def _must_be(error: QrmiError, kinds: Errors, name: str) -> None:
    wanted = " or ".join(kind.__name__ for kind in kinds) or "an answer"
    assert isinstance(error, kinds), f"{name}: {type(error).__name__} instead of {wanted}: {error}"


def _status(status: int, read: Errors, start: Errors | None = None, **values: Any) -> Case:
    name = values.pop("name", str(status))
    return Case(
        name=name, status=status, read=read, start=read if start is None else start, **values
    )


def _broken(kind: FaultKind, *, may_exist: bool, times: int | None, **values: Any) -> Case:
    suffix = "" if times is None else "-once"
    return Case(
        name=kind.replace("_", "-") + suffix,
        kind=kind,
        times=times,
        read=_AWAY if times is None else _NONE,
        start=_UNCERTAIN,
        may_exist=may_exist,
        **values,
    )


def _junk(kind: FaultKind) -> Case:
    return Case(
        name=kind.replace("_", "-"),
        kind=kind,
        read=_JUNK,
        start=(TaskStartUncertainError, UnexpectedAnswerError),
        may_exist=True,
    )


_UNAUTHORIZED: Errors = (AuthenticationFailedError,)

CASES: tuple[Case, ...] = (
    _status(400, _REFUSED, owner=Owner.USER, retryable=False),
    _status(401, _UNAUTHORIZED, retryable=False),
    _status(401, _UNAUTHORIZED, name="401-once", times=1, may_pass=True),
    _status(403, (AccessDeniedError, AuthenticationFailedError), retryable=False),
    _status(404, _MISSING),
    _status(409, _CONFLICT),
    _status(422, _REFUSED, owner=Owner.USER, retryable=False),
    _status(423, _AWAY, retryable=True),
    _status(429, _AWAY, retryable=True),
    _status(429, _NONE, _AWAY, name="429-once", times=1, may_pass=True),
    _status(429, _NONE, _AWAY, name="429-retry-after", times=1, retry_after=1, may_pass=True),
    _status(429, _AWAY, name="429-for-a-day", retry_after=86_400, retryable=True),
    _status(500, _AWAY, _UNCERTAIN, owner=Owner.VENDOR, retryable=True),
    _status(502, _AWAY, _UNCERTAIN, owner=Owner.VENDOR, retryable=True),
    _status(503, _AWAY, owner=Owner.VENDOR, retryable=True),
    _status(503, _NONE, _AWAY, name="503-once", times=1, may_pass=True),
    Case(
        name="connection-refused",
        kind="stopped",
        read=_AWAY,
        start=_AWAY,
        owner=Owner.NETWORK,
        retryable=True,
    ),
    Case(name="restarted", kind="restarted", read=_NONE, start=_UNCERTAIN, may_pass=True),
    _broken("reset_before", may_exist=False, times=None, owner=Owner.NETWORK, retryable=True),
    _broken("reset_before", may_exist=False, times=1, may_pass=True),
    _broken("reset_after", may_exist=True, times=None, owner=Owner.NETWORK, retryable=True),
    _broken("reset_after", may_exist=True, times=1, may_pass=True),
    _broken("silence", may_exist=False, times=None, owner=Owner.NETWORK, retryable=True),
    _broken("half_body", may_exist=True, times=None, owner=Owner.NETWORK, retryable=True),
    _broken("half_body", may_exist=True, times=1, may_pass=True),
    _junk("not_json"),
    _junk("html"),
    _junk("drop_fields"),
)
