"""The rules of the interface, on both generations of Warden."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from qrmi.payloads import PasqalCloud, Payload
from qrmi.resource import QuantumResource
from qrmi.testing.contract import ResourceContract
from qrmi_sandbox.warden import WardenServer


class _Contract(ResourceContract):
    @pytest.fixture
    def warden(self) -> WardenServer:
        raise NotImplementedError

    @pytest.fixture
    def resource(self, warden: WardenServer) -> Iterator[QuantumResource]:
        entry = warden.resource()
        handle = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
        yield handle
        handle.close()

    @pytest.fixture
    def program(self, sequence: str) -> Payload:
        return PasqalCloud(sequence, 50)

    @pytest.fixture
    def failing_program(self) -> Payload:
        return PasqalCloud("no sequence at all", 10)

    @pytest.fixture
    def held_sessions(self, warden: WardenServer) -> Callable[[], list[str]]:
        return warden.held_sessions

    @pytest.fixture
    def tasks_made(self, warden: WardenServer) -> Callable[[], int]:
        return warden.tasks_made


class TestNewer(_Contract):
    """Warden 0.3.2, in a job whose prolog opened a session."""

    @pytest.fixture
    def warden(self, newer: WardenServer) -> WardenServer:
        return newer

    @pytest.fixture
    def slow_program(self, newer: WardenServer, sequence: str) -> Iterator[Payload]:
        newer.run_seconds = 2.0
        yield PasqalCloud(sequence, 10)
        newer.run_seconds = 0.0


class TestOlder(_Contract):
    """Warden 0.1: every rule but those about logs and about stopping a task that has not ended.

    It can do neither, and says so: see ``test_life.py``. Faults are `TestNewer`'s.
    """

    test_logs = None
    test_a_stopped_task_ends = test_stopping_twice_is_no_error = None
    test_a_running_task_can_be_stopped = test_another_object_stops_a_task = None
    test_calls_in_any_order = None  # stops are among the calls
    test_a_fault_at_a_start = test_a_fault_at_a_look = test_a_fault_at_a_fetch = None
    test_a_fault_at_a_stop = test_a_fault_at_a_question = None

    @pytest.fixture
    def warden(self, older: WardenServer) -> WardenServer:
        return older
