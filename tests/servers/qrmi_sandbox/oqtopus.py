"""OQTOPUS Cloud's user API and its storage, with ideal results from Aer."""

from __future__ import annotations

import datetime
import json
import secrets
import ssl
import threading
import uuid
from collections import Counter
from typing import Any

import attrs

from qrmi_sandbox.multipart import read_form
from qrmi_sandbox.oqtopus_checks import check_request, refused, unzipped, zipped
from qrmi_sandbox.oqtopus_devices import DEVICES
from qrmi_sandbox.oqtopus_run import JobError, run_job
from qrmi_sandbox.server import Call, Refusal, Reply, Server, route

__all__ = ["TOKEN", "OqtopusServer"]

TOKEN = "sandbox-oqtopus-token"
"""The API token that the server takes."""

_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_FORM = {"AWSAccessKeyId": "AKSANDBOX", "policy": "cG9saWN5", "signature": "c2lnbmF0dXJl"}


@attrs.define(kw_only=True)
class _Job:
    """One job; guarded by the server's lock."""

    id: str
    status: str = "registered"
    request: dict[str, Any] = attrs.field(factory=dict)
    files: dict[str, bytes] = attrs.field(factory=dict)
    message: str | None = None
    times: dict[str, str] = attrs.field(factory=dict)

    def reach(self, status: str) -> None:
        """Take a step."""
        self.status = status
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        name = "ended" if status in _ENDED else status
        self.times[f"{name}_at"] = moment.replace("+00:00", "Z")

    def answer(self, link: str) -> dict[str, Any]:
        """The job as the API gives it: absent fields are left out."""
        if self.status == "registered":
            return {"job_id": self.id, "status": self.status}
        links = {name: f"{link}/{self.id}/{name}.zip?signature=c2ln" for name in self.files}
        full = {
            "job_id": self.id,
            "name": "",
            "description": "",
            **self.request,
            "status": self.status,
            "job_info": {**links, **({"message": self.message} if self.message else {})},
            "execution_time": 0.25 if self.status == "succeeded" else None,
            **{name: self.times.get(name) for name in ("submitted_at", "ready_at", "running_at")},
            "ended_at": self.times.get("ended_at"),
        }
        return {name: value for name, value in full.items() if value is not None}


