"""What all drivers that speak HTTP share."""

from __future__ import annotations

import functools
import logging
import threading
from typing import Any, ClassVar

from qrmi.driver import Driver
from qrmi.errors import ConfigError, MissingExtraError
from qrmi.settings import Settings
from qrmi.transport.auth import Auth, HeaderItems
from qrmi.transport.client import Client, Transport
from qrmi.transport.messages import Response
from qrmi.transport.outcomes import Problem
from qrmi.transport.settings import HttpConfig, HttpSettings
from qrmi.waiting import Clock

__all__ = ["HttpDriver", "transport_for"]

_log = logging.getLogger(__name__)


@functools.lru_cache(maxsize=64)
def transport_for(settings: HttpConfig) -> Transport:
    """The transport of a configuration; equal ones share it, and so its connections.

    Raises:
        MissingExtraError: the setting asks for libcurl and pycurl cannot be loaded.
    """
    if settings.transport != "requests":
        try:
            from qrmi.transport.curl import CurlTransport

            return CurlTransport(settings)
        except ImportError as error:
            if settings.transport == "curl":
                raise MissingExtraError(
                    f"pycurl cannot be loaded: {error}", hint="pip install 'openqrmi[fast]'"
                ) from error
    from qrmi.transport.sessions import RequestsTransport

    return RequestsTransport(config=settings)


class HttpDriver(Driver):
    """A driver whose service is reached over HTTP.

    A subclass builds a `Request` with a pure function, sends it through `client`, and reads the
    answer with a pure function. Nothing is opened before the first request.

    Attributes:
        HEADERS: sent with every request to the service, but not to presigned URLs.
    """

    SETTINGS: ClassVar[type[Settings]] = HttpSettings
    HEADERS: ClassVar[HeaderItems] = ()
    settings: HttpSettings
    _is_checked = False

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id, settings)
        if not isinstance(settings, HttpSettings):
            raise ConfigError(f"settings of {type(self).__name__} derive from HttpSettings")
        self._transport: Transport | None = None
        self._client: Client | None = None
        self._anonymous: Client | None = None
        self._making = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.resource_id, self.settings, self._transport)

    def use(self, transport: Transport, *, clock: Clock | None = None) -> None:
        """Send requests through another transport from now on: a caller's session, a test's.

        ``clock`` is what repeats pause with; a test's makes them take no time.
        """
        with self._making:
            self._transport = transport
            self.clock = clock
            self._client = self._anonymous = None
            self._is_checked = False

    def auth(self) -> Auth | None:
        """The credentials of requests; asked for once. None by default."""
        return None

    @staticmethod
    def problem(response: Response) -> Problem | None:
        """What the service's error body says; a pure function. Nothing by default."""
        return None

    def close(self) -> None:
        """Close idle connections, those of equally configured resources too."""
        close = getattr(self.transport, "close", None)  # a transport need not keep connections
        if close is not None:
            close()

    @property
    def transport(self) -> Transport:
        """What carries the requests."""
        return self._transport or transport_for(self.settings.http_config())

    @property
    def client(self) -> Client:
        """Sends requests with this driver's credentials."""
        return self._client or self._made()

    @property
    def anonymous(self) -> Client:
        """Sends requests without credentials: to token services, to storage."""
        if self._anonymous is None:
            self._warn_if_insecure()
            self._anonymous = Client(
                self.transport, self._config(), clock=self.clock, resource_id=self.resource_id
            )
        return self._anonymous

    @property
    def settle_seconds(self) -> float | None:
        """As the settings say, else as the vendor's; where absence proves nothing, ``None``."""
        usual = self.CAPABILITIES.settle_seconds
        chosen = self.settings.start_settle_seconds
        return usual if usual is None or chosen is None else chosen

    @property
    def sending_seconds(self) -> float:
        """The budget of a call; a start in two steps makes several."""
        return self.settings.http_budget_seconds * (3 if self.CAPABILITIES.two_step else 1)

    def _warn_if_insecure(self) -> None:
        """Once a handle, before its first request."""
        insecure = getattr(self.transport, "insecure", self.settings.http_insecure)
        if insecure and not self._is_checked:
            _log.warning(
                "%s: certificates of TLS connections are NOT verified (QRMI_HTTP_INSECURE, or "
                "verify=False of a session): others can read the credentials and change results",
                self.resource_id,
            )
        self._is_checked = True

    def _made(self) -> Client:
        auth = self.auth()
        self._warn_if_insecure()
        with self._making:
            if self._client is None:
                self._client = Client(
                    self.transport,
                    self._config(),
                    auth=auth,
                    headers=self.HEADERS,
                    problem=self.problem,
                    clock=self.clock,
                    resource_id=self.resource_id,
                )
            return self._client

    def _config(self) -> HttpConfig:
        return self.settings.http_config()


def _revive(
    kind: type[HttpDriver], resource_id: str, settings: Any, transport: Transport | None
) -> HttpDriver:
    driver = kind(resource_id, settings)
    if transport is not None:
        driver.use(transport)
    return driver
