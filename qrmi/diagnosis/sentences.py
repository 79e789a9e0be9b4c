"""What each event of the journal says, as a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qrmi.tasks import TaskStatus

__all__ = ["is_bad", "is_known", "sentence", "text"]


def text(fields: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    """A field as text; ``otherwise`` when it is absent or empty."""
    value = fields.get(name)
    return otherwise if value in (None, "") else str(value)


def _intent(fields: Mapping[str, Any]) -> str:
    attempt = fields.get("attempt", 1)
    again = f", attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else ""
    return f"about to send a program ({text(fields, 'format', 'unknown format')}){again}"


def _ended(fields: Mapping[str, Any]) -> str:
    word = text(fields, "status", "ended").lower()
    reason = text(fields, "failure")
    return f"{word}: {reason}" if reason else word


def _failed(fields: Mapping[str, Any]) -> str:
    step, error = text(fields, "step", "a call"), text(fields, "error", "error")
    return f"{step} ended in {error}: {text(fields, 'message')}"


def _acquired(fields: Mapping[str, Any]) -> str:
    owner = fields.get("owner")
    about = owner if isinstance(owner, Mapping) else {}
    who = [f"{word} {about[word]}" for word in ("host", "pid", "job") if about.get(word)]
    verb = "given by the job" if fields.get("borrowed") else "acquired"
    return verb + (f" ({', '.join(who)})" if who else "")


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "intent": _intent,
    "created": lambda f: f"the service made task {text(f, 'task')}; its program comes next",
    "lost": lambda f: f"the answer was lost: {text(f, 'reason', 'no reason given')}",
    "started": lambda f: f"the service took it as task {text(f, 'task')}",
    "refused": lambda f: f"refused: {text(f, 'reason', 'no reason given')}",
    "uncertain": lambda f: f"given up, not sent again: {text(f, 'reason')}".rstrip(": "),
    "seen": lambda f: f"seen {text(f, 'status').lower()}",
    "ended": _ended,
    "stopping": lambda _f: "asked to stop it",
    "failed": _failed,
    "acquired": _acquired,
    "released": lambda _f: "released",
}
_BAD = frozenset({"lost", "refused", "uncertain", "failed"})


def is_known(event: str) -> bool:
    """Whether this release knows events of that name."""
    return event in _WORDS


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """What an event that is known says."""
    return _WORDS[event](fields)


def is_bad(event: str, fields: Mapping[str, Any]) -> bool:
    """Whether an event is a failure."""
    return event in _BAD or (event == "ended" and text(fields, "status") == TaskStatus.FAILED.name)
