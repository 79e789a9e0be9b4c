"""What events of several processes say together, whatever their clocks say."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import TaskStatus
from qrmi.journal import Journal, records
from qrmi.journal.events import Fields

_number = itertools.count(1)
_INTENT = {"key": "k", "resource": "r", "type": "t", "format": "f", "digest": "d"}
_TASK = {"key": "k", "resource": "r", "task": "t-1"}
_END = {"resource": "r", "task": "t-1", "status": "COMPLETED"}


def event(name: str, at: float, writer: str = "a@1", **fields: Any) -> Fields:
    return {"event": name, "at": at, "w": writer, "n": next(_number), **fields}


def one(*events: Fields) -> records.TaskRecord:
    (record,) = records.tasks(events)
    return record


def test_a_start_is_settled_by_its_key_whatever_the_clocks_say() -> None:
    """The process that knew the id, and the one that saw the end, had clocks that went slow."""
    record = one(
        event("intent", 1000.0, **_INTENT),
        event("started", 400.0, "b@1", **_TASK),
        event("ended", 300.0, "c@1", **_END),
    )
    assert (record.id, record.status, record.ended_at) == ("t-1", TaskStatus.COMPLETED, 300.0)
    assert record.lost_at is None


@given(st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(chance: random.Random) -> None:
    """Listings come in any order."""
    events = [
        event("intent", 1.0, **_INTENT),
        event("lost", 2.0, key="k", resource="r", reason="reset"),
        event("intent", 3.0, "b@1", **{**_INTENT, "attempt": 2}),
        event("started", 4.0, "b@1", **_TASK),
        event("seen", 5.0, "c@1", **{**_END, "status": "RUNNING"}),
        event("ended", 6.0, "c@1", **_END),
        event("ended", 7.0, "d@1", **{**_END, "status": "FAILED"}),
    ]
    expected = records.tasks(events)
    assert expected[0].status is TaskStatus.COMPLETED
    assert expected[0].attempt == 2
    chance.shuffle(events)
    assert records.tasks(events) == expected


def test_the_first_word_on_an_end_counts() -> None:
    record = one(
        event("intent", 1.0, **_INTENT),
        event("started", 2.0, **_TASK),
        event("ended", 4.0, "b@1", **{**_END, "status": "CANCELLED"}),
        event("ended", 3.0, "c@1", **{**_END, "status": "FAILED"}, failure="too hot"),
    )
    assert (record.status, record.failure, record.ended_at) == (TaskStatus.FAILED, "too hot", 3.0)


def test_an_id_that_is_used_again_keeps_ends_apart() -> None:
    """An end belongs to the last start before it."""
    events = [
        event("intent", 1.0, **_INTENT),
        event("started", 2.0, **_TASK),
        event("ended", 3.0, "b@1", **{**_END, "status": "FAILED"}),
        event("intent", 4.0, **{**_INTENT, "key": "l"}),
        event("started", 5.0, **{**_TASK, "key": "l"}),
    ]
    first, second = records.tasks(events)
    assert (first.status, second.status) == (TaskStatus.FAILED, TaskStatus.QUEUED)
    first, second = records.tasks([*events, event("ended", 6.0, "c@1", **_END)])
    assert (first.status, second.status) == (TaskStatus.FAILED, TaskStatus.COMPLETED)


def test_what_is_known_of_a_start_without_an_answer() -> None:
    """When it was sent and when the answer was lost, until it is settled."""
    events = [event("intent", 1.0, **_INTENT)]
    sent = one(*events)
    assert (sent.sent_at, sent.lost_at, sent.uncertain) == (1.0, None, False)
    events.append(event("lost", 2.0, key="k", resource="r", reason="reset"))
    assert one(*events).lost_at == 2.0
    events.append(event("uncertain", 3.0, key="k", resource="r", reason="reset"))
    assert (one(*events).lost_at, one(*events).uncertain) == (2.0, True)
    settled = one(*events, event("started", 4.0, "b@1", **_TASK))
    assert (settled.lost_at, settled.uncertain, settled.status) == (None, False, TaskStatus.QUEUED)


def test_a_refused_start_may_be_tried_again_with_the_same_key() -> None:
    """While it is tried again, it is not refused; another payload is the one that counts."""
    events = [
        event("intent", 1.0, **_INTENT),
        event("refused", 2.0, key="k", resource="r", reason="closed"),
    ]
    assert (one(*events).reason, one(*events).ended_at) == ("closed", 2.0)
    events.append(event("intent", 3.0, **{**_INTENT, "digest": "other"}))
    again = one(*events)
    assert (again.reason, again.payload_digest, again.started_at) == ("", "other", 3.0)
    done = one(*events, event("started", 4.0, **_TASK))
    assert (done.reason, done.id) == ("", "t-1")


def test_a_refusal_settles_the_attempts_before_it() -> None:
    """The first attempt was killed; the second came after it was known that nothing had come."""
    events = [
        event("intent", 1.0, **_INTENT),
        event("intent", 5.0, "b@1", **{**_INTENT, "attempt": 2}),
        event("refused", 6.0, "b@1", key="k", resource="r", reason="no"),
    ]
    assert one(*events).reason == "no"
    assert one(*events, event("intent", 5.5, "c@1", **{**_INTENT, "attempt": 3})).reason == ""


def test_a_task_of_somebody_else_is_known_by_its_end() -> None:
    record = one(event("ended", 3.0, **_END, type="t"))
    assert (record.key, record.id, record.status) == ("", "t-1", TaskStatus.COMPLETED)
    assert records.tasks([event("ended", 3.0, **_END)]) == []


# --- sessions -----------------------------------------------------------------------------------

_SESSION = {"resource": "r", "type": "t", "token": "secret-ish"}


def test_a_session_is_open_until_it_is_released() -> None:
    """By anyone; a clock that is somewhat slow does not hide the release, nor the next one."""
    taken = event("acquired", 10.0, **_SESSION, owner={"host": "a"}, borrowed=False, settings={})
    (lease,) = records.leases([taken])
    assert (lease.resource_id, lease.token, lease.owner["host"]) == ("r", "secret-ish", "a")
    assert "secret-ish" not in repr(lease)
    released = event("released", 9.0, "b@1", resource="r", token="secret-ish")
    assert records.leases([taken, released]) == []
    again = event("acquired", 11.0, **_SESSION)
    later = event("released", 12.0, resource="r", token="secret-ish")
    assert len(records.leases([taken, again])) == 1
    assert records.leases([taken, again, later]) == []
    assert len(records.leases([taken, later, event("acquired", 13.0, **_SESSION)])) == 1


# --- files of releases before and after ----------------------------------------------------------


def test_files_of_the_first_release_are_read(tmp_path: Path) -> None:
    """As they were written: other names, fewer fields."""
    lines = [
        {"v": 1, "at": 1.5, "resource": "r", "type": "t", "settings": {}, "event": "intent",
         "key": "k", "format": "f", "digest": "d", "context": {"sdk": "qiskit"}},
        {"v": 1, "at": 2.5, "event": "started", "resource": "r", "key": "k", "task": "t-1"},
        {"v": 1, "at": 3.5, "event": "ended", "resource": "r", "task": "t-1",
         "status": "COMPLETED"},
    ]  # fmt: skip
    name = "node-7.example.org-4711-1700000000000000000-0123abcd.jsonl"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / name).write_text(text + '{"v":1,"at":4')
    record = Journal(tmp_path).task("t-1")
    assert (record.key, record.status, record.context) == (
        "k", TaskStatus.COMPLETED, {"sdk": "qiskit"},
    )  # fmt: skip
    assert (record.attempt, record.lost_at, record.uncertain) == (1, None, False)
    assert Journal(tmp_path).check().torn == (name,)
    assert Journal(tmp_path).compact().left == 1  # it is another machine's


def test_lines_of_a_later_format_are_passed_over_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They stay where they are, for the release that wrote them."""
    from qrmi.journal import events

    events._warned.clear()
    journal = Journal(tmp_path)
    journal.append("intent", **_INTENT)
    (file,) = tmp_path.iterdir()
    before = file.read_text()
    old = tmp_path / file.name.replace("-1.jsonl", "-0.jsonl")  # closed: there is a later one
    old.write_text('{"v":2,"at":1.0,"event":"intent","key":"future"}\n{"v":3,"at":1}\n' + before)
    for _ in range(3):
        assert [r.key for r in Journal(tmp_path).tasks()] == ["k"]
    assert caplog.text.count("later release") == 1
    health = Journal(tmp_path).check()
    assert (health.newest_format, health.damaged) == (3, ())
    journal.compact()
    assert old.exists()


@given(
    context=st.dictionaries(
        st.text(max_size=5), st.lists(st.text(max_size=300), max_size=8), max_size=5
    )
)
def test_a_large_context_comes_back_as_it_was(
    context: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Parts of it may be compressed on the way."""
    folder = tmp_path_factory.mktemp("journal")
    Journal(folder).append("intent", **_INTENT, context=context)
    found = Journal(folder).find("k")
    assert found is not None
    assert found.context == context


def test_records_are_short(tmp_path: Path) -> None:
    """Less than 2 kB, with a context and a message that are not."""
    journal = Journal(tmp_path)
    part = {"shots": 1000, "outcome": list(range(20)), "registers": {"c": list(range(20))}}
    context = {"sdk": "cudaq", "layouts": {"pubs": [part] * 40}}
    journal.append("intent", **_INTENT, context=context)
    journal.append("refused", key="k", resource="r", reason="<p>no</p>" * 10_000)
    (file,) = tmp_path.iterdir()
    intent, refused = file.read_bytes().split(b"\n")[:2]
    assert len(intent) < 1000
    assert len(refused) < 2000
    record = journal.find("k")
    assert record is not None
    assert record.context == context
    assert record.reason.endswith("…")
