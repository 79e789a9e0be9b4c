"""Who asks: the system says it of a UNIX socket, and MUNGE of a request from another host.

The header ``X-Qrmi-Munge`` holds a credential whose payload is ``v1 HASH``; the hash covers the
method, the path with its query, and the body (`signature`). So a credential is good for one
request, once: munged refuses a second decoding, and this module remembers besides, so that a
restart of munged opens no door.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable

import attrs

from qrmi import munge
from qrmi.errors import AccessDeniedError, AuthenticationFailedError, Owner
from qrmi.site.doors.signing import HEADER, signature
from qrmi.waiting import Clock, SystemClock

__all__ = ["Claim", "Peer", "Peers"]

_PEERCRED = struct.Struct("3i")
_REMEMBERED_SECONDS = 3600.0  # munged's longest life of a credential


@attrs.frozen(kw_only=True)
class Peer:
    """Who asks.

    Attributes:
        uid: the user's number.
        is_admin: whether that user may lend and end.
    """

    uid: int
    is_admin: bool

    def must_be_admin(self, what: str) -> None:
        """Refuse anybody else.

        Raises:
            AccessDeniedError: naming what was asked, and who may.
        """
        if not self.is_admin:
            raise AccessDeniedError(
                f"{what} is for the site's administrators, and user {self.uid} is none",
                owner=Owner.SITE,
                hint="ask the site: `admins` of qrmid.toml names them",
            )


@attrs.frozen(kw_only=True)
class Claim:
    """Who made a credential, before the request's body is known."""

    uid: int
    payload: bytes


class Peers:
    """Tells who asks. Safe to use from several threads.

    Args:
        admins: the users who may lend and end.
        munge_socket: where munged listens; empty for the library's default.
    """

    def __init__(
        self,
        admins: Callable[[], frozenset[int]] | frozenset[int],
        *,
        munge_socket: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._admins = admins
        self._munge_socket = munge_socket or None
        self._clock = clock or SystemClock()
        self._seen: OrderedDict[bytes, float] = OrderedDict()  # the oldest first
        self._lock = threading.Lock()

    def of_socket(self, connection: socket.socket) -> Peer:
        """The user at the other end of a UNIX socket, when it connected."""
        size = _PEERCRED.size
        _pid, uid, _gid = _PEERCRED.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
        return self._peer(uid)

    def claimed(self, credential: str) -> Claim:
        """Who made a credential. It is used up by this.

        Raises:
            AuthenticationFailedError: absent, forged, expired or used before.
            ResourceUnavailableError: munged does not answer.
        """
        if not credential:
            raise AuthenticationFailedError(
                f"the request has no credential in {HEADER}",
                hint="requests over TCP are signed with MUNGE: docs/qrmid.md",
            )
        decoded = munge.decode(credential, socket=self._munge_socket)
        self._once(hashlib.sha256(credential.encode()).digest())
        return Claim(uid=decoded.uid, payload=decoded.payload)

    def proved(self, claim: Claim, method: str, path: str, body: bytes) -> Peer:
        """The user, if the credential was made for this very request.

        Raises:
            AuthenticationFailedError: it was made for another one.
        """
        if not hmac.compare_digest(claim.payload, signature(method, path, body)):
            raise AuthenticationFailedError(
                "the MUNGE credential was made for another request",
                hint="sign method, path, query and body as they are sent",
            )
        return self._peer(claim.uid)

    def _peer(self, uid: int) -> Peer:
        admins = self._admins() if callable(self._admins) else self._admins
        return Peer(uid=uid, is_admin=uid in admins)

    def _once(self, digest: bytes) -> None:
        now = self._clock.monotonic()
        with self._lock:
            while self._seen and next(iter(self._seen.values())) <= now:
                self._seen.popitem(last=False)
            if digest in self._seen:
                raise AuthenticationFailedError(
                    "the MUNGE credential is refused: it was used before: replayed",
                    hint="make a new credential for each request",
                )
            self._seen[digest] = now + _REMEMBERED_SECONDS
