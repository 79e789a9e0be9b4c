"""Planned maintenance: which resources are drained, until when, and why; kept across restarts."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from qrmi.errors import ConfigError, InvalidInputError, Owner, ResourceUnavailableError
from qrmi.site.terms import Message

__all__ = ["Drain", "Drains"]

_FILE = "drains.json"
_LONGEST_REASON = 200
_LONGEST_SECONDS = 10 * 366 * 86400.0


def _reason(_: object, _field: object, value: str) -> None:
    if not value.strip() or not value.isprintable() or len(value) > _LONGEST_REASON:
        raise ValueError(f"a reason is one line of at most {_LONGEST_REASON} characters")


@attrs.frozen(kw_only=True)
class Drain(Message):
    """One resource that is kept from new jobs.

    Attributes:
        name: the resource.
        reason: why, for the users whose jobs wait.
        until: when it ends by itself, epoch seconds; ``None``: when it is resumed.
        since: when it began.
        by: who asked for it.
    """

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    reason: str = attrs.field(validator=_reason)
    until: float | None = None
    since: float = 0.0
    by: str = ""


class Drains:
    """The drains of a site, in one small file that is replaced as a whole.

    One daemon owns the folder. All methods may be called from several threads.

    Args:
        folder: the daemon's state folder; made if it is not there.
        now: the time, epoch seconds.

    Raises:
        ConfigError: the file is there and is not one of these; it is left as it is.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._file = folder / _FILE
        self._now = now
        self._lock = threading.Lock()
        self._drains = _read(self._file)

    def drain(self, name: str, reason: str, until: float | None = None, by: str = "") -> Drain:
        """Keep new jobs from a resource; replaces an earlier drain of it, whose start stays.

        Raises:
            InvalidInputError: no reason, or an end that is no time to come.
            ResourceUnavailableError: it cannot be written down; nothing has changed.
        """
        now = self._now()
        if until is not None and not now < until < now + _LONGEST_SECONDS:
            raise InvalidInputError(
                f"a drain of {name} cannot end then", hint="give a time to come, or none"
            )
        with self._lock:
            earlier = self._unended().get(name)
            since = earlier.since if earlier else now
            try:
                new = Drain(name=name, reason=reason, until=until, since=since, by=by)
            except ValueError as error:
                raise InvalidInputError(f"a drain of {name}: {error}") from error
            self._keep({**self._unended(), name: new})
        return new

    def resume(self, name: str) -> bool:
        """End a resource's drain; false when it had none.

        Raises:
            ResourceUnavailableError: it cannot be written down; nothing has changed.
        """
        with self._lock:
            rest = self._unended()
            was_drained = rest.pop(name, None) is not None
            if was_drained:
                self._keep(rest)
        return was_drained

    def current(self) -> dict[str, Drain]:
        """The drains that have not ended, by resource."""
        with self._lock:
            return self._unended()

    def _unended(self) -> dict[str, Drain]:
        now = self._now()
        return {n: d for n, d in self._drains.items() if d.until is None or d.until > now}

    def _keep(self, drains: dict[str, Drain]) -> None:
        try:
            _write(self._file, drains)
        except OSError as error:
            raise ResourceUnavailableError(
                f"cannot write {self._file}: {error.strerror or error}",
                hint="check the daemon's state folder: space, permissions",
            ) from error
        self._drains = drains


def _read(file: Path) -> dict[str, Drain]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["drains"]
        drains = [Drain.from_json(entry) for entry in entries]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, InvalidInputError) as error:
        raise ConfigError(
            f"{file} does not tell which resources are drained",
            owner=Owner.SITE,
            hint="correct it, or remove it and drain what must be drained again",
        ) from error
    return {drain.name: drain for drain in drains}


def _write(file: Path, drains: dict[str, Drain]) -> None:
    """Replace the file; after a crash it is the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    text = json.dumps({"drains": [drain.as_json() for drain in drains.values()]}, indent=1)
    with new.open("x", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
