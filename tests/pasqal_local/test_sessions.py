"""Who opens sessions, which one a task is started in, and who ends them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from qrmi.errors import (
    AccessDeniedError,
    EnvVarNotSetError,
    InvalidInputError,
    Owner,
    ResourceUnavailableError,
)
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource
from qrmi_pasqal.local.refusals import SessionEndedError
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.warden import WardenServer

Opened = Callable[..., QuantumResource]
TOKEN = "QRMI_JOB_ACQUISITION_TOKEN"


def session_of(server: WardenServer) -> str:
    """The session that the last request named."""
    return server.requests[-1].headers["x-warden-session"]


def deletions(server: WardenServer) -> list[str]:
    """Paths of the requests that ended sessions."""
    return [request.path for request in server.requests if request.method == "DELETE"]


def test_no_session_at_all(warden: WardenServer, opened: Opened, program: PasqalCloud) -> None:
    """Without a session nothing is sent, and the error names the variable and the ways out."""
    with pytest.raises(EnvVarNotSetError, match=f"qpu_{TOKEN} environment variable") as caught:
        opened(warden).task_start(program)
    assert "acquire()" in caught.value.hint
    assert "qrmi config check" in caught.value.hint
    assert warden.tasks_made() == 0


def test_the_session_of_the_prolog(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """In a job, tasks are started in the session that the prolog opened."""
    token = warden.open_session("4242")
    opened(warden, **{TOKEN: token}).task_start(program)
    assert session_of(warden) == token


def test_an_acquired_session_comes_first(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """What was acquired here is used, until it is released; then the prolog's again."""
    prolog = warden.open_session("4242")
    handle = opened(warden, **{TOKEN: prolog, "QRMI_JOB_ID": "4243"})
    with handle.acquired() as token:
        handle.task_start(program)
        assert session_of(warden) == token != prolog
    handle.task_start(program)
    assert session_of(warden) == prolog
    assert warden.held_sessions() == [prolog]


