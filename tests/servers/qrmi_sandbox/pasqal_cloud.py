"""Pasqal Cloud on loopback: batches, jobs, CUDA-Q jobs, results, devices, tokens.

Strict on what it is sent (fields, headers, queries, tokens), as the service's validation is;
what it answers varies as the service's answers may: codes as numbers or texts, fields that nobody
asked for. Sequences run on Pulser's QuTiP.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from qrmi_sandbox.pasqal_batches import ENDED, Batch, Job, Runner
from qrmi_sandbox.pasqal_checks import (
    PROJECT_ID,
    check_jobs,
    checked_batch,
    invalid,
    json_of,
    only,
    refusal,
)
from qrmi_sandbox.pasqal_devices import OPEN, PasqalCudaq, PasqalDevices
from qrmi_sandbox.pasqal_tokens import CLIENT_ID, CLIENT_SECRET, PasqalTokens
from qrmi_sandbox.server import Call, Refusal, Reply, Server, route

__all__ = ["PROJECT_ID", "PasqalCloudServer"]

_API = "/core-fast/api"
_PAGING = frozenset({"offset", "limit"})
_BATCH_FILTERS = _PAGING | {"tag", "status", "device_type", "project_id", "open", "id", "user_id"}
_JOB_FILTERS = _PAGING | {"batch_id", "order_by", "order_by_direction", "status", "id"}


class PasqalCloudServer(PasqalTokens, PasqalDevices, PasqalCudaq, Server):
    """One account with one project.

    Attributes:
        legacy: whether the routes of 2026 (``…/status``) are missing.
        large_results: whether results are too large for ``full_results``.
        serialised: whether results have Pulser's serialised form beside the counts.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        Server.__init__(self, port=port, tls=tls)
        PasqalTokens.__init__(self)
        PasqalDevices.__init__(self)
        self.runner = Runner(self.lock)
        self.legacy = False
        self.large_results = False
        self.serialised = True
        self.batches: dict[str, Batch] = {}
        self._answers = 0

    def start(self) -> PasqalCloudServer:
        """Listen, and run jobs."""
        super().start()
        self.runner.start()
        return self

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self.runner.stop()

    def restart(self) -> None:
        """Stop and begin to listen; jobs go on meanwhile."""
        super().stop()
        super().start()

    @property
    def executions(self) -> Counter[str]:
        """How often something was run, by batch id, job id and tag."""
        return self.runner.executions

    def program_texts(self) -> dict[str, str]:
        """The program of every job by the id under which `executions` counts it."""
        with self.lock:
            return {batch.id: batch.sequence for batch in self.batches.values()}

    @property
    def run_seconds(self) -> float:
        """How long a job runs at least."""
        return self.runner.run_seconds

    @run_seconds.setter
    def run_seconds(self, seconds: float) -> None:
        self.runner.run_seconds = seconds

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a ``qrmi_config.json``; a name that is no device type is an EMU_FREE."""
        environment = {
            "QRMI_PASQAL_CLOUD_PROJECT_ID": PROJECT_ID,
            "QRMI_PASQAL_CLOUD_CLIENT_ID": CLIENT_ID,
            "QRMI_PASQAL_CLOUD_CLIENT_SECRET": CLIENT_SECRET,
            "QRMI_PASQAL_CLOUD_AUTH_ENDPOINT": f"{self.url}/oauth/token",
            "QRMI_PASQAL_CLOUD_BASE_URL": self.url,
        }
        chosen = name or "EMU_FREE"
        if chosen.upper() not in self.devices:
            environment["QRMI_PASQAL_CLOUD_DEVICE_TYPE"] = "EMU_FREE"
        return {"name": chosen, "type": "pasqal-cloud", "environment": environment}

    def time_out(self, batch_id: str) -> None:
        """Close an open batch that got no more jobs, as the service does after a while."""
        with self.lock:
            batch = self._batch(batch_id)
            batch.open, batch.forced = False, "TIMED_OUT"

    # --- what every call needs ----------------------------------------------------------------

    def check(self, call: Call) -> None:
        """Credentials, and the content type that goes with them."""
        if not call.raw_path.startswith(f"{_API}/") or call.raw_path in OPEN:
            return
        if not self.has_good_token(call):
            raise refusal(401, "Unauthorized", "the token is missing, wrong or has expired")
        if call.headers.get("content-type", "").split(";")[0] != "application/json":
            raise refusal(415, "Unsupported Media Type", "the content type is not JSON")

    def unknown(self, call: Call) -> Reply:
        """No such route."""
        return refusal(404, "Not Found", "no such route").reply

    def _reply(self, data: Any, **more: Any) -> Reply:
        with self.lock:
            self._answers += 1
            varied = self._answers % 2
        code = 200 if varied else "200"
        body = {"status": "success", "message": "OK.", "code": code, "data": data, **more}
        if not varied:
            body["trace_id"] = None
        kind = "application/json" if varied else "application/json; charset=utf-8"
        return Reply(body, content_type=kind)

    def _page(self, entries: list[Any], call: Call, allowed: Collection[str]) -> Reply:
        only(call.query, allowed)
        offset, limit = int(call.query.get("offset", 0)), int(call.query.get("limit", 100))
        if not 0 < limit <= 100 or offset < 0:
            raise invalid("query", "limit", "must be from 1 to 100")
        page = entries[offset : offset + limit]
        told = {"total": len(entries), "start": offset, "end": offset + len(page)}
        return self._reply(page, pagination=told)

    # --- batches ------------------------------------------------------------------------------

    @route("POST", f"{_API}/v1/batches")
    def create_batch(self, call: Call) -> Reply:
        """A new batch."""
        body = json_of(call)
        device_type = checked_batch(body, self.devices)
        with self.lock:
            batch = Batch(
                sequence=body["sequence_builder"],
                device_type=device_type,
                project_id=body["project_id"],
                open=body.get("open", False),
                tags=body.get("tags") or [],
                configuration=body.get("backend_configuration"),
            )
            self.batches[batch.id] = batch
            self.runner.add(batch, body["jobs"])
            return self._reply(batch.answer(jobs=True))

    @route("GET", f"{_API}/v1/batches")
    def list_batches(self, call: Call) -> Reply:
        """The batches that pass the filters, newest first."""
        query = call.query
        with self.lock:
            found = [
                {**batch.answer(jobs=False), "jobs_count": len(batch.jobs)}
                for batch in reversed(self.batches.values())
                if not batch.is_cudaq
                and query.get("tag") in (None, *batch.tags)
                and query.get("device_type") in (None, batch.device_type)
                and query.get("project_id") in (None, batch.project_id)
                and query.get("status") in (None, batch.status)
            ]
        return self._page(found, call, _BATCH_FILTERS)

    @route("GET", f"{_API}/v2/batches/{{id}}")
    def get_batch(self, call: Call) -> Reply:
        """A batch without its jobs."""
        with self.lock:
            return self._reply(self._batch(call.path["id"]).answer(jobs=False))

    @route("GET", f"{_API}/v1/batches/{{id}}/status")
    def get_batch_status(self, call: Call) -> Reply:
        """A few bytes."""
        if self.legacy:
            return self.unknown(call)
        with self.lock:
            batch = self._batch(call.path["id"])
            counts = batch.counts()
            return self._reply(
                {"id": batch.id, "status": batch.status, "jobs_count_per_status": counts}
            )

    @route("GET", f"{_API}/v1/batches/{{id}}/full_results")
    def get_full_results(self, call: Call) -> Reply:
        """The results that are there, by job."""
        with self.lock:
            batch = self._batch(call.path["id"])
            if self.large_results:
                raise refusal(413, "Payload Too Large", "use the jobs' results_link")
            found = {job.id: self._result(job) for job in batch.jobs if job.result is not None}
            return self._reply({} if batch.is_cudaq else found)

    @route("PATCH", f"{_API}/v2/batches/{{id}}/cancel")
    def cancel_batch(self, call: Call) -> Reply:
        """Cancel what has not ended."""
        with self.lock:
            batch = self._batch(call.path["id"])
            if batch.status in ENDED:
                raise refusal(400, "Bad Request", "the batch has ended")
            batch.open, batch.forced = False, "CANCELED"
            for job in batch.jobs:
                _cancel(job)
            return self._reply(batch.answer(jobs=True))

    @route("PATCH", f"{_API}/v2/batches/{{id}}/complete")
    def close_batch(self, call: Call) -> Reply:
        """No more jobs."""
        with self.lock:
            batch = self._batch(call.path["id"])
            if not batch.open:
                raise refusal(400, "Bad Request", "the batch is closed")
            batch.open = False
            if not batch.jobs:
                batch.forced = "DONE"
            return self._reply(batch.answer(jobs=True))

    @route("POST", f"{_API}/v2/batches/{{id}}/jobs")
    def add_jobs(self, call: Call) -> Reply:
        """More jobs for an open batch."""
        jobs = json_of(call)
        with self.lock:
            batch = self._batch(call.path["id"])
            check_jobs(jobs, batch.device_type, may_be_empty=False)
            if not batch.open:
                raise refusal(400, "Bad Request", "the batch is closed")
            self.runner.add(batch, jobs)
            return self._reply(batch.answer(jobs=True))

    # --- jobs ---------------------------------------------------------------------------------

    @route("GET", f"{_API}/v2/jobs")
    def list_jobs(self, call: Call) -> Reply:
        """The jobs of a batch; none of a batch that nobody knows."""
        with self.lock:
            batch = self.batches.get(call.query.get("batch_id", ""))
            found = [job.answer() for job in batch.jobs] if batch else []
        return self._page(found, call, _JOB_FILTERS)

    @route("GET", f"{_API}/v2/jobs/{{id}}")
    def get_job(self, call: Call) -> Reply:
        """A job."""
        with self.lock:
            return self._reply(self._job(call.path["id"]).answer())

    @route("GET", f"{_API}/v1/jobs/{{id}}/status")
    def get_job_status(self, call: Call) -> Reply:
        """A few bytes."""
        if self.legacy:
            return self.unknown(call)
        with self.lock:
            job = self._job(call.path["id"])
            return self._reply({"id": job.id, "status": job.status})

    @route("PATCH", f"{_API}/v2/jobs/{{id}}/cancel")
    def cancel_job(self, call: Call) -> Reply:
        """Cancel one job."""
        with self.lock:
            job = self._job(call.path["id"])
            if job.status in ENDED:
                raise refusal(400, "Bad Request", "the job has ended")
            _cancel(job)
            return self._reply(job.answer())

    @route("GET", f"{_API}/v1/jobs/{{id}}/results_link")
    def get_results_link(self, call: Call) -> Reply:
        """A presigned link to the job's result."""
        with self.lock:
            job = self._job(call.path["id"])
            link = f"{self.url}/storage/{job.id}.json?X-Signature={quote(job.signature)}"
            return self._reply({"results_link": None if job.result is None else link})

    @route("GET", "/storage/{name}")
    def get_stored(self, call: Call) -> Reply:
        """An object in the storage, for who has its signature and shows no other credentials."""
        with self.lock:
            job = self._job(call.path["name"].removesuffix(".json"))
            if "authorization" in call.headers:
                raise Refusal(400, "<Error><Code>InvalidArgument</Code></Error>")
            if call.query.get("X-Signature") != job.signature:
                raise Refusal(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
            return Reply(self._result(job), content_type="binary/octet-stream")

    # --- inside -------------------------------------------------------------------------------

    def _batch(self, batch_id: str) -> Batch:
        if batch_id not in self.batches:
            raise refusal(404, "Not Found", "no such batch")
        return self.batches[batch_id]

    def _job(self, job_id: str) -> Job:
        for batch in self.batches.values():
            for job in batch.jobs:
                if job.id == job_id:
                    return job
        raise refusal(404, "Not Found", "no such job")

    def _result(self, job: Job) -> dict[str, Any]:
        result = dict(job.result or {})
        if not self.serialised:
            result.pop("serialised_results", None)
        return result


def _cancel(job: Job) -> None:
    if job.status not in ENDED:
        job.end("CANCELED")
        job.cancelled.set()
