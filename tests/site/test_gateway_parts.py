"""The gateway's parts: tokens, what travels, the table of methods, whose task is whose."""

from __future__ import annotations

import contextlib
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_lab import GatewayLab
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qrmi.driver import Driver
from qrmi.errors import (
    ConfigError,
    InvalidInputError,
    QrmiError,
    UnexpectedAnswerError,
    UnsupportedFunctionError,
)
from qrmi.interchange.verbs import ARGUMENTS
from qrmi.payloads import (
    AliceBobFelis,
    AnalogJob,
    IQMServer,
    Oqtopus,
    PasqalCloud,
    Payload,
    PulserBatch,
    QiskitPrimitive,
)
from qrmi.site.gateway import packing
from qrmi.site.gateway.methods import METHODS, Need, method_of
from qrmi.site.gateway.shots import shots_of
from qrmi.site.gateway.tasks import TaskRow, TaskTable
from qrmi.site.gateway.tokens import Claim, Tokens, site_secret
from qrmi.tasks import BatchJob, TaskResult, TaskStatus

texts = st.text(max_size=40)
claims = st.builds(Claim, key=texts, uid=st.integers(0, 2**32), resource=texts)

# --- tokens ---------------------------------------------------------------------------------------


@given(claim=claims)
def test_a_token_is_its_claim(claim: Claim) -> None:
    """The daemon reads what it wrote; the same lease has the same token."""
    tokens = Tokens(b"secret")
    assert tokens.read(tokens.make(claim)) == claim
    assert tokens.make(claim) == Tokens(b"secret").make(claim)
    assert Tokens(b"other").read(tokens.make(claim)) is None


@given(claim=claims, place=st.integers(0, 500), letter=st.characters(codec="ascii"))
def test_a_changed_token_is_none(claim: Claim, place: int, letter: str) -> None:
    """No character of it can be another."""
    token = str(Tokens(b"secret").make(claim))
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assert changed == token or Tokens(b"secret").read(changed) is None


@given(text=st.text())
def test_junk_is_no_token(text: str) -> None:
    """Whatever is sent in its place."""
    assert Tokens(b"secret").read(text) is None


def test_a_token_does_not_show_itself() -> None:
    """A traceback or a log of its ``repr`` has nothing of it."""
    assert repr(Tokens(b"s").make(Claim(key="k", uid=1, resource="r"))) == "***"


def test_the_secret_is_the_daemons_alone(tmp_path: Path) -> None:
    """It is kept, for its user alone; one that others could read is refused."""
    secret = site_secret(tmp_path / "state")
    assert site_secret(tmp_path / "state") == secret
    assert len(secret) == 32
    file = tmp_path / "state" / "gateway.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read it"):
        site_secret(tmp_path / "state")
    file.chmod(0o600)
    file.write_bytes(b"short")
    with pytest.raises(ConfigError, match="damaged"):
        site_secret(tmp_path / "state")


# --- what travels ---------------------------------------------------------------------------------

long_texts = texts.map(lambda text: text * 40)
values = st.one_of(
    texts,
    long_texts,
    st.builds(TaskResult, long_texts),
    st.sampled_from(TaskStatus),
    st.lists(st.builds(BatchJob, id=texts, status=st.sampled_from(TaskStatus), result=long_texts)),
    st.fixed_dictionaries({"payload": st.builds(PasqalCloud, long_texts, st.integers(1, 9))}),
    st.none(),
    st.integers(),
)


@given(value=values)
def test_what_is_packed_is_unpacked(value: Any) -> None:
    """Equal, of the same type, from bytes and from a stream; the length is the length."""
    packed = packing.Packed(value)
    body = b"".join(packed)
    assert body == b"".join(packed)
    assert len(body) == packed.length
    for found in (packing.unpacked(body), packing.unpacked_from(io.BytesIO(body))):
        assert found == value
        assert type(found) is type(value)


@given(value=values, cut=st.integers(1, 200))
def test_a_part_of_it_is_nothing(value: Any, cut: int) -> None:
    """What ended too early is an error, never a shorter value."""
    body = b"".join(packing.Packed(value))[: -min(cut, 5)]
    with pytest.raises(ValueError, match=r"it|line|text"):
        packing.unpacked(body)
    with pytest.raises((OSError, UnexpectedAnswerError)):
        packing.unpacked_from(io.BytesIO(body))


