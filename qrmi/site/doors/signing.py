"""What a MUNGE credential of a request carries. Standard library only: hooks use it, too."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["HEADER", "signature", "signature_of"]

HEADER = "X-Qrmi-Munge"
"""The header with the credential."""


def signature(method: str, path: str, body: bytes) -> bytes:
    """The payload that ties a credential to one request.

    Args:
        method: in capitals.
        path: with the query, exactly as it stands in the request's first line.
        body: the bytes that are sent; empty for none.
    """
    return signature_of(method, path, sha256(body).hexdigest())


def signature_of(method: str, path: str, digest: str) -> bytes:
    """The same, for a body of which only the SHA-256 is at hand, in hexadecimal digits."""
    text = f"{method}\n{path}\n{digest}"
    return b"v1 " + sha256(text.encode()).hexdigest().encode()
