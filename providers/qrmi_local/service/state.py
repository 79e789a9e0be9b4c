"""What is recorded of where a task is."""

from __future__ import annotations

import json

import attrs

from qrmi.tasks import TaskStatus

__all__ = ["State"]


@attrs.frozen(kw_only=True)
class State:
    """Where a task is.

    Attributes:
        status: its status.
        reason: why it failed; empty otherwise.
        queued_at, started_at, ended_at: seconds since 1970, ``None`` when not yet.
        attempts: how often it was begun.
    """

    status: TaskStatus
    reason: str = ""
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    attempts: int = 0

    def to_json(self) -> str:
        """One JSON object; the status by name."""
        values = {
            "status": self.status.name,
            "reason": self.reason,
            "queued_at": self.queued_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "attempts": self.attempts,
        }
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> State:
        """The inverse of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "status": TaskStatus[values["status"]]})