@given(junk=st.binary(max_size=300))
def test_junk_is_not_unpacked(junk: bytes) -> None:
    """Any bytes give a value or one of two errors."""
    for call in (packing.unpacked, lambda data: packing.unpacked_from(io.BytesIO(data))):
        with contextlib.suppress(ValueError, OSError, UnexpectedAnswerError):
            call(junk)


def test_a_large_result_is_held_twice_at_most() -> None:
    """50 MB: the sender holds it once, the reader twice, and neither three times."""
    size = 50_000_000
    result = TaskResult("0123456789" * (size // 10))
    tracemalloc.start()
    packed = packing.Packed(result)
    for _ in packed:
        pass
    sent = tracemalloc.get_traced_memory()[1]
    body = io.BytesIO(b"".join(packed))
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    found = packing.unpacked_from(body)
    read = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert found == result
    assert sent < 0.1 * size, f"packing took {sent / size:.2f} copies"
    assert read < 2.1 * size, f"unpacking took {read / size:.2f} copies"


# --- the table of methods -------------------------------------------------------------------------


def test_the_table_is_the_interface() -> None:
    """Every verb that a job may use is there, with the arguments of the interface."""
    ours = {name: tuple(method.arguments) for name, method in METHODS.items()}
    kept_back = {"release", "is_borrowed"}  # sessions are begun and ended by the scheduler
    extra = {"describe": (), "can_find": ("payload",), "mark_of": ("payload", "key")}
    assert ours == {k: v for k, v in ARGUMENTS.items() if k not in kept_back} | extra


def test_what_starts_needs_a_lease() -> None:
    """Whatever gives a resource something to run."""
    needs = {"task_start", "task_create", "batch_start", "task_submit", "batch_add", "acquire"}
    with_lease = {Need.LEASE, Need.START, Need.TASK_AND_LEASE}
    assert {name for name, m in METHODS.items() if m.need in with_lease} == needs


@pytest.mark.parametrize(
    "name", ["", "close", "__init__", "settings", "use", "discover", "release"]
)
def test_other_methods_are_refused(name: str) -> None:
    """What a driver has beside the table is out of reach."""
    with pytest.raises(UnsupportedFunctionError):
        method_of(name)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(METHODS)), arguments=junk)
def test_junk_arguments(name: str, arguments: Any) -> None:
    """They are read, or refused by our own error; nothing else."""
    try:
        found = METHODS[name].read(arguments)
    except InvalidInputError:
        return
    assert found.keys() == METHODS[name].arguments.keys()


@given(name=st.sampled_from(sorted(METHODS)), data=st.data())
def test_junk_of_the_right_shape(name: str, data: st.DataObject) -> None:
    """The same where all names are right and the values are anything."""
    arguments = {each: data.draw(junk) for each in METHODS[name].arguments}
    try:
        found = METHODS[name].read(arguments)
    except InvalidInputError:
        return
    for each in ("task_id", "batch_id", "key"):
        assert each not in found or isinstance(found[each], str)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayLab]:
    made = GatewayLab(
        tmp_path_factory.mktemp("site"),
        {"name": "local", "type": "local", "environment": {}, "gateway": True},
    )
    yield made
    made.down()


bodies = st.binary(max_size=80) | st.builds(
    lambda value, sizes: json.dumps({"value": value, "texts": sizes}).encode() + b"\n",
    st.dictionaries(
        st.sampled_from(["token", "name", "arguments", "$value"]),
        junk.filter(lambda v: not isinstance(v, bytes)).map(
            lambda v: json.loads(json.dumps(v, default=str))
        ),
    ),
    st.lists(st.integers(-1, 3), max_size=2),
)


