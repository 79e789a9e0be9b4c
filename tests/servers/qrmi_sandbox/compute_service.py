"""IBM's compute service (``/api/v1``) with its identity service, and its devices on Aer."""

from __future__ import annotations

import ssl
import time
import uuid
from typing import Any

from qrmi_sandbox import ibm_devices
from qrmi_sandbox.compute_jobs import (
    FINAL,
    Job,
    JobRunner,
    Session,
    keys_must_be,
    matches,
    query_must_be,
    refusal,
    shown_job,
    shown_session,
)
from qrmi_sandbox.iam import API_KEY, IamMixin
from qrmi_sandbox.server import Call, Reply, Server, route

__all__ = ["CRN", "ComputeServiceServer", "RuntimeServiceServer"]

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:sandbox::"

_API = "/api/v1"
_JOB_KEYS = {
    *("program_id", "backend", "params", "log_level", "cost", "session_id", "tags", "private"),
    *("runtime", "calibration_id", "start_session", "session_time"),
}
_SESSION_KEYS = {"max_ttl", "mode", "backend", "backend_name", "instance"}
_LIST_KEYS = {
    *("limit", "offset", "pending", "backend", "session_id", "tags", "sort", "exclude_params"),
    *("program", "created_after", "created_before", "include_mocks"),
}
_MOST_LISTED = 200


