"""What the processes of the sweep do: one that is killed, and one that comes afterwards.

Each function runs in a process of its own. ``tell`` sends words to the test as soon as they are
known, so that they outlive the process.
"""

from __future__ import annotations

import base64
import functools
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from points import KillingFiles, KillingTransport, Points, between, watch_connections

from qrmi import QuantumResource, journal, plugins, registry
from qrmi.errors import QrmiError
from qrmi.journal import book
from qrmi.lifetime import reaping
from qrmi.payloads import Payload
from qrmi.starts import recovery

__all__ = ["after", "later", "life", "one_key", "warm_up"]

_Tell = Callable[..., None]
_PATIENCE_SECONDS = 20.0


def warm_up() -> None:
    """Import what the others need."""
    for kind in plugins.driver_types():
        plugins.driver_class(kind)
    import qrmi_local.service.client  # noqa: F401


def packed(payload: Payload) -> str:
    """A payload as JSON can carry it."""
    return base64.b64encode(pickle.dumps(payload)).decode()


def _unpacked(text: str) -> Payload:
    payload: Payload = pickle.loads(base64.b64decode(text))
    return payload


def _watched(tell: _Tell, place: dict[str, Any], last: int) -> tuple[QuantumResource, Points]:
    """A handle in a process that is killed at a point."""
    points = Points(last, lambda label: tell(killed_at=label))
    files = KillingFiles(points)
    make = functools.cache(lambda state_dir: journal.Journal(state_dir / "journal", files=files))
    book._journal_in = make  # type: ignore[assignment]
    _settle_in(place)
    if place["kind"] == "local":
        from qrmi_local.service.client import Client
        from qrmi_local.service.store import Store

        between(points, Client, "ask")
        between(points, Store, "create")
        return _local(place), points
    watch_connections(points)
    resource = QuantumResource(place["name"], place["kind"], transport=KillingTransport(points))
    return resource, points


def _settle_in(place: dict[str, Any]) -> None:
    os.environ["QRMI_STATE_DIR"] = place["state"]
    if "config" in place:
        os.environ["QRMI_CONFIG"] = place["config"]


def _local(place: dict[str, Any]) -> QuantumResource:
    """The embedded simulator with a program of the test's in place of simulators."""
    from qrmi_local.device import DeviceKind
    from qrmi_local.driver import LocalDriver
    from qrmi_local.settings import LocalSettings

    functions = dict.fromkeys(DeviceKind, "qrmi_probe:run")
    driver = LocalDriver(place["name"], LocalSettings(), functions=functions)
    return QuantumResource.from_driver(driver, resource_type="local")


def _opened(place: dict[str, Any]) -> QuantumResource:
    if place["kind"] == "local":
        return _local(place)
    return QuantumResource(place["name"], place["kind"])


def life(tell: _Tell, place: dict[str, Any], last: int, marks: list[str]) -> None:
    """Start two tasks, one under a key of the caller's own; wait for one and get its result.

    Killed at point ``last``; what the calls returned is told by the name of the call.
    """
    resource, points = _watched(tell, place, last)
    derived, own = map(_unpacked, place["programs"])
    if resource.capabilities.sessions:
        tell(token=str(resource.acquire()))
    first = resource.task_start(derived, context={"mark": marks[0]})
    tell(derived=first)
    second = resource.task_start(own, key=place["key"], context={"mark": marks[1]})
    tell(own=second)
    resource.task_wait(first, timeout_seconds=_PATIENCE_SECONDS)
    tell(value=resource.task_result(first).value)
    resource.task_wait(second, timeout_seconds=_PATIENCE_SECONDS)  # before its session ends
    resource.close()
    tell(labels=points.labels)


def after(
    tell: _Tell, place: dict[str, Any], marks: list[str], *, last: int = 0, again_first: bool
) -> None:
    """What a user does the next day: recover, start again under the key, get the results.

    Killed itself at point ``last``, if that is not 0.
    """
    if last:
        resource, points = _watched(tell, place, last)
    else:
        _settle_in(place)
        resource, points = _opened(place), Points()
    steps = [
        lambda: tell(recovered=_recovered()),
        lambda: tell(again=_started_again(resource, place, marks[1])),
    ]
    for step in reversed(steps) if again_first else steps:
        step()
    tell(records=[_told(resource, record) for record in journal.default().tasks()])
    tell(leases=len(journal.default().leases()), reaped=[_reaped(held) for held in reaping.held()])
    tell(leases_left=len(journal.default().leases()), labels=points.labels)


def one_key(tell: _Tell, place: dict[str, Any], last: int) -> None:
    """Start the task of a key that other processes start as well; killed at a point, if any."""
    resource, _ = _watched(tell, place, last)
    if resource.capabilities.sessions:
        resource.acquire(keep=True)
    tell(again=_started_again(resource, place, "one"))


def _recovered() -> list[str | None]:
    """As ``qrmi tasks`` does."""
    return [registry.recover(record) for record in recovery.unsettled()]


def _started_again(resource: QuantumResource, place: dict[str, Any], mark: str) -> list[str]:
    """The task's id, or the error's name and text."""
    try:
        task_id = resource.task_start(
            _unpacked(place["programs"][1]), key=place["key"], context={"mark": mark}
        )
    except QrmiError as error:
        return [type(error).__name__, str(error)]
    return [str(task_id)]


def _told(resource: QuantumResource, record: journal.TaskRecord) -> dict[str, Any]:
    """A record, with the result of its task."""
    told: dict[str, Any] = {
        "id": record.id,
        "key": record.key,
        "status": record.status and record.status.name,
        "reason": record.reason,
        "uncertain": record.uncertain,
        "mark": record.context.get("mark"),
        "value": None,
    }
    if record.id and record.status:
        try:
            task = resource.task(record.id)
            told["value"] = task.result(timeout_seconds=_PATIENCE_SECONDS).value
            told["reached"] = task.context.get("mark")
        except QrmiError as error:
            told["error"] = f"{type(error).__name__}: {error}"
    return told


def _reaped(held: reaping.Held) -> list[str]:
    done = reaping.reap(held)
    return [str(done.fate), str(done.error or "")]


def later(tell: _Tell, place: dict[str, Any], marks: list[str]) -> None:
    """An hour later, when nothing that was sent can arrive any more: what is still unsettled."""
    _settle_in(place)
    recovery.time = SimpleNamespace(time=lambda: time.time() + 3600.0)  # type: ignore[attr-defined]
    _recovered()
    records = journal.default().tasks()
    tell(
        states={record.context.get("mark", ""): _state(record) for record in records},
        files=len(list((Path(place["state"]) / "journal").iterdir())),
    )


def _state(record: journal.TaskRecord) -> str:
    if record.status is not None:
        return "known"
    return "refused" if record.reason else "unsettled"
