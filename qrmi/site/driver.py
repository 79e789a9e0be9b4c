"""A resource whose credentials a site keeps: its driver is a client of the site's daemon."""

from __future__ import annotations

import functools
import http.client
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import attrs

from qrmi.driver import Driver
from qrmi.errors import (
    AnswerLostError,
    AuthenticationFailedError,
    InvalidInputError,
    QrmiError,
    ResourceUnavailableError,
)
from qrmi.interchange.verbs import Verbs
from qrmi.payloads import Payload, digest
from qrmi.settings import Secret, Settings, setting
from qrmi.site.client import SiteClient
from qrmi.site.gateway import packing
from qrmi.waiting import Clock, Deadline, SystemClock, next_interval

__all__ = ["GatewaySettings", "SiteDriver", "driver_of_site"]

_T = TypeVar("_T")
_SENT_ONCE = frozenset({"task_start", "task_create", "task_submit", "batch_start", "batch_add"})
_SHORTEST_PAUSE_SECONDS = 0.05
_REPLAYED = "replayed"  # how the daemon refuses a credential that it has seen
_clock = SystemClock()


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e7:
        raise ValueError("expected a positive number of seconds")
    return value


@attrs.frozen(kw_only=True)
class GatewaySettings(Settings):
    """What a job is told of a resource that it reaches through the site's daemon.

    Attributes:
        gateway: that it is so.
        token: the job's own, good for its user, this resource, and as long as its lease lasts.
            Without it tasks of the same user can be looked at, and none can be started.
        socket: the daemon's socket, where it is on this host.
        url: the daemon's address, where it is not.
        munge_socket: where munged listens.
        budget_seconds: how long the daemon is tried while it cannot be reached.
        answer_seconds: how long one answer is waited for, beyond what the vendor may take.
    """

    gateway: bool = setting(
        "QRMI_SITE_GATEWAY",
        default=False,
        convert=bool,
        help="Whether the site's daemon keeps the credentials. A scheduler sets it.",
    )
    token: Secret | None = setting(
        "QRMI_JOB_ACQUISITION_TOKEN",
        default=None,
        convert=Secret,
        help="The job's token. A scheduler sets it.",
    )
    socket: str | None = setting(
        "QRMI_SITE_SOCKET", shared=True, default=None, help="The socket of the site's daemon."
    )
    url: str | None = setting(
        "QRMI_SITE_URL",
        shared=True,
        default=None,
        help="The address of the site's daemon for hosts without that socket.",
    )
    munge_socket: str | None = setting(
        "QRMI_SITE_MUNGE_SOCKET",
        shared=True,
        default=None,
        help="Socket of munged, when it is not in its usual place.",
    )
    budget_seconds: float = setting(
        "QRMI_SITE_BUDGET_SECONDS",
        shared=True,
        default=30.0,
        convert=_seconds,
        help="How long the site's daemon is tried while it cannot be reached, in seconds.",
    )
    answer_seconds: float = setting(
        "QRMI_SITE_ANSWER_SECONDS",
        shared=True,
        default=60.0,
        convert=_seconds,
        help="How long an answer of the site's daemon is waited for, in seconds, beyond what the "
        "vendor's service may take.",
    )


