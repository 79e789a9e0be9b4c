"""What the rest of the library asks: is a recording on, is this a replay.

The variables ``QRMI_RECORD`` and ``QRMI_REPLAY``, which child processes inherit, are all there is
to it. Where neither is set, nothing else of this package is loaded.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qrmi import config
from qrmi.tasks import ResourceType

if TYPE_CHECKING:
    from qrmi.driver import Driver
    from qrmi.recording.replaying import Replay

__all__ = [
    "CLAIMS",
    "active_replay",
    "note_devices",
    "note_opened",
    "recorded",
    "replayed_class",
    "replayed_job",
    "replayed_name",
    "replayed_resources",
]

CLAIMS = "replay"
"""Folder below the state folder of a replay in which its processes agree on starts."""

_lock = threading.Lock()
_replays: dict[tuple[Path, Path, int], Replay] = {}


def recorded(driver: Driver, type_name: str) -> Driver:
    """The driver, or a recorder around it while a recording is on."""
    path = config.recording_file()
    if path is None:
        return driver
    from qrmi.recording.recorder import Recorder
    from qrmi.recording.sink import shared_sink

    return Recorder(driver, shared_sink(path), resource_type=type_name)


def note_opened(name: str | None, resource: str) -> None:
    """Write which resource ``qrmi.open`` gave, while a recording is on."""
    path = config.recording_file()
    if path is not None:
        from qrmi.recording.sink import shared_sink

        shared_sink(path).write("opened", {"name": name or "", "resource": resource})


def note_devices(drivers: list[Driver], type_name: str, filters: Mapping[str, str]) -> list[Driver]:
    """The devices that discovery found; while a recording is on, written and recorded."""
    path = config.recording_file()
    if path is None:
        return drivers
    from qrmi.recording.sink import shared_sink

    names = [driver.resource_id for driver in drivers]
    told = {"type": type_name, "filters": dict(filters), "resources": names}
    shared_sink(path).write("discovered", told)
    return [recorded(driver, type_name) for driver in drivers]


def active_replay() -> Replay | None:
    """The replay that is on, or ``None``.

    Raises:
        RecordingError: the recording cannot be read.
    """
    path = config.replay_file()
    if path is None:
        return None
    from qrmi.recording.replaying import Replay

    claims = config.state_dir() / CLAIMS
    version = path.stat().st_mtime_ns if path.exists() else 0
    with _lock:
        if (path, claims, version) not in _replays:
            _replays[path, claims, version] = Replay(path, claims=claims)
        return _replays[path, claims, version]


def replayed_class(type_name: str) -> type[Driver] | None:
    """The driver class of a resource type in a replay; ``None`` when this is none."""
    replay = active_replay()
    return None if replay is None else replay.driver_class(type_name)


def replayed_name(name: str | None) -> str | None:
    """The recorded resource that ``qrmi.open`` gave for a name; ``None`` when that is not known."""
    replay = active_replay()
    return None if replay is None else replay.opened(name)


def replayed_resources() -> list[config.ResourceDef] | None:
    """All recorded resources; ``None`` when this is no replay."""
    replay = active_replay()
    if replay is None:
        return None
    return [
        config.ResourceDef(each.name, ResourceType.from_name(each.type_name))
        for each in replay.recording.resources.values()
    ]


def replayed_job() -> list[config.ResourceDef]:
    """The QPUs that the recorded job was given; empty when it was none, or this is no replay."""
    replay = active_replay()
    if replay is None:
        return []
    return [
        config.ResourceDef(name, ResourceType.from_name(kind))
        for name, kind in replay.recording.job
    ]
