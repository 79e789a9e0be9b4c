"""Resources with one planted fault each, and the rule that has to notice it."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import attrs
from barn import STATUS, BarnDriver
from meadow import Meadow

from qrmi.driver import Capabilities
from qrmi.errors import QrmiError, ResourceUnavailableError, TaskFailedError, TaskNotFoundError
from qrmi.payloads import AnalogJob, Payload, PulserBatch
from qrmi.tasks import ResourceStatus, ResourceStatusCode, Target, TaskId, TaskResult, TaskStatus
from qrmi.transport import Request, json_body

__all__ = ["FAULTS", "faulty"]

FAULTS: dict[type, tuple[str, ...]] = {}
"""Every faulty driver with the rules that notice it (the first one is the most telling)."""


def faulty(*rules: str) -> Callable[[type], type]:
    """Name the rules that have to notice a driver's fault."""

    def enter(kind: type) -> type:
        FAULTS[kind] = rules
        return kind

    return enter


# --- statuses and results ---------------------------------------------------------------------


@faulty("test_statuses_go_forward")
class GoesBack(Meadow):
    """A running task is queued again, now and then."""

    looks = itertools.count()

    def task_status(self, task_id):
        status = super().task_status(task_id)
        is_back = status is TaskStatus.RUNNING and next(self.looks) % 2
        return TaskStatus.QUEUED if is_back else status


@faulty("test_a_final_status_stays")
class Forgets(Meadow):
    """A task that has completed has failed when it is looked at again."""

    seen: ClassVar[Counter[str]] = Counter()

    def task_status(self, task_id):
        status = super().task_status(task_id)
        if status is TaskStatus.COMPLETED:
            self.seen[task_id] += 1
        return TaskStatus.FAILED if self.seen[task_id] > 2 else status


@faulty("test_statuses_go_forward")
class SpeaksInTexts(Meadow):
    """A status is a word."""

    def task_status(self, task_id):
        return super().task_status(task_id).name.lower()


@faulty("test_there_is_no_result_before_the_end")
class GivesEarly(Meadow):
    """A running task has a result."""

    def task_result(self, task_id):
        try:
            return super().task_result(task_id)
        except TaskFailedError:
            raise
        except QrmiError:
            self.read(task_id)
            return TaskResult("{}")


@faulty("test_there_is_no_result_before_the_end")
class FailsEarly(Meadow):
    """A task without a result yet counts as failed."""

    def task_result(self, task_id):
        if not self.task_status(task_id).is_final:
            raise TaskFailedError("no result", task_id=task_id)
        return super().task_result(task_id)


@faulty("test_a_task_completes_and_has_a_result")
class GivesNone(Meadow):
    """There is no result, and nothing that says so."""

    def task_result(self, task_id):
        super().task_result(task_id)


@faulty("test_a_task_completes_and_has_a_result")
class GivesText(Meadow):
    """A result is a bare text."""

    def task_result(self, task_id):
        return super().task_result(task_id).value


@faulty("test_a_result_can_be_fetched_again")
class GivesOnce(Meadow):
    """Fetching a result uses it up."""

    def task_result(self, task_id):
        result = super().task_result(task_id)
        (self.tasks / f"{task_id}.json").unlink()
        return result


@faulty("test_each_start_is_a_task_of_its_own")
class ReusesIds(Meadow):
    """Every task has the same id."""

    def task_start(self, payload, key):
        task = super().task_start(payload, key)
        self.write(TaskId("onlyone"), **self.read(task))
        return TaskId("onlyone")


@faulty("test_an_id_is_a_text")
class PadsIds(Meadow):
    """An id has a blank at its end."""

    def task_start(self, payload, key):
        return TaskId(super().task_start(payload, key) + " ")

    def read(self, task_id):
        return super().read(TaskId(task_id.strip()))


@faulty("test_a_failed_task_says_why")
class CallsItCancelled(Meadow):
    """A task that failed was cancelled, it says."""

    def task_status(self, task_id):
        status = super().task_status(task_id)
        return TaskStatus.CANCELLED if status is TaskStatus.FAILED else status


@faulty("test_a_failed_task_says_why")
class ShowsTheProgram(Meadow):
    """The error of a failed task quotes the program."""

    def task_result(self, task_id):
        try:
            return super().task_result(task_id)
        except TaskFailedError as error:
            raise TaskFailedError(f"in: {self.read(task_id)['program']['text']}") from error


# --- stopping ---------------------------------------------------------------------------------


