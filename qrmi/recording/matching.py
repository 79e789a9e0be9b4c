"""Which recorded call answers a call: the part of a replay that decides.

* A *start* is found by its payload, and each recorded start answers once: equal ones in the order
  in which they were recorded. A payload whose bytes differ only by what changes from run to run
  (names of circuits, identifiers of parameters) is the same.
* Anything else is found by its method and by what it is about, a task, a token or a key, and is
  answered in the recorded order; the last answer stays.
* What was recorded of one task belongs together: once its result was given, an earlier status
  or "not ready" is not given again. What came of stopping it is not given before it is stopped.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from qrmi.errors import NotRecordedError
from qrmi.interchange.verbs import subject
from qrmi.payloads import Payload, digest
from qrmi.recording.comparing import likeness, translation
from qrmi.recording.conversation import Call, Recording
from qrmi.tasks import TaskStatus

__all__ = ["Script"]

_LOOKS = ("task_status", "task_wait")
_LONGEST_RUN = 10  # of equal answers to explicit looks: a loop need not repeat thousands
_MOST_NAMED = 8


class Script:
    """One resource's part of a recording, and how far a program has come in it. Thread-safe.

    Args:
        recording: the recording.
        name: the resource.
        claim: takes the recorded start of that index, once for all processes of a replay.

    Attributes:
        cut_short: tasks, tokens and keys during a call about which the program was interrupted.
    """

    def __init__(self, recording: Recording, name: str, claim: Callable[[int], bool]) -> None:
        self._recording = recording
        self._name = name
        self._claim = claim
        self._lock = threading.Lock()
        self.cut_short: set[str] = set()
        self._by_digest: dict[str, list[Call]] = collections.defaultdict(list)
        self._others: dict[tuple[str, str], list[Call]] = collections.defaultdict(list)
        self._given: dict[tuple[str, str], int] = {}  # index of the last answer given
        self._reached: dict[str, int] = {}  # by task: index of the last call that was answered
        self._used: set[int] = set()
        self._names: dict[str, Mapping[str, str]] = {}
        self._keys: dict[str, str] = {}  # this run's key of a start: the recorded one
        for call in recording.calls:
            if call.resource == name:
                self._add(call)

    def _add(self, call: Call) -> None:
        if call.interrupted:
            self.cut_short.add(call.subject)
        elif call.is_start:
            self._by_digest[call.digest].append(call)
        else:
            self._others[_topic(_told(call.method, call.arguments), call.subject)].append(call)

    # --- starts -------------------------------------------------------------------------------

    def start(self, method: str, payload: Payload, key: str) -> Call:
        """The recorded start that answers this one.

        Raises:
            NotRecordedError: there is none of this program, or all were given.
        """
        same = [call for call in self.starts_of(payload) if call.method == method]
        for call in sorted(same, key=lambda call: call.arguments.get("key") != key):
            if self._take(call):
                self._keys.setdefault(key, str(call.arguments.get("key")))
                if call.error is None:
                    recorded = call.arguments["payload"]
                    self._names[str(call.answer)] = translation(recorded, payload)
                return call
        raise self._no_start(method, payload, same)

    def translation(self, task_id: str) -> Mapping[str, str]:
        """What the identifiers in a task's recorded payload are in this run's."""
        return self._names.get(task_id, {})

    def starts_of(self, payload: Payload) -> Sequence[Call]:
        """The recorded starts of a payload: the same to the byte or, without one, the same."""
        return self._by_digest.get(digest(payload)) or self._by_likeness.get(likeness(payload), ())

    @functools.cached_property
    def _by_likeness(self) -> Mapping[str, Sequence[Call]]:
        found: dict[str, list[Call]] = collections.defaultdict(list)
        for calls in self._by_digest.values():
            found[likeness(calls[0].arguments["payload"])] += calls
        return {like: sorted(calls, key=lambda call: call.index) for like, calls in found.items()}

    def _take(self, call: Call) -> bool:
        with self._lock:
            if call.index in self._used:
                return False
            self._used.add(call.index)
        return self._claim(call.index)

    def _no_start(self, method: str, payload: Payload, same: Sequence[Call]) -> NotRecordedError:
        starts = (call for calls in self._by_digest.values() for call in calls)
        recorded = [call for call in starts if call.method == method]
        if same:
            reason = f"has {_times(len(same), method)} of this payload, and gave all of them"
        elif recorded:
            known = _named(call.digest[:12] for call in recorded)
            reason = f"has no {method} of this payload; it has {known}"
        else:
            reason = f"has no {method} at all"
        what = f"{method} ({payload.FORMAT}, SHA-256 {digest(payload)[:12]})"
        return self._missing(what, reason)

    # --- everything else ----------------------------------------------------------------------

    def next(self, method: str, arguments: Mapping[str, Any]) -> Call:
        """The recorded call that answers this one.

        Raises:
            NotRecordedError: there is none.
        """
        about = subject(method, arguments)
        about = self._keys.get(about, about) if method == "find_task" else about
        topic = _topic(_told(method, arguments), about)
        calls = self._others.get(topic, [])
        if not calls:
            raise self._none(method, about)
        with self._lock:
            call = self._following(topic, calls)
            self._note(topic, call)
        return call

    def until_end(self, task_id: str) -> tuple[Call, bool]:
        """What a wait that lasts gives: the next final status or error, and whether it is one.

        Without it, the last that can be given now.
        """
        topic = _topic("task_status", task_id)
        calls = self._others.get(topic, [])
        if not calls:
            raise self._none("task_wait", task_id)
        with self._lock:
            while not _is_end(call := self._following(topic, calls)):
                if self._given.get(topic) == call.index:
                    break
                self._note(topic, call)
            self._note(topic, call)
        return call, _is_end(call)

    def next_change(self, task_id: str) -> tuple[Call, bool]:
        """The next status that is another one, or the last; and whether it is new."""
        topic = _topic("task_status", task_id)
        calls = self._others.get(topic, [])
        if not calls:
            raise self._none("task_wait", task_id)
        with self._lock:
            before = self._given.get(topic)
            last = next((call for call in calls if call.index == before), None)
            call = self._following(topic, calls)
            while last is not None and call.index != self._given.get(topic) and _same(call, last):
                self._note(topic, call)
                call = self._following(topic, calls)
            self._note(topic, call)
        return call, call.index != before or _is_end(call)

    def is_held(self, task_id: str) -> bool:
        """Whether more was recorded of the task, which waits for it to be stopped."""
        return self._barrier(task_id) < len(self._recording.calls)

    def _following(self, topic: tuple[str, str], calls: Sequence[Call]) -> Call:
        """The first call after the last one given and after all that was given of its task."""
        method, about = topic
        given, reached = self._given.get(topic, -1), self._reached.get(about, -1)
        least = max(given, reached if _is_of_task(method) else -1)
        barrier = self._barrier(about) if method in _LOOKS else len(self._recording.calls)
        later = [call for call in calls if least < call.index < barrier]
        if method in _LOOKS and later:
            return _after_run(calls, given, later)
        if later:
            return later[0]
        past = [call for call in calls if call.index < barrier]
        return past[-1] if past else calls[0]

    def _barrier(self, task_id: str) -> int:
        """The index of the first recorded stop that was not given yet."""
        stops = self._others.get(("task_stop", task_id), [])
        given = self._given.get(("task_stop", task_id), -1)
        reached = max(given, self._reached.get(task_id, -1))
        return next((c.index for c in stops if c.index > reached), len(self._recording.calls))

    def _note(self, topic: tuple[str, str], call: Call) -> None:
        self._given[topic] = call.index
        if _is_of_task(topic[0]):
            self._reached[topic[1]] = max(self._reached.get(topic[1], -1), call.index)

    def _none(self, method: str, about: str) -> NotRecordedError:
        what = f"{method} of {about}" if about else method
        methods = collections.Counter(
            call.method
            for call in self._recording.calls
            if call.resource == self._name and about in (call.subject, call.answer)
        )
        if about and methods:
            known = ", ".join(f"{name} ({times})" for name, times in sorted(methods.items()))
            return self._missing(what, f"has of it only: {known}")
        others = _named(other for name, other in self._others if name == _topic(method, "")[0])
        reason = f"has it of {others}" if about and others else f"has no {method} at all"
        return self._missing(what, reason)

    def _missing(self, what: str, reason: str) -> NotRecordedError:
        return NotRecordedError(
            f"{what} on {self._name} was not recorded: {self._recording.path} {reason}",
            resource_id=self._name,
        )


def _topic(method: str, about: str) -> tuple[str, str]:
    """Looks and waits are one series."""
    return ("task_status" if method == "task_wait" else method, about)


def _told(method: str, arguments: Mapping[str, Any]) -> str:
    """The method; of jobs that were added to a batch, with what they are."""
    if method != "batch_add":
        return method
    return f"batch_add {hashlib.sha256(repr(list(arguments['jobs'])).encode()).hexdigest()[:12]}"


def _is_of_task(method: str) -> bool:
    return method.startswith(("task_", "batch_"))


def _is_end(call: Call) -> bool:
    status = call.answer
    return call.error is not None or (isinstance(status, TaskStatus) and status.is_final)


def _same(one: Call, other: Call) -> bool:
    return one.error is None and other.error is None and bool(one.answer == other.answer)


def _after_run(calls: Sequence[Call], given: int, later: Sequence[Call]) -> Call:
    """The next look; of a long run of equal ones that was given in part, the one after it."""
    run: list[Call] = []
    for call in (c for c in calls if c.index <= given):
        run = [*run, call] if run and _same(run[-1], call) else [call]
    if len(run) < _LONGEST_RUN:
        return later[0]
    return next((call for call in later if not _same(call, run[-1])), later[-1])


def _times(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} calls of {what}"


def _named(names: Iterable[Any]) -> str:
    found = list(dict.fromkeys(str(name) for name in names if name))
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(found[:_MOST_NAMED]) + more
