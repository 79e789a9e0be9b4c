"""The words of the site: a scheduler's job, what it wants, and what it is answered.

They cross the wire as JSON objects with these very field names (docs/qrmid.md); `as_json` and
`from_json` are that border.
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Self

import attrs

from qrmi.errors import InvalidInputError

__all__ = ["Answer", "Ended", "Grant", "Job", "Message", "Outcome", "Want"]

_Fits = Callable[[object], bool]

_LONGEST_TEXT = 1000
_MOST_NAMES = 64


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(texts)


class Outcome(enum.StrEnum):
    """How a request for resources ended."""

    GRANTED = "granted"
    """All that was wanted is held."""

    LATER = "later"
    """Not now: somebody holds it, or it is away. Ask again; nothing is held."""

    REFUSED = "refused"
    """Never like this: the request or the site is wrong. Nothing is held."""

    ENDED = "ended"
    """The job has been ended already: this request comes too late. Nothing is held."""


class Message:
    """Base of the values that cross the wire."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, by field name."""
        return attrs.asdict(self)  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read what `as_json` wrote; unknown fields are ignored, absent ones take their default.

        Raises:
            InvalidInputError: it is no object, or a field is absent or of the wrong type.
        """
        if not isinstance(data, Mapping):
            raise InvalidInputError(f"{cls.__name__.lower()} must be an object")
        checks = _checks(cls)  # type: ignore[arg-type]
        given = {name: data[name] for name in checks if name in data}
        for name, value in given.items():
            if not checks[name](value):
                text = f"{cls.__name__.lower()}.{name} has the wrong type, or is too long"
                raise InvalidInputError(text)
        try:
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"{cls.__name__.lower()}: {error}") from error


_word = attrs.validators.matches_re(r"[^/\s\x00-\x1f]{1,200}")  # a slash would blur the key


@attrs.frozen(kw_only=True)
class Job(Message):
    """A job of a scheduler, and which run of it.

    Attributes:
        scheduler: ``slurm``, ``gridengine``, ``pbs``, ``lsf`` or ``flux``.
        cluster: the cluster's name.
        id: the scheduler's id of the job; with the array task where ids are shared: ``17.3``.
        restart: how often the scheduler started it before.
        submitted: when it was submitted, epoch seconds; ids come back, times do not. ``None`` at
            the end of a job means every submission up to now.
        uid: the user's numeric id on the cluster.
        user: the user's name; ``account``: who pays; ``host``: the node it runs on; ``name``: what
            the user calls it. Texts for people and for accounting; empty when not known.
    """

    scheduler: str = attrs.field(validator=_word)
    cluster: str = attrs.field(validator=_word)
    id: str = attrs.field(validator=_word)
    restart: int = 0
    submitted: int | None = None
    uid: int = -1
    user: str = ""
    account: str = ""
    host: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """What names this run of the job, for ever."""
        return f"{self.run}/{self.submitted if self.submitted is not None else '*'}"

    @property
    def run(self) -> str:
        """The key without the time of submission."""
        return f"{self.place}/{self.restart}"

    @property
    def place(self) -> str:
        """What its scheduler knows it by, whichever of its runs: ``scheduler/cluster/id``."""
        return f"{self.scheduler}/{self.cluster}/{self.id}"


@attrs.frozen(kw_only=True)
class Want(Message):
    """What a job asks for.

    Attributes:
        names: resources by name; an account's name (``is_dynamic``) stands for its online device
            with the shortest queue.
        slots: how many slots of a named resource; one where it is not said.
        any: that many more, different ones, whichever are free.
        filters: what those have to be able to do, as `qrmi.discovery.parse_filters` reads it.
        limit_seconds: the job's time limit; ``None`` for no limit.
    """

    names: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    slots: dict[str, int] = attrs.field(factory=dict)
    any: int = 0
    filters: str = ""
    limit_seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        if len(self.names) + max(self.any, 0) > _MOST_NAMES:
            raise ValueError(f"more than {_MOST_NAMES} resources")
        if self.any < 0 or any(not 1 <= count <= 1_000_000 for count in self.slots.values()):
            raise ValueError("counts are positive")
        if not self.names and not self.any:
            raise ValueError("it names no resource")
        if set(self.slots) - set(self.names):
            raise ValueError("slots of a resource that is not named")


@attrs.frozen(kw_only=True)
class Grant(Message):
    """One resource of a lease.

    Attributes:
        resource: its name; of an account: the chosen device's.
        type: its type, as files spell it.
        slots: how many of its slots are held.
    """

    resource: str
    type: str
    slots: int = 1


def _grants(grants: Iterable[Grant | Mapping[str, Any]]) -> tuple[Grant, ...]:
    return tuple(g if isinstance(g, Grant) else Grant.from_json(g) for g in grants)


@attrs.frozen(kw_only=True)
class Answer(Message):
    """The answer to a request.

    Attributes:
        outcome: how it ended.
        grants: what is held, in the order in which it was wanted; empty unless granted.
        reason: why not, for the user; empty when granted.
        hint: what the user, or the site, can do.
        retry_seconds: when asking again makes sense, where that is known.
    """

    outcome: Outcome = attrs.field(converter=Outcome)
    grants: tuple[Grant, ...] = attrs.field(default=(), converter=_grants)
    reason: str = ""
    hint: str = ""
    retry_seconds: float | None = None


@attrs.frozen(kw_only=True)
class Ended(Message):
    """What `end` did.

    Attributes:
        released: resources that are given back.
        pending: resources whose vendor could not be told yet; the daemon goes on trying.
    """

    released: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    pending: tuple[str, ...] = attrs.field(default=(), converter=_texts)


@functools.cache
def _checks(cls: Hashable) -> dict[str, _Fits]:
    """By field of a class, what tells whether a JSON value fits its annotation."""
    hints = typing.get_type_hints(cls)
    return {field.name: _check_of(hints[field.name]) for field in attrs.fields(cls)}  # type: ignore[arg-type]


def _check_of(wanted: Any) -> _Fits:
    """What tells whether a JSON value fits a type; a tuple comes as a list."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        some = [_check_of(each) for each in typing.get_args(wanted)]
        return lambda value: any(fits(value) for fits in some)
    if origin is tuple:
        fits = _check_of(typing.get_args(wanted)[0])
        return lambda value: isinstance(value, list | tuple) and all(map(fits, value))
    if origin is dict:
        fits = _check_of(typing.get_args(wanted)[1])
        return lambda value: isinstance(value, dict) and all(map(fits, value.values()))
    if issubclass(wanted, enum.Enum):
        words = frozenset(wanted)
        return lambda value: isinstance(value, str) and value in words
    if issubclass(wanted, Message):
        return lambda value: isinstance(value, dict)
    return _PLAIN[wanted]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


_PLAIN: dict[Any, _Fits] = {
    type(None): lambda value: value is None,
    float: _is_number,
    int: _is_count,
    str: _is_text,
}
