"""What Warden accounts for the jobs of a session: newer ones, to administrators. Pure.

Warden, its versions since 0.3.2: GET /accounting/jobs, a row for each job that has ended, in pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from qrmi.tasks import SessionUse
from qrmi.transport import JSON, Request, answer_field, join

__all__ = ["use_of_session"]

_PAGE = 100  # the most rows of one answer
_MOST_JOBS = 10_000
_FAILED = "ERROR"


class _Unnamed(Request):
    """A request whose URL holds a session's id: it is not shown."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The method and the path, without its query."""
        return f"{self.method} /accounting/jobs"


def _page(url: str, session: str, offset: int) -> Request:
    query = urlencode({"session_id": session, "limit": _PAGE, "offset": offset})
    where = f"{join(url, 'accounting', 'jobs')}?{query}"
    return _Unnamed("GET", where, headers=JSON)


def use_of_session(
    ask: Callable[[Request], Any | None], url: str, session: str
) -> SessionUse | None:
    """The sums of a session that has been revoked: its id in an access log opens nothing any more.

    Args:
        ask: sends a request; ``None`` where the server has no accounts, or not for this user.
        url: where Warden is.
        session: the session's id.

    Raises:
        UnexpectedAnswerError: the answer is none of Warden's.
    """
    rows: list[Any] = []
    for offset in range(0, _MOST_JOBS, _PAGE):
        answer = ask(_page(url, session, offset))
        if answer is None:
            return None
        page = answer_field(answer, "data", list)
        rows += page
        if len(page) < _PAGE:
            break
    return _summed(rows)


def _summed(rows: list[Any]) -> SessionUse:
    """Warden counts whole seconds."""

    def total(name: str) -> int:
        return sum(answer_field(row, name, int) for row in rows)

    return SessionUse(
        tasks=len(rows),
        failed=sum(answer_field(row, "status", str) == _FAILED for row in rows),
        shots=total("shots"),
        qpu_seconds=float(total("execution_time")),
        wait_seconds=float(total("wait_time")),
    )
