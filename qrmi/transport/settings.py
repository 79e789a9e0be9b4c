"""What a resource's settings say of HTTP; one declaration governs every transport."""

from __future__ import annotations

from pathlib import Path

import attrs

from qrmi.settings import Secret, Settings, setting

__all__ = ["HttpConfig", "HttpSettings"]


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e7:
        raise ValueError("expected a positive number of seconds")
    return value


def _file(text: str) -> str:
    try:
        path = Path(text).expanduser()
        if path.exists():
            return str(path)
    except (OSError, RuntimeError, ValueError):
        pass  # a folder that may not be read, a user that is not known, a text that is no path
    raise ValueError("expected a file that exists")


def _transport(text: str) -> str:
    if text not in ("auto", "curl", "requests"):
        raise ValueError("expected auto, curl or requests")
    return text


@attrs.frozen(kw_only=True)
class HttpConfig:
    """How requests are sent; equal ones share connections.

    Attributes:
        connect_seconds: the longest wait for a connection.
        read_seconds: the longest silence of the server.
        budget_seconds: how long one call may take with all its repeats.
        most_attempts: how often a request that may be repeated is sent at most.
        first_pause_seconds: the pause before it is sent again, doubled with each.
        ca_bundle: certificates to trust instead of the usual ones, a file or folder; ``None`` for
            what ``REQUESTS_CA_BUNDLE``, ``SSL_CERT_FILE`` or certifi give.
        client_certificate: a file, or ``None``.
        client_key: its key when that is in another file, or ``None``.
        proxy: for all requests, instead of what ``HTTPS_PROXY`` and its kin say; or ``None``.
        transport: ``auto`` (libcurl where pycurl is installed), ``curl`` or ``requests``.
        insecure: whether a server's certificate counts unseen.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    budget_seconds: float = 60.0
    most_attempts: int = 8
    first_pause_seconds: float = 0.1
    ca_bundle: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    proxy: str | None = attrs.field(default=None, repr=False)
    transport: str = "auto"
    insecure: bool = False


@attrs.frozen(kw_only=True)
class HttpSettings(Settings):
    """Settings of every resource that is reached over HTTP; a vendor's settings derive from it."""

    http_connect_seconds: float = setting(
        "QRMI_HTTP_CONNECT_TIMEOUT_SECONDS",
        default=10.0,
        convert=_seconds,
        help="The longest wait for a connection, in seconds.",
    )
    http_read_seconds: float = setting(
        "QRMI_HTTP_READ_TIMEOUT_SECONDS",
        default=30.0,
        convert=_seconds,
        help="The longest silence of the service, in seconds.",
    )
    http_budget_seconds: float = setting(
        "QRMI_HTTP_BUDGET_SECONDS",
        default=60.0,
        convert=_seconds,
        help="How long one call may take in seconds, with all its repeats.",
    )
    http_ca_bundle: str | None = setting(
        "QRMI_HTTP_CA_BUNDLE",
        default=None,
        convert=_file,
        help="Certificates to trust instead of the usual ones: a PEM file or a folder.",
    )
    http_client_certificate: str | None = setting(
        "QRMI_HTTP_CLIENT_CERTIFICATE",
        default=None,
        convert=_file,
        help="A certificate that this side shows: a PEM file.",
    )
    http_client_key: str | None = setting(
        "QRMI_HTTP_CLIENT_KEY",
        default=None,
        convert=_file,
        help="The certificate's key, when it is in a file of its own.",
    )
    http_proxy: Secret | None = setting(  # it may name a user and a password
        "QRMI_HTTP_PROXY",
        default=None,
        convert=Secret,
        help="URL of a proxy for this resource, instead of HTTPS_PROXY and its kin.",
    )
    http_transport: str = setting(
        "QRMI_HTTP_TRANSPORT",
        default="auto",
        convert=_transport,
        help="What carries requests: auto (libcurl where pycurl is installed), curl or requests.",
    )

    start_settle_seconds: float | None = setting(
        "QRMI_START_SETTLE_SECONDS",
        default=None,
        convert=_seconds,
        help="How long after it was sent a start may still reach the service, where its answer was "
        "lost; from then on a task that is not found is sent again. The default is the "
        "vendor's.",
    )

    http_insecure: bool = setting(  # neither shared nor bare: for one resource, by its name
        "QRMI_HTTP_INSECURE",
        default=False,
        convert=bool,
        help="Whether to take any certificate of the service: whoever is on the way can then read "
        "your token.",
    )

    def http_config(self) -> HttpConfig:
        """The same, as transports take it."""
        return HttpConfig(
            connect_seconds=self.http_connect_seconds,
            read_seconds=self.http_read_seconds,
            budget_seconds=self.http_budget_seconds,
            ca_bundle=self.http_ca_bundle,
            client_certificate=self.http_client_certificate,
            client_key=self.http_client_key,
            proxy=self.http_proxy.reveal() if self.http_proxy else None,
            transport=self.http_transport,
            insecure=self.http_insecure,
        )