class ComputeServiceServer(IamMixin, JobRunner, Server):
    """The compute service with four small devices.

    Attributes:
        ignores_offset: list the first page for every offset.
        devices: configuration, properties and status of each device.
    """

    TYPE = "ibm-quantum-compute-service"
    REQUEST_IDS = ("cf-ray",)
    FAMILY = "QRMI_IBM_QCS"

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        Server.__init__(self, port=port, tls=tls)
        JobRunner.__init__(self)
        self.ignores_offset = False
        self.devices = ibm_devices.sandbox_devices()

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a ``qrmi_config.json`` for one of the devices, or for a wide one."""
        wide, qubits = ibm_devices.WIDE
        if name == wide:
            self.devices.setdefault(wide, ibm_devices.device(wide, qubits, queue_length=0))
        return {
            "name": name or "test_heron",
            "type": self.TYPE,
            "environment": {
                f"{self.FAMILY}_ENDPOINT": self.url + _API,
                f"{self.FAMILY}_IAM_ENDPOINT": self.url,
                f"{self.FAMILY}_IAM_APIKEY": API_KEY,
                f"{self.FAMILY}_SERVICE_CRN": CRN,
            },
        }

    def check(self, call: Call) -> None:
        """Every request of the API needs a good token and the service instance's name."""
        if not call.raw_path.startswith(_API):
            return
        if not self.has_good_token(call):
            raise refusal(401, 1201, "Unable to authenticate: the access token is not valid")
        if call.headers.get("service-crn") != CRN:
            raise refusal(403, 1205, "No access to this service instance")
        if call.body and call.headers.get("content-type", "").split(";")[0] != "application/json":
            raise refusal(415, 1219, "the body must be JSON")

    def unknown(self, call: Call) -> Reply:
        """As the service says it."""
        raise refusal(404, 1290, "no such route")

    # --- devices ----------------------------------------------------------------------------------

    @route("GET", _API + "/backends")
    def backends(self, call: Call) -> Reply:
        """All devices; names alone for clients of the API's first version."""
        query_must_be(call, {"include_mocks", "fields"})
        if call.headers.get("ibm-api-version", "") < "2025-01-01":
            return Reply({"devices": list(self.devices)})
        return Reply({"devices": [device["listed"] for device in self.devices.values()]})

    @route("GET", _API + "/backends/{name}/status")
    def backend_status(self, call: Call) -> Reply:
        """Whether a device takes jobs."""
        listed = self._device(call)["listed"]
        online = listed["status"]["name"] == "online"
        return Reply(
            {
                "state": online,
                "status": "active" if online else listed["status"]["name"],
                "message": listed["status"]["reason"],
                "length_queue": listed["queue_length"],
                "backend_version": "1.0.0",
            },
            content_type="application/json; charset=utf-8",
        )

    @route("GET", _API + "/backends/{name}/configuration")
    def backend_configuration(self, call: Call) -> Reply:
        """What a device is."""
        return Reply(self._device(call)["configuration"])

    @route("GET", _API + "/backends/{name}/properties")
    def backend_properties(self, call: Call) -> Reply:
        """Its calibration; simulators have none."""
        found = self._device(call)["properties"]
        if found is None:
            raise refusal(404, 1216, "the backend has no properties")
        return Reply(found)

    def _device(self, call: Call) -> dict[str, Any]:
        device = self.devices.get(call.path["name"])
        if device is None:
            raise refusal(404, 1216, "Backend not found")
        return device

    @route("GET", _API + "/instances/usage")
    def usage(self, call: Call) -> Reply:
        """How much time the service instance has left: plenty."""
        return Reply(
            {
                "instance_id": CRN,
                "plan_id": "sandbox",
                "usage_consumed_seconds": 0,
                "usage_limit_seconds": 600,
                "usage_remaining_seconds": 600,
                "usage_limit_reached": False,
            }
        )

    # --- jobs -------------------------------------------------------------------------------------

    @route("POST", _API + "/jobs")
    def create_job(self, call: Call) -> Reply:
        """Queue a job."""
        body = call.json()
        keys_must_be(body, _JOB_KEYS, {"program_id", "backend", "params"})
        if body["backend"] not in self.devices:
            raise refusal(404, 1216, "Backend not found")
        job = self.new_job(body)
        self.enter_session(job.session, job.backend)
        self.queue(job)
        told = {"id": job.id, "backend": job.backend, "private": job.private, "messages": None}
        return Reply({**told, **({"session_id": job.session} if job.session else {})})

    @route("GET", _API + "/jobs")
    def list_jobs(self, call: Call) -> Reply:
        """Jobs that match, a page of them."""
        query_must_be(call, _LIST_KEYS)
        limit, offset = int(call.query.get("limit", 10)), int(call.query.get("offset", 0))
        if not 0 < limit <= _MOST_LISTED or offset < 0:
            raise refusal(400, 1219, f"limit must be 1 to {_MOST_LISTED}")
        wanted = [value for key, value in call.query_list if key == "tags"]
        with self.lock:
            found = [job for job in self.jobs.values() if matches(job, call.query, wanted)]
        if call.query.get("sort", "DESC") == "DESC":
            found.reverse()
        start = 0 if self.ignores_offset else offset
        with_params = call.query.get("exclude_params") != "true"
        return Reply(
            {
                "jobs": [shown_job(job, with_params) for job in found[start : start + limit]],
                "count": len(found),
                "limit": limit,
                "offset": offset,
            }
        )

    @route("GET", _API + "/jobs/{id}")
    def job(self, call: Call) -> Reply:
        """One job."""
        query_must_be(call, {"exclude_params"})
        return Reply(shown_job(self._job(call), call.query.get("exclude_params") != "true"))

    @route("GET", _API + "/jobs/{id}/results")
    def results(self, call: Call) -> Reply:
        """The result, as text; of a failed job what the program said last."""
        job = self._job(call)
        if job.status not in ("Completed", "Failed"):
            raise refusal(404, 1292, "Job results not found")
        return Reply(job.result, content_type="text/plain")

    @route("GET", _API + "/jobs/{id}/logs")
    def logs(self, call: Call) -> Reply:
        """The log, as text; nothing before there is any."""
        job = self._job(call)
        if not job.log:
            return Reply(None, 204)
        return Reply("\n".join(job.log), content_type="text/plain; charset=utf-8")

    @route("GET", _API + "/jobs/{id}/metrics")
    def metrics(self, call: Call) -> Reply:
        """Times of the job, which clients show."""
        self._job(call)
        return Reply({"timestamps": {}, "bss": {"seconds": 0}, "usage": {"quantum_seconds": 0}})

    @route("POST", _API + "/jobs/{id}/cancel")
    def cancel(self, call: Call) -> Reply:
        """Stop a job that has not ended."""
        job = self._job(call)
        with self.lock:
            if job.status in FINAL:
                raise refusal(409, 1306, "the job has ended and cannot be cancelled")
            self.end(job, "Cancelled", "the user cancelled the job")
        return Reply(None, 204)

    @route("DELETE", _API + "/jobs/{id}")
    def delete(self, call: Call) -> Reply:
        """Forget a job."""
        job = self._job(call)
        with self.lock:
            self.end(job, "Cancelled", "deleted")
            del self.jobs[job.id]
        return Reply(None, 204)

    def _job(self, call: Call) -> Job:
        job = self.jobs.get(call.path["id"])
        if job is None:
            raise refusal(404, 1291, "Job not found")
        return job

    # --- sessions ---------------------------------------------------------------------------------

    @route("POST", _API + "/sessions")
    def create_session(self, call: Call) -> Reply:
        """Begin a session."""
        body = call.json()
        keys_must_be(body, _SESSION_KEYS, {"mode"})
        backend = body.get("backend")
        if body["mode"] not in ("dedicated", "batch") or backend not in (None, *self.devices):
            raise refusal(400, 1219, "mode or backend is not known")
        if body.get("backend_name", backend) != backend:
            raise refusal(400, 1219, "backend and backend_name differ")
        longest = body.get("max_ttl", 28800)
        session = Session(
            id=f"sess-{uuid.uuid4()}",
            mode=body["mode"],
            backend=backend,
            max_seconds=longest,
            ends_at=time.monotonic() + longest,
        )
        self.sessions[session.id] = session
        return Reply(shown_session(session))

    @route("GET", _API + "/sessions/{id}")
    def session(self, call: Call) -> Reply:
        """One session."""
        return Reply(shown_session(self._session(call)))

    @route("PATCH", _API + "/sessions/{id}")
    def change_session(self, call: Call) -> Reply:
        """Let a session end once its jobs have."""
        session = self._session(call)
        body = call.json()
        keys_must_be(body, {"accepting_jobs"}, {"accepting_jobs"})
        with self.lock:
            session.accepts = bool(body["accepting_jobs"])
            if not session.accepts and not self.pending(session.id):
                session.state = "closed"
        return Reply(None, 204)

    @route("DELETE", _API + "/sessions/{id}/close")
    def close_session(self, call: Call) -> Reply:
        """End a session with its pending jobs."""
        session = self._session(call)
        with self.lock:
            session.accepts, session.state = False, "closed"
            for job in self.pending(session.id):
                self.end(job, "Cancelled", "the session was closed")
        return Reply(None, 204)

    def _session(self, call: Call) -> Session:
        session = self.sessions.get(call.path["id"])
        if session is None:
            raise refusal(404, 1217, "Session not found")
        return session


class RuntimeServiceServer(ComputeServiceServer):
    """The same service under the settings of the deprecated type."""

    TYPE = "qiskit-runtime-service"
    FAMILY = "QRMI_IBM_QRS"
