"""The same tasks from another object, another process, and many threads."""

from __future__ import annotations

import concurrent.futures
import pickle
import subprocess
import sys

import pytest

from qrmi import config
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi.testing.inside import driver_of
from qrmi.testing.rules.kit import Kit

__all__ = ["ElsewhereRules"]

_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
resource, task, seconds = pickle.load(sys.stdin.buffer)
status = resource.task_wait(task, seconds)
sys.stdout.buffer.write(pickle.dumps((status, resource.task_result(task))))
"""


class ElsewhereRules:
    """Nothing true of a task lives in one object."""

    #: Whether a pickled handle works in another process; false for services within this one.
    other_process: bool = True
    #: How many threads share a handle.
    threads: int = 8

    def test_a_pickled_handle_is_the_same_resource(self, kit: Kit) -> None:
        """A handle that is pickled keeps its name and type, and reaches tasks of the first."""
        task = kit.start()
        copy = _copy(kit.resource)
        assert copy.resource_id() == kit.resource.resource_id()
        assert copy.type_name == kit.resource.type_name
        assert copy.task_wait(task, kit.patience_seconds) is TaskStatus.COMPLETED
        assert copy.task_result(task) == kit.resource.task_result(task)
        copy.close()

    def test_another_object_stops_a_task(self, kit: Kit) -> None:
        """A task is stopped by who knows its id, not only by who started it."""
        task = kit.start()
        other = _copy(kit.resource)
        other.task_stop(task)
        status = kit.resource.task_wait(task, kit.patience_seconds)
        assert other.task_status(task) is status
        other.close()

    def test_a_handle_outlives_its_driver(self, kit: Kit) -> None:
        """A driver made anew from the first one's settings looks, waits and fetches."""
        task = kit.completed()
        driver = driver_of(_copy(kit.resource))
        assert driver is not kit.driver
        fresh = QuantumResource.from_driver(driver, resource_type=kit.resource.type_name)
        assert fresh.task_status(task) is TaskStatus.COMPLETED
        assert fresh.task_result(task).value
        fresh.close()

    def test_another_process_reaches_a_task(self, kit: Kit) -> None:
        """A handle that is handed to another process waits and fetches there."""
        if not self.other_process:
            pytest.skip("the service is within this process")
        task = kit.start()
        given = pickle.dumps(sys.path) + pickle.dumps((kit.resource, task, kit.patience_seconds))
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=given,
            capture_output=True,
            timeout=kit.patience_seconds + 60,
            env=config.child_environment(),
            check=False,
        )
        told = done.stderr.decode(errors="replace")
        kit.check_text(told, "the other process")
        last = (told.strip().splitlines() or ["it says nothing"])[-1]
        assert done.returncode == 0, f"the other process failed: {last}\n{told}"
        status, result = pickle.loads(done.stdout)
        assert status is TaskStatus.COMPLETED
        assert result == kit.resource.task_result(task)

    def test_threads_share_a_handle(self, kit: Kit) -> None:
        """Several threads start, wait and fetch at once; each gets its own task's result."""

        def cycle(_number: int) -> tuple[str, TaskStatus, str]:
            task = kit.start()
            status = kit.resource.task_wait(task, kit.patience_seconds)
            return task, status, kit.resource.task_result(task).value

        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            done = list(pool.map(cycle, range(self.threads)))
        assert len({task for task, _, _ in done}) == self.threads, "threads share ids"
        assert {status for _, status, _ in done} == {TaskStatus.COMPLETED}
        assert all(text for _, _, text in done), "an empty result"

    def test_threads_look_at_one_task(self, kit: Kit) -> None:
        """Several threads that wait for one task see the same end and the same result."""
        task = kit.start()

        def look(_number: int) -> tuple[TaskStatus, str]:
            status = kit.resource.task_wait(task, kit.patience_seconds)
            return status, kit.resource.task_result(task).value

        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            seen = set(pool.map(look, range(self.threads)))
        assert len(seen) == 1, "threads saw different ends"


def _copy(resource: QuantumResource) -> QuantumResource:
    copy: QuantumResource = pickle.loads(pickle.dumps(resource))
    return copy
