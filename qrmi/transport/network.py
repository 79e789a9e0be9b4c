"""Where requests to a host go: proxy and certificates, from the configuration and environment.

`requests` is the configuration language: what it makes of ``HTTPS_PROXY``, ``NO_PROXY`` and
``REQUESTS_CA_BUNDLE`` holds for every transport; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are
honoured too. None of them can switch the check of certificates off.
"""

from __future__ import annotations

import functools
from typing import Any

import attrs
import certifi
import requests
from requests.utils import select_proxy

from qrmi import config as environment
from qrmi.transport.settings import HttpConfig

__all__ = ["Route", "route_to"]


@attrs.frozen(kw_only=True)
class Route:
    """How one host is reached.

    Attributes:
        origin: scheme, host and port.
        proxy: a URL, or ``None``.
        certificates: what to trust: a file or a folder; ``None``: whatever the server shows.
        client_certificate: a file, or ``None``.
        client_key: a file, or ``None``.
    """

    origin: str
    proxy: str | None = attrs.field(repr=False)
    certificates: str | None
    client_certificate: str | None
    client_key: str | None


@functools.lru_cache(maxsize=256)
def route_to(origin: str, config: HttpConfig) -> Route:
    """The route to a host; the environment is looked at when a host is first asked for."""
    proxies: dict[str, Any] = {}
    if config.proxy:
        proxies = {"http": config.proxy, "https": config.proxy}
    with requests.Session() as session:
        settled = session.merge_environment_settings(origin, proxies, None, None, None)
    return Route(
        origin=origin,
        proxy=select_proxy(origin, settled["proxies"]),
        certificates=None
        if config.insecure
        else config.ca_bundle or _certificates(settled["verify"]),
        client_certificate=config.client_certificate,
        client_key=config.client_key,
    )


def _certificates(verify: bool | str | None) -> str:
    if isinstance(verify, str):
        return verify
    variables = environment.environment()
    chosen = variables.get("SSL_CERT_FILE") or variables.get("SSL_CERT_DIR")
    return chosen or certifi.where()
