from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from qrmi.codecs.analog_results import decode_batch
from qrmi.errors import (
    InvalidInputError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
)
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi.tasks import TaskStatus
from qrmi_local.service import batch as batches

SECONDS = 30.0


def _statuses(driver, task):
    return [job.status for job in driver.batch_jobs(task)]


def _until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_single_sequence_is_a_plain_task(driver):
    """The simplest payload has a result of its own and is no batch."""
    task = driver.task_start(PasqalCloud("{}", 5), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert json.loads(driver.task_result(task).value)["counter"] == {"0": 1}
    with pytest.raises(InvalidInputError, match="not a batch"):
        driver.batch_jobs(task)
    with pytest.raises(InvalidInputError, match="not a batch"):
        driver.batch_add(task, [AnalogJob(runs=1)])


@pytest.mark.parametrize("count", [1, 3])
def test_batch_gives_its_jobs_in_order(driver, count):
    """Every job runs with its own runs and variables; the result has them in order."""
    jobs = [AnalogJob(runs=n + 1, variables={"n": n}) for n in range(count)]
    task = driver.task_start(PulserBatch(sequence="{}", jobs=jobs), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    found = driver.batch_jobs(task)
    assert [job.id for job in found] == [f"{task}-{n}" for n in range(count)]
    told = [json.loads(job.result)["told"]["jobs"] for job in found]
    assert told == [[[n + 1, {"n": n}]] for n in range(count)]
    read = decode_batch(driver.task_result(task).value)
    assert [(job.id, job.status) for job in read] == [(job.id, job.status) for job in found]
    assert all(json.loads(job.result)["counter"] == {"0": 1} for job in read)
    assert driver.list_tasks() == [task]


def test_job_is_a_task_of_its_own(driver, batch, job):
    """A job's id works where a task's does."""
    task = driver.task_start(batch(job(["say", "one"]), job(["say", "two"])), "key")
    driver.task_wait(task, SECONDS)
    second = driver.batch_jobs(task)[1]
    assert driver.task_status(second.id) is TaskStatus.COMPLETED
    assert driver.task_result(second.id).value == second.result
    assert "two\n" in driver.task_logs(second.id)
    assert {"one", "two"} <= set(driver.task_logs(task).split())


def test_batch_with_a_failed_job_completes(driver, batch, job):
    """What worked can be had; the failed job tells why it failed."""
    task = driver.task_start(batch(job(["fail", "bad luck"]), job()), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    failed, good = driver.batch_jobs(task)
    assert (failed.status, failed.reason) == (TaskStatus.FAILED, "ValueError: bad luck")
    assert failed.result is None
    assert good.result is not None
    read = decode_batch(driver.task_result(task).value)
    assert read[0].reason == "ValueError: bad luck"


def test_batch_without_any_good_job_fails(driver, batch, job):
    """Its reason is that of the first job that failed."""
    task = driver.task_start(batch(job(["fail", "first"]), job(["fail", "second"])), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="first"):
        driver.task_result(task)


def test_same_key_is_the_same_batch(driver, batch, job):
    """Starting a batch again runs nothing again."""
    tasks = [driver.task_start(batch(job(), job()), "key") for _ in range(3)]
    assert len(set(tasks)) == 1
    driver.task_wait(tasks[0], SECONDS)
    assert driver.task_start(batch(job(), job()), "key") == tasks[0]
    assert len(driver.batch_jobs(tasks[0])) == 2


# --- open batches ---------------------------------------------------------------------------------


def test_open_batch_runs_until_it_is_closed(driver, batch, job):
    """Jobs run as they come; the batch ends when it is closed and its last job has ended."""
    task = driver.batch_start(batch(job()), "key")
    assert driver.batch_add(task, [job(), job()]) == [f"{task}-1", f"{task}-2"]
    _until(lambda: set(_statuses(driver, task)) == {TaskStatus.COMPLETED})
    assert driver.task_status(task) is TaskStatus.RUNNING
    assert driver.task_wait(task, 0.05) is TaskStatus.RUNNING
    with pytest.raises(TaskNotReadyError):
        driver.task_result(task)
    assert driver.batch_add(task, [job()]) == [f"{task}-3"]
    driver.batch_close(task)
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert len(decode_batch(driver.task_result(task).value)) == 4


def test_empty_batch(driver, batch):
    """A batch that is closed without jobs is completed, with no jobs."""
    task = driver.batch_start(batch(), "key")
    assert driver.task_status(task) is TaskStatus.RUNNING
    assert driver.batch_jobs(task) == []
    driver.batch_close(task)
    driver.batch_close(task)
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert decode_batch(driver.task_result(task).value) == []


def test_closed_batch_takes_no_jobs(driver, batch, job):
    """Neither one that was closed nor one that was never open."""
    opened = driver.batch_start(batch(job()), "opened")
    driver.batch_close(opened)
    for task in (opened, driver.task_start(batch(job()), "never open")):
        with pytest.raises(InvalidInputError, match="closed"):
            driver.batch_add(task, [job()])
        assert len(driver.batch_jobs(task)) == 1


def test_jobs_are_looked_at_before_they_are_added(driver, batch, job):
    """A job without runs needs a configuration that has them."""
    task = driver.batch_start(batch(job()), "key")
    with pytest.raises(InvalidInputError, match="runs"):
        driver.batch_add(task, [AnalogJob()])
    assert len(driver.batch_jobs(task)) == 1


def test_many_add_at_once(driver, batch, job):
    """Jobs that come from several threads all get numbers of their own."""
    task = driver.batch_start(batch(), "key")
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: driver.batch_add(task, [job(), job()]), range(8)))
    driver.batch_close(task)
    ids = [job_id for ids in added for job_id in ids]
    assert sorted(ids) == sorted(job.id for job in driver.batch_jobs(task))
    assert len(set(ids)) == 16
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED


def test_lost_answer_adds_nothing_twice(driver, batch, job):
    """An addition that is repeated after a lost answer gives the ids of the first time."""
    task = driver.batch_start(batch(job()), "key")
    values = [{"runs": 1, "variables": {}}] * 2
    first = batches.add_jobs(driver._store, task, values, "token")
    assert batches.add_jobs(driver._store, task, values, "token") == first
    assert batches.add_jobs(driver._store, task, values, "other")[0] == f"{task}-3"


# --- stopping and dying ---------------------------------------------------------------------------


def test_stopped_batch(driver, batch, job):
    """Stopping cancels the batch and its unended jobs; what had ended keeps its result."""
    task = driver.batch_start(batch(job(), job(["sleep", 600]), job()), "key")
    _until(lambda: _statuses(driver, task)[1] is TaskStatus.RUNNING)
    driver.task_stop(task)
    assert driver.task_wait(task, SECONDS) is TaskStatus.CANCELLED
    done, *others = driver.batch_jobs(task)
    assert (done.status, done.result is None) == (TaskStatus.COMPLETED, False)
    assert {other.status for other in others} == {TaskStatus.CANCELLED}
    with pytest.raises(TaskCancelledError):
        driver.task_result(task)
    with pytest.raises(InvalidInputError, match="closed"):
        driver.batch_add(task, [job()])


def test_stopped_job(driver, batch, job):
    """One job can be stopped; the others go on, and the batch completes."""
    task = driver.task_start(batch(job(["sleep", 600]), job()), "key")
    _until(lambda: _statuses(driver, task)[:1] == [TaskStatus.RUNNING])
    driver.task_stop(f"{task}-0")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert _statuses(driver, task) == [TaskStatus.CANCELLED, TaskStatus.COMPLETED]


def test_batch_survives_the_supervisor(driver, batch, job, tmp_path):
    """After its death the next one goes on with the jobs that had not ended, and no others."""
    gate, ticks = tmp_path / "gate", tmp_path / "ticks"
    tick = ["tick", str(ticks)]
    task = driver.batch_start(batch(job(tick), job(["await", str(gate)])), "key")
    _until(lambda: _statuses(driver, task)[1] is TaskStatus.RUNNING)
    os.kill(driver._client.ask({"do": "status"})["pid"], signal.SIGKILL)
    gate.touch()
    assert driver.batch_add(task, [job(tick)]) == [f"{task}-2"]
    driver.batch_close(task)
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert _statuses(driver, task) == [TaskStatus.COMPLETED] * 3
    assert len(ticks.read_text().split()) == 2


def test_numpy_variables_reach_the_simulation(driver):
    """NumPy's numbers and arrays may be given at the start of a batch and when jobs are added."""
    jobs = [AnalogJob(runs=1, variables={"x": np.float64(0.5), "n": np.int64(3)})]
    task = driver.batch_start(PulserBatch(sequence="{}", jobs=jobs), "key")
    driver.batch_add(task, [AnalogJob(runs=2, variables={"xs": np.array([[0.5, 1.5]])})])
    driver.batch_close(task)
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    told = [json.loads(job.result)["told"]["jobs"] for job in driver.batch_jobs(task)]
    assert told == [[[1, {"x": 0.5, "n": 3}]], [[2, {"xs": [[0.5, 1.5]]}]]]


def test_equal_jobs_of_a_seeded_batch_are_different_runs(make_driver, batch, job):
    """Each job has a seed of its own, and the same batch gives the same seeds again."""

    def seeds(driver, key: str) -> list[int | None]:
        task = driver.task_start(batch(job(), job(), job()), key)
        driver.task_wait(task, SECONDS)
        return [json.loads(done.result)["told"]["seed"] for done in driver.batch_jobs(task)]

    seeded = make_driver(seed=7)
    assert seeds(seeded, "one") == seeds(seeded, "two") == [7, 8, 9]
    assert seeds(make_driver(), "three") == [None, None, None]
