"""IBM's Quantum System API with its identity service and storage, and its systems on Aer."""

from __future__ import annotations

import queue
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from qrmi.errors import QrmiError
from qrmi_sandbox import ibm_devices, s3
from qrmi_sandbox.iam import API_KEY, IamMixin
from qrmi_sandbox.quantum_system_jobs import STORED, Job, check_job, refused
from qrmi_sandbox.s3 import S3Mixin
from qrmi_sandbox.server import Call, Refusal, Reply, Server, route

__all__ = ["CRN", "QuantumSystemServer"]

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:system::"

_HEADERS = {
    *("accept", "accept-encoding", "authorization", "connection", "content-length"),
    *("content-type", "host", "service-crn", "user-agent"),
}
_FINAL = ("Completed", "Failed", "Cancelled")


class QuantumSystemServer(IamMixin, S3Mixin, Server):
    """One service instance with four systems; storage and identity service at the same address.

    A job holds its lane until its record is removed. One job runs at a time; a job that waits says
    ``Running`` too, as it does on the real service.

    Attributes:
        jobs: records that have not been removed, by id.
        devices: each system's status, configuration and properties, by name.
        lanes: how many jobs may have a record at once.
        executions: how often a job was run, by id.
        run_seconds: how long a job takes at least.
        seconds_of: the same for a program, by its id.
        cancel_seconds: how long a job needs to end once it was cancelled.
        noise: whether results have the systems' errors.
        plain_results: answer in the plain schema whatever the input asks for.
        programs: what runs a program that is neither sampler nor estimator, by its id.
        failure: code, message and solution of a failure of the next job; ``None`` for none.
    """

    TYPE = "ibm-quantum-system"

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port=port, tls=tls)
        self.jobs: dict[str, Job] = {}
        self.devices = {
            "test_heron": _device("test_heron", 5),
            "test_eagle": _device("test_eagle", 7, locked=False, message="calibrated today"),
            "test_paused": _device("test_paused", 9, status="paused", message="maintenance"),
            "test_simulator": _device("test_simulator", 8, simulator=True),
        }
        self.lanes = 5
        self.executions: Counter[str] = Counter()
        self.run_seconds = 0.0
        self.seconds_of: dict[str, float] = {}
        self.cancel_seconds = 0.0
        self.noise = False
        self.plain_results = False
        self.programs: dict[str, Callable[[str], str]] = {}
        self.failure: tuple[int | None, str | None, str | None] | None = None
        self._ids: set[str] = set()
        self._answers = 0
        self._work: queue.Queue[Job] = queue.Queue()
        self._worker: threading.Thread | None = None

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a ``qrmi_config.json`` for one of the systems; a new name adds a system."""
        name = name or "test_heron"
        self.devices.setdefault(name, _device(name, dict([ibm_devices.WIDE]).get(name, 5)))
        return {
            "name": name,
            "type": self.TYPE,
            "environment": {
                "QRMI_IBM_QS_ENDPOINT": self.url,
                "QRMI_IBM_QS_IAM_ENDPOINT": self.url,
                "QRMI_IBM_QS_IAM_APIKEY": API_KEY,
                "QRMI_IBM_QS_SERVICE_CRN": CRN,
                "QRMI_IBM_QS_AWS_ACCESS_KEY_ID": s3.ACCESS_KEY_ID,
                "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY": s3.SECRET_ACCESS_KEY,
                "QRMI_IBM_QS_S3_ENDPOINT": self.url,
                "QRMI_IBM_QS_S3_BUCKET": s3.BUCKET,
                "QRMI_IBM_QS_S3_REGION": s3.REGION,
                "QRMI_JOB_TIMEOUT_SECONDS": "600",
            },
        }

    def program_texts(self) -> dict[str, str]:
        """The program of every job by the id under which `executions` counts it."""
        with self.lock:
            names = {job: f"input_{job}.json" for job in self._ids}
        return {job: self.objects.get(name, b"").decode() for job, name in names.items()}

    def check(self, call: Call) -> None:
        """Every request of the API: a good token, the instance's name, no header too many."""
        if not call.raw_path.startswith("/v1/"):
            return
        if not self.has_good_token(call):
            raise refused(401, 1200, "The authentication token is not valid.")
        if call.headers.get("service-crn") != CRN:
            raise refused(403, 1202, "No access to this service instance.")
        if call.headers.get("accept") != "application/json" or call.query_list:
            raise refused(400, 1219, "a header or query parameter is not as it should be")
        if unknown := call.headers.keys() - _HEADERS:
            raise refused(400, 1219, f"unknown headers: {', '.join(sorted(unknown))}")

    def unknown(self, call: Call) -> Reply:
        """No such path."""
        return refused(404, 1200, "The path does not exist.").reply

    # --- systems --------------------------------------------------------------------------------

    @route("GET", "/v1/backends")
    def list_backends(self, call: Call) -> Reply:
        """Names and statuses."""
        return self._varied(
            {
                "backends": [
                    {"name": name, "status": d["status"]} for name, d in self.devices.items()
                ]
            }
        )

    @route("GET", "/v1/backends/{name}")
    def get_backend(self, call: Call) -> Reply:
        """One system's status."""
        name = call.path["name"]
        device = self._device(name)
        shown = {key: device[key] for key in ("locked", "message") if key in device}
        return self._varied({"name": name, "status": device["status"], "version": "1.2.3", **shown})

    @route("GET", "/v1/backends/{name}/lanes")
    def get_lanes(self, call: Call) -> Reply:
        """How many lanes each side has."""
        self._device(call.path["name"])
        return self._varied(
            {"hpc_workload_manager": {"lanes": self.lanes}, "ibm_quantum_compute": {"lanes": 2}}
        )

    @route("GET", "/v1/backends/{name}/configuration")
    def get_configuration(self, call: Call) -> Reply:
        """What it is."""
        return Reply(self._device(call.path["name"])["configuration"])

    @route("GET", "/v1/backends/{name}/properties")
    def get_properties(self, call: Call) -> Reply:
        """How well it is calibrated."""
        return Reply(self._device(call.path["name"])["properties"])

    # --- jobs -----------------------------------------------------------------------------------

    @route("GET", "/v1/jobs")
    def list_jobs(self, call: Call) -> Reply:
        """All records."""
        with self.lock:
            return self._varied({"jobs": [job.shown() for job in self.jobs.values()]})

    @route("POST", "/v1/jobs")
    def create_job(self, call: Call) -> Reply:
        """Start a job under the id that the caller made."""
        body = call.json()
        if call.headers.get("content-type", "").split(";")[0] != "application/json":
            raise refused(415, 1219, "the body must be JSON")
        check_job(body)
        with self.lock:
            if body["id"] in self._ids:
                raise refused(409, 1231, f"A job with the id {body['id']} exists.")
            self._admit(body)
            job = Job(**{"log_level": "warning", **body}, created=datetime.now(UTC))
            self.jobs[job.id] = job
            self._ids.add(job.id)
        self._work.put(job)
        self._ensure_worker()
        return Reply(status=204)

    @route("GET", "/v1/jobs/{id}")
    def get_job(self, call: Call) -> Reply:
        """One record."""
        with self.lock:
            return self._varied(self._job(call).shown())

    @route("POST", "/v1/jobs/{id}/cancel")
    def cancel_job(self, call: Call) -> Reply:
        """Ask a job to end; it says ``Running`` until it has."""
        with self.lock:
            job = self._job(call)
            if job.status in _FINAL:
                raise refused(409, 1306, "The job is not in a state that can be cancelled.")
            job.cancel.set()
        return Reply(status=204)

    @route("DELETE", "/v1/jobs/{id}")
    def delete_job(self, call: Call) -> Reply:
        """Remove the record of a job that has ended; its lane is free again."""
        with self.lock:
            job = self._job(call)
            if job.status not in _FINAL:
                raise refused(409, 1337, "A job cannot be deleted before it has ended.")
            del self.jobs[job.id]
        return Reply(status=204)

    # --- inside ---------------------------------------------------------------------------------

    def _device(self, name: str) -> dict[str, Any]:
        if name not in self.devices:
            raise refused(404, 1216, f"Backend {name} not found.")
        return self.devices[name]

    def _job(self, call: Call) -> Job:
        if call.path["id"] not in self.jobs:
            raise refused(404, 1291, "Job not found.")
        return self.jobs[call.path["id"]]

    def _admit(self, body: dict[str, Any]) -> None:
        """Refuse a job that cannot be taken now, or never."""
        device = self._device(body["backend"])
        if body["program_id"] not in ("sampler", "estimator", *self.programs):
            raise refused(400, 1219, f"The program {body['program_id']} is not known.")
        if device.get("locked"):
            raise refused(423, 1233, "The backend is reserved.")
        if len(self.jobs) >= self.lanes:
            raise refused(429, 1232, "All lanes are in use.")
        for name, method in STORED.items():
            try:
                self.check_presigned(method, body["storage"][name]["presigned_url"])
            except Refusal:
                raise refused(400, 1219, f"The URL of {name} is not good.") from None

    def _varied(self, body: dict[str, Any]) -> Reply:
        """An answer as it might come: keys of tomorrow, nulls, a content type with more to say."""
        self._answers += 1
        if self._answers % 2:
            body = {**body, "a_key_of_tomorrow": {"unknown": [1]}, "log_level": None}
            return Reply(body, content_type="application/json; charset=utf-8")
        return Reply(body)

    def _ensure_worker(self) -> None:
        with self.lock:
            if self._worker is None:
                self._worker = threading.Thread(target=self._run_all, daemon=True)
                self._worker.start()

    def _run_all(self) -> None:
        while True:
            job = self._work.get()
            try:
                self._run(job)
            except QrmiError as error:
                self._end(job, "Failed", (1517, error.message, "Correct the program."))
            except Refusal:
                self._end(job, "Failed", (1105, "The storage refused a URL.", None))
            except Exception as error:
                self._end(job, "Failed", (1000, f"{type(error).__name__}: {error}", None))

    def _run(self, job: Job) -> None:
        if seconds := self.seconds_of.get(job.program_id, self.run_seconds):
            job.cancel.wait(seconds)
        if job.cancel.is_set():
            if self.cancel_seconds:
                threading.Event().wait(self.cancel_seconds)
            self._end(job, "Cancelled")
            return
        self.executions[job.id] += 1
        if self.failure is not None:
            failure, self.failure = self.failure, None
            self._end(job, "Failed", failure)
            return
        log = [f"{job.program_id} on {job.backend}"]
        text = self.read_presigned(job.storage["input"]["presigned_url"]).decode()
        result = self._result(job, text, log.append)
        self.write_presigned(job.storage["logs"]["presigned_url"], "\n".join(log).encode())
        if job.cancel.is_set():
            self._end(job, "Cancelled")
            return
        self.write_presigned(job.storage["results"]["presigned_url"], result.encode())
        self._end(job, "Completed")

    def _result(self, job: Job, text: str, log: Callable[[str], None]) -> str:
        if job.program_id in self.programs:
            return self.programs[job.program_id](text)
        device = {key: self.devices[job.backend][key] for key in ("configuration", "properties")}
        result = ibm_devices.run_primitive(
            job.program_id, text, device=device, noise=self.noise, log=log
        )
        if self.plain_results and "__type__" in result:
            return ibm_devices.plain_form(result)
        return result

    def _end(
        self,
        job: Job,
        status: str,
        reason: tuple[int | None, str | None, str | None] = (None, None, None),
    ) -> None:
        with self.lock:
            job.status, job.reason, job.ended = status, reason, datetime.now(UTC)


def _device(name: str, qubits: int, *, simulator: bool = False, **status: Any) -> dict[str, Any]:
    return {
        "status": "online",
        **status,
        "configuration": ibm_devices.configuration(name, qubits, simulator=simulator),
        "properties": ibm_devices.properties(name, qubits),
    }
