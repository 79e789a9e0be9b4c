"""A wait with a time limit is not held up by a service that keeps silent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from qrmi import waiting
from qrmi.driver import Capabilities
from qrmi.errors import ResourceUnavailableError, WaitTimeoutError
from qrmi.tasks import TaskId, TaskStatus
from qrmi.transport import Client, HttpConfig, Request, join
from qrmi.waiting import Deadline, SystemClock, request_deadline, wait_for_end
from qrmi_sandbox.faults import Fault

Make = Callable[..., Client]
_PATIENT = HttpConfig(read_seconds=30.0, budget_seconds=60.0)
_clock = SystemClock()


@attrs.define
class Looks:
    """A driver that does nothing but look; every task has completed."""

    client: Client
    url: str
    CAPABILITIES: Capabilities = attrs.field(factory=Capabilities)
    resource_id: str = "looked-at"
    deadlines: list[Deadline | None] = attrs.field(factory=list)

    def task_status(self, task_id: TaskId) -> TaskStatus:
        return self.task_wait(task_id, 0.0)

    def task_wait(self, task_id: TaskId, seconds: float) -> TaskStatus:
        self.deadlines.append(request_deadline())
        url = join(self.url, "jobs", task_id)
        self.client.json(Request("GET", url, hold_seconds=seconds, idempotent=not seconds))
        return TaskStatus.COMPLETED


def wait(looks: Any, seconds: float | None) -> TaskStatus:
    return wait_for_end(looks, TaskId("1"), Deadline.after(seconds, _clock))


@pytest.mark.parametrize("push", [False, True])
def test_a_silent_service_ends_no_wait_late(
    server: Any, make: Make, push: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request would be allowed half a minute, and repeats another."""
    monkeypatch.setattr(waiting, "_LATEST_ANSWER_SECONDS", 0.5)
    server.faults.add(Fault(kind="silence", seconds=30.0, times=None))
    is_late = threading.Event()
    timer = threading.Timer(15.0, is_late.set)
    timer.start()
    looks = Looks(make(config=_PATIENT), server.url, Capabilities(push=push))
    with pytest.raises(WaitTimeoutError, match="has not said in time") as caught:
        wait(looks, 0.3)
    timer.cancel()
    assert not is_late.is_set()
    assert isinstance(caught.value.__cause__, ResourceUnavailableError)
    assert request_deadline() is None


def test_a_slow_answer_is_heard(server: Any, make: Make) -> None:
    """Although the time is over: the task may have ended."""
    server.faults.add(Fault(kind="delay", seconds=1.0))
    assert wait(Looks(make(config=_PATIENT), server.url), 0.1) is TaskStatus.COMPLETED


def test_what_fails_at_once_is_told_as_it_is(server: Any, make: Make) -> None:
    """A connection that is refused is no matter of time."""
    server.stop()
    config = HttpConfig(most_attempts=1)
    with pytest.raises(ResourceUnavailableError, match="no connection"):
        wait(Looks(make(config=config), server.url), 0.0)


def test_without_a_limit_requests_have_their_own_alone(server: Any, make: Make) -> None:
    """Nor does a wait shorten what is asked outside of it."""
    looks = Looks(make(config=_PATIENT), server.url)
    assert wait(looks, None) is TaskStatus.COMPLETED
    assert looks.deadlines == [None]
    wait(looks, 5.0)
    assert looks.deadlines[1] is not None
    assert request_deadline() is None
