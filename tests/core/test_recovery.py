"""Starts of killed processes are found again on the service, with what they were started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrmi import journal
from qrmi.driver import Capabilities
from qrmi.payloads import PasqalCloud, Payload
from qrmi.resource import QuantumResource
from qrmi.starts import recovery
from qrmi.tasks import TaskId, TaskStatus
from qrmi.testing import ScriptedDriver

PAYLOAD = PasqalCloud("{}", 1)


@pytest.fixture(autouse=True)
def own_journal(private_state: Path) -> None:
    """Each test has a journal of its own."""


class Killed(BaseException):
    """In the place of a signal that nothing can catch."""


class DyingDriver(ScriptedDriver):
    """The service has the task; the process ends before it knows."""

    CAPABILITIES = Capabilities(idempotency_key=True, settle_seconds=1.0)
    sending_seconds = 1.0  # type: ignore[assignment]

    def task_start(self, payload: Payload, key: str) -> TaskId:
        super().task_start(payload, key)
        raise Killed


def handle(driver: ScriptedDriver) -> QuantumResource:
    return QuantumResource.from_driver(driver, resource_type="scripted")


def left_behind(driver: ScriptedDriver) -> str:
    """The key of a start that was killed once it was sent."""
    with pytest.raises(Killed):
        handle(driver).task_start(PAYLOAD, context={"sdk": "test"})
    (record,) = journal.default().tasks()
    assert record.id is None
    assert recovery.is_unsettled(record)
    return record.key


def test_a_task_is_found_by_its_key_and_keeps_its_context() -> None:
    driver = DyingDriver()
    key = left_behind(driver)
    assert handle(driver).recover(key) == "task-1"
    record = journal.default().task("task-1")
    assert (record.key, record.status) == (key, TaskStatus.QUEUED)
    assert handle(driver).task("task-1").context == {"sdk": "test"}
    assert handle(driver).recover(key) is None, "it is settled"


def test_asking_for_the_context_of_an_unknown_id_recovers_it() -> None:
    """Somebody who knows the id from the vendor's own page gets the SDK's full result."""
    driver = DyingDriver()
    left_behind(driver)
    assert handle(driver).task_context("task-1") == {"sdk": "test"}
    assert handle(driver).task_context("task-77") == {}


def test_a_start_that_never_arrived_is_settled_once_it_cannot_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = DyingDriver()
    key = left_behind(driver)
    driver.sent.clear()
    assert handle(driver).recover(key) is None
    record = journal.default().find(key)
    assert record is not None
    assert recovery.is_unsettled(record), "it may still arrive"
    later = record.started_at + 63.0  # with a minute for the clocks of two machines
    monkeypatch.setattr(recovery.time, "time", lambda: later)
    assert handle(driver).recover(key) is None
    record = journal.default().find(key)
    assert record is not None
    assert "never reached" in record.reason


def test_what_has_no_key_stays_open_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of task that the service knows no key of cannot be shown to be absent."""

    class Keyless(DyingDriver):
        def can_find(self, payload: Payload) -> bool:
            return False

    driver = Keyless()
    key = left_behind(driver)
    driver.sent.clear()
    monkeypatch.setattr(recovery.time, "time", lambda: 4e9)
    assert handle(driver).recover(key) is None
    record = journal.default().find(key)
    assert record is not None
    assert recovery.is_unsettled(record)


def test_a_task_of_two_steps_has_its_id_already() -> None:
    class TwoSteps(ScriptedDriver):
        CAPABILITIES = Capabilities(two_step=True, settle_seconds=1.0)

        def task_create(self, payload: Payload, key: str) -> TaskId:
            return super().task_start(payload, key)

        def task_submit(self, task_id: TaskId, payload: Payload, key: str) -> None:
            raise Killed

        def task_submitted(self, task_id: TaskId) -> bool:
            return True

    driver = TwoSteps()
    with pytest.raises(Killed):
        handle(driver).task_start(PAYLOAD, key="two")
    assert handle(driver).recover("two") == "task-1"