@given(
    name=st.sampled_from(sorted(METHODS)) | st.text(max_size=8),
    resource=st.text(max_size=8),
    body=bodies,
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_junk_requests(lab: GatewayLab, name: str, resource: str, body: bytes) -> None:
    """Whatever is posted to the gateway: an error of ours, and no driver is asked."""
    with pytest.raises(QrmiError):
        lab.gateway.call(caller=4242, resource=resource, method=name, body=body)


def test_drivers_have_a_verb_for_each(lab: GatewayLab) -> None:
    """The table calls what the interface has."""
    assert all(hasattr(Driver, name) for name in METHODS if name != "describe")


# --- whose task is whose --------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Iterator[TaskTable]:
    made = TaskTable(tmp_path, iter(range(100, 10_000)).__next__)
    made.open()
    yield made
    made.close()


def row(**fields: Any) -> TaskRow:
    known = {"uid": 7, "job": "j", "resource": "r", "entry": "r", "type": "local", "key": "k"}
    return TaskRow(**{**known, **fields})


def test_a_task_is_kept_through_its_life(table: TaskTable) -> None:
    """Times of its start, its first run and its end; later looks change nothing."""
    kept = table.started(table.intend(row(shots=5)), "t")
    for status in (TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.RUNNING, TaskStatus.COMPLETED):
        kept = table.seen(kept, status)
    assert table.seen(kept, TaskStatus.FAILED) == kept
    assert kept == table.of_task("r", "t") == table.of_key(7, "r", "k")
    assert (kept.asked, kept.started, kept.running, kept.ended) == (100, 101, 102, 103)
    use = kept.use()
    assert (use.shots, use.qpu_seconds, use.wait_seconds, use.error) == (5, 1.0, 1.0, "")


def test_what_the_vendor_says_counts(table: TaskTable) -> None:
    """Its QPU seconds stand in the place of those that were seen."""
    kept = table.seen(table.started(table.intend(row()), "t"), TaskStatus.COMPLETED)
    assert kept.use().qpu_seconds is None
    assert table.measured(kept, qpu_seconds=0.25).use().qpu_seconds == 0.25


def test_a_key_is_free_again_after_a_refusal(table: TaskTable) -> None:
    """And not before; the same key of another user or resource is another."""
    first = table.intend(row())
    with pytest.raises(QrmiError):
        table.intend(row())
    table.refused(first, "vendor")
    assert table.of_key(7, "r", "k") is None
    table.intend(row())
    table.intend(row(uid=8))
    table.intend(row(resource="s"))
    assert table.of_job("j")[0].use().error == "vendor"


def test_it_is_all_on_disk(tmp_path: Path) -> None:
    """The next daemon knows a start of which this one never heard the end."""
    first = TaskTable(tmp_path)
    first.open()
    kept = first.intend(row())
    second = TaskTable(tmp_path)
    second.open()
    assert second.unsettled("r", 7) == [kept]
    first.close()
    second.close()


def test_parts_of_a_batch(table: TaskTable) -> None:
    """They are their batch's user's, and no tasks of the books."""
    batch = table.started(table.intend(row(shots=1)), "b")
    table.add_parts(batch, ["p1", "p2"])
    table.add_parts(batch, ["p1"])
    assert table.of_task("r", "p1").uid == 7
    assert table.ids("r", 7) == {"b", "p1", "p2"}
    assert [each.task for each in table.of_job("j")] == ["b"]


def test_a_file_of_another_version(table: TaskTable, tmp_path: Path) -> None:
    """It is not used, and says so."""
    import sqlite3

    (tmp_path / "x").mkdir()
    with sqlite3.connect(tmp_path / "x" / "tasks.sqlite") as file:
        file.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="version 9"):
        TaskTable(tmp_path / "x").open()


# --- shots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "shots"),
    [
        (QiskitPrimitive('{"pubs": [["q", null, 10], ["q", [], 5]]}', "sampler"), 15),
        (QiskitPrimitive('{"pubs": [["q"], ["q", null, 5]]}', "sampler"), None),
        (QiskitPrimitive('{"pubs": [["q"]], "options": {"default_shots": 7}}', "sampler"), 7),
        (QiskitPrimitive('{"pubs": [["q", "o", null, 0.1]]}', "estimator"), None),
        (QiskitPrimitive('{"pubs": 5}', "sampler"), None),
        (QiskitPrimitive("no JSON", "sampler"), None),
        (PasqalCloud("{}", 9), 9),
        (PulserBatch(sequence="{}", jobs=[AnalogJob(runs=2), AnalogJob(runs=3)]), 5),
        (PulserBatch(sequence="{}", jobs=[AnalogJob(runs=2), AnalogJob()]), None),
        (AliceBobFelis("", '{"nbShots": 4}'), 4),
        (AliceBobFelis("", "{}"), None),
        (IQMServer('{"shots": 6, "circuits": [1, 2]}', "circuit"), 12),
        (Oqtopus('{"shots": 3, "program": ["a", "b"]}'), 6),
        (Oqtopus('{"shots": true}'), None),
    ],
)
def test_shots(payload: Payload, shots: int | None) -> None:
    """As the payload says; where it does not, nobody guesses."""
    assert shots_of(payload) == shots
