"""Pasqal Cloud's API: one method for each thing that it can be asked, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qrmi.errors import Owner, ResourceUnavailableError, UnexpectedAnswerError
from qrmi.payloads import AnalogJob
from qrmi.references import is_link
from qrmi.tasks import BatchJob, TaskStatus
from qrmi.transport import Client, Request, answer_field, reading
from qrmi_pasqal.cloud import answers, results, wire
from qrmi_pasqal.cloud.answers import Job

__all__ = ["Service"]

_MOST_PAGES = 1000


class Service:
    """The API behind one client.

    Which routes the service lacks is learned once: a status that came by the older, longer way is
    asked for that way ever after.

    Args:
        client: gives the client.
        api: the base of all paths.
    """

    def __init__(self, client: Callable[[], Client], api: str) -> None:
        self._client = client
        self.api = api
        self._lacks_status_routes = False

    def data(self, request: Request, kind: type[Any] = dict) -> Any:
        """The ``data`` of an answer."""
        return answer_field(self._client().json(request), "data", kind)

    def create(self, request: Request) -> str:
        """Create something and return its id."""
        return answers.created_id(self._client().json(request))

    # --- batches ------------------------------------------------------------------------------

    def batch_status(self, batch_id: str) -> TaskStatus:
        """A batch's status: one request, and on older services one more when it has ended."""
        data = self._status(wire.batch_status, wire.batch, batch_id)
        status = answers.batch_status(data, batch_id)
        if status is not None:
            return status
        ended = {job.status for job in self.jobs(batch_id)}
        return answers.ending(ended, answers.status_of(data, batch_id))

    def batch(self, batch_id: str) -> dict[str, Any]:
        """Everything about a batch but its jobs."""
        found: dict[str, Any] = self.data(wire.batch(self.api, batch_id))
        return found

    def jobs(self, batch_id: str) -> list[Job]:
        """A batch's jobs, in the order in which they were added.

        Raises:
            TaskNotFoundError: there is no such batch.
        """
        entries = list(self._pages(lambda offset: wire.jobs(self.api, batch_id, offset)))
        if not entries:
            self.batch(batch_id)  # which says so when there is none
        return answers.read_jobs(entries)

    def batches(self, **filters: str | None) -> Iterator[dict[str, Any]]:
        """The account's batches, newest first."""
        for entry in self._pages(lambda offset: wire.batches(self.api, offset, **filters)):
            with reading("GET v1/batches"):
                yield dict(entry)

    def add_jobs(self, batch_id: str, jobs: Sequence[AnalogJob]) -> list[str]:
        """Add jobs to an open batch and return their ids, in order."""
        answer = self.data(wire.add_jobs(self.api, batch_id, jobs))
        listed = answer.get("jobs")
        found = answers.read_jobs(listed) if isinstance(listed, list) else self.jobs(batch_id)
        if len(found) < len(jobs):
            raise UnexpectedAnswerError(
                "the service lists fewer jobs than were added", task_id=batch_id
            )
        return [job.id for job in found[len(found) - len(jobs) :]]

    def end(self, request: Request) -> None:
        """Close or cancel something."""
        self._client().send(request)

    # --- jobs ---------------------------------------------------------------------------------

    def job_status(self, job_id: str) -> TaskStatus:
        """A job's status."""
        return answers.status_of(self._status(wire.job_status, wire.job, job_id), job_id)

    def job(self, job_id: str) -> Job:
        """Everything about a job but its result."""
        (job,) = answers.read_jobs([self.data(wire.job(self.api, job_id))])
        return job

    def cudaq_job(self, job_id: str) -> dict[str, Any]:
        """A CUDA-Q job, with its result once it has one."""
        found: dict[str, Any] = self.data(wire.cudaq_job(self.api, job_id))
        return found

    # --- results ------------------------------------------------------------------------------

    def results(self, batch_id: str) -> dict[str, str]:
        """The results of a batch's jobs by their ids, those that the service sends together."""
        response = self._client().send(wire.full_results(self.api, batch_id))
        if response.status >= 400:
            return {}
        return results.read_full_results(response)

    def stored_result(self, job_id: str) -> str | None:
        """A job's result from the service's storage; ``None`` when there is none."""
        response = self._client().send(wire.results_link(self.api, job_id))
        if response.status >= 400:
            return None
        link = answer_field(response.json(), "data", dict).get("results_link")
        if not link:
            return None
        if not is_link(link):
            raise UnexpectedAnswerError("the link to a job's result is no URL", task_id=job_id)
        stored = self._client().send(wire.download(link, job_id))
        if stored.status >= 400:
            raise ResourceUnavailableError(
                f"the result of job {job_id} is not behind its link, or no longer",
                owner=Owner.VENDOR,
                hint="ask for the result again: each answer has a new link",
                task_id=job_id,
            )
        return results.read_stored_result(stored)

    def batch_jobs(self, batch_id: str) -> list[BatchJob]:
        """A batch's jobs in order, with the results that are there."""
        jobs = self.jobs(batch_id)
        done = [job.id for job in jobs if job.status is TaskStatus.COMPLETED]
        found: Mapping[str, str] = self.results(batch_id) if done else {}
        stored = {job_id: found.get(job_id) or self.stored_result(job_id) for job_id in done}
        return [
            BatchJob(
                id=f"job:{job.id}",
                status=job.status,
                result=stored.get(job.id),
                reason=job.reason if job.status is TaskStatus.FAILED else "",
            )
            for job in jobs
        ]

    # --- inside -------------------------------------------------------------------------------

    def _status(
        self,
        short: Callable[[str, str], Request],
        long: Callable[[str, str], Request],
        task_id: str,
    ) -> dict[str, Any]:
        if not self._lacks_status_routes:
            response = self._client().send(short(self.api, task_id))
            if response.status < 400:
                found: dict[str, Any] = answer_field(response.json(), "data", dict)
                return found
        found = self.data(long(self.api, task_id))
        self._lacks_status_routes = True  # the task is known, so what is missing is the route
        return found

    def _pages(self, page: Callable[[int], Request]) -> Iterator[Any]:
        offset: int | None = 0
        for _ in range(_MOST_PAGES):
            if offset is None:
                return
            answer = self._client().json(page(offset))
            entries = answer_field(answer, "data", list)
            yield from entries
            offset = answers.next_offset(answer, offset) if entries else None
