"""Policy above a transport: credentials, repeats, redirects, and what a status means."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote, urljoin

import attrs

from qrmi.errors import ConfigError, QrmiError, UnexpectedAnswerError
from qrmi.secrecy.scrubbing import Hidden
from qrmi.transport.auth import Auth, HeaderItems
from qrmi.transport.messages import Headers, Request, Response, Timeout
from qrmi.transport.outcomes import (
    PERHAPS_DONE,
    REPEATABLE,
    ProblemReader,
    SendError,
    error_of,
    retry_after,
    unreachable,
)
from qrmi.transport.request_ids import request_ids
from qrmi.transport.settings import HttpConfig
from qrmi.transport.urls import origin_of
from qrmi.waiting import Clock, Deadline, SystemClock, request_deadline

__all__ = ["Client", "Transport"]

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 10.0
_LONGEST_RETRY_AFTER_SECONDS = 30.0
_SHORTEST_READ_SECONDS = 0.05
_MOST_REDIRECTS = 5
_LONGEST_KEPT_BYTES = 4096
_MOST_KNOWN_HEADERS = 64
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_IN_URLS = "%/:?#[]@!$&'()*+,;=~"
_NO_URL = "the service redirects to what is no URL"


class Transport(Protocol):
    """Sends one request once. Safe to use from several threads."""

    def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
        """The answer, whatever its status; redirects are answers.

        Raises:
            SendError: there was none.
        """


@attrs.define
class _Course:
    """One call under way: what it may still spend, and whether an answer was lost on the way."""

    deadline: Deadline
    lost: SendError | None = None
    attempt: int = 0
    renewed: bool = False
    redirects: int = 0
    request_ids: tuple[str, ...] = ()


def _shortened(timeout: Timeout, latest: Deadline) -> Timeout:
    """The same where there is time enough."""
    left = max(latest.shorten(timeout.read_seconds), _SHORTEST_READ_SECONDS)
    if left >= timeout.read_seconds:
        return timeout
    return Timeout(min(timeout.connect_seconds, left), left)


def _must_be_sendable(request: Request, headers: HeaderItems) -> None:
    """Refuse what would end a header, or be another one; the value is not shown."""
    for name, value in headers:
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(
                f"{request.name}: the value of header {name} has characters that no header takes",
                hint="a key, token or name in the configuration may end with a line break, or have "
                "letters with accents; `qrmi config check` names them",
            )


class Client:
    """Sends a driver's requests and turns what goes wrong into our errors.

    Args:
        transport: what carries them.
        config: time-outs and the budget.
        auth: credentials, or ``None``.
        headers: sent with every request.
        problem: reads the vendor's error bodies.
        clock: what deadlines are measured by, and pauses made with.
        resource_id: the resource that errors are about.
    """

    def __init__(
        self,
        transport: Transport,
        config: HttpConfig,
        *,
        auth: Auth | None = None,
        headers: HeaderItems = (),
        problem: ProblemReader | None = None,
        clock: Clock | None = None,
        resource_id: str | None = None,
    ) -> None:
        self._resource_id = resource_id
        self._transport = transport
        self._config = config
        self._auth = auth
        self._own: Callable[[], HeaderItems] = tuple if auth is None else auth.headers
        self._headers = headers
        self._problem = problem
        self._clock = clock or SystemClock()
        longest = config.budget_seconds  # of a first attempt too
        self._timeout = Timeout(
            min(config.connect_seconds, longest), min(config.read_seconds, longest)
        )
        self._known: dict[tuple[HeaderItems, HeaderItems, bool], Headers] = {}
        self._last: tuple[object, object, Headers] = (None, None, Headers(()))

    def json(self, request: Request) -> Any:
        """`send`, and the answer's body as JSON; see `polled` for whose it is."""
        response, known = self.send(request), request.known
        if known is None:
            return response.json()
        if response.body == known[0]:
            return known[1]
        value = response.json()
        if len(response.body) <= _LONGEST_KEPT_BYTES:
            request.known = response.body, value
        return value

    def send(self, request: Request) -> Response:
        """Send a request until there is an answer or the budget is spent.

        Repeated are only requests that are idempotent; any is sent once more when credentials
        were refused and there are new ones. Redirects are followed with the same method, and to
        another host without headers, credentials and body.

        Raises:
            QrmiError: as the table of `qrmi.transport.outcomes` has it. Its cause is a `SendError`
                that was ``sent`` when the service may have done what one of the repeats asked.
        """
        begun = self._clock.monotonic()
        credentials = self._own() if request.authorized else ()
        timeout = self._timeout
        if request.hold_seconds:
            read_seconds = timeout.read_seconds + request.hold_seconds
            timeout = Timeout(timeout.connect_seconds, read_seconds)
        latest = request_deadline()
        if latest is not None:
            timeout = _shortened(timeout, latest)
        last = self._last  # most requests go with the headers of the one before
        if last[0] is request.headers and last[1] is credentials and request.authorized:
            headers = last[2]
        else:
            headers = self._merged(request, credentials)
        try:
            response = self._transport.send(request, headers, timeout)
        except SendError as failure:
            return self._resend(request, credentials, failure, begun)
        if response.status < 300 or response.status in request.accept:
            return response
        return self._resend(request, credentials, response, begun)

    # --- headers ------------------------------------------------------------------------------

    def _merged(self, request: Request, credentials: HeaderItems) -> Headers:
        key = (request.headers, credentials, request.authorized)
        known = self._known.get(key)
        if known is None:
            own = self._headers if request.authorized else ()
            names = {name for name, _ in request.headers}
            kept = tuple(item for item in own if item[0] not in names)
            items = (*kept, *request.headers, *credentials)
            _must_be_sendable(request, items)
            known = Headers(items)
            if request.authorized and (self._auth is None or self._auth.lasting):
                if len(self._known) >= _MOST_KNOWN_HEADERS:
                    self._known.clear()
                self._known[key] = known
        if key in self._known:
            self._last = (request.headers, credentials, known)
        return known

    # --- what comes after a first attempt that gave no good answer -----------------------------

    def _resend(
        self,
        request: Request,
        credentials: HeaderItems,
        outcome: Response | SendError,
        begun: float,
    ) -> Response:
        budget = self._config.budget_seconds + request.hold_seconds
        ends = begun + budget
        latest = request_deadline()
        if latest is not None:
            ends = min(ends, self._clock.monotonic() + latest.shorten(budget))
        course = _Course(Deadline(self._clock, ends))
        while True:
            if isinstance(outcome, Response):
                if outcome.status < 300 or outcome.status in request.accept:
                    return outcome
                if outcome.status in _REDIRECTS:
                    request = self._redirected(request, outcome, course)
                elif not self._is_worth_resending(request, outcome, credentials, course):
                    raise self._error_of(request, outcome) from course.lost
            else:
                self._pause_after(request, outcome, course)
            credentials = self._own() if request.authorized else ()
            outcome = self._attempt(request, credentials, course)

    def _attempt(
        self, request: Request, credentials: HeaderItems, course: _Course
    ) -> Response | SendError:
        read_seconds = self._config.read_seconds + request.hold_seconds
        usual = Timeout(self._config.connect_seconds, read_seconds)
        timeout = _shortened(usual, course.deadline)
        try:
            return self._transport.send(request, self._merged(request, credentials), timeout)
        except SendError as failure:
            return failure

    def _is_worth_resending(
        self, request: Request, response: Response, credentials: HeaderItems, course: _Course
    ) -> bool:
        """Whether to send again after this status; has paused when it says so."""
        if response.status == 401 and self._auth and request.authorized and not course.renewed:
            course.renewed = True
            return self._auth.renew(credentials)
        if not request.idempotent or response.status not in REPEATABLE:
            return False
        reason = f"status {response.status}"
        course.request_ids = request_ids(response)
        if response.status in PERHAPS_DONE:
            course.lost = SendError(reason, sent=True)
        return self._paused(request, reason, retry_after(response), course)

    def _pause_after(self, request: Request, failure: SendError, course: _Course) -> None:
        if failure.sent:
            course.lost = failure
        may_repeat = request.idempotent and not failure.permanent
        if not may_repeat or not self._paused(request, failure.reason, None, course):
            raise unreachable(
                request,
                failure,
                resource_id=self._resource_id,
                request_ids=course.request_ids,
            ) from course.lost or failure

    def _error_of(self, request: Request, response: Response) -> QrmiError:
        return error_of(request, response, self._problem, resource_id=self._resource_id)

    def _paused(
        self, request: Request, reason: str, wanted_seconds: float | None, course: _Course
    ) -> bool:
        """Pause before another attempt; false when attempts or time are used up."""
        course.attempt += 1
        pause = min(
            self._config.first_pause_seconds * 2.0 ** (course.attempt - 1), _LONGEST_PAUSE_SECONDS
        )
        pause *= random.uniform(0.5, 1.0)  # so that many clients do not come back at once
        if wanted_seconds is not None:
            pause = max(wanted_seconds, pause)
        if course.attempt >= self._config.most_attempts or pause > _LONGEST_RETRY_AFTER_SECONDS:
            return False
        if course.deadline.shorten(pause) < pause:
            return False
        _log.debug("%s: %s; attempt %d", request.name, reason, course.attempt + 1)
        self._clock.sleep(pause)
        return True

    # --- redirects ----------------------------------------------------------------------------

    def _redirected(self, request: Request, response: Response, course: _Course) -> Request:
        course.redirects += 1
        location = Hidden(response.header("location") or "")  # it may quote credentials
        if not location or course.redirects > _MOST_REDIRECTS:
            raise UnexpectedAnswerError(
                f"{request.name}: the service sends this request in circles or nowhere",
                task_id=request.task_id,
            )
        url = self._joined(request.url, location)
        same_host = self._same_host(request.url, url)
        keeps_method = request.method in ("GET", "HEAD") or response.status in (307, 308)
        if not keeps_method or (request.body is not None and not same_host):
            raise self._error_of(request, response)
        return request.to(url, same_host=same_host)

    @staticmethod
    def _joined(url: str, location: str) -> str:
        """Where a ``Location`` leads; what no URL may hold is percent-encoded."""
        with contextlib.suppress(ValueError):
            return Hidden(urljoin(url, quote(location.encode("latin-1", "replace"), safe=_IN_URLS)))
        raise UnexpectedAnswerError(_NO_URL)

    @staticmethod
    def _same_host(old: str, new: str) -> bool:
        with contextlib.suppress(QrmiError):
            return origin_of(old).lower() == origin_of(new).lower()
        raise UnexpectedAnswerError(_NO_URL)
