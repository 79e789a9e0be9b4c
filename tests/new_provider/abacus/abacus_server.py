"""The Abacus' service on loopback, for tests: strict on what it is sent, with true results."""

from __future__ import annotations

import threading
import uuid

from qrmi.payloads import QiskitPrimitive
from qrmi_local.gates.run import run
from qrmi_sandbox.server import Call, Refusal, Reply, Server, route

DEVICE = {
    "backend_name": "abacus",
    "backend_version": "1.0.0",
    "n_qubits": 4,
    "basis_gates": ["cz", "rz", "sx", "x"],
    "supported_instructions": ["cz", "rz", "sx", "x", "measure", "reset", "delay"],
    "gates": [],
    "coupling_map": [[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2]],
    "simulator": False,
    "local": False,
    "conditional": False,
    "open_pulse": False,
    "memory": True,
    "max_shots": 10000,
    "dt": 1.0,
}


class AbacusServer(Server):
    """Jobs run one after the other in a thread each; the first word of a job is its state."""

    token = "abacus-token"

    def __init__(self, **options):
        super().__init__(**options)
        self.jobs = {}
        self._turn = threading.Lock()

    def resource(self, name=None):
        environment = {"ABACUS_ENDPOINT": self.url, "ABACUS_TOKEN": self.token}
        return {"name": name or "abacus", "type": "abacus", "environment": environment}

    def check(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, {"why": "a token is needed"})

    @route("GET", "/v1/device")
    def device(self, _call: Call) -> Reply:
        waiting = sum(job["state"] == "waiting" for job in list(self.jobs.values()))
        return Reply({"online": True, "waiting": waiting, "device": DEVICE})

    @route("POST", "/v1/jobs")
    def create(self, call: Call) -> Reply:
        body = call.json()
        if not isinstance(body, dict) or body.keys() != {"program", "input", "name"}:
            raise Refusal(422, {"why": "a job has program, input and name"})
        job = {"id": uuid.uuid4().hex, "state": "waiting", "why": "", **body}
        with self.lock:
            self.jobs[job["id"]] = job
        threading.Thread(target=self._work, args=(job,), daemon=True).start()
        return Reply({"id": job["id"]}, 201)

    @route("GET", "/v1/jobs/{id}")
    def look(self, call: Call) -> Reply:
        job = self._job(call)
        return Reply({name: job[name] for name in ("id", "state", "why")})

    @route("GET", "/v1/jobs/{id}/result")
    def result(self, call: Call) -> Reply:
        job = self._job(call)
        if job["state"] != "done":
            raise Refusal(409, {"state": job["state"], "why": job["why"]})
        return Reply(job["result"])

    @route("DELETE", "/v1/jobs/{id}")
    def stop_job(self, call: Call) -> Reply:
        with self.lock:
            job = self._job(call)
            if job["state"] in ("waiting", "running"):
                job["state"] = "stopped"
        return Reply(status=204)

    def _job(self, call: Call) -> dict:
        if call.path["id"] not in self.jobs:
            raise Refusal(404, {"why": "no such job"})
        return self.jobs[call.path["id"]]

    def _work(self, job: dict) -> None:
        with self._turn:
            if not self._goes_on(job, "waiting", state="running"):
                return
            try:
                result = run(QiskitPrimitive(job["input"], job["program"]))
            except Exception as error:
                self._goes_on(job, "running", state="error", why=f"{type(error).__name__}")
            else:
                self._goes_on(job, "running", state="done", result=result)

    def _goes_on(self, job: dict, expected: str, **changes) -> bool:
        with self.lock:
            is_so = job["state"] == expected
            if is_so:
                job.update(changes)
            return is_so
