"""The one seam to HTTP: requests, answers, what carries them, and what goes wrong.

A driver derives from `HttpDriver`, makes a `Request` and reads a `Response`. `Client` holds the
policy (credentials, repeats, redirects, errors); a `Transport` below it sends one request once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qrmi.transport.auth import Auth, BasicAuth, FreshAuth, StaticAuth, Token, TokenAuth
from qrmi.transport.client import Client, Transport
from qrmi.transport.driver import HttpDriver, transport_for
from qrmi.transport.messages import (
    JSON,
    Headers,
    Request,
    Response,
    Timeout,
    json_body,
    polled,
)
from qrmi.transport.outcomes import Problem, SendError
from qrmi.transport.reading import answer_field, reading
from qrmi.transport.request_ids import checked_ids, request_ids
from qrmi.transport.settings import HttpConfig, HttpSettings
from qrmi.transport.unchanged import Unchanged
from qrmi.transport.urls import join

if TYPE_CHECKING:
    from qrmi.transport.curl import CurlTransport
    from qrmi.transport.sessions import RequestsTransport

__all__ = [
    "JSON",
    "Auth",
    "BasicAuth",
    "Client",
    "CurlTransport",
    "FreshAuth",
    "Headers",
    "HttpConfig",
    "HttpDriver",
    "HttpSettings",
    "Problem",
    "Request",
    "RequestsTransport",
    "Response",
    "SendError",
    "StaticAuth",
    "Timeout",
    "Token",
    "TokenAuth",
    "Transport",
    "Unchanged",
    "answer_field",
    "checked_ids",
    "join",
    "json_body",
    "polled",
    "reading",
    "request_ids",
    "transport_for",
]

_LAZY = {"CurlTransport": "qrmi.transport.curl", "RequestsTransport": "qrmi.transport.sessions"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'qrmi.transport' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
