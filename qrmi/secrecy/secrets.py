"""Secrets: texts that never show themselves.

Some are given as they are, others are asked for when they are needed: see `qrmi.secrecy.origins`.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from qrmi.errors import ConfigError
from qrmi.secrecy import scrubbing
from qrmi.secrecy.scrubbing import MASK, Hidden

if TYPE_CHECKING:
    from qrmi.secrecy.origins import Origin

__all__ = ["Secret", "SourcedSecret"]


class Secret:
    """A text that never shows itself: ``str``, ``repr`` and ``format`` give ``***``.

    As long as it lives, no message of an error shows what it holds (`qrmi.secrecy.scrubbing`). It
    can be pickled, and then travels as it is.
    """

    __slots__ = ("__weakref__", "_forms", "_value")

    def __new__(cls, *_arguments: object, **_named: object) -> Any:
        """Made, and from now on kept out of messages; also one that was pickled."""
        made = super().__new__(cls)
        scrubbing.watch(made)
        return made

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the request that needs it. Its ``repr`` is ``***``."""
        return Hidden(self._value)

    def refresh(self) -> bool:
        """Called when a service refused it: whether its source gives another one now."""
        return False

    def forms(self) -> tuple[str, ...]:
        """The texts that give it away; see `qrmi.secrecy.scrubbing.forms_of`."""
        try:
            return self._forms  # type: ignore[has-type,no-any-return]
        except AttributeError:
            value = getattr(self, "_value", None)
            if value is None:
                return ()
            self._forms = scrubbing.forms_of(value)
            return self._forms

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._identity() == self._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> object:
        return self._value

    def __getstate__(self) -> object:
        slots: dict[str, object] = cast("Any", object.__getstate__(self))[1]
        return None, {name: value for name, value in slots.items() if name != "_forms"}


class SourcedSecret(Secret):
    """A secret that is asked for when it is first revealed, and once more when it was refused.

    It is kept for as long as this object lives. Pickled, it carries where the secret is, never the
    secret itself.

    Args:
        origin: where it is.
        kind: what checks it: `Secret` or a kind of it.
    """

    __slots__ = ("_kind", "_lock", "_origin")

    def __init__(self, origin: Origin, kind: Callable[[str], Secret] = Secret) -> None:
        self._origin = origin
        self._kind = kind
        self._lock = threading.Lock()

    @property
    def origin(self) -> Origin:
        """Where it is."""
        return self._origin

    def reveal(self) -> str:
        """The text itself; asks its source the first time.

        Raises:
            ConfigError: it cannot be had.
        """
        value = getattr(self, "_value", None)
        if value is None:
            with self._lock:
                value = getattr(self, "_value", None)
                if value is None:
                    value = self._take()
        return Hidden(value)

    def refresh(self) -> bool:
        """Ask the source again; whether it gives another secret now."""
        with self._lock:
            refused = getattr(self, "_value", None)
            return self._take() != refused

    def _take(self) -> str:
        text = Hidden(self._origin.read())
        wanted = ""
        try:
            value = self._kind(text).reveal()
        except ValueError as error:
            wanted = str(error)
        if wanted:  # raised here, so that no traceback leads to the text
            raise ConfigError(f"{self._origin.name}: {self._origin} gave something else: {wanted}")
        self._forms = scrubbing.forms_of(value)
        self._value = value
        return value

    def _identity(self) -> object:
        return self._origin

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._origin, self._kind)

    def after_fork(self) -> None:
        """In a forked child: whoever was asking has stayed in the parent."""
        self._lock = threading.Lock()


def _after_fork() -> None:
    for holder in scrubbing.holders():
        if isinstance(holder, SourcedSecret):
            with contextlib.suppress(AttributeError):  # one that was being made
                holder.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
