"""Coroutines that are cancelled lose nothing: not a session, not a task's id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qrmi import Payload, QuantumResource, journal
from qrmi.aio import AsyncQuantumResource
from qrmi_sandbox.faults import Fault

Service = Any  # of conftest.py
QASM = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; qubit[1] q; x q[0]; c[0] = measure q[0];'


@pytest.fixture
def program() -> Payload:
    params = {"pubs": [[QASM, None, 10]], "options": {}, "version": 2, "support_qiskit": True}
    return Payload.QiskitPrimitive(json.dumps(params), "sampler")


@pytest.fixture
def handle(ibm: Service, private_state: Path) -> Iterator[AsyncQuantumResource]:
    entry = ibm.server.resource()
    sync = QuantumResource.from_config(ibm.name, entry["type"], entry["environment"])
    sync.is_accessible()
    yield AsyncQuantumResource(sync)
    sync.close()


def test_a_cancelled_acquire_gives_its_session_back(
    ibm: Service, handle: AsyncQuantumResource
) -> None:
    """The answer comes after the coroutine has gone: the session is not left open."""
    ibm.server.faults.add(Fault(kind="delay", match="POST /api/v1/sessions", seconds=0.4))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await handle.acquire()

    asyncio.run(main())
    assert ibm.begun() == 1
    assert ibm.held() == []


def test_cancelled_when_the_answer_is_there(ibm: Service, handle: AsyncQuantumResource) -> None:
    """Between the answer and the coroutine that waits for it, nothing is lost either."""
    ibm.server.faults.add(Fault(kind="delay", match="POST /api/v1/sessions", seconds=0.2))

    async def main() -> None:
        asking = asyncio.create_task(handle.acquire())
        await asyncio.sleep(0.01)
        ibm.wait_until(lambda: ibm.held() and handle.sync._leases._own())  # the loop stands still
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(main())
    assert ibm.held() == []


@pytest.mark.parametrize("error", [None, ValueError, asyncio.CancelledError])
def test_acquired_releases_on_every_way_out(
    ibm: Service, handle: AsyncQuantumResource, error: type[BaseException] | None
) -> None:
    """Left in the usual way, by an error, by a cancellation: the session has ended by then."""

    async def use() -> None:
        async with handle.acquired():
            assert len(ibm.held()) == 1
            if error is not None:
                raise error

    async def main() -> None:
        if error is None:
            await use()
        else:
            with pytest.raises(error):
                await use()
        assert ibm.held() == []

    asyncio.run(main())


def test_a_cancelled_start_is_journalled_and_told(
    ibm: Service,
    handle: AsyncQuantumResource,
    program: Payload,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The request goes on; its task is not stopped, and its id is in the journal and the log."""
    ibm.server.run_seconds = 1.0
    ibm.server.faults.add(Fault(kind="delay", match="POST /api/v1/jobs", seconds=0.3))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await handle.task_start(program)

    with caplog.at_level(logging.WARNING, logger="qrmi"):
        asyncio.run(main())
    (task_id,) = ibm.jobs()
    assert ibm.jobs()[task_id] != "Cancelled"
    assert [record.id for record in journal.default().tasks()] == [task_id]
    assert f"qrmi stop {task_id}" in caplog.text


def test_a_start_that_has_not_left_is_not_made(
    ibm: Service, handle: AsyncQuantumResource, program: Payload
) -> None:
    """Cancelled while all workers are busy, it is as if it had never been asked for."""

    async def main() -> None:
        import concurrent.futures
        import time

        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, time.sleep, 0.3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await handle.task_start(program)
        await busy

    asyncio.run(main())
    assert ibm.jobs() == {}


def test_a_cancelled_wait_stops_nothing(
    ibm: Service, handle: AsyncQuantumResource, program: Payload
) -> None:
    ibm.server.run_seconds = 0.5

    async def main() -> None:
        task = await handle.task_start(program)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await handle.task_wait(task)
        assert (await handle.task_wait(task)).name == "COMPLETED"

    asyncio.run(main())


def test_a_block_stops_its_own_tasks_alone(
    ibm: Service, handle: AsyncQuantumResource, program: Payload
) -> None:
    """Coroutines share a handle and a thread; each block has what its own coroutines started."""
    ibm.server.run_seconds = 3.0
    started: dict[str, str] = {}

    async def fails() -> None:
        async with handle.stopping():
            started["mine"] = await handle.task_start(program)
            started["my child's"] = await asyncio.create_task(handle.task_start(program))
            await asyncio.sleep(0.3)
            raise ValueError("mine")

    async def goes_on() -> None:
        async with handle.stopping():
            started["another block's"] = await handle.task_start(program)
        started["no block's"] = await handle.task_start(program)

    async def main() -> None:
        failure, _ = await asyncio.gather(fails(), goes_on(), return_exceptions=True)
        assert isinstance(failure, ValueError)
        assert started["mine"] in "".join(failure.__notes__)

    asyncio.run(main())
    jobs = ibm.jobs()
    stopped = {name for name, task in started.items() if jobs[task] == "Cancelled"}
    assert stopped == {"mine", "my child's"}


def test_a_threads_block_has_no_coroutines(
    ibm: Service, handle: AsyncQuantumResource, program: Payload
) -> None:
    """What a coroutine starts is in its own blocks alone, not in one that a thread has open."""
    ibm.server.run_seconds = 2.0
    opened, started = threading.Event(), threading.Event()

    def fails() -> None:
        with contextlib.suppress(ValueError), handle.sync.stopping():
            opened.set()
            started.wait(10)
            raise ValueError

    async def main() -> None:
        thread = threading.Thread(target=fails)
        thread.start()
        opened.wait(10)
        task = await handle.task_start(program)
        started.set()
        thread.join()
        assert ibm.jobs()[task] != "Cancelled"

    asyncio.run(main())


def test_a_start_under_way_is_stopped_when_its_block_is_left(
    ibm: Service, handle: AsyncQuantumResource, program: Payload
) -> None:
    """A cancelled block does not leave the task that comes late to run."""
    ibm.server.run_seconds = 3.0
    ibm.server.faults.add(Fault(kind="delay", match="POST /api/v1/jobs", seconds=0.4))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), handle.stopping():
                await handle.task_start(program)

    asyncio.run(main())
    assert list(ibm.jobs().values()) == ["Cancelled"]


def test_a_terminated_event_loop_releases(ibm: Service) -> None:
    """Sessions that coroutines acquired, in worker threads, are guarded by the loop's thread."""
    child = ibm.begin(
        """
        import asyncio
        from qrmi.aio import AsyncQuantumResource
        async def main():
            handle = AsyncQuantumResource(resource)
            await handle.acquire()
            async with handle.stopping():
                await handle.task_start(program())
                say("held")
                await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    ibm.server.run_seconds = 3.0
    child.line()
    child.send(15)
    assert child.end()[0] == -15
    assert ibm.held() == []
    assert list(ibm.jobs().values()) == ["Cancelled"]
