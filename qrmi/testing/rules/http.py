"""Faults of HTTP on cue, at every request that a verb makes."""

from __future__ import annotations

import contextlib
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from qrmi.errors import AnswerLostError, QrmiError, TaskStartUncertainError
from qrmi.payloads import Payload
from qrmi.resource import QuantumResource
from qrmi.tasks import Target, TaskResult, TaskStatus
from qrmi.testing.clock import FakeClock
from qrmi.testing.faulty import FaultyTransport, Sent
from qrmi.testing.inside import driver_of
from qrmi.testing.rules.flaws import CASES, Case
from qrmi.testing.rules.kit import Kit
from qrmi.transport import HttpDriver

__all__ = ["HttpRules"]


@attrs.frozen(kw_only=True)
class _Line:
    """A handle of its own whose requests can be made to go wrong."""

    kit: Kit
    resource: QuantumResource
    driver: HttpDriver
    transport: FaultyTransport


class HttpRules:
    """Whatever the service or the network does, a verb ends in a typed error, in time.

    The driver's own transport stays in use behind one that plants faults; its clock is a test's,
    so that repeats take no time. Drivers that are no `HttpDriver` are left alone.
    """

    #: The longest that one verb may take under a fault, in seconds.
    fault_seconds: float = 30.0

    @pytest.fixture
    def line(self, kit: Kit) -> Iterator[_Line]:
        """The resource over a transport that goes wrong on cue."""
        if not isinstance(kit.driver, HttpDriver):
            pytest.skip("the driver does not speak HTTP through qrmi.transport")
        resource: QuantumResource = pickle.loads(pickle.dumps(kit.resource))
        driver = driver_of(resource)
        assert isinstance(driver, HttpDriver)
        transport = FaultyTransport(driver.transport)
        driver.use(transport, clock=FakeClock())
        with contextlib.ExitStack() as stack:
            if kit.resource.capabilities.sessions:
                stack.enter_context(resource.acquired())
            resource.is_accessible()  # tokens are fetched
            yield _Line(kit=kit, resource=resource, driver=driver, transport=transport)
            transport.clear()
        resource.close()

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_a_fault_at_a_start(
        self, line: _Line, case: Case, tasks_made: Callable[[], int] | None
    ) -> None:
        """A start ends in a typed error or a task that exists; nothing is ever sent twice."""
        line.transport.clear()
        line.kit.start(by=line.resource)
        for nth in range(len(line.transport.sent)):
            made = tasks_made() if tasks_made else 0
            line.transport.plant(case.flaw, nth=nth, times=case.times)
            outcome = self._outcome(line, lambda: line.kit.start(by=line.resource))
            sent = list(line.transport.sent)
            line.transport.clear()
            where = f"request {nth + 1} of task_start"
            _check_sent_once(sent, where, line.kit.most_attempts)
            if tasks_made:
                assert tasks_made() - made <= 1, f"{where}: two tasks run on the service"
            if isinstance(outcome, QrmiError):
                _check_error(line.kit, outcome, case, sent, where)
            elif case.flaw.name != "text fields":  # a text in the id's place is taken for one
                assert isinstance(line.resource.task_status(outcome), TaskStatus)

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_a_fault_at_a_look(self, line: _Line, case: Case, slow_program: Payload | None) -> None:
        """A look ends in a typed error or the truth; no final state is ever made up."""
        task = line.kit.start(slow_program, by=line.resource)
        for nth, outcome, sent in self._outcomes(line, case, lambda: line.driver.task_status(task)):
            where = f"request {nth + 1} of task_status"
            if isinstance(outcome, QrmiError):
                _check_error(line.kit, outcome, case, sent, where)
                continue
            assert isinstance(outcome, TaskStatus), f"{where}: {outcome!r}"
            if outcome.is_final:
                true = line.driver.task_status(task)
                assert outcome is true, f"{where}: {outcome.name}, but it is {true.name}"

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_a_fault_at_a_fetch(self, line: _Line, case: Case) -> None:
        """Fetching ends in a typed error or a text: the service's, or what came in its place."""
        task = line.kit.start(by=line.resource)
        line.resource.task_wait(task, line.kit.patience_seconds)
        for verb, fetch in {
            "task_result": lambda: line.resource.task_result(task),
            "target": line.resource.target,
        }.items():
            for nth, outcome, sent in self._outcomes(line, case, fetch):
                where = f"request {nth + 1} of {verb}"
                if isinstance(outcome, QrmiError):
                    _check_error(line.kit, outcome, case, sent, where)
                else:
                    assert isinstance(outcome, TaskResult | Target), f"{where}: {outcome!r}"
                    assert isinstance(outcome.value, str), f"{where}: {outcome!r}"

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_a_fault_at_a_stop(self, line: _Line, case: Case, slow_program: Payload | None) -> None:
        """A stop ends in a typed error or is done; afterwards the task can still be stopped."""
        task = line.kit.start(slow_program, by=line.resource)
        for nth, outcome, sent in self._outcomes(
            line, case, lambda: line.driver.task_stop(task), clean=False
        ):
            if isinstance(outcome, QrmiError):
                _check_error(line.kit, outcome, case, sent, f"request {nth + 1} of task_stop")
        line.resource.task_stop(task)
        status = line.resource.task_wait(task, line.kit.patience_seconds)
        assert status.is_final

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_a_fault_at_a_question(self, line: _Line, case: Case) -> None:
        """`is_accessible`, `status` and `metadata` end in a typed error or an answer."""
        for verb in ("is_accessible", "status", "metadata"):
            for nth, outcome, sent in self._outcomes(line, case, getattr(line.resource, verb)):
                if isinstance(outcome, QrmiError):
                    _check_error(line.kit, outcome, case, sent, f"request {nth + 1} of {verb}")
                else:
                    assert outcome is not None, f"{verb} gave nothing"

    # --- inside -------------------------------------------------------------------------------

    def _outcomes(
        self, line: _Line, case: Case, verb: Callable[[], Any], *, clean: bool = True
    ) -> Iterator[tuple[int, Any, list[Sent]]]:
        """What a verb gives or raises with the fault at each of its requests in turn."""
        line.transport.clear()
        requests = 2
        if clean:
            verb()
            requests = len(line.transport.sent)
        for nth in range(requests):
            line.transport.plant(case.flaw, nth=nth, times=case.times)
            outcome = self._outcome(line, verb)
            sent = list(line.transport.sent)
            line.transport.clear()
            _check_sent_once(sent, f"request {nth + 1}")
            yield nth, outcome, sent

    def _outcome(self, line: _Line, verb: Callable[[], Any]) -> Any:
        try:
            return line.kit.within(self.fault_seconds, verb)
        except QrmiError as error:
            return error
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} instead of a QrmiError") from error


