"""No room for what is written: nothing is half there, and nothing keeps the room that is left."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qrmi.errors import ResourceUnavailableError
from qrmi.tasks import TaskStatus
from qrmi_local.service.store import State, Store, task_id_of_key

ROOM = 1000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one task."""
    made = Store(tmp_path)
    made.create(task_id_of_key("one"), {"host": "here", "queued_at": time.time()}, "{}")
    return made


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """No file can become larger than `ROOM` bytes: any of this process, so be brief."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_result_without_room_leaves_nothing_behind(store: Store) -> None:
    """A result that cannot be written is no result; that the task failed still finds room."""
    task_id = task_id_of_key("one")
    files = sorted(store.root.rglob("*"))
    with pytest.raises(ResourceUnavailableError, match="cannot write"), no_room():
        store.offer_end(State(status=TaskStatus.COMPLETED), "1" * 10 * ROOM)
    assert sorted(store.root.rglob("*")) == files
    with no_room():
        assert store.end(task_id, State(status=TaskStatus.FAILED, reason="no room"))
    assert store.state(task_id).reason == "no room"


def test_a_task_without_room_is_not_there(store: Store) -> None:
    """A payload or a device that cannot be written leaves no file."""
    files = sorted(store.root.rglob("*"))
    with pytest.raises(ResourceUnavailableError), no_room():
        store.create(task_id_of_key("two"), {}, "1" * 10 * ROOM)
    assert sorted(store.root.rglob("*")) == files
    with pytest.raises(ResourceUnavailableError), no_room():
        store.put_device("d1", "1" * 10 * ROOM)
    assert not [path for path in store.root.rglob("*") if path.is_file() and path not in files]
