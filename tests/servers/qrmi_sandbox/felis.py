"""Alice & Bob's Felis Cloud API, version 0.1.0, with ideal results from Aer."""

from __future__ import annotations

import base64
import datetime
import secrets
import ssl
import threading
import uuid
from collections import Counter
from typing import Any

import attrs

from qrmi_sandbox.felis_checks import (
    check_parameters,
    check_program,
    invalid,
    refused,
    target_named,
)
from qrmi_sandbox.felis_targets import TARGETS
from qrmi_sandbox.multipart import read_form
from qrmi_sandbox.qir_run import Program, QirError, read_qir, run_program
from qrmi_sandbox.server import Call, Reply, Server, route

__all__ = ["API_KEY", "FelisServer"]

API_KEY = base64.b64encode(b"sandbox:pass:word").decode()
"""The API key that the server takes."""

_JOB_KEYS = {"inputDataFormat", "outputDataFormat", "target", "inputParams"}
_ENDED = ("SUCCEEDED", "CANCELLED", "TIMED_OUT")


@attrs.define(kw_only=True)
class _Job:
    """One job; guarded by the server's lock."""

    id: str
    request: dict[str, Any]
    target: dict[str, Any]
    events: list[dict[str, str]] = attrs.field(factory=list)
    errors: list[dict[str, Any]] = attrs.field(factory=list)
    program: str | None = None
    output: str | None = None

    def reach(self, event: str) -> None:
        """Take a step. Times are UTC and do not say so, as the service's."""
        moment = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        self.events.append({"type": event, "createdAt": moment.isoformat()})

    @property
    def ended(self) -> bool:
        """Whether no more is to come."""
        last = self.events[-1]["type"]
        return last in _ENDED or last.endswith("_FAILED")

    def answer(self) -> dict[str, Any]:
        """The job as the API gives it, with more than clients ask for."""
        return {
            **self.request,
            "id": self.id,
            "name": None,
            "userName": "sandbox",
            "userId": "42",
            "organizationName": "acme",
            "events": list(self.events),
            "errors": self.errors,
        }


