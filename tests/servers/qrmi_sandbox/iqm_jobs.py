"""Jobs of the IQM sandbox."""

from __future__ import annotations

import datetime
import json
from typing import Any

import attrs

from qrmi_sandbox.iqm_devices import Machine
from qrmi_sandbox.iqm_run import run_request, too_long

__all__ = ["ENDED", "Job", "computed", "message"]

ENDED = frozenset({"completed", "failed", "cancelled"})
"""The statuses of jobs that have ended."""


@attrs.define(kw_only=True)
class Job:
    """One job; guarded by the server's lock."""

    id: str
    kind: str
    machine: Machine
    body: bytes
    tag: str | None
    status: str = "waiting"
    timeline: list[dict[str, Any]] = attrs.field(factory=list)
    errors: list[dict[str, Any]] = attrs.field(factory=list)
    messages: list[dict[str, Any]] = attrs.field(factory=list)
    artifacts: dict[str, bytes] = attrs.field(factory=dict)

    def reach(self, status: str, source: str = "iqm-server") -> None:
        """Take a step, which the timeline tells."""
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        entry = {"source": source, "status": status, "timestamp": moment.replace("+00:00", "Z")}
        self.timeline.append(entry)

    def waits_for(self, machine: Machine) -> bool:
        """Whether it is in the queue of a machine."""
        return self.machine is machine and self.status == "waiting"

    def answer(self, position: int | None) -> dict[str, Any]:
        """The job as the API gives it."""
        return {
            "id": self.id,
            "type": self.kind,
            "status": self.status,
            "qc": {"id": self.machine.id},
            "compilation": {"calibration_set_id": self.machine.calibration_id},
            "artifacts": [{"type": name} for name in self.artifacts],
            "messages": self.messages,
            "errors": self.errors,
            "queue_position": position,
            "timeline": self.timeline,
            "tag": self.tag,
        }


def computed(job: Job, request: Any) -> dict[str, bytes]:
    """Run a job and give its artifacts; raises `ValueError` with the reason when it fails."""
    if job.kind != "circuit":
        return {"sweep_results": b"\x0a\x00"}
    if too_long(request):
        raise ValueError("a circuit takes longer than its qubits keep their state")
    measured, counted = run_request(request)
    return {
        "measurements": json.dumps(measured).encode(),
        "measurement_counts": json.dumps(counted).encode(),
    }


def message(text: str, **more: str) -> dict[str, Any]:
    """A message or an error of a job."""
    return {"source": "iqm-station-control", "message": text, **more}