@faulty("test_stopping_twice_is_no_error")
class StopsOnce(Meadow):
    """Stopping a stopped task is an error."""

    def task_stop(self, task_id):
        if super().task_status(task_id) is TaskStatus.CANCELLED:
            raise ResourceUnavailableError("it is stopped already")
        return super().task_stop(task_id)


@faulty("test_stopping_after_the_end_keeps_the_result", "test_calls_in_any_order")
class StopsTheDead(Meadow):
    """Stopping a completed task cancels it."""

    def task_stop(self, task_id):
        self.write(task_id, **{**self.read(task_id), "stopped": True})
        return True


@faulty("test_stopping_an_unfetched_task_keeps_the_result")
class SweepsUp(Meadow):
    """A stop removes the task."""

    def task_stop(self, task_id):
        self.read(task_id)
        (self.tasks / f"{task_id}.json").unlink()
        return True


@faulty("test_a_running_task_can_be_stopped")
class NeverStops(Meadow):
    """A stop does nothing, although the driver says that it can."""

    def task_stop(self, task_id):
        self.read(task_id)
        return True


# --- ids --------------------------------------------------------------------------------------


@faulty("test_an_unknown_id_is_not_found")
class KnowsEverything(Meadow):
    """An id that nobody was given is a task that is queued."""

    def task_status(self, task_id):
        with contextlib.suppress(TaskNotFoundError):
            return super().task_status(task_id)
        return TaskStatus.QUEUED


@faulty("test_an_unknown_id_is_not_found[task_stop]")
class StopsAnything(Meadow):
    """Stopping a task that does not exist succeeds."""

    def task_stop(self, task_id):
        with contextlib.suppress(TaskNotFoundError):
            return super().task_stop(task_id)
        return True


@faulty("test_an_unknown_id_is_not_found")
class RaisesBare(Meadow):
    """An unknown id is a KeyError."""

    def read(self, task_id):
        try:
            return super().read(task_id)
        except TaskNotFoundError:
            raise KeyError(task_id) from None


@faulty("test_an_unknown_id_is_not_found")
class RaisesAnything(Meadow):
    """An unknown id is an error of no kind in particular."""

    def read(self, task_id):
        try:
            return super().read(task_id)
        except TaskNotFoundError as error:
            raise RuntimeError(str(error)) from None


class _LostError(TaskNotFoundError):
    """An error that cannot be pickled."""

    def __init__(self, message: str, driver: object) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


@faulty("test_an_unknown_id_is_not_found")
class RaisesUnpicklable(Meadow):
    """An error holds a lock."""

    def read(self, task_id):
        try:
            return super().read(task_id)
        except TaskNotFoundError as error:
            raise _LostError(str(error), self) from None


@faulty("test_an_unknown_id_is_not_found")
class RaisesWithoutWords(Meadow):
    """An error says nothing."""

    def read(self, task_id):
        try:
            return super().read(task_id)
        except TaskNotFoundError:
            raise TaskNotFoundError(task_id=task_id) from None


@faulty("test_a_disguised_id_is_refused", "test_an_odd_id_is_refused")
class PastesIds(BarnDriver):
    """An id is pasted into the address."""

    def task_request(self, method, task_id, *path, **values):
        url = "/".join([self.settings.endpoint, "tasks", task_id, *path])
        return Request(method, url, missing=TaskNotFoundError, task_id=task_id, **values)


# --- secrets ----------------------------------------------------------------------------------


@faulty("test_no_repr_shows_a_secret")
class ShowsItself(Meadow):
    """The driver's repr has the password."""

    def __repr__(self):
        return f"ShowsItself({self.settings.password.reveal()})"


@faulty("test_no_repr_shows_a_secret")
class KeepsItPlain(Meadow):
    """The driver keeps the password as a text of its own."""

    def __init__(self, resource_id, settings):
        super().__init__(resource_id, settings)
        self.headers = {"authorization": f"Bearer {settings.password.reveal()}"}


@faulty("test_no_log_shows_a_secret")
class LogsSecrets(Meadow):
    """The password is logged at DEBUG, as an argument."""

    def task_start(self, payload, key):
        logging.getLogger("qrmi.meadow").debug("starting", self.settings.password.reveal())
        return super().task_start(payload, key)


@faulty("test_no_log_shows_a_secret")
class LogsPrograms(Meadow):
    """The program is logged."""

    def task_start(self, payload, key):
        logging.getLogger("meadow").warning("starting %s", attrs.asdict(payload))
        return super().task_start(payload, key)


@faulty("test_no_pickled_error_shows_a_secret", "test_an_unknown_id_is_not_found")
class BlamesThePassword(Meadow):
    """An error quotes the password; its cause does."""

    def read(self, task_id):
        try:
            return super().read(task_id)
        except TaskNotFoundError as error:
            cause = ValueError(f"with {self.settings.password.reveal()}")
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id) from (
                cause if error else None
            )


