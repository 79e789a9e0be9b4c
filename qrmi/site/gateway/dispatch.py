"""The daemon's side of the gateway: a job's calls of a driver whose credentials stay here.

A job proves itself twice: by its user's number, which the system (or MUNGE) says, and by the token
of its lease. Without a lease a user still reaches tasks of their own, and starts none. All that can
be asked is in `qrmi.site.gateway.methods`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qrmi.config_file import ResourceDef
from qrmi.driver import Driver
from qrmi.errors import (
    QrmiError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
)
from qrmi.site.books.usage import TaskUse
from qrmi.site.gateway import packing
from qrmi.site.gateway.border import Holds, Request, cleaned, make_the_jobs, read_request
from qrmi.site.gateway.drivers import Drivers, Place
from qrmi.site.gateway.methods import Method, Need, method_of
from qrmi.site.gateway.starts import Starts
from qrmi.site.gateway.tasks import TaskRow, TaskTable
from qrmi.site.gateway.tokens import Tokens, site_secret
from qrmi.site.gateway.visits import Leases, Visit, Visits
from qrmi.tasks import TaskId, TaskStatus

__all__ = ["Gateway"]

_log = logging.getLogger(__name__)
_LONGEST_HOLD_SECONDS = 10.0
_MOST_HELD = 8  # requests that a resource may hold at once: threads of the daemon wait in them
_MOST_LOOKED_AT = 50
_KEPT_SECONDS = 400 * 86400.0  # so long users find their tasks


class Gateway:
    """Calls drivers for jobs. Thread-safe; call `open` first.

    Args:
        leases: the site's leases.
        definition: an entry of the site's configuration; raises `ResourceNotFoundError`.
        state: the daemon's state folder.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        leases: Leases,
        definition: Callable[[str], ResourceDef],
        state: Path,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.tasks = TaskTable(state, now)
        self._state = state
        self._leases = leases
        self._now = now
        self._drivers = Drivers(definition)
        self._holds = Holds(_MOST_HELD)

    def open(self) -> None:
        """Open the tasks and the secret of tokens in the state folder. Raises `ConfigError`."""
        self.tokens = Tokens(site_secret(self._state))
        self.tasks.open()
        self.tasks.prune(self._now() - _KEPT_SECONDS)
        self._visits = Visits(self._leases, self.tokens, self.tasks, self._now)
        self._starts = Starts(self.tasks, self.tokens, self._now)

    def close(self) -> None:
        """Finish what is being written; no error where nothing was opened."""
        self.tasks.close()

    def call(self, *, caller: int, resource: str, method: str, body: bytes) -> packing.Packed:
        """What the driver's method gave; see `qrmi.site.parts.Gateway`.

        Raises:
            QrmiError: what the driver raised, or why it was not asked.
        """
        chosen = method_of(method)
        request = read_request(body)
        try:
            visit, row = self._let_in(caller, resource, chosen, request)
        except TaskNotFoundError:
            if method != "task_free":  # which is no error for a task that there is not
                raise
            return packing.Packed(None)
        try:
            driver = self._drivers.driver(visit.place)
            if request.is_foreign:  # the driver's module, which brings the class, is loaded now
                request = read_request(body)
            arguments = chosen.read(request.arguments)
            answer = self._answer(visit, driver, method, chosen, arguments, row)
        except QrmiError as error:
            make_the_jobs(error, resource)
            raise
        if chosen.need in (Need.START, Need.TASK_AND_LEASE):
            self._must_still_hold(visit, driver, answer if row is None else row.task)
        return packing.Packed(cleaned(method, answer, visit.place.token))

    def _must_still_hold(self, visit: Visit, driver: Driver, task: str | None) -> None:
        """Stop a task whose lease ended while it was started: the resource may be another's."""
        try:
            self._visits.must_still_hold(visit)
        except QrmiError:
            _log.warning("the lease of %s ended while %s was started", visit.job, task)
            with contextlib.suppress(QrmiError):
                driver.task_stop(TaskId(task or ""))
            raise
        _log.info("task %s of %s was started on %s", task, visit.job, visit.resource)

    def _let_in(
        self, caller: int, resource: str, method: Method, request: Request
    ) -> tuple[Visit, TaskRow | None]:
        who: dict[str, Any] = {"caller": caller, "resource": resource, "name": request.name}
        if method.need in (Need.LEASE, Need.START):
            return self._visits.with_lease(**who, token=request.token), None
        if method.need in (Need.PLACE, Need.OWN):
            return self._visits.of_someone(**who, token=request.token), None
        task_id = method.subject(request.arguments)
        row = self._visits.own_task(caller=caller, resource=resource, task_id=task_id)
        if method.need is Need.TASK_AND_LEASE:
            return self._visits.with_lease(**who, token=request.token), row
        return self._visits.of_someone(**who, token=request.token), row

    def _answer(
        self,
        visit: Visit,
        driver: Driver,
        name: str,
        method: Method,
        arguments: Mapping[str, Any],
        row: TaskRow | None,
    ) -> Any:
        if method.need is Need.START:
            return self._starts.start(visit, driver, method, arguments)
        if name == "find_task":
            return self._starts.find(visit, driver, arguments["key"])
        if name == "mark_of":
            key = self._starts.key_at_vendor(visit.uid, arguments["key"])
            return driver.mark_of(arguments["payload"], key)
        if row is not None:
            return self._of_a_task(visit, driver, name, method, arguments, row)
        answer = method.call(driver, arguments)
        if name == "list_tasks":
            return self._starts.own_of(visit, answer)
        if name == "recent_tasks":
            return self._starts.recent(visit, answer)
        return answer

    def _of_a_task(
        self,
        visit: Visit,
        driver: Driver,
        name: str,
        method: Method,
        arguments: Mapping[str, Any],
        row: TaskRow,
    ) -> Any:
        if name == "task_submit":
            return self._starts.submit(visit, driver, method, arguments, row)
        if name == "batch_add":
            return self._starts.add(driver, method, arguments, row)
        if name == "task_wait":
            status = self._waited(visit, driver, method, arguments)
            self._seen(driver, row, status)
            return status
        try:
            answer = method.call(driver, arguments)
        except (TaskFailedError, TaskCancelledError) as error:
            failed = isinstance(error, TaskFailedError)
            self._seen(driver, row, TaskStatus.FAILED if failed else TaskStatus.CANCELLED)
            raise
        if name == "task_status":
            self._seen(driver, row, answer)
        elif name == "task_result":
            self._seen(driver, row, TaskStatus.COMPLETED)
        elif name == "batch_jobs":
            self.tasks.add_parts(row, [job.id for job in answer])
        return answer

    def _waited(
        self, visit: Visit, driver: Driver, method: Method, arguments: Mapping[str, Any]
    ) -> TaskStatus:
        """Hold the request for a while, unless too many are held: then the job asks again."""
        seconds = min(arguments["timeout_seconds"], _LONGEST_HOLD_SECONDS)
        with self._holds.one(visit.resource) as may_hold:
            held = {**arguments, "timeout_seconds": seconds if may_hold else 0.0}
            if may_hold or not driver.CAPABILITIES.push:
                status: TaskStatus = method.call(driver, held)
                return status
        return driver.task_status(arguments["task_id"])

    def _seen(self, driver: Driver, row: TaskRow, status: TaskStatus) -> None:
        """Take note of a status; at the end, of what the vendor says that it took."""
        after = self.tasks.seen(row, status)
        if row.ended is not None or after.ended is None or after.task is None:
            return
        changes: dict[str, Any] = {}
        with contextlib.suppress(QrmiError):
            seconds = driver.task_qpu_seconds(TaskId(after.task))
            changes = {} if seconds is None else {"qpu_seconds": seconds}
        if status is TaskStatus.FAILED:
            changes["owner"] = str(TaskFailedError.default_owner)
        if changes:
            self.tasks.measured(after, **changes)

    # --- for the books --------------------------------------------------------------------------

    def look(self, job: str) -> None:
        """Look at what a job's tasks have come to, those that nobody saw end; not at all of many.

        A vendor that cannot be asked now leaves them as they are.
        """
        open_rows = [row for row in self.tasks.of_job(job) if row.task and row.ended is None]
        for row in open_rows[:_MOST_LOOKED_AT]:
            with contextlib.suppress(QrmiError):
                place = Place(name=row.resource, entry=row.entry, type=row.type)
                driver = self._drivers.driver(place)
                self._seen(driver, row, driver.task_status(TaskId(row.task or "")))

    def uses(self, job: str) -> tuple[TaskUse, ...]:
        """What a job's starts have come to, for the books; unsettled ones are left out."""
        return tuple(row.use() for row in self.tasks.of_job(job) if row.is_settled)