class OqtopusServer(Server):
    """OQTOPUS Cloud with the devices of `qrmi_sandbox.oqtopus_devices`.

    Attributes:
        run_seconds: how long a job takes beyond its computation.
        executions: how often jobs were run, by id and by name.
        token: the token that is taken; `expire_tokens` replaces it.
        linked_info: whether a device's ``device_info`` is a link to a file.
        strange_status: told of every job instead of its own status.
    """

    REQUEST_IDS = ("x-amzn-requestid",)

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port=port, tls=tls)
        self.run_seconds = 0.0
        self.executions: Counter[str] = Counter()
        self.token = TOKEN
        self.linked_info = False
        self.strange_status: str | None = None
        self._jobs: dict[str, _Job] = {}
        self._closed = threading.Event()

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a configuration file that uses this server."""
        return {
            "name": name or "qulacs",
            "type": "oqtopus",
            "environment": {
                "QRMI_OQTOPUS_URL": self.url,
                "QRMI_OQTOPUS_API_TOKEN": self.token,
            },
        }

    def expire_tokens(self) -> None:
        """Take the present token no more."""
        self.token = secrets.token_hex(8)

    def jobs(self) -> dict[str, str]:
        """The status of every job by id, those that were only registered too."""
        with self.lock:
            return {job.id: job.status for job in self._jobs.values()}

    def program_texts(self) -> dict[str, str]:
        """The program of every job by the id under which `executions` counts it."""
        with self.lock:
            inputs = {job.id: job.files.get("input") for job in self._jobs.values()}
        return {name: json.dumps(unzipped(data)) if data else "" for name, data in inputs.items()}

    def check(self, call: Call) -> None:
        """The API wants the token, the storage must not be shown it."""
        shown = call.headers.get("q-api-token")
        if call.raw_path.startswith("/storage/"):
            if shown is not None or "authorization" in call.headers:
                raise Refusal(400, "<Error><Code>InvalidArgument</Code></Error>")
        elif shown != self.token:
            raise refused(401, "Unauthorized")

    def unknown(self, call: Call) -> Reply:
        """As the service's gateway answers paths that it does not have."""
        return Reply({"message": "Missing Authentication Token"}, 403)

    # --- devices --------------------------------------------------------------------------------

    @route("GET", "/devices")
    def devices(self, call: Call) -> Reply:
        """Those that the account may use."""
        return Reply([self._device(name) for name in DEVICES])

    @route("GET", "/devices/{id}")
    def device(self, call: Call) -> Reply:
        """One of them."""
        name = call.path["id"]
        if name not in DEVICES:
            raise refused(404, f"device_id={name} is not found.")
        return Reply(self._device(name), content_type="application/json; charset=utf-8")

    def _device(self, name: str) -> dict[str, Any]:
        device = dict(DEVICES[name])
        if self.linked_info and "device_info" in device:
            device["device_info"] = f"{self.url}/storage/{name}/device_info.zip?signature=c2ln"
        return device

    # --- jobs -----------------------------------------------------------------------------------

    @route("POST", "/jobs")
    def register(self, call: Call) -> Reply:
        """An id, and a form for the upload."""
        if call.body:
            raise refused(400, "a body is not expected")
        job = _Job(id=str(uuid.uuid4()))
        with self.lock:
            self._jobs[job.id] = job
        fields = {"key": f"{job.id}/input.zip", **_FORM}
        form = {"url": f"{self.url}/storage/upload", "fields": fields}
        return Reply({"job_id": job.id, "presigned_url": form})

    @route("POST", "/jobs/{id}/submit")
    def submit(self, call: Call) -> Reply:
        """Run a registered job, once."""
        request = call.json()
        check_request(request)
        with self.lock:
            job = self._job(call)
            if job.status != "registered":
                raise refused(400, f"{job.id} job is not in valid status for submission")
            if "input" not in job.files:
                raise refused(400, f"job information input for {job.id} job not found")
            infos = ("transpiler_info", "simulator_info", "mitigation_info")
            job.request = {**{name: {} for name in infos}, **request}
            job.reach("submitted")
        threading.Thread(target=self._run, args=(job,), daemon=True).start()
        return Reply({"message": "job submitted"})

    @route("GET", "/jobs/{id}/status")
    def job_status(self, call: Call) -> Reply:
        """The status only."""
        with self.lock:
            job = self._job(call)
            return Reply({"job_id": job.id, "status": self.strange_status or job.status})

    @route("GET", "/jobs/{id}")
    def job(self, call: Call) -> Reply:
        """All of a job, with links to its files."""
        with self.lock:
            return Reply(self._job(call).answer(f"{self.url}/storage"))

    @route("GET", "/jobs")
    def listed(self, call: Call) -> Reply:
        """A page of the account's jobs."""
        size, page = int(call.query.get("size", 100)), int(call.query.get("page", 1))
        if not 1 <= size <= 100:
            raise refused(500, "Internal Server Error")
        with self.lock:
            jobs = [job.answer(f"{self.url}/storage") for job in self._jobs.values()]
        wanted = call.query.get("q", "")
        told = ("job_id", "name", "description")
        jobs = [job for job in jobs if any(wanted in str(job.get(name, "")) for name in told)]
        if call.query.get("order") == "DESC":
            jobs.reverse()
        last = max(1, -(-len(jobs) // size))
        start = (min(page, last) - 1) * size
        fields = set(filter(None, call.query.get("fields", "").split(",")))
        chosen = [
            {name: value for name, value in job.items() if not fields or name in fields}
            for job in jobs[start : start + size]
        ]
        return Reply(chosen)

    @route("POST", "/jobs/{id}/cancel")
    def cancel(self, call: Call) -> Reply:
        """Cancel a job that waits, or ask one that runs to end."""
        with self.lock:
            job = self._job(call)
            if job.status not in ("submitted", "ready", "running", "cancelling", "cancelled"):
                raise refused(404, f"{job.id} job is not in valid status for cancellation")
            if job.status == "running":
                job.reach("cancelling")
            elif job.status != "cancelling":
                job.reach("cancelled")
        return Reply({"message": "cancel request accepted"})

    # --- storage --------------------------------------------------------------------------------

    @route("POST", "/storage/upload")
    def upload(self, call: Call) -> Reply:
        """A form: first the fields that were given, all of them, then one file."""
        parts = read_form(call.headers.get("content-type", ""), call.body)
        names = [part.name for part in parts]
        fields = {part.name: part.content.decode() for part in parts[:-1]}
        fine = names and names[-1] == "file" and set(fields) == {"key", *_FORM}
        if not fine or any(fields[name] != value for name, value in _FORM.items()):
            raise Refusal(403, "<Error><Code>AccessDenied</Code></Error>")
        with self.lock:
            job = self._jobs[fields["key"].partition("/")[0]]
            job.files["input"] = parts[-1].content
        return Reply(status=204)

    @route("GET", "/storage/{id}/{file}")
    def file(self, call: Call) -> Reply:
        """A file, for whoever has the link."""
        if not call.query.get("signature"):
            raise Refusal(403, "<Error><Code>AccessDenied</Code></Error>")
        owner, name = call.path["id"], call.path["file"].removesuffix(".zip")
        if name == "device_info":
            content = zipped(name, json.loads(DEVICES[owner]["device_info"]))
        else:
            content = self._jobs[owner].files[name]
        return Reply(content, content_type="application/zip")

    # --- running --------------------------------------------------------------------------------

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        super().__exit__(*error)

    def _job(self, call: Call) -> _Job:
        job = self._jobs.get(call.path["id"])
        if job is None:
            raise refused(404, "job not found with the given id")
        return job

    def _run(self, job: _Job) -> None:
        if not self._step(job, "ready") or not self._step(job, "running"):
            return
        with self.lock:
            self.executions.update({job.id: 1, job.request.get("name") or "": 1})
        self._closed.wait(self.run_seconds)
        with self.lock:
            if job.status == "cancelling":
                job.reach("cancelled")
                return
        request = job.request
        try:
            content = unzipped(job.files["input"])
            result = run_job(request["job_type"], content, request, DEVICES[request["device_id"]])
        except JobError as error:
            with self.lock:
                job.message = str(error)
                job.reach("failed")
            return
        with self.lock:
            job.files["result"] = zipped("result", result)
            job.reach("cancelled" if job.status == "cancelling" else "succeeded")

    def _step(self, job: _Job, status: str) -> bool:
        with self.lock:
            if job.status in _ENDED:
                return False
            job.reach(status)
            return True
