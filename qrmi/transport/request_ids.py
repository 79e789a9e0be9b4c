"""The ids that services give to requests: what their support asks for, and finds them by."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

__all__ = ["checked_ids", "request_ids"]

_HEADERS = (
    "x-request-id",  # by convention: gateways and frameworks of every kind
    "x-correlation-id",  # the same under another name, IBM Cloud's too
    "x-global-transaction-id",  # IBM Cloud's load balancers
    "transaction-id",  # IBM Cloud's identity service
    "x-transaction-id",
    "x-amz-request-id",  # S3, and what speaks its protocol; its support wants both
    "x-amz-id-2",
    "x-amzn-requestid",  # AWS API Gateway, which OQTOPUS Cloud is behind
    "apigw-requestid",
    "x-auth0-requestid",  # Auth0, where Pasqal's tokens come from
    "traceparent",  # W3C Trace Context
    "cf-ray",  # Cloudflare: names the request even when it never reached the service
)
_MOST = 4
_ID = re.compile(r"[A-Za-z0-9_.:;/=+@~-]{1,100}").fullmatch


class _Answer(Protocol):
    @property
    def header(self) -> Callable[[str], str | None]: ...


def request_ids(answer: _Answer, *of_body: str) -> tuple[str, ...]:
    """The ids of the request that a `Response` answers.

    Args:
        answer: the answer; its headers are looked at.
        *of_body: ids that its body gives, which come first; empty ones are passed over.

    Returns:
        At most four, without repeats; what is no short word of letters, digits and the usual
        signs is left out.
    """
    return checked_ids(*of_body, *(answer.header(name) or "" for name in _HEADERS))


def checked_ids(*ids: object) -> tuple[str, ...]:
    """Those that are short, printable words; at most four, without repeats."""
    texts = (str(item).strip() for item in ids if item)
    return tuple(dict.fromkeys(text for text in texts if _ID(text)))[:_MOST]