# --- elsewhere --------------------------------------------------------------------------------


@faulty("test_a_handle_outlives_its_driver", "test_a_pickled_handle_is_the_same_resource")
class RemembersAlone(Meadow):
    """Only the object that started a task knows it."""

    def __init__(self, resource_id, settings):
        super().__init__(resource_id, settings)
        self.mine: set[str] = set()

    def task_start(self, payload, key):
        task = super().task_start(payload, key)
        self.mine.add(task)
        return task

    def read(self, task_id):
        if task_id not in self.mine:
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id)
        return super().read(task_id)


@faulty("test_another_process_reaches_a_task")
class RemembersInOneProcess(Meadow):
    """Only the process that started a task knows it."""

    mine: ClassVar[set[str]] = set()

    def task_start(self, payload, key):
        task = super().task_start(payload, key)
        self.mine.add(task)
        return task

    def read(self, task_id):
        if task_id not in self.mine:
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id)
        return super().read(task_id)


@faulty("test_threads_share_a_handle")
class OneAtATime(Meadow):
    """The id of a start passes through the driver, where threads overwrite it."""

    def task_start(self, payload, key):
        self.newest = super().task_start(payload, key)
        time.sleep(0.01)
        return self.newest


# --- description ------------------------------------------------------------------------------


@faulty("test_it_says_which_payloads_it_takes")
class ListsPayloads(Meadow):
    """PAYLOADS is a list."""

    PAYLOADS = ["meadow"]  # noqa: RUF012


@faulty("test_its_target_is_json")
class DrawsItsTarget(Meadow):
    """The target is prose."""

    def target(self):
        return Target("a meadow, green")


@faulty("test_its_metadata_are_texts")
class CountsItsMetadata(Meadow):
    """Metadata hold a number."""

    def metadata(self):
        return {"backend_name": self.resource_id, "sheep": 5}


@faulty("test_its_queue_is_told_when_declared")
class HidesItsQueue(Meadow):
    """The queue is declared and not told."""

    def status(self):
        return ResourceStatus(ResourceStatusCode.ONLINE)


@faulty("test_its_status_is_well_formed")
class ContradictsItself(Meadow):
    """It is accessible and offline."""

    def status(self):
        return ResourceStatus(ResourceStatusCode.OFFLINE, pending_job_count=0)


@faulty("test_making_a_handle_opens_nothing")
class StartsThreads(Meadow):
    """Each driver starts a thread."""

    def __init__(self, resource_id, settings):
        super().__init__(resource_id, settings)
        threading.Thread(target=time.sleep, args=(2.0,), daemon=True).start()


@faulty("test_it_declares_capabilities")
class AsksAllTheTime(Meadow):
    """It may be asked without any pause."""

    CAPABILITIES = attrs.evolve(Meadow.CAPABILITIES, min_poll_seconds=0.0)


# --- sessions ---------------------------------------------------------------------------------


@faulty("test_acquire_gives_a_token")
class AcquiresNothing(Meadow):
    """A token is empty."""

    def acquire(self):
        super().acquire()
        return ""


@faulty("test_releasing_twice_is_no_error")
class ReleasesOnce(Meadow):
    """The second release is an error."""

    def release(self, token):
        if not (self.sessions / token).exists():
            raise ResourceUnavailableError("no such session")
        super().release(token)


@faulty("test_an_unknown_token_releases_nothing")
class ReleasesAll(Meadow):
    """Any token ends every session."""

    def release(self, token):
        for path in self.sessions.glob("*"):
            path.unlink()


@faulty("test_a_session_is_held_until_it_is_released")
class HoldsNothing(Meadow):
    """Acquire is declared and does nothing."""

    def acquire(self):
        return "token"


@faulty("test_closing_releases_and_can_be_repeated")
class ReleasesNever(Meadow):
    """Release leaves the session."""

    def release(self, token):
        pass


# --- capabilities -----------------------------------------------------------------------------


@faulty("test_logs")
class ClaimsLogs(Meadow):
    """Logs are declared, and there are none."""

    def task_logs(self, task_id):
        return None


@faulty("test_logs")
class HidesLogs(Meadow):
    """Logs are there, and not declared."""

    CAPABILITIES = attrs.evolve(Meadow.CAPABILITIES, logs=False)


@faulty("test_idempotency_key")
class FindsAnything(Meadow):
    """Every key finds the newest task."""

    def find_task(self, key):
        return next(iter(self.list_tasks()), None)


