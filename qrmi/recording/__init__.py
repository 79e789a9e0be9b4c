"""Recording what is asked of resources and what they answer, and giving it back offline.

>>> from qrmi.recording import record, replay
>>> with record("run.jsonl"):  # doctest: +SKIP
...     ...  # everything that is opened here is recorded, in other processes too
>>> with replay("run.jsonl"):  # doctest: +SKIP
...     ...  # the same program, without a network, a configuration or credentials
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qrmi.recording.conversation import Call, Recording, Resource
    from qrmi.recording.reading import load
    from qrmi.recording.recorder import Recorder
    from qrmi.recording.replaying import Replay
    from qrmi.recording.running import record, replay
    from qrmi.recording.sink import Sink

_HOMES = {
    "Call": "conversation",
    "Recorder": "recorder",
    "Recording": "conversation",
    "Replay": "replaying",
    "Resource": "conversation",
    "Sink": "sink",
    "load": "reading",
    "record": "running",
    "replay": "running",
}

__all__ = [
    "Call",
    "Recorder",
    "Recording",
    "Replay",
    "Resource",
    "Sink",
    "load",
    "record",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
