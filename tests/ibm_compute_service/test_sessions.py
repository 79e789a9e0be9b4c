"""Sessions of the compute service: acquire, keep, release."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import TaskStatus
from qrmi.errors import InvalidInputError
from qrmi_ibm.compute_service.sessions import Lease, Session, may_be_kept


def _sent(server, method, part="/sessions"):
    return [r for r in server.requests if r.method == method and part in r.path]


def _session(**known):
    unknown = dict.fromkeys(
        ("mode", "state", "max_seconds", "left_seconds", "accepts", "backend"), None
    )
    return Session(**{**unknown, **known})


def test_acquire_begins_a_session(server, opened):
    """The body is exactly that of the service's page; tasks go to the session."""
    resource = opened(SESSION_MODE="Batch", SESSION_MAX_TTL="600")
    token = resource.acquire()
    assert json.loads(_sent(server, "POST")[0].body) == {
        "max_ttl": 600,
        "mode": "batch",
        "backend": "test_heron",
        "backend_name": "test_heron",
    }
    assert resource.metadata() == {"backend_name": "test_heron", "session_id": token}


def test_tasks_go_to_the_session(server, resource, program):
    """Without a session a job names none; with one it does; after its release none again."""
    resource.task_start(program)
    token = resource.acquire()
    resource.task_start(program)
    resource.release(token)
    resource.task_start(program)
    bodies = [json.loads(request.body) for request in _sent(server, "POST", "/jobs")]
    assert [body.get("session_id") for body in bodies] == [None, token, None]
    assert resource.metadata() == {"backend_name": "test_heron"}


def test_release_with_nothing_to_do(server, resource):
    """An idle session takes no more jobs; one that ended already is no error."""
    token = resource.acquire()
    resource.release(token)
    assert json.loads(_sent(server, "PATCH")[0].body) == {"accepting_jobs": False}
    assert not _sent(server, "DELETE")
    assert server.sessions[token].state == "closed"
    resource.release(token)
    resource.release("sess-of-nobody")


def test_release_with_pending_jobs(server, resource, program):
    """A session with jobs is closed with them."""
    server.run_seconds = 30
    token = resource.acquire()
    tasks = [resource.task_start(program) for _ in range(2)]
    resource.release(token)
    assert _sent(server, "DELETE")[0].path.endswith(f"/sessions/{token}/close")
    for task in tasks:
        assert resource.task_wait(task, 10) is TaskStatus.CANCELLED


def test_empty_token_is_not_sent(server, resource):
    """An empty token never reaches the service."""
    with pytest.raises(InvalidInputError):
        resource.release("")
    resource._driver.release("")
    assert not server.requests


def test_configured_session_is_kept(server, opened, program):
    """The prolog's session is used as it is, and acquire keeps it while it is good."""
    token = opened().acquire()
    job = opened(QRMI_JOB_ACQUISITION_TOKEN=token)
    job.task_start(program)
    assert json.loads(_sent(server, "POST", "/jobs")[0].body)["session_id"] == token
    assert job.acquire() == token
    assert opened(SESSION_ID=token, QRMI_JOB_ACQUISITION_TOKEN="other").acquire() == token
    assert len(_sent(server, "POST")) == 1


@pytest.mark.parametrize("state", ["old", "closed", "refusing", "gone", "elsewhere"])
def test_session_that_is_not_good(server, opened, state):
    """A session that is about to end, has ended, or is another device's is replaced.

    What still runs in it may finish; another device's session is left alone.
    """
    token = opened("test_eagle" if state == "elsewhere" else "test_heron").acquire()
    resource = opened(SESSION_ID=token)
    session = server.sessions[token]
    if state == "old":
        session.ends_at = time.monotonic() + session.max_seconds / 100
    elif state == "closed":
        session.state = "closed"
    elif state == "refusing":
        session.accepts = False
    elif state == "gone":
        del server.sessions[token]
    new = resource.acquire()
    assert new != token
    assert resource.metadata()["session_id"] == new
    assert len(_sent(server, "PATCH")) == (state in ("old", "refusing"))
    assert not _sent(server, "DELETE")


def test_acquire_again_keeps_the_session(server, resource):
    """A second acquire gives the session that is held."""
    assert resource.acquire() == resource.acquire()
    assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("longest", "left", "kept"),
    [
        (28800, 289, True),
        (28800, 288, False),
        (50, 1, True),  # upstream's integer division kept any session shorter than 100 s
        (90, 0.5, False),
        (None, None, True),
        (None, 0, False),
        (28800, None, False),
        (60, None, True),
    ],
)
def test_rule_of_keeping(longest, left, kept):
    """More than a hundredth of the life is left; a time that is not told counts as a second."""
    assert may_be_kept(_session(max_seconds=longest, left_seconds=left), "x") is kept


@given(st.floats(1, 1e6), st.floats(0, 1e6))
def test_rule_is_a_share(longest, left):
    """The rule has no steps: it is one comparison of numbers."""
    kept = may_be_kept(_session(max_seconds=longest, left_seconds=left), "x")
    assert kept == (left > 0.01 * longest)


def test_lease_prefers_what_was_acquired():
    """The held token, else the configured one, and neither once released."""
    lease = Lease("configured")
    assert lease.token == "configured"
    lease.take("held")
    assert lease.token == "held"
    lease.drop("held")
    assert lease.token == "configured"
    lease.drop("configured")
    assert lease.token is None


def test_a_session_of_the_prolog_is_left_to_the_prolog(server, opened):
    """The end of a `with` block ends a session that was begun in it, and no other."""
    token = opened().acquire()  # a prolog's handle, which is never closed
    with opened(SESSION_ID=token) as resource:
        assert resource.acquire() == token
    with opened(SESSION_ID=token) as resource, resource.acquired() as held:
        assert held == token
    assert not _sent(server, "PATCH")
    assert not _sent(server, "DELETE")
    with opened() as resource:
        resource.acquire()
    assert len(_sent(server, "PATCH")) == 1
