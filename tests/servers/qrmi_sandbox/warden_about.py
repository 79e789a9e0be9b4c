"""What a Warden says of itself and of its QPU."""

from __future__ import annotations

import threading
from typing import Any

from qrmi_sandbox.server import Call, Refusal, Reply, route
from qrmi_sandbox.warden_answers import fields
from qrmi_sandbox.warden_qpu import Qpu, specs

__all__ = ["AboutRoutes"]


class AboutRoutes:
    """Routes about the service; mixed into the server."""

    lock: threading.RLock
    qpu: Qpu
    generation: str
    is_old: bool
    described: bool
    is_accessible: bool
    message: str
    slots_total: int | None

    def needs_admin(self) -> None:
        """Refuse everyone but administrators."""
        raise NotImplementedError

    def used_slots(self) -> int:
        """Slots of the sessions that have not ended."""
        raise NotImplementedError

    def held_sessions(self) -> list[str]:
        """Ids of the sessions that have not ended."""
        raise NotImplementedError

    @route("GET", "/")
    def ping(self, _call: Call) -> Reply:
        """That it is there."""
        name = "The warden" if self.is_old else f"Warden {self.generation}"
        return Reply({"message": f"{name} is operational."})

    @route("GET", "/openapi.json")
    def openapi(self, _call: Call) -> Reply:
        """Its routes, where the site does not hide them."""
        if not self.described:
            return Reply({"detail": "Not Found"}, 404)
        return Reply(self._description())

    def _description(self) -> dict[str, Any]:
        routes = {"/jobs": {"post": {"summary": "Create Job"}}, "/sessions": {"post": {}}}
        if not self.is_old:
            text = "JobCreate.sequence can accept strings of Pulser or AHS sequences"
            routes["/jobs"]["post"]["description"] = text
            routes["/jobs/{id}/cancel"] = {"post": {}}
        info = {"title": "Warden API", "version": self.generation}
        return {"openapi": "3.1.0", "info": info, "paths": routes}

    @route("GET", "/accessible")
    def accessible(self, _call: Call) -> Reply:
        """Whether jobs are taken; advisory."""
        return Reply({"is_accessible": self.is_accessible, "message": self.message})

    @route("POST", "/accessible")
    def set_accessible(self, call: Call) -> Reply:
        """Say whether jobs are taken."""
        self.needs_admin()
        body = fields(call, is_accessible=bool, message=str)
        self.is_accessible, self.message = body["is_accessible"], body["message"]
        return self.accessible(call)

    @route("GET", "/qpu/specs")
    def specs(self, _call: Call) -> Reply:
        """The device: Pulser's AnalogDevice."""
        return Reply({"specs": specs()})

    @route("GET", "/qpu-slots")
    def slots(self, _call: Call) -> Reply:
        """How many slots are free."""
        if self.slots_total is None:
            raise Refusal(404, {"detail": "QPU slots are not configured."})
        used = self.used_slots()
        return Reply(
            {
                "qpu_slots_total": self.slots_total,
                "qpu_slots_used": used,
                "qpu_slots_available": max(self.slots_total - used, 0),
            }
        )

    @route("GET", "/status")
    def status(self, _call: Call) -> Reply:
        """The queue, for administrators."""
        self.needs_admin()
        with self.lock:
            pending = sum(job.status == "PENDING" for job in self.qpu.jobs)
            running = next((job for job in self.qpu.jobs if job.status == "RUNNING"), None)
            return Reply(
                {
                    "pending_jobs_count": pending,
                    "current_job": None if running is None else {"id": running.id},
                    "open_sessions": [{"id": session} for session in self.held_sessions()],
                }
            )