def _check_sent_once(sent: list[Sent], where: str, most: int = 1) -> None:
    """A request that must not be repeated went out once, or again with other credentials.

    The handle makes ``most`` attempts at a start, each when the one before has come to nothing.
    """
    counted: Counter[Any] = Counter()
    for each in sent:
        if each.request.idempotent or (each.flaw is not None and each.flaw.status == 401):
            continue
        counted[each.fingerprint] += 1
        assert counted[each.fingerprint] <= most, f"{where}: {each.request.name} was sent twice"


def _check_error(kit: Kit, error: QrmiError, case: Case, sent: list[Sent], where: str) -> None:
    name = type(error).__name__
    kit.check_error(error)
    hits = [each for each in sent if each.flaw is not None]
    if not hits or any(each.request.accept & {case.flaw.status} for each in hits):
        return  # the error is about something else, or the status is an answer there
    wanted = " or ".join(kind.__name__ for kind in case.kinds)
    assert isinstance(error, case.kinds), f"{where}: {name} instead of {wanted}: {error}"
    if case.heals:
        repeatable = all(
            each.request.idempotent or each.request.method in ("GET", "HEAD") for each in hits
        )
        assert not repeatable, f"{where}: {hits[0].request.name} was not repeated: {error}"
    if case.owner is not None:
        assert error.owner is case.owner, f"{where}: the owner is {error.owner}"
    uncertain = isinstance(error, AnswerLostError | TaskStartUncertainError)
    if case.retryable is not None and not uncertain:
        assert error.retryable is case.retryable, f"{where}: retryable is {error.retryable}"