class FelisServer(Server):
    """Felis with the targets of `qrmi_sandbox.felis_targets`.

    Attributes:
        run_seconds: how long a job takes beyond its computation.
        executions: how often programs were run, by the job's id.
        api_key: the key that is taken; `expire_tokens` replaces it.
        health: what is said of each target: ``OK``, ``NOK`` or ``OFF``.
        headings: whether an output begins with a line of headings.
        shuffled: whether events are listed in another order than that of their times.
        last_event: put after the others of every job, for words that nobody knows.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port=port, tls=tls)
        self.run_seconds = 0.0
        self.executions: Counter[str] = Counter()
        self.api_key = API_KEY
        self.health = {target["name"]: "OK" for target in TARGETS}
        self.headings = False
        self.shuffled = False
        self.last_event: str | None = None
        self._jobs: dict[str, _Job] = {}
        self._closed = threading.Event()

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a configuration file that uses this server."""
        return {
            "name": name or "EMU:6Q:ROTATIONS",
            "type": "alice-bob-felis",
            "environment": {
                "QRMI_AB_FELIS_API_KEY": self.api_key,
                "QRMI_AB_FELIS_BASE_ENDPOINT": self.url,
            },
        }

    def expire_tokens(self) -> None:
        """Take the present key no more."""
        self.api_key = base64.b64encode(f"sandbox:{secrets.token_hex(8)}".encode()).decode()

    def jobs(self) -> dict[str, str]:
        """The latest event of every job that the service knows, by id."""
        with self.lock:
            return {job.id: job.events[-1]["type"] for job in self._jobs.values()}

    def program_texts(self) -> dict[str, str]:
        """The program of every job by the id under which `executions` counts it."""
        with self.lock:
            return {job.id: job.program or "" for job in self._jobs.values()}

    def check(self, call: Call) -> None:
        """Credentials."""
        if call.headers.get("authorization") != f"Basic {self.api_key}":
            raise refused(401, "Invalid API key")

    def unknown(self, call: Call) -> Reply:
        """Paths without the trailing slash are sent to those with it; others are not there."""
        if call.raw_path in ("/v1/jobs", "/v1/targets"):
            return Reply(status=307, headers={"location": f"{self.url}{call.raw_path}/"})
        return Reply({"detail": "Not Found"}, 404)

    # --- targets --------------------------------------------------------------------------------

    @route("GET", "/v1/health/")
    def alive(self, call: Call) -> Reply:
        """Whether the API works."""
        return Reply('"OK"')

    @route("GET", "/v1/targets/")
    def targets(self, call: Call) -> Reply:
        """All targets of the account."""
        return Reply(TARGETS, content_type="application/json; charset=utf-8")

    @route("GET", "/v1/targets/{target}/health")
    def target_health(self, call: Call) -> Reply:
        """One word, as a JSON string."""
        return Reply(f'"{self.health[target_named(call.path["target"])["name"]]}"')

    @route("GET", "/v1/targets/{target}/availabilities")
    def availabilities(self, call: Call) -> Reply:
        """Planned availabilities, the latest first."""
        name = target_named(call.path["target"])["name"]
        entry = {
            "enabled": self.health[name] != "OFF",
            "message": "Maintenance until noon" if self.health[name] == "OFF" else None,
            "id": "a-1",
            "target": name,
            "createdAt": "2026-01-01T00:00:00",
        }
        return Reply([entry][: int(call.query.get("limit", 10))])

    # --- jobs -----------------------------------------------------------------------------------

    @route("POST", "/v1/jobs/")
    def create(self, call: Call) -> Reply:
        """Make a job that waits for its input."""
        if not call.headers.get("content-type", "").startswith("application/json"):
            raise refused(415, "a job is JSON")
        request = call.json()
        if not isinstance(request, dict) or set(request) != _JOB_KEYS:
            raise invalid(["body"], f"expected exactly {sorted(_JOB_KEYS)}")
        if (request["inputDataFormat"], request["outputDataFormat"]) != ("HUMAN_QIR", "HISTOGRAM"):
            raise invalid(["body", "inputDataFormat"], "unknown format")
        target = target_named(request["target"])
        check_parameters(request["inputParams"], target["inputParams"])
        job = _Job(id=str(uuid.uuid4()), request=request, target=target)
        job.reach("CREATED")
        with self.lock:
            self._jobs[job.id] = job
        return Reply(job.answer())

    @route("POST", "/v1/jobs/{id}/input")
    def upload(self, call: Call) -> Reply:
        """Take the program, once, and run it."""
        fields = read_form(call.headers.get("content-type", ""), call.body)
        if [(field.name, field.filename is not None) for field in fields] != [("input", True)]:
            raise invalid(["body", "input"], "expected one file called input")
        with self.lock:
            job = self._job(call)
            if job.program is not None or job.ended:
                raise refused(409, f"Job {job.id} has an input already")
            if not fields[0].content.strip():
                raise invalid(["body", "input"], "the input is empty")
            job.program = fields[0].content.decode()
            job.reach("FETCHING_INPUT")
            answer = job.answer()
        threading.Thread(target=self._run, args=(job,), daemon=True).start()
        return Reply(answer)

    @route("GET", "/v1/jobs/{id}")
    def job(self, call: Call) -> Reply:
        """One job with its events."""
        with self.lock:
            answer = self._job(call).answer()
        if self.last_event:
            far = {"type": self.last_event, "createdAt": "2999-01-01T00:00:00"}
            answer["events"].append(far)
        if self.shuffled:
            answer["events"].reverse()
        return Reply(answer)

    @route("GET", "/v1/jobs/{id}/output")
    def output(self, call: Call) -> Reply:
        """The histogram of a job that succeeded."""
        with self.lock:
            job = self._job(call)
            if job.output is None:
                raise refused(409, f"Job {job.id} has no output")
            return Reply(job.output, content_type="text/plain; charset=utf-8")

    @route("GET", "/v1/jobs/{id}/input")
    @route("GET", "/v1/jobs/{id}/transpiled")
    def program(self, call: Call) -> Reply:
        """The program as it was uploaded; nothing is changed in it before it runs."""
        with self.lock:
            job = self._job(call)
            if job.program is None:
                raise refused(409, f"Job {job.id} has no input")
            return Reply(job.program, content_type="text/plain; charset=utf-8")

    @route("GET", "/v1/jobs/{id}/metrics")
    def metrics(self, call: Call) -> Reply:
        """How long the computation took."""
        with self.lock:
            self._job(call)
            return Reply({"simulation_duration_ns": int(self.run_seconds * 1e9)})

    @route("DELETE", "/v1/jobs/{id}")
    def cancel(self, call: Call) -> Reply:
        """Cancel a job that has not ended."""
        with self.lock:
            job = self._job(call)
            if job.ended:
                raise refused(409, f"Job {job.id} cannot be cancelled anymore")
            job.reach("CANCELLED")
            return Reply(job.answer())

    # --- running --------------------------------------------------------------------------------

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        super().__exit__(*error)

    def _job(self, call: Call) -> _Job:
        job = self._jobs.get(call.path["id"])
        if job is None:
            raise refused(404, "Job not found")
        return job

    def _run(self, job: _Job) -> None:
        """Take a job through its steps, until it ends or is cancelled."""
        step = "COMPILATION"
        try:
            self._reach(job, "INPUT_READY", "COMPILING")
            program = read_qir(job.program or "")
            step = "TRANSPILATION"
            self._reach(job, "COMPILED", "TRANSPILING")
            check_program(program, job.target)
            step = "EXECUTION"
            self._reach(job, "TRANSPILED", "EXECUTING")
            self._closed.wait(self.run_seconds)
            self._execute(job, program)
        except QirError as error:
            content = {"code": "OperationNotSupported", "message": str(error)}
            with self.lock:
                job.errors.append({"content": content})
            self._reach(job, f"{step}_FAILED")

    def _execute(self, job: _Job, program: Program) -> None:
        with self.lock:
            if job.ended:
                return
            self.executions[job.id] += 1
        counts = run_program(program, job.request["inputParams"]["nbShots"])
        lines = ["memory,count"] if self.headings else []
        lines += [f"{outcome},{count}" for outcome, count in counts.items()]
        with self.lock:
            if not job.ended:
                job.output = "\n".join(lines) + "\n"
                job.reach("SUCCEEDED")

    def _reach(self, job: _Job, *events: str) -> None:
        with self.lock:
            for event in events:
                if not job.ended:
                    job.reach(event)
