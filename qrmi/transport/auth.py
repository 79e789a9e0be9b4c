"""Credentials: how a request gets them, and what happens when they are refused."""

from __future__ import annotations

import base64
import collections
import os
import threading
import weakref
from collections.abc import Callable
from typing import ClassVar, Protocol

import attrs

from qrmi.errors import (
    AnswerLostError,
    Owner,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.secrecy.scrubbing import Hidden
from qrmi.settings import Secret
from qrmi.waiting import Clock, SystemClock

__all__ = ["Auth", "BasicAuth", "FreshAuth", "StaticAuth", "Token", "TokenAuth"]

HeaderItems = tuple[tuple[str, str], ...]
"""Names in lower case, and values; of credentials `qrmi.secrecy.scrubbing.Hidden` ones."""

_MOST_LATEST = 16


class Auth(Protocol):
    """Where a request's credentials come from. Safe to use from several threads."""

    lasting: bool
    """Whether `headers` gives the same until `renew`; false when it differs at each call."""

    def headers(self) -> HeaderItems:
        """The headers to add; may ask a token service."""

    def renew(self, refused: HeaderItems) -> bool:
        """Called after a 401: whether sending the request once more is worth it."""


class StaticAuth:
    """A fixed header, for example ``StaticAuth("authorization", token, "Bearer {}")``.

    The secret is revealed at once. When the service refuses it, its source is asked again, should
    it have one: a file, a command, the keyring.
    """

    lasting = True

    def __init__(self, name: str, secret: Secret, template: str = "{}") -> None:
        self._name = name
        self._secret = secret
        self._template = template
        self._items = self._made()

    def _made(self) -> HeaderItems:
        return ((self._name, Hidden(self._template.format(self._revealed()))),)

    def _revealed(self) -> str:
        return self._secret.reveal()

    def headers(self) -> HeaderItems:
        """The same until `renew` says that there is another."""
        return self._items

    def renew(self, refused: HeaderItems) -> bool:
        """Whether there is another secret now; another thread may have asked for it."""
        if self._items == refused and self._secret.refresh():
            self._items = self._made()
        return self._items != refused


class BasicAuth(StaticAuth):
    """User and password, as HTTP's basic scheme sends them (RFC 7617)."""

    def __init__(self, user: str, password: Secret) -> None:
        self._user = user
        super().__init__("authorization", password, "Basic {}")

    def _revealed(self) -> str:
        return base64.b64encode(f"{self._user}:{self._secret.reveal()}".encode()).decode()


class FreshAuth:
    """Headers made anew for each attempt."""

    lasting = False

    def __init__(self, make: Callable[[], tuple[tuple[str, Secret], ...]]) -> None:
        self._make = make
        self._latest: collections.deque[object] = collections.deque(maxlen=_MOST_LATEST)

    def headers(self) -> HeaderItems:
        """New ones."""
        made = self._make()
        self._latest.append(made)  # as long as they live, no message shows them
        return tuple((name, secret.reveal()) for name, secret in made)

    def renew(self, refused: HeaderItems) -> bool:
        """One more attempt has new headers anyway: a credential may have expired on its way."""
        return True


@attrs.frozen(kw_only=True)
class Token:
    """A token as a token service gave it.

    Attributes:
        value: the token.
        lifetime_seconds: how long it is good for from now; ``None`` when that is not known.
    """

    value: Secret
    lifetime_seconds: float | None = None


class TokenAuth:
    """A token that is fetched at first use, renewed before it ends, and once more after a 401.

    One thread fetches; others wait for it. The clock is monotonic, so that a wall clock that jumps
    changes nothing.

    Args:
        fetch: asks the token service; its errors reach the caller of `headers`.
        header: where the token goes.
        template: how.
        margin: the share of the lifetime that is left unused, at least a minute where the lifetime
            allows it.
        clock: what lifetimes are measured by.
    """

    lasting = True
    _live: ClassVar[weakref.WeakSet[TokenAuth]] = weakref.WeakSet()

    def __init__(
        self,
        fetch: Callable[[], Token],
        *,
        header: str = "authorization",
        template: str = "Bearer {}",
        margin: float = 0.1,
        clock: Clock | None = None,
    ) -> None:
        self._fetch = fetch
        self._header = header
        self._template = template
        self._margin = margin
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._items: HeaderItems = ()
        self._token: Token | None = None  # as long as it lives, no message shows it
        self._ends = 0.0
        self._live.add(self)

    @classmethod
    def after_fork(cls) -> None:
        """In a forked child: whoever was fetching a token has stayed in the parent."""
        for auth in cls._live:
            auth._lock = threading.Lock()

    def headers(self) -> HeaderItems:
        """The token's header; fetches when there is none, or it is about to end."""
        items = self._items
        if items and self._clock.monotonic() < self._ends:
            return items
        with self._lock:
            if not self._items or self._clock.monotonic() >= self._ends:
                self._renewed()
            return self._items

    def renew(self, refused: HeaderItems) -> bool:
        """Fetch another token, unless another thread has done so since."""
        with self._lock:
            if self._items == refused:
                self._renewed()
        return True

    def _fetched(self) -> Token:
        """A token. Without one nothing has been sent, which the error must not leave open."""
        try:
            token = self._fetch()
            if not _is_sendable(token.value.reveal()):
                raise UnexpectedAnswerError("the token service's answer holds no usable token")
        except (AnswerLostError, UnexpectedAnswerError) as error:
            raise ResourceUnavailableError(
                f"there is no token to be had: {error.message}",
                owner=Owner.NETWORK if isinstance(error, AnswerLostError) else Owner.VENDOR,
                hint=f"nothing was sent; {error.hint}",
                request_ids=error.request_ids,
            ) from error
        return token

    def _renewed(self) -> None:
        token = self._fetched()
        self._token = token
        text = Hidden(self._template.format(token.value.reveal()))
        lifetime = token.lifetime_seconds
        now = self._clock.monotonic()
        if lifetime is None:
            self._ends = float("inf")
        else:
            unused = max(lifetime * self._margin, min(60.0, lifetime / 2))
            self._ends = now + max(lifetime - unused, 0.0)
        self._items = ((self._header, text),)


def _is_sendable(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TokenAuth.after_fork)
