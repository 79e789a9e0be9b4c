"""How a resource stands, and how it comes to stand so from what is seen of it; pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from qrmi.errors import (
    ConfigError,
    MissingExtraError,
    QrmiError,
    UnsupportedResourceTypeError,
)
from qrmi.site.terms import Message
from qrmi.site.watching.drains import Drain
from qrmi.site.watching.switching import Absence
from qrmi.tasks import ResourceStatus, ResourceStatusCode

__all__ = ["History", "Seen", "Standing", "State", "free_lines", "of_account", "seen"]

_LONGEST_REASON = 200
_AT_ONCE = (ConfigError, MissingExtraError, UnsupportedResourceTypeError)


class State(enum.StrEnum):
    """Whether jobs can have a resource."""

    ONLINE = "online"
    OFFLINE = "offline"
    PAUSED = "paused"
    DRAINED = "drained"
    UNKNOWN = "unknown"
    """Nobody could look at it yet."""


_STATES = {
    ResourceStatusCode.ONLINE: State.ONLINE,
    ResourceStatusCode.OFFLINE: State.OFFLINE,
    ResourceStatusCode.PAUSED: State.PAUSED,
}
_AWAY = (State.OFFLINE, State.PAUSED, State.DRAINED)


@attrs.frozen(kw_only=True)
class Standing(Message):
    """A resource as people and schedulers are told of it.

    Attributes:
        name: its name; type: as files spell it.
        state: whether jobs can have it.
        reason: why not, in the vendor's or the site's words; empty when there is nothing to say.
        since: since when, epoch seconds, as far as this daemon has seen.
        until: when it is expected back; ``None`` when nobody said.
        slots: how many slots may be held; used: how many are.
        looked: when its service answered last, epoch seconds; ``None`` for never.
        pending: tasks that wait at its service; ``None`` when it does not say.
    """

    name: str
    type: str
    state: State = attrs.field(converter=State)
    reason: str = ""
    since: float = 0.0
    until: float | None = None
    slots: int = 1
    used: int = 0
    looked: float | None = None
    pending: int | None = None

    @property
    def is_away(self) -> bool:
        """Whether jobs have to wait; one that is not known is tried."""
        return self.state in _AWAY

    @property
    def text(self) -> str:
        """State and reason in one line."""
        return f"{self.state.value}: {self.reason}" if self.reason else self.state.value

    @property
    def absence(self) -> Absence | None:
        """What a scheduler's switch is told; ``None`` when jobs can have it."""
        return Absence(reason=self.text, until=self.until) if self.is_away else None


@attrs.frozen(kw_only=True)
class Seen:
    """What one look saw.

    Attributes:
        state: what the service says; ``None`` when the look failed.
        reason: its words, or why the look failed.
        at_once: a failed look that no later one mends, such as a missing setting.
        pending: tasks that wait there.
    """

    state: State | None = None
    reason: str = ""
    at_once: bool = False
    pending: int | None = None


def seen(answer: ResourceStatus | Exception) -> Seen:
    """What an answer, or an error in its place, means."""
    if isinstance(answer, QrmiError):
        reason = _line(answer.message) or type(answer).__name__
        return Seen(reason=reason, at_once=isinstance(answer, _AT_ONCE))
    if isinstance(answer, Exception):
        return Seen(reason=f"its driver failed: {type(answer).__name__}")
    reason = _line(answer.status_reason or "")
    if answer.status is ResourceStatusCode.ONLINE:
        reason = "not healthy by its service's account" if answer.healthy is False else ""
    return Seen(state=_STATES[answer.status], reason=reason, pending=answer.pending_job_count)


def _line(text: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:_LONGEST_REASON]


@attrs.frozen(kw_only=True)
class History:
    """What is remembered of the looks at one resource.

    Attributes:
        state: how it stands by its service's account.
        reason: its words, or why it cannot be reached.
        since: since when, epoch seconds.
        looked: when it was last seen; ``None`` for never.
        failures: looks that failed since then.
        pending: tasks that waited there.
    """

    state: State = State.UNKNOWN
    reason: str = ""
    since: float = 0.0
    looked: float | None = None
    failures: int = 0
    pending: int | None = None

    def after(self, look: Seen, now: float, patience: int) -> History:
        """The history after one more look.

        What the service says counts at once. A look that fails is no outage until ``patience`` of
        them failed one after the other.
        """
        if look.state is not None:
            since = self.since if look.state is self.state else now
            return History(
                state=look.state, reason=look.reason, since=since, looked=now, pending=look.pending
            )
        failures = self.failures + 1
        if failures < patience and not look.at_once:
            return attrs.evolve(self, failures=failures)
        return attrs.evolve(
            self,
            state=State.OFFLINE,
            reason=look.reason,
            since=self.since if self.state is State.OFFLINE else now,
            failures=failures,
            pending=None,
        )

    def standing(
        self, *, name: str, type_name: str, slots: int, used: int, drain: Drain | None
    ) -> Standing:
        """The resource as others are told of it; a drain covers what its service says."""
        return Standing(
            name=name,
            type=type_name,
            state=State.DRAINED if drain else self.state,
            reason=drain.reason if drain else self.reason,
            since=drain.since if drain else self.since,
            until=drain.until if drain else None,
            slots=slots,
            used=used,
            looked=self.looked,
            pending=self.pending,
        )


def of_account(devices: Mapping[str, ResourceStatus | QrmiError]) -> ResourceStatus:
    """The status of an account: online when one of its devices is.

    Else paused when one is paused, else offline; the reason names the devices. The queue is the
    shortest of those online.

    Raises:
        QrmiError: none answered: the first one's error.
    """
    told = {n: s for n, s in devices.items() if isinstance(s, ResourceStatus)}
    if devices and not told:
        raise next(s for s in devices.values() if isinstance(s, QrmiError))
    online = [s for s in told.values() if s.status is ResourceStatusCode.ONLINE]
    if online:
        queues = [s.pending_job_count for s in online if s.pending_job_count is not None]
        return ResourceStatus(
            ResourceStatusCode.ONLINE, pending_job_count=min(queues, default=None)
        )
    if not told:
        return ResourceStatus(ResourceStatusCode.OFFLINE, status_reason="it has no device")
    paused = any(s.status is ResourceStatusCode.PAUSED for s in told.values())
    return ResourceStatus(
        ResourceStatusCode.PAUSED if paused else ResourceStatusCode.OFFLINE,
        status_reason="no device is online: " + ", ".join(_words(n, s) for n, s in told.items()),
    )


def _words(name: str, status: ResourceStatus) -> str:
    reason = f" ({status.status_reason})" if status.status_reason else ""
    return f"{name} is {status.status.name.lower()}{reason}"


def free_lines(standings: list[Standing], written: float) -> str:
    """The file that a submission filter reads: ``name state slots used`` a line.

    The first line, ``# written EPOCH``, lets its reader tell that nobody writes it any more. A
    name with blanks is left out.
    """
    told = [s for s in standings if len(s.name.split()) == 1 and not s.name.startswith("#")]
    lines = [f"{each.name} {each.state.value} {each.slots} {each.used}" for each in told]
    return "\n".join([f"# written {written:.0f}", *lines, ""])
