"""IQM Server, version 1 of its API, with results from Aer."""

from __future__ import annotations

import secrets
import ssl
import threading
import uuid
from collections import Counter
from typing import Any

from qrmi_sandbox.iqm_devices import DEVICES, Machine
from qrmi_sandbox.iqm_jobs import ENDED, Job, computed, message
from qrmi_sandbox.iqm_run import check_request, delayed_seconds
from qrmi_sandbox.server import Call, Refusal, Reply, Server, route

__all__ = ["TOKEN", "IQMServer"]

TOKEN = "sandbox-iqm-token"
"""The token that the server takes."""

_API = "/api/v1"
_HOLD_QUERY = {"wait_until_terminal", "timeout_seconds"}


class IQMServer(Server):
    """IQM Server with the quantum computers of `qrmi_sandbox.iqm_devices`.

    Attributes:
        run_seconds: how long a job takes beyond its computation: a quarter of it waiting. Delays in
            its circuits come on top, once for each shot.
        executions: how often jobs were run, by id and by tag.
        token: the token that is taken; `expire_tokens` replaces it.
        holds: whether requests with ``wait_until_terminal`` are held.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port=port, tls=tls)
        self.run_seconds = 0.0
        self.executions: Counter[str] = Counter()
        self.token = TOKEN
        self.holds = True
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition(self.lock)

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a configuration file that uses this server."""
        return {
            "name": name or "garnet",
            "type": "iqm-server",
            "environment": {
                "QRMI_IQM_ISA_ENDPOINT": self.url,
                "QRMI_IQM_ISA_TOKEN": self.token,
                "QRMI_IQM_QC_ALIAS": "garnet",
            },
        }

    def expire_tokens(self) -> None:
        """Take the present token no more."""
        self.token = secrets.token_hex(8)

    def job_ids(self) -> list[str]:
        """Ids of the jobs that were taken, oldest first."""
        with self.lock:
            return list(self._jobs)

    def program_texts(self) -> dict[str, str]:
        """The program of every job by the id under which `executions` counts it."""
        with self.lock:
            return {job.id: job.body.decode() for job in self._jobs.values()}

    def check(self, call: Call) -> None:
        """Credentials, and no query that is not known."""
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise _refused(401, "unauthorized", "the token is missing, wrong or expired")

    def unknown(self, call: Call) -> Reply:
        """As the service answers paths that it does not have."""
        return Reply(_error("not_found", "no such path"), 404)

    # --- quantum computers ----------------------------------------------------------------------

    @route("GET", f"{_API}/quantum-computers")
    def computers(self, call: Call) -> Reply:
        """Those that the account can see."""
        listed = [machine.summary for machine in DEVICES.values()]
        return Reply({"quantum_computers": listed})

    @route("GET", f"{_API}/quantum-computers/{{qc}}")
    def computer(self, call: Call) -> Reply:
        """Details of one."""
        machine = _machine(call)
        with self.lock:
            queued = sum(job.waits_for(machine) for job in self._jobs.values())
        return Reply(machine.details(queued), content_type="application/json; charset=utf-8")

    @route("GET", f"{_API}/quantum-computers/{{qc}}/health")
    def health(self, call: Call) -> Reply:
        """Health of one."""
        return Reply(_machine(call).details(0)["health"])

    @route("GET", f"{_API}/quantum-computers/{{qc}}/artifacts/static-quantum-architectures")
    def static_architecture(self, call: Call) -> Reply:
        """A list of one; some machines have none."""
        machine = _machine(call)
        if not machine.has_static:
            raise _refused(404, "artifact_not_found", "no static architecture")
        return Reply(machine.static_architecture())

    @route("GET", f"{_API}/calibration-sets/{{qc}}/{{set}}")
    def calibration_set(self, call: Call) -> Reply:
        """Observations of a calibration set."""
        return Reply(_calibrated(call).calibration_set())

    @route("GET", f"{_API}/calibration-sets/{{qc}}/{{set}}/metrics")
    def metrics(self, call: Call) -> Reply:
        """Quality metrics of a calibration set."""
        return Reply(_calibrated(call).metrics())

    @route("GET", f"{_API}/calibration-sets/{{qc}}/{{set}}/dynamic-quantum-architecture")
    def dynamic_architecture(self, call: Call) -> Reply:
        """The architecture that a calibration set gives."""
        return Reply(_calibrated(call).architecture())

    # --- jobs -----------------------------------------------------------------------------------

    @route("POST", f"{_API}/jobs/{{id}}/cancel")
    def cancel(self, call: Call) -> Reply:
        """Cancel a job that has not ended."""
        with self._changed:
            job = self._job(call)
            if job.status in ENDED:
                raise _refused(409, "job_already_ended", f"the job is {job.status}")
            job.status = "cancelled"
            job.reach("cancelled")
            self._changed.notify_all()
            return Reply(job.answer(None))

    @route("POST", f"{_API}/jobs/{{qc}}/{{kind}}")
    def submit(self, call: Call) -> Reply:
        """Take a job and run it in a thread."""
        machine, kind = _machine(call), call.path["kind"]
        if kind not in ("circuit", "run", "sweep"):
            raise _refused(400, "bad_job_type", f"no job type {kind}")
        if call.headers.get("content-type", "").split(";")[0] != "application/json":
            raise _refused(415, "unsupported_media_type", "the body is not JSON")
        _check_submission(call.query)
        request = call.json()
        if kind == "circuit":
            check_request(request, machine)
        if machine.operational != "online":
            raise _refused(409, "quantum_computer_offline", "the quantum computer is offline")
        job = Job(
            id=str(uuid.uuid4()),
            kind=kind,
            machine=machine,
            body=call.body,
            tag=call.query.get("tag"),
        )
        with self._changed:
            job.reach("created")
            self._jobs[job.id] = job
            answer = job.answer(self._position(job))
        threading.Thread(target=self._run, args=(job, request), daemon=True).start()
        return Reply(answer, 201)

    @route("GET", f"{_API}/jobs/{{id}}")
    def job(self, call: Call) -> Reply:
        """A job, at its end if the request says so and the end is near."""
        unknown = set(call.query) - _HOLD_QUERY
        seconds = call.query.get("timeout_seconds", "10")
        if unknown or not seconds.isdigit() or int(seconds) > 30:
            raise _refused(400, "bad_request", "timeout_seconds is a number from 0 to 30")
        held = self.holds and call.query.get("wait_until_terminal") == "true"
        headers = {}
        with self._changed:
            job = self._job(call)
            if held and not self._changed.wait_for(lambda: job.status in ENDED, int(seconds)):
                headers = {"IQM-Long-Poll-Timed-Out": "true"}
            return Reply(job.answer(self._position(job)), headers=headers)

    @route("GET", f"{_API}/jobs/{{id}}/payload")
    def payload(self, call: Call) -> Reply:
        """The body that was submitted."""
        with self.lock:
            return Reply(self._job(call).body)

    @route("GET", f"{_API}/jobs/{{id}}/artifacts/{{type}}")
    def artifact(self, call: Call) -> Reply:
        """What a job gave."""
        with self.lock:
            found = self._job(call).artifacts.get(call.path["type"])
        if found is None:
            raise _refused(404, "job_artifact_not_found", "the job has no such artifact")
        return Reply(found)

    @route("DELETE", f"{_API}/jobs/{{id}}")
    def delete(self, call: Call) -> Reply:
        """Forget a job."""
        with self._changed:
            job = self._job(call)
            job.status = "cancelled" if job.status not in ENDED else job.status
            del self._jobs[job.id]
            self._changed.notify_all()
        return Reply(None, 204)

    # --- inside ---------------------------------------------------------------------------------

    def _job(self, call: Call) -> Job:
        job = self._jobs.get(call.path["id"])
        if job is None:
            raise _refused(404, "job_not_found", "no such job")
        return job

    def _position(self, job: Job) -> int | None:
        if job.status != "waiting":
            return None
        waiting = [other for other in self._jobs.values() if other.status == "waiting"]
        return waiting.index(job)

    def _run(self, job: Job, request: Any) -> None:
        self._pass(job, self.run_seconds / 4)
        if not self._reached(job, "processing"):
            return
        try:
            artifacts = computed(job, request)
        except ValueError as error:
            job.errors.append(message(str(error), error_code="circuit_too_long"))
            self._reached(job, "failed")
            return
        self._pass(job, self.run_seconds * 3 / 4 + delayed_seconds(request))
        self._reached(job, "completed", artifacts)

    def _pass(self, job: Job, seconds: float) -> None:
        """Let time pass, as long as the job has not ended."""
        with self._changed:
            self._changed.wait_for(lambda: job.status in ENDED, seconds)

    def _reached(self, job: Job, status: str, artifacts: dict[str, bytes] | None = None) -> bool:
        """Step on; false when the job was cancelled in the meantime."""
        with self._changed:
            if job.status in ENDED:
                return False
            job.status = status
            job.artifacts.update(artifacts or {})
            job.reach("ready" if status == "completed" else status)
            if status == "processing":
                job.reach("execution_started", "iqm-station-control")
                self.executions[job.id] += 1
                self.executions[job.tag or ""] += 1
            self._changed.notify_all()
            return True


def _check_submission(query: Any) -> None:
    if set(query) - {"use_timeslot", "tag"}:
        raise _refused(400, "bad_request", "unknown query")
    if query.get("use_timeslot", "true") not in ("true", "false"):
        raise _refused(400, "bad_request", "use_timeslot is true or false")
    if not len(query.get("tag", "")) <= 50:
        raise _refused(400, "bad_request", "a tag has at most 50 characters")


def _machine(call: Call) -> Machine:
    wanted = call.path["qc"]
    for machine in DEVICES.values():
        if wanted in (machine.alias, machine.id):
            return machine
    raise _refused(404, "quantum_computer_not_found", "no such quantum computer")


def _calibrated(call: Call) -> Machine:
    machine = _machine(call)
    if call.path["set"] not in ("default", machine.calibration_id):
        raise _refused(404, "calibration_set_not_found", "no such calibration set")
    return machine


def _error(code: str, message: str) -> dict[str, Any]:
    return {
        "error_code": code,
        "message": message,
        "request_id": secrets.token_hex(8),
        "details": None,
    }


def _refused(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, _error(code, message))