@faulty("test_push")
class HoldsOn(Meadow):
    """A wait that the service holds does not end with its time."""

    CAPABILITIES = attrs.evolve(Meadow.CAPABILITIES, push=True)

    def task_wait(self, task_id, timeout_seconds):
        while not (status := self.task_status(task_id)).is_final:
            time.sleep(0.01)
        time.sleep(6.0)
        return status


@faulty("test_batches")
class ClaimsBatches(Meadow):
    """Batches are declared; their jobs are never listed."""

    CAPABILITIES = Capabilities(batches=True)
    PAYLOADS = frozenset({"meadow", "pulser-sequence"})

    def batch_start(self, payload: PulserBatch, key: str) -> TaskId:
        return self.task_start(Pulses(), key)

    def batch_add(self, batch_id: TaskId, jobs: list[AnalogJob]) -> list[str]:
        return [f"{batch_id}-{i}" for i, _ in enumerate(jobs)]

    def batch_close(self, batch_id: TaskId) -> None:
        pass

    def batch_jobs(self, batch_id: TaskId) -> list[Any]:
        return []


@attrs.frozen
class Pulses(Payload):
    """What `ClaimsBatches` is given: a pulse sequence by its looks."""

    FORMAT = "meadow"

    seconds: float = 0.02
    fails: bool = False
    sequence: str = "{}"


@faulty("test_cleanup")
class FreesOnce(Meadow):
    """Freeing is declared, and an error the second time."""

    CAPABILITIES = attrs.evolve(Meadow.CAPABILITIES, cleanup=True)
    freed: ClassVar[set[str]] = set()

    def task_free(self, task_id):
        if task_id in self.freed:
            raise ResourceUnavailableError("it is free already")
        self.freed.add(task_id)


@faulty("test_a_start_makes_one_task")
class StartsTwice(Meadow):
    """Every start is two tasks."""

    def task_start(self, payload, key):
        super().task_start(payload, key)
        return super().task_start(payload, key)


# --- HTTP -------------------------------------------------------------------------------------


@faulty("test_a_fault_at_a_start[reset-after-once]")
class RepeatsStarts(BarnDriver):
    """The request of a start is marked as one that can be repeated; it cannot."""

    def task_start(self, payload, key):
        body = json_body({**attrs.asdict(payload), "key": key})
        request = self.request("POST", "tasks", body=body, idempotent=True)
        return TaskId(self.client.json(request)["id"])


@faulty("test_a_fault_at_a_start[503]")
class TriesAgain(BarnDriver):
    """The driver has a retry of its own."""

    def task_start(self, payload, key):
        with contextlib.suppress(QrmiError):
            return super().task_start(payload, key)
        return super().task_start(payload, key)


@faulty("test_a_fault_at_a_start[no-fields]", "test_a_fault_at_a_start[null]")
class TrustsAnswers(BarnDriver):
    """An answer is read without a look at what it is."""

    def task_start(self, payload, key):
        body = json_body({**attrs.asdict(payload), "key": key})
        return TaskId(self.client.json(self.request("POST", "tasks", body=body))["id"])


@faulty("test_a_fault_at_a_look[text-fields]")
class GuessesTheEnd(BarnDriver):
    """A status word that it does not know is a failure."""

    def task_status(self, task_id):
        word = self.client.json(self.task_request("GET", task_id)).get("status")
        return STATUS.get(word, TaskStatus.FAILED)


@faulty("test_a_fault_at_a_look[500]", "test_a_fault_at_a_look[connection-refused]")
class NeverGivesUp(BarnDriver):
    """A look that fails is repeated for ever."""

    def task_status(self, task_id):
        while True:
            try:
                return super().task_status(task_id)
            except ResourceUnavailableError:
                time.sleep(0.05)


@faulty("test_a_fault_at_a_look[503]")
class BlamesTheUser(BarnDriver):
    """Whatever goes wrong, the task does not exist."""

    def task_status(self, task_id):
        try:
            return super().task_status(task_id)
        except QrmiError as error:
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id) from error


@faulty("test_a_fault_at_a_look[reset-before-once]")
class GivesUpAtOnce(BarnDriver):
    """A look is marked as a request that must not be repeated."""

    def task_status(self, task_id):
        answer = self.client.json(self.task_request("GET", task_id, idempotent=False))
        return STATUS[answer["status"]]


@faulty("test_a_fault_at_a_fetch[web-page]")
class ParsesResults(BarnDriver):
    """A result is parsed and written again, by hand."""

    def task_result(self, task_id):
        result = super().task_result(task_id)
        return TaskResult(json.dumps(json.loads(result.value)))