def test_closing_leaves_the_prologs_session(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Neither `with` nor `close` ends what a prolog opened."""
    prolog = warden.open_session("4242")
    with opened(warden, **{TOKEN: prolog}) as handle:
        handle.task_start(program)
    assert warden.held_sessions() == [prolog]
    assert deletions(warden) == []


def test_a_program_does_not_release_the_prologs_session(
    warden: WardenServer, opened: Opened
) -> None:
    """Even an administrator's program is stopped from it: its epilog will do that."""
    prolog = warden.open_session("4242")
    with pytest.raises(AccessDeniedError, match="prolog") as caught:
        opened(warden, **{TOKEN: prolog}).release(prolog)
    assert caught.value.owner is Owner.USER
    assert warden.held_sessions() == [prolog]
    assert deletions(warden) == []


def test_an_epilog_releases(warden: WardenServer, opened: Opened) -> None:
    """A handle whose settings do not name the session ends it."""
    prolog = warden.open_session("4242")
    opened(warden).release(prolog)
    assert warden.held_sessions() == []


def test_a_users_acquire_gives_the_prologs_session(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Users may open no sessions: in a job they get its own, and ending it does nothing."""
    prolog = warden.open_session("4242")
    warden.admins = set()
    handle = opened(warden, **{TOKEN: prolog})
    with handle.acquired() as token:
        assert token == prolog
        handle.task_start(program)
    handle.release(prolog)
    assert warden.held_sessions() == [prolog]
    assert deletions(warden) == []


def test_a_newer_warden_gives_the_jobs_own_session(newer: WardenServer, opened: Opened) -> None:
    """One session a job: an administrator who acquires in a job must not end the prolog's."""
    prolog = newer.open_session("4242")
    with opened(newer, **{TOKEN: prolog}).acquired() as token:
        assert token == prolog
    assert newer.held_sessions() == [prolog]


def test_a_user_outside_a_job_may_not_acquire(warden: WardenServer, opened: Opened) -> None:
    """The refusal says who opens sessions."""
    warden.admins = set()
    with pytest.raises(AccessDeniedError, match="Endpoint restricted") as caught:
        opened(warden).acquire()
    assert caught.value.owner is Owner.SITE
    assert "around each job" in caught.value.hint


def test_a_user_may_not_release(warden: WardenServer, opened: Opened) -> None:
    """A 403 on release says whose business it is; the session stays."""
    other = warden.open_session("77")
    warden.admins = set()
    with pytest.raises(AccessDeniedError, match="Endpoint restricted") as caught:
        opened(warden).release(other)
    assert "around each job" in caught.value.hint
    assert warden.held_sessions() == [other]


def test_a_user_who_is_not_listed(warden: WardenServer, opened: Opened) -> None:
    """Sites can restrict who gets sessions; the hint says where."""
    warden.users = {123456}
    with pytest.raises(AccessDeniedError) as caught:
        opened(warden).acquire()
    assert "authorized_users" in caught.value.hint


@pytest.mark.parametrize("key", ["QRMI_JOB_UID", "QRMI_JOB_ID"])
def test_acquiring_needs_to_know_for_whom(newer: WardenServer, key: str) -> None:
    """The variable that is missing is named when it is needed, and not before."""
    settings = newer.settings()
    del settings[key]
    handle = QuantumResource.from_config("qpu", "pasqal-local", settings)
    assert handle.is_accessible()
    with pytest.raises(EnvVarNotSetError, match=f"^{key} environment variable is not set"):
        handle.acquire()


# --- ending -----------------------------------------------------------------------------------


def test_newer_wardens_get_the_id_in_a_header(newer: WardenServer, opened: Opened) -> None:
    """URLs end up in access logs: the session is named in a header."""
    handle = opened(newer)
    token = handle.acquire()
    handle.release(token)
    assert deletions(newer) == ["/sessions"]
    assert session_of(newer) == token


def test_an_older_warden_is_known_by_its_session(older: WardenServer, opened: Opened) -> None:
    """Who acquired on 0.1 knows how to release there: one request."""
    handle = opened(older)
    token = handle.acquire()
    handle.release(token)
    assert deletions(older) == [f"/sessions/{token}"]


def test_an_older_warden_is_found_out_once(older: WardenServer, opened: Opened) -> None:
    """An epilog tries the header, is told that there is no such route, and remembers."""
    tokens = [older.open_session(job) for job in ("1", "2")]
    handle = opened(older)
    for token in tokens:
        handle.release(token)
    assert deletions(older) == ["/sessions", *(f"/sessions/{token}" for token in tokens)]
    assert older.held_sessions() == []


def test_releasing_what_has_ended(warden: WardenServer, opened: Opened) -> None:
    """A session that is unknown, or ended twice, is no error."""
    handle = opened(warden)
    token = handle.acquire()
    handle.release(token)
    handle.release(token)
    handle.release("5bb3ab9a-8a5c-4b36-9dfc-1cbd7d54d5ee")


def test_no_token_reaches_nobody(warden: WardenServer, opened: Opened) -> None:
    """An empty token does not fall back to any other."""
    prolog = warden.open_session("4242")
    with pytest.raises(InvalidInputError):
        opened(warden, **{TOKEN: prolog}).release("")
    assert warden.held_sessions() == [prolog]
    assert warden.requests == []


def test_a_lost_session_is_replaced(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """When the site ended what was acquired here, the job's own session serves."""
    prolog = newer.open_session("4242")
    handle = opened(newer, **{TOKEN: prolog, "QRMI_JOB_ID": "4243"})
    opened(newer).release(handle.acquire())
    handle.task_start(program)
    assert session_of(newer) == prolog
    assert newer.tasks_made() == 1


def test_an_ended_session_is_told(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Without another session, the error is the service's, each time."""
    handle = opened(warden)
    opened(warden).release(handle.acquire())
    for _ in range(2):
        with pytest.raises(SessionEndedError, match="revoked") as caught:
            handle.task_start(program)
    assert "as long as its job" in caught.value.hint


def test_another_users_session(newer: WardenServer, opened: Opened, program: PasqalCloud) -> None:
    """A session is its user's alone."""
    token = newer.open_session("4242", user=54321)
    with pytest.raises(AccessDeniedError, match="another user"):
        opened(newer, **{TOKEN: token}).task_start(program)


def test_nothing_shows_a_session(
    older: WardenServer, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a message, not the log, not `repr`: a session's id lets jobs in."""
    caplog.set_level(logging.DEBUG, "qrmi")
    token = older.open_session("4242")
    handle = opened(older, QRMI_HTTP_BUDGET_SECONDS="1")
    older.faults.add(Fault(kind="status", match="DELETE /sessions/", times=None, status=503))
    with pytest.raises(ResourceUnavailableError) as caught:
        handle.release(token)
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {handle!r} {caplog.text}"
    assert token not in shown
    assert token not in repr(opened(older, **{TOKEN: token})._driver.settings)


# --- slots ------------------------------------------------------------------------------------


def test_slots_are_asked_for(newer: WardenServer, opened: Opened) -> None:
    """As many as the scheduler granted; none are mentioned where it granted none."""
    opened(newer).acquire()
    assert "qpu_slots" not in json.loads(newer.requests[-1].body)
    opened(newer, QRMI_JOB_ID="2", QRMI_JOB_QPU_SLOTS="4").acquire()
    assert json.loads(newer.requests[-1].body)["qpu_slots"] == 4
    capacity = opened(newer).status().capacity
    assert capacity is not None
    assert (capacity.available_slots, capacity.max_slots) == (5, 10)


def test_changed_slots_are_refused(newer: WardenServer, opened: Opened) -> None:
    """A job's session keeps its slots."""
    opened(newer, QRMI_JOB_QPU_SLOTS="4").acquire()
    with pytest.raises(InvalidInputError, match="different parameters") as caught:
        opened(newer, QRMI_JOB_QPU_SLOTS="5").acquire()
    assert "QRMI_JOB_QPU_SLOTS" in caught.value.hint


def test_too_many_slots(newer: WardenServer, opened: Opened) -> None:
    """Slots that others hold come back: the same call may succeed later."""
    opened(newer, QRMI_JOB_QPU_SLOTS="9").acquire()
    with pytest.raises(ResourceUnavailableError, match="Not enough QPU slots") as caught:
        opened(newer, QRMI_JOB_ID="2", QRMI_JOB_QPU_SLOTS="2").acquire()
    assert caught.value.retryable
    assert caught.value.owner is Owner.SITE


def test_an_older_warden_has_no_slots(older: WardenServer, opened: Opened) -> None:
    """A session on 0.1 has the whole QPU in turn, whatever was asked for."""
    token = opened(older, QRMI_JOB_QPU_SLOTS="3").acquire()
    assert older.held_sessions() == [token]
    assert opened(older).status().capacity is None
