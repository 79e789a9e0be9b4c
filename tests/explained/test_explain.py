"""`qrmi explain` tells the story of a task, a start or a lease from the journal alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planting import Planting
from plants import FELIS, IQM

from qrmi import journal
from qrmi.cli.main import main
from qrmi.diagnosis.story import Existence, tell
from qrmi.errors import QrmiError, TaskFailedError
from qrmi.testing.programs import tiny_program

Text = pytest.CaptureFixture[str]


def event(name: str, at: float = 0.0, **fields: Any) -> journal.Event:
    return journal.Event(at=at, name=name, fields=fields, writer="w")


def intent(**fields: Any) -> journal.Event:
    return event("intent", key="k", resource="r", type="t", format="f", **fields)


def explained(capsys: Text, *arguments: str) -> dict[str, Any]:
    """The story as JSON."""
    capsys.readouterr()
    assert main(["explain", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("events", "state", "existence", "word"),
    [
        ([intent()], "sent, or about to be", "perhaps", "--look"),
        ([intent(), event("lost", 1, key="k")], "uncertain", "perhaps", "--look"),
        ([intent(), event("uncertain", 1, key="k")], "uncertain", "perhaps", "--look"),
        ([intent(), event("refused", 1, key="k", reason="no")], "refused", "no", "nothing runs"),
        ([intent(), event("created", 1, key="k", task="i")], "made, program not confirmed", "yes",
         "status i"),
        ([intent(), event("started", 1, key="k", task="i")], "started", "yes", "result i --wait"),
        ([event("started", 1, key="k", task="i"), event("seen", 2, task="i", status="RUNNING")],
         "running", "yes", "stop i"),
        ([event("started", 1, key="k", task="i"), event("stopping", 2, task="i")],
         "stopping", "yes", "status i"),
        ([event("started", 1, key="k", task="i"), event("ended", 2, task="i", status="COMPLETED"),
          event("seen", 3, task="i", status="RUNNING")], "completed", "no", "result i"),
        ([event("ended", 2, task="i", status="FAILED", failure="x")], "failed", "no", "logs i"),
        ([event("ended", 2, task="i", status="CANCELLED")], "cancelled", "no", "start it again"),
        ([event("acquired", token="t", resource="r")], "held", "yes", "leases --reap"),
        ([event("acquired", token="t"), event("released", 1, token="t")], "released", "no",
         "nothing"),
        ([event("of-a-later-release", 1, task="i")], "unknown", "perhaps", "status"),
    ],
)  # fmt: skip
def test_what_the_last_word_means(
    events: list[journal.Event], state: str, existence: str, word: str
) -> None:
    """State, whether it may be alive, and what can be done now follow from the events."""
    story = tell(events)
    assert (story.state, story.existence) == (state, Existence(existence))
    assert word in story.advice


_NAMES = ["intent", "created", "lost", "started", "refused", "uncertain", "seen", "ended"]
_NAMES += ["stopping", "failed", "acquired", "released", "unheard-of"]
_FIELDS = ["key", "task", "token", "resource", "type", "reason", "status", "failure", "owner"]
_FIELDS += ["request_ids", "attempt", "message", "error", "step", "hint", "retryable"]
_values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text())


@given(
    st.lists(
        st.builds(
            journal.Event,
            at=st.floats(0, 1e10),
            name=st.sampled_from(_NAMES),
            fields=st.dictionaries(st.sampled_from(_FIELDS), _values),
            writer=st.text(max_size=3),
        ),
        min_size=1,
    )
)
def test_any_events_make_a_story(events: list[journal.Event]) -> None:
    """Whatever a later release writes, the story is told; time does not run backwards."""
    story = tell(events)
    elapsed = [step.elapsed_seconds for step in story.steps]
    assert elapsed == sorted(elapsed)
    assert story.advice


def test_a_tasks_whole_story(planting: Planting, capsys: Text) -> None:
    """From the intent to the end, by id, by its beginning and by key; without any request."""
    resource = planting.resource(IQM)
    task_id = resource.task_start(tiny_program(resource), key="night-run-7")
    resource.task_wait(task_id, timeout_seconds=20)
    before = len(planting.server(IQM).requests)
    stories = [explained(capsys, name)["story"] for name in (task_id, task_id[:8], "night-run-7")]
    assert stories[0] == stories[1] == stories[2]
    story = stories[0]
    assert (story["state"], story["existence"], story["key"]) == ("completed", "no", "night-run-7")
    names = [step["event"] for step in story["steps"]]
    assert names[0] == "intent"
    assert names[-1] == "ended"
    assert "started" in names
    assert len(planting.server(IQM).requests) == before


def test_a_failure_is_told_with_its_step_and_ids(planting: Planting, capsys: Text) -> None:
    """The verb, the error, whose it is, the hint and what to quote; LASTERROR finds it."""
    resource, task_id = planting.started(IQM)
    body = {"error_code": "broken", "message": "the disk is full", "request_id": "req-99"}
    planting.fault(IQM, kind="status", status=400, body=body, match="GET /api/v1/jobs")
    with pytest.raises(QrmiError):
        resource.task_result(task_id)
    found = explained(capsys, "LASTERROR")
    failure = found["failure"]
    assert (failure["step"], failure["error"]) == ("task_result", "InvalidInputError")
    assert (failure["owner"], failure["request_ids"]) == ("user", ["req-99"])
    assert found["story"]["task_id"] == task_id
    assert explained(capsys, task_id)["failure"] == failure
    assert main(["explain", "LASTERROR"]) == 0
    text = capsys.readouterr().out
    for word in ("task_result", "the disk is full", "req-99", "you can put this right", task_id):
        assert word in text


def test_a_start_without_an_id(planting: Planting, capsys: Text) -> None:
    """It is found by its key, and the story says that something may exist."""
    journal.default().append(
        "intent", key="lonely", resource="garnet", type=IQM, format="iqm-server", digest="d",
        context={}, settings={}, attempt=1,
    )  # fmt: skip
    story = explained(capsys, "lone")["story"]
    assert (story["kind"], story["name"], story["existence"]) == ("start", "lonely", "perhaps")


def test_a_refused_start(planting: Planting, capsys: Text) -> None:
    """Nothing runs, and the reason is the service's."""
    resource = planting.resource(FELIS)
    program = tiny_program(resource)
    body = {"detail": "no shots are left"}
    planting.fault(FELIS, kind="status", status=422, body=body, match="POST /v1/jobs")
    with pytest.raises(QrmiError):
        resource.task_start(program, key="refused-run")
    story = explained(capsys, "refused-run")["story"]
    assert (story["state"], story["existence"]) == ("refused", "no")
    assert "no shots are left" in json.dumps(story["steps"])


