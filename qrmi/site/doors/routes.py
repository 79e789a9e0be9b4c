"""The daemon's routes: what each takes, who may use it, and which part answers.

A route gets an `Ask` and gives a JSON value. docs/qrmid.md is the reference for others.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import attrs

from qrmi.errors import InvalidInputError, Owner, UnsupportedFunctionError
from qrmi.site.books.summing import WAYS
from qrmi.site.doors.lanes import Lanes
from qrmi.site.doors.peers import Peer
from qrmi.site.doors.waiters import Waiters
from qrmi.site.parts import Parts
from qrmi.site.terms import Job, Want

__all__ = ["LONGEST_WAIT_SECONDS", "Ask", "Route", "Routes"]

_T = TypeVar("_T")

LONGEST_WAIT_SECONDS = 300.0
"""How long one request may wait for a resource."""

SMALL_BODY = 256 * 1024
LARGE_BODY = 64 * 1024 * 1024
_ANY = "*"  # what a request for any resource waits for its turn at
_MOST_PATIENT = 32
_OF_A_JOB = ("scheduler", "cluster", "id")


@attrs.frozen(kw_only=True)
class Ask:
    """A request whose sender is known.

    Attributes:
        peer: who sends it.
        body: its JSON object; empty where there is none.
        query: the values behind ``?``.
        place: the parts of the path that the route names.
        is_gone: whether the sender has hung up.
        raw: the body as it came, where the route takes it so.
    """

    peer: Peer
    body: dict[str, Any]
    query: Mapping[str, str]
    place: Mapping[str, str]
    is_gone: Callable[[], bool]
    raw: bytes = attrs.field(default=b"", repr=False)

    def text(self, key: str, default: str | None = None) -> str:
        """A text of the body.

        Raises:
            InvalidInputError: it is absent, without a default, or no text.
        """
        value = self.body.get(key, default)
        if not isinstance(value, str):
            raise InvalidInputError(f"{key} must be a text")
        return value

    def number(self, key: str, default: float | None) -> float | None:
        """A number of the body; absent and ``null`` give the default.

        Raises:
            InvalidInputError: it is none.
        """
        value = self.body.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInputError(f"{key} must be a number")
        if not math.isfinite(value):
            raise InvalidInputError(f"{key} must be a number")
        return float(value)


@attrs.frozen(kw_only=True)
class Route:
    """One method of one address.

    Attributes:
        method, path: as aiohttp writes them.
        handle: gives the JSON value, or a `Packed`.
        largest_body: in bytes.
        is_packed: whether it takes its body as it came, and answers with a `Packed`.
    """

    method: str
    path: str
    handle: Callable[[Ask], Awaitable[Any]]
    largest_body: int = SMALL_BODY
    is_packed: bool = False


class Routes:
    """What the daemon answers to. Belongs to one event loop.

    Args:
        parts: who answers.
        begin: called first in each thread that does no vendor's work.
    """

    def __init__(self, parts: Parts, begin: Callable[[], None] | None = None) -> None:
        self._parts = parts
        self.quick = Lanes("quick", threads=8, begin=begin)
        self._lending = Lanes("lending", threads=64, of_one=8, begin=begin)
        self._ending = Lanes("ending", threads=64, begin=begin)
        self._driving = Lanes("driving", threads=128, of_one=16)
        self._telling = Lanes("telling", threads=8)
        self.waiters = Waiters()

    def close(self) -> None:
        """No call begins any more."""
        for lanes in (self.quick, self._lending, self._ending, self._driving, self._telling):
            lanes.close()

    def table(self) -> list[Route]:
        """All of them but ``/health`` and ``/metrics``."""
        return [
            Route(method="POST", path="/v1/leases", handle=self._acquire),
            Route(method="POST", path="/v1/leases/end", handle=self._end),
            Route(method="GET", path="/v1/leases", handle=self._leases),
            Route(method="POST", path="/v1/environment", handle=self._environment),
            Route(method="GET", path="/v1/resources", handle=self._resources),
            Route(method="POST", path="/v1/resources/{name}/drain", handle=self._drain),
            Route(method="POST", path="/v1/resources/{name}/resume", handle=self._resume),
            Route(method="GET", path="/v1/usage", handle=self._usage),
            Route(
                method="POST",
                path="/v1/drivers/{name}/{method}",
                handle=self._driver,
                largest_body=LARGE_BODY,
                is_packed=True,
            ),
        ]

    async def _acquire(self, ask: Ask) -> Any:
        ask.peer.must_be_admin("lending a resource")
        job, want = Job.from_json(ask.body.get("job")), Want.from_json(ask.body.get("want"))
        if job.submitted is None:
            raise InvalidInputError("job.submitted is absent: it tells jobs with the same id apart")
        wait = ask.number("wait_seconds", 0.0) or 0.0
        once = functools.partial(self._parts.leases.acquire, job, want)
        answer = await self.waiters.until_settled(
            lambda: self._lending.run(once, want.names or (_ANY,)),
            min(max(wait, 0.0), LONGEST_WAIT_SECONDS),
            ask.is_gone,
        )
        return answer.as_json()

    async def _end(self, ask: Ask) -> Any:
        ask.peer.must_be_admin("ending a lease")
        job, why = Job.from_json(ask.body.get("job")), ask.text("why", "")
        leases = self._parts.leases
        # The fence is what counts: where many wait for vendors, it does not wait for its turn.
        patience = 0.0 if self._ending.running >= _MOST_PATIENT else None
        end = functools.partial(leases.end, job, why, patience_seconds=patience)
        return (await self._ending.run(end)).as_json()

    async def _leases(self, ask: Ask) -> Any:
        leases = self._parts.leases
        wanted = {key: ask.query[key] for key in _OF_A_JOB if key in ask.query}
        place = "/".join(wanted.values()) if len(wanted) == len(_OF_A_JOB) else None
        rows = await self.quick.run(lambda: [each.as_json() for each in leases.leases(place)])
        rows = [r for r in rows if all(r["job"][key] == wanted[key] for key in wanted)]
        return [r for r in rows if ask.peer.is_admin or r["job"]["uid"] == ask.peer.uid]

    async def _environment(self, ask: Ask) -> Any:
        part = _part(self._parts.environments, "environments of jobs")
        caller = -1 if ask.peer.is_admin else ask.peer.uid
        named = {key: ask.text(key) for key in ("scheduler", "cluster", "id")}
        return await self.quick.run(lambda: part.for_job(**named, caller=caller))

    async def _resources(self, ask: Ask) -> Any:
        return await self._rows()

    async def _drain(self, ask: Ask) -> Any:
        ask.peer.must_be_admin("draining a resource")
        part = _part(self._parts.resources, "draining")
        name, by = ask.place["name"], f"uid {ask.peer.uid}"
        reason, until = ask.text("reason"), ask.number("until", None)
        if not reason.strip():
            raise InvalidInputError("reason must not be empty: users see it")
        await self._telling.run(lambda: part.drain(name, reason, until, by))
        return await self._row(name)

    async def _resume(self, ask: Ask) -> Any:
        ask.peer.must_be_admin("resuming a resource")
        part = _part(self._parts.resources, "resuming")
        await self._telling.run(lambda: part.resume(ask.place["name"]))
        self.waiters.changed()
        return await self._row(ask.place["name"])

    async def _row(self, name: str) -> Any:
        rows = await self._rows()
        return next((row for row in rows if row.get("name") == name), {"name": name})

    async def _rows(self) -> list[dict[str, Any]]:
        part = _part(self._parts.resources, "a list of resources")
        return await self.quick.run(lambda: [each.as_json() for each in part.standings()])

    async def _usage(self, ask: Ask) -> Any:
        part = _part(self._parts.books, "usage")
        by, since = ask.query.get("by", "user"), ask.query.get("since")
        if by not in WAYS:
            raise InvalidInputError(f"by must be one of {', '.join(WAYS)}, not {by[:40]!r}")
        uid = None if ask.peer.is_admin else ask.peer.uid
        begin = _epoch(since)
        return await self._telling.run(lambda: part.usage(by=by, since=begin, uid=uid))

    async def _driver(self, ask: Ask) -> Any:
        part = _part(self._parts.gateway, "calls of drivers")
        call = functools.partial(
            part.call,
            caller=ask.peer.uid,
            resource=ask.place["name"],
            method=ask.place["method"],
            body=ask.raw,
        )
        return await self._driving.run(call, (ask.place["name"],))


def _part(part: _T | None, what: str) -> _T:
    if part is None:
        raise UnsupportedFunctionError(f"this qrmid has no {what}", owner=Owner.SITE)
    return part


def _epoch(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInputError(f"since must be epoch seconds, not {text[:40]!r}")
    return value