class SiteDriver(Verbs):
    """A driver that asks the site's daemon. Made by `driver_of_site`; opens nothing.

    It takes what the vendor's driver takes and can what that one can. Questions are repeated while
    the daemon is away, for a new one takes the place of one that was killed; what starts a task is
    sent once, and a lost answer is for the handle to make good.

    Attributes:
        VENDOR: the driver that the daemon asks.
        TYPE_NAME: the resource's type, as files spell it.
    """

    VENDOR: ClassVar[type[Driver]]
    TYPE_NAME: ClassVar[str]
    PAYLOADS = frozenset()
    SETTINGS = GatewaySettings
    settings: GatewaySettings

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id, settings)
        self._lent_as = self.VENDOR.SETTINGS.prefix(resource_id)
        self._told: Mapping[str, float | None] | None = None
        self._findable: tuple[str, bool] = ("", False)

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (self.TYPE_NAME, self.resource_id, self.settings)

    def close(self) -> None:
        """Nothing stays open between calls."""

    @functools.cached_property
    def _client(self) -> SiteClient:
        given = self.settings
        return SiteClient(
            socket_path=Path(given.socket) if given.socket else None,
            url=given.url or "",
            munge_socket=given.munge_socket or "",
        )

    # --- what needs no asking -------------------------------------------------------------------

    def _ask(self, method: str, arguments: dict[str, Any]) -> Any:
        if method == "is_borrowed":
            return arguments["token"] == self._token
        if method == "release":
            return self._released(arguments["token"])
        default = getattr(Driver, method)
        if method != "acquire" and getattr(self.VENDOR, method) is default:
            return default(self, **arguments)  # the vendor's driver has nothing of its own to say
        answer = self._asked(method, arguments)
        return self._token if method == "acquire" else answer

    @property
    def _token(self) -> str:
        token = self.settings.token
        return "" if token is None else token.reveal()

    def _released(self, token: str) -> None:
        """The lease is the job's: the scheduler gives it back when the job ends."""
        if not token:
            raise InvalidInputError("release needs the token that acquire gave")

    def can_find(self, payload: Payload) -> bool:
        """As the vendor's driver; asked where that depends on the payload."""
        if self.VENDOR.can_find is Driver.can_find:
            return self.CAPABILITIES.idempotency_key
        content = digest(payload)
        known, answer = self._findable
        if known != content:
            answer = bool(self._asked("can_find", {"payload": payload}))
            self._findable = (content, answer)
        return answer

    def mark_of(self, payload: Payload, key: str) -> str:
        """As the vendor's driver; empty when the daemon cannot be asked now."""
        if self.VENDOR.mark_of is Driver.mark_of:
            return ""
        try:
            return str(self._asked("mark_of", {"payload": payload, "key": key}))
        except QrmiError:
            return ""

    @property
    def settle_seconds(self) -> float | None:
        """As the daemon's driver says, asked once; ``None`` while it cannot be asked."""
        try:
            return self._described()["settle"]
        except QrmiError:
            return None

    @property
    def sending_seconds(self) -> float:
        """The daemon's driver's, and the time that the daemon itself may be away."""
        try:
            sending = self._described()["sending"] or 0.0
        except QrmiError:
            sending = Driver.sending_seconds.fget(self)  # type: ignore[attr-defined]
        return float(sending) + self.settings.budget_seconds

    def _described(self) -> Mapping[str, float | None]:
        if self._told is None:
            self._told = self._asked("describe", {})
        return self._told

    # --- asking ---------------------------------------------------------------------------------

    def _asked(self, method: str, arguments: Mapping[str, Any]) -> Any:
        request = {"token": self._token, "name": self.resource_id, "arguments": arguments}
        body = packing.Packed(request)
        path = f"/v1/drivers/{quote(self._lent_as, safe='')}/{method}"
        hold = float(arguments.get("timeout_seconds", 0.0))
        if method in _SENT_ONCE and self._told is not None:
            hold = self._told["sending"] or 0.0

        def send() -> Any:
            with self._client.exchange(
                path,
                body,
                length=body.length,
                content_type=packing.CONTENT_TYPE,
                answer_seconds=self.settings.answer_seconds + hold,
            ) as answer:
                return packing.unpacked_from(answer)

        return self._until_reached(send, is_sent_once=method in _SENT_ONCE)

    def _until_reached(self, send: Callable[[], _T], *, is_sent_once: bool) -> _T:
        clock: Clock = self.clock or _clock
        deadline = Deadline.after(self.settings.budget_seconds, clock)
        begun = clock.monotonic()
        while True:
            try:
                return send()
            except AuthenticationFailedError as error:
                if not is_sent_once or _REPLAYED not in error.message:
                    raise
                raise _doubled(error) from error
            except ResourceUnavailableError as error:
                is_lost = isinstance(error, AnswerLostError)
                if not _is_of_the_way(error) or (is_lost and is_sent_once):
                    raise
                if deadline.passed:
                    raise _unreached(error) from error
            waited = clock.monotonic() - begun
            clock.sleep(deadline.shorten(next_interval(waited, _SHORTEST_PAUSE_SECONDS)))


def _is_of_the_way(error: QrmiError) -> bool:
    """Whether the connection failed; otherwise the daemon itself said so."""
    return isinstance(error.__cause__, OSError | http.client.HTTPException)


def _doubled(error: QrmiError) -> AnswerLostError:
    """The daemon has seen this very request before: somebody on the way sent it twice."""
    return AnswerLostError(f"the daemon's first answer was lost: {error.message}")


def _unreached(error: QrmiError) -> ResourceUnavailableError:
    """The same for who asked in vain: a question changes nothing, so no answer was lost."""
    return ResourceUnavailableError(error.message, owner=error.owner, hint=error.hint)


@functools.cache
def driver_of_site(vendor: type[Driver], type_name: str) -> type[SiteDriver]:
    """The class of a resource type's drivers that ask the site's daemon.

    Args:
        vendor: the type's own driver; it is not made, so that no credentials are needed.
        type_name: the type, as files spell it.
    """
    about = {
        "VENDOR": vendor,
        "TYPE_NAME": type_name,
        "PAYLOADS": vendor.PAYLOADS,
        "CAPABILITIES": vendor.CAPABILITIES,
        "__module__": __name__,
        "__doc__": SiteDriver.__doc__,
    }
    made: type[SiteDriver] = type("SiteDriver", (SiteDriver,), about)
    return made


def _revive(type_name: str, resource_id: str, settings: GatewaySettings) -> Driver:
    from qrmi import plugins

    return plugins.site_class(type_name)(resource_id, settings)