def test_looking_asks_the_service(planting: Planting, capsys: Text) -> None:
    """With --look the service's own word stands beside the journal's."""
    path = planting.file("qrmi_config.json", {"resources": [planting.settings(IQM)]})
    path.chmod(0o600)
    planting.environment.setenv("QRMI_CONFIG", str(path))
    resource = planting.resource(IQM, "garnet")
    task_id = resource.task_start(tiny_program(resource))
    resource.task_wait(task_id, timeout_seconds=20)
    assert explained(capsys, task_id, "--look")["look"]["status"] == "completed"
    planting.fault(IQM, kind="status", status=401)
    look = explained(capsys, task_id, "--look")["look"]
    assert look["answered"] is False
    assert "credentials" in look["text"]


def test_the_same_id_on_two_resources(planting: Planting, capsys: Text) -> None:
    """Some services count from 1: the resource has to be named."""
    for name in ("left", "right"):
        journal.default().append("ended", resource=name, type=IQM, task="1", status="COMPLETED")
    assert main(["explain", "1"]) == 2
    assert "--resource" in capsys.readouterr().err
    assert explained(capsys, "1", "--resource", "left")["story"]["resource_id"] == "left"


def test_nothing_to_tell(planting: Planting, capsys: Text) -> None:
    """An id that nobody knows is not found; without errors LASTERROR says so."""
    assert main(["explain", "nobody"]) == 6
    assert "qrmi tasks" in capsys.readouterr().err
    assert explained(capsys, "LASTERROR") == {"story": None, "failure": None}


def test_it_fits_on_a_terminal(planting: Planting, capsys: Text) -> None:
    """No line is longer than 80 columns but for words that cannot be broken."""
    planting.environment.setenv("COLUMNS", "80")
    book = journal.default()
    book.append("started", key="k" * 40, resource="garnet", task="task-1")
    book.append(
        "failed", resource="garnet", task="task-1", step="task_result",
        error=TaskFailedError.__name__, message="word " * 60, owner="user", retryable=False,
        hint="do " * 50, request_ids=["r" * 60],
    )  # fmt: skip
    assert main(["explain", "task-1"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
