"""Leases: what a process holds on a service, and what becomes of it on every way out.

What `acquire` gives belongs to the process that asked. It is released by `release`, at the end of
a ``with`` block, and otherwise when the process ends: by itself, by an exception, by a signal
(`qrmi.lifetime.signals`). It is never released by a forked child, nor by a process that was lent
it. What could not be released stays in the journal as held; `qrmi leases --reap` makes it good.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from qrmi import config, journal
from qrmi.bookkeeping import TaskBook
from qrmi.driver import Driver
from qrmi.errors import InvalidInputError, QrmiError
from qrmi.lifetime import ending, signals
from qrmi.lifetime.acquiring import Request
from qrmi.lifetime.owners import LeaseOwner
from qrmi.waiting import Deadline

__all__ = ["LeaseToken", "Leases", "not_masking"]

_log = logging.getLogger(__name__)
_REAP = "`qrmi leases --reap` releases it later"


class LeaseToken(str):
    """The vendor's name of a session, as `QuantumResource.acquire` gives it: a text and more.

    It can be pickled and written to JSON. `QuantumResource.release` takes it, or the plain text,
    in any process.

    Attributes:
        resource_id: the resource.
        resource_type: its type, as configuration files spell it.
        borrowed: whether others began the session, a scheduler's prolog for example: it is theirs
            to end.
        owner: who holds it.
        acquired_at: when, in seconds since the epoch.
    """

    __slots__ = ("acquired_at", "borrowed", "owner", "resource_id", "resource_type")

    resource_id: str
    resource_type: str
    borrowed: bool
    owner: LeaseOwner
    acquired_at: float

    def __new__(cls, text: str, **about: Any) -> LeaseToken:
        """Make one; ``about`` are the attributes."""
        token = super().__new__(cls, text)
        for name in cls.__slots__:
            setattr(token, name, about[name])
        return token

    def __reduce__(self) -> tuple[object, ...]:
        return _token, (str(self), {name: getattr(self, name) for name in self.__slots__})

    def __repr__(self) -> str:
        whose = "borrowed" if self.borrowed else f"of {self.owner}"
        return f"<LeaseToken {self[:6]}… for {self.resource_id}, {whose}>"


def _token(text: str, about: Mapping[str, Any]) -> LeaseToken:
    return LeaseToken(text, **about)


class Leases:
    """The leases of one handle.

    Args:
        driver: what asks the service.
        book: the handle's journal.
        type_name: the resource's type.
    """

    def __init__(self, driver: Driver, book: TaskBook, type_name: str) -> None:
        self.driver: Final = driver
        self.book: Final = book
        self.type_name: Final = type_name
        self._held: dict[str, _Holding] = {}

    def acquire(self, *, keep: bool = False) -> LeaseToken:
        """Begin a session; see `QuantumResource.acquire`."""
        return self._acquired(keep=keep or config.sessions_stay())

    def _acquired(self, *, keep: bool) -> LeaseToken:
        if not self.driver.CAPABILITIES.sessions:
            return self._taken(self.driver.acquire(), keep)
        request = Request(self.driver)
        try:
            token = self._taken(request.answer(), keep)
        except BaseException:
            request.give_up()
            raise
        signals.release(request)
        return token

    def _taken(self, text: str, keep: bool) -> LeaseToken:
        token = LeaseToken(
            text,
            resource_id=self.driver.resource_id,
            resource_type=self.type_name,
            borrowed=self.driver.is_borrowed(text) or self._is_inherited(text),
            owner=LeaseOwner.here(stays=keep),
            acquired_at=time.time(),
        )
        if token.borrowed:
            _log.debug("%s: the session is others' to end", token.resource_id)
        elif text not in self._own():
            self._hold(token, keep)
        return token

    def _hold(self, token: LeaseToken, keep: bool) -> None:
        if not keep:
            self._held[str(token)] = holding = _Holding(self, token)
            if self.driver.CAPABILITIES.sessions:
                signals.guard(holding)
        if self.driver.CAPABILITIES.sessions:
            self.book.acquired(str(token), token.owner.fields())
            _log.info("a session of %s is held by %s", token.resource_id, token.owner)

    def _is_inherited(self, text: str) -> bool:
        """Whether it is the session of the process that forked this one."""
        parents = (duty for duty in ending.inherited() if isinstance(duty, _Holding))
        return any(self._names(holding, text) for holding in parents)

    def _names(self, holding: _Holding, text: str) -> bool:
        same = (holding.token.resource_id, holding.token.resource_type, str(holding.token))
        return same == (self.driver.resource_id, self.type_name, text)

    def _own(self) -> dict[str, _Holding]:
        """What this process acquired through the handle and has not released."""
        return {text: h for text, h in list(self._held.items()) if h.pid == os.getpid()}

    def release(self, token: str) -> None:
        """End a session, whoever began it. Raises what the driver raises; then it is still held."""
        if not token:
            raise InvalidInputError("release needs the token that acquire gave")
        text = str(token)
        self.driver.release(text)
        self._forget(text)
        if self.driver.CAPABILITIES.sessions:
            self.book.note("released", token=text)

    def _forget(self, text: str) -> None:
        self._held.pop(text, None)
        for duty in ending.duties():  # other handles may have been given the same session
            if isinstance(duty, _Holding) and self._names(duty, text):
                duty.leases._held.pop(text, None)
                signals.release(duty)

    def release_own(self) -> None:
        """Release what this process acquired through the handle; all of it is tried.

        A session that another handle of the process holds too is left to that one.

        Raises:
            QrmiError: the first failure. What could not be released is tried again when the
                process ends.
        """
        failures = []
        for text in sorted(self._own()):
            try:
                self.release_if_held(text)
            except QrmiError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def release_if_held(self, token: str) -> None:
        """Release a session if this process acquired it through the handle and still holds it."""
        holding = self._own().get(str(token))
        if holding is None:
            return
        others = (duty for duty in ending.duties() if isinstance(duty, _Holding))
        if any(duty is not holding and self._names(duty, str(token)) for duty in others):
            self._held.pop(str(token), None)
            signals.release(holding)
        else:
            self.release(token)

    @contextlib.contextmanager
    def acquired(self) -> Iterator[LeaseToken]:
        """Hold a session for the length of a ``with`` block."""
        token = self._acquired(keep=False)
        try:
            yield token
        except BaseException as error:
            with not_masking(error):
                self.release_if_held(token)
            raise
        self.release_if_held(token)


class _Holding:
    """A lease of this process, as a duty: it ends with the process at the latest."""

    rank = 1  # after the tasks that are to be stopped

    def __init__(self, leases: Leases, token: LeaseToken) -> None:
        self.leases = leases
        self.token = token
        self.pid = os.getpid()

    def at_end(self, _deadline: Deadline) -> None:
        """The interpreter ends."""
        if str(self.token) not in self.leases._own():
            return
        try:
            self.leases.release_if_held(self.token)
        except Exception as error:
            _log.warning("%s is still held: %s; %s", self.token.resource_id, error, _REAP)
        else:
            _log.info("%s was released at the end of the process", self.token.resource_id)

    def at_signal(self, _deadline: Deadline) -> None:
        """A signal ends the process: no driver, connection or journal that others may be using."""
        about = self.token.resource_id
        try:
            ending.apart(self.leases.driver).release(str(self.token))
        except Exception as error:
            ending.tell(logging.WARNING, "%s is still held: %s; %s", about, error, _REAP)
            return
        ending.tell(logging.INFO, "%s was released: a signal ends this process", about)
        with contextlib.suppress(QrmiError):
            own = journal.Journal(config.state_dir() / "journal")
            own.append("released", resource=about, token=str(self.token))


@contextlib.contextmanager
def not_masking(error: BaseException | None) -> Iterator[None]:
    """Let errors of the clean-up through only when there is none already under way."""
    try:
        yield
    except QrmiError as failure:
        if error is None:
            raise
        _log.warning("while handling %s: %s", type(error).__name__, failure)
