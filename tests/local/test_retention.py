from __future__ import annotations

import os
import time

import pytest

from qrmi.errors import ConfigError, TaskNotFoundError
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi_local.service import client
from qrmi_local.service.retention import TIDY_SECONDS, remove_old
from qrmi_local.service.state import State
from qrmi_local.service.store import Store, task_id_of_key

SECONDS = 30.0
DAY = 86400.0


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "local")


def _make(store, task, *, ended_days_ago=None, **meta):
    store.create(task, {"host": "here", "queued_at": 1.0, **meta}, "{}")
    if ended_days_ago is not None:
        store.end(task, State(status=TaskStatus.COMPLETED))
        _age(store, task, ended_days_ago)
    return task


def _age(store, task, days):
    then = time.time() - days * DAY
    os.utime(store.root / "tasks" / f"{task}.end", (then, then))


def _task(number):
    return task_id_of_key(str(number))


def test_only_what_ended_long_ago_goes(store):
    """Tasks go by the age of their end; those that have not ended stay for ever."""
    old = _make(store, _task(1), ended_days_ago=31)
    young = _make(store, _task(2), ended_days_ago=29)
    unended = _make(store, _task(3))
    started = time.time() - 99 * DAY
    os.utime(store.root / "tasks" / f"{unended}.task", (started, started))
    store.append_log(old, b"log")
    assert remove_old(store, 30) == 1
    assert set(store.tasks()) == {young, unended}
    with pytest.raises(TaskNotFoundError):
        store.state(old)
    assert not [file for file in (store.root / "tasks").iterdir() if file.name.startswith(old)]


def test_a_batch_goes_as_a_whole(store):
    """Jobs of a batch that has not ended stay, however old; a batch goes with all its jobs."""
    for number, days in ((1, None), (2, 31), (3, 29)):
        batch = _make(store, _task(number), ended_days_ago=days, open=True)
        for job in range(2):
            _make(store, f"{batch}-{job}", ended_days_ago=40, batch=batch)
    assert remove_old(store, 30) == 1
    assert set(store.tasks()) == {_task(1), _task(3)}
    assert set(store.ids()) == {
        task for batch in (_task(1), _task(3)) for task in (batch, f"{batch}-0", f"{batch}-1")
    }


def test_a_batch_with_an_unended_job_stays(store):
    """A batch that was stopped from another host may have a job whose end is not written yet."""
    batch = _make(store, _task(1), ended_days_ago=31, open=True)
    _make(store, f"{batch}-0", batch=batch)
    assert remove_old(store, 30) == 0
    assert store.exists(batch)


def test_not_more_often_than_hourly(store):
    """However often supervisors start, the tasks are looked through once an hour."""
    _make(store, _task(1), ended_days_ago=31)
    assert remove_old(store, 30) == 1
    _make(store, _task(2), ended_days_ago=31)
    assert remove_old(store, 30) == 0
    then = time.time() - TIDY_SECONDS - 1
    os.utime(store.root / "tidied", (then, then))
    assert remove_old(store, 30) == 1


def test_supervisor_removes_at_its_start(make_driver, program, private_state):
    """A removed task is unknown to every verb; its key starts a new one."""
    driver = make_driver(keep_days=7.0)
    old, young = (driver.task_start(program(), key) for key in ("old", "young"))
    for task in (old, young):
        driver.task_wait(task, SECONDS)
    client.shutdown(private_state)
    _age(driver._store, old, 8)
    (driver._store.root / "tidied").unlink()
    driver._client.ensure_running()
    deadline = time.monotonic() + SECONDS
    while driver.list_tasks() != [young]:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for verb in (driver.task_status, driver.task_result, driver.task_logs, driver.task_stop):
        with pytest.raises(TaskNotFoundError):
            verb(old)
    with pytest.raises(TaskNotFoundError):
        driver.task_wait(old, 1.0)
    assert driver.find_task("old") is None
    again = driver.task_start(program(), "old")
    assert driver.task_wait(again, SECONDS) is TaskStatus.COMPLETED


@pytest.mark.parametrize("days", ["0", "-1", "nan", "soon"])
def test_days_must_be_positive(days):
    """The setting is a number of days above zero."""
    with pytest.raises(ConfigError, match="QRMI_LOCAL_KEEP_DAYS"):
        QuantumResource.from_config("local", "local", {"QRMI_LOCAL_KEEP_DAYS": days})
