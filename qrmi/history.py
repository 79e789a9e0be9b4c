"""How long like tasks took, so that a wait asks when an answer is likely."""

from __future__ import annotations

import collections
import threading
from collections.abc import Hashable

import attrs

from qrmi.payloads import Payload, values_of

__all__ = ["Expectation", "History", "history", "likeness"]

_FEWEST = 3
_MOST = 8
_MOST_KINDS = 256
_MOST_TASKS = 4096


@attrs.frozen
class Expectation:
    """What is known of a task under way.

    Attributes:
        begun: when it was started, on the monotonic clock, in seconds.
        shortest: the shortest of the last like tasks, in seconds from start to end.
    """

    begun: float
    shortest: float


def likeness(payload: Payload) -> Hashable:
    """What tasks have in common that take about as long: format, numbers, order of size."""
    found: list[Hashable] = [payload.FORMAT]
    for value in values_of(payload):
        if isinstance(value, str):
            found.append(len(value).bit_length())
        elif isinstance(value, tuple):
            found.append(len(value))
        else:
            found.append(value if isinstance(value, int) else None)
    return tuple(found)


class History:
    """Durations of this process's tasks. Safe to use from several threads; of bounded size."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: collections.OrderedDict[Hashable, collections.deque[float]] = (
            collections.OrderedDict()
        )
        self._tasks: collections.OrderedDict[tuple[str, str], tuple[Hashable, float]] = (
            collections.OrderedDict()
        )

    def begun(self, resource_id: str, task_id: str, kind: Hashable, at: float) -> None:
        """A task was started."""
        with self._lock:
            self._tasks[(resource_id, task_id)] = ((resource_id, kind), at)
            if len(self._tasks) > _MOST_TASKS:
                self._tasks.popitem(last=False)

    def expectation(self, resource_id: str, task_id: str) -> Expectation | None:
        """What to expect of it; ``None`` when too few like tasks have ended."""
        with self._lock:
            kind, begun = self._tasks.get((resource_id, task_id), (None, 0.0))
            durations = self._kinds.get(kind) if kind is not None else None
            if durations is None or len(durations) < _FEWEST:
                return None
            return Expectation(begun, min(durations))

    def ended(self, resource_id: str, task_id: str, at: float) -> None:
        """Its end was noticed by a wait."""
        with self._lock:
            kind, begun = self._tasks.pop((resource_id, task_id), (None, 0.0))
            if kind is None:
                return
            durations = self._kinds.setdefault(kind, collections.deque(maxlen=_MOST))
            durations.append(at - begun)
            self._kinds.move_to_end(kind)
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)


history = History()
"""The durations of this process."""
