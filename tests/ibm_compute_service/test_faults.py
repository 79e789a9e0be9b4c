"""What a bad server gets: a typed error within the budget, and nothing done twice."""

from __future__ import annotations

import time

import pytest

from qrmi import TaskStatus
from qrmi.errors import (
    AccessDeniedError,
    AnswerLostError,
    AuthenticationFailedError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskNotFoundError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi_sandbox.compute_service import ComputeServiceServer
from qrmi_sandbox.faults import Fault

API = "/api/v1"
VERBS = {
    "is_accessible": (f"GET {API}/backends/test_heron/status", lambda r, _: r.is_accessible()),
    "status": (f"GET {API}/backends", lambda r, _: r.status()),
    "target": (f"GET {API}/backends/test_heron/configuration", lambda r, _: r.target()),
    "acquire": (f"POST {API}/sessions", lambda r, _: r.acquire()),
    "release": (f"GET {API}/jobs", lambda r, _: r.release("sess-1")),
    "task_start": (f"POST {API}/jobs", lambda r, p: r.task_start(p)),
    "task_status": (f"GET {API}/jobs/", lambda r, _: r.task_status("job-1")),
    "task_result": (f"GET {API}/jobs/", lambda r, _: r.task_result("job-1")),
    "task_logs": (f"GET {API}/jobs/", lambda r, _: r.task_logs("job-1")),
    "task_stop": (f"GET {API}/jobs/", lambda r, _: r.task_stop("job-1")),
    "find_task": (f"GET {API}/jobs", lambda r, _: r.find_task("key")),
    "list_tasks": (f"GET {API}/jobs", lambda r, _: r.list_tasks()),
}
NOT_REPEATED = frozenset({"acquire", "task_start"})
ABOUT_TASKS = frozenset({"task_status", "task_result", "task_logs", "task_stop"})
TEXTS = frozenset({"task_logs"})  # any text is a log
STATUSES = {
    400: InvalidInputError,
    403: AccessDeniedError,
    405: InvalidInputError,
    409: InvalidInputError,
    410: InvalidInputError,
    422: InvalidInputError,
    423: ResourceUnavailableError,
    429: ResourceUnavailableError,
    500: ResourceUnavailableError,
    502: ResourceUnavailableError,
    503: ResourceUnavailableError,
}
SOME = ("is_accessible", "task_status", "acquire", "task_start")


@pytest.fixture(params=VERBS)
def verb(request) -> str:
    """Each verb that sends something."""
    return request.param


@pytest.fixture(params=sorted(VERBS.keys() - NOT_REPEATED))
def reading_verb(request) -> str:
    """Each verb whose first request may be repeated."""
    return request.param


def _call(resource, verb, program):
    return VERBS[verb][1](resource, program)


def _hits(server: ComputeServiceServer, verb: str) -> int:
    method, path = VERBS[verb][0].split()
    return sum(r.method == method and r.path.startswith(path) for r in server.requests)


def _fails(server, resource, verb, program, fault, expected):
    planted = server.faults.add(fault)
    begun = time.monotonic()
    with pytest.raises(QrmiError) as caught:
        _call(resource, verb, program)
    assert time.monotonic() - begun < 3.0
    assert type(caught.value) is expected
    assert planted.hits >= 1
    assert "planted" not in repr(server.executions)
    return caught.value


@pytest.mark.parametrize(
    ("verb", "status"),
    [(verb, status) for status in STATUSES for verb in (VERBS if status < 423 else SOME)],
)
def test_statuses(server, hasty, verb, program, status):
    """A status that stays is the error of the common table; what is not idempotent is sent once.

    A start is sent again, when its job was looked for and is not there.
    """
    before = _hits(server, verb)
    fault = Fault(kind="status", match=VERBS[verb][0], status=status, times=None)
    expected = STATUSES[status]
    if status in (500, 502):  # it may have been carried out
        expected = AnswerLostError if verb == "acquire" else expected
    error = _fails(server, hasty, verb, program, fault, expected)
    assert error.retryable == (expected is ResourceUnavailableError)
    if verb in NOT_REPEATED or status < 423:
        attempts = 3 if verb == "task_start" and status in (500, 502) else 1
        assert _hits(server, verb) == before + attempts


def test_not_found(server, hasty, verb, program):
    """A 404 means the task where there is one, else the device; a missing session is none."""
    server.faults.add(Fault(kind="status", match=VERBS[verb][0], status=404, times=None))
    if verb == "release":
        hasty.release("sess-1")
        return
    expected = TaskNotFoundError if verb in ABOUT_TASKS else ResourceNotFoundError
    with pytest.raises(expected):
        _call(hasty, verb, program)


def test_retry_after_for_ever(server, hasty, program):
    """A server that always says "later" is asked until the budget is spent, not for ever."""
    fault = Fault(kind="status", match=f"GET {API}/jobs/", status=429, retry_after=0.1, times=None)
    error = _fails(server, hasty, "task_status", program, fault, ResourceUnavailableError)
    assert error.owner is Owner.VENDOR
    assert 2 <= fault.hits <= 8


def test_one_bad_answer_is_survived(server, opened, reading_verb, program):
    """One 503, or one reset, does not fail a call that may be repeated."""
    resource, verb = opened(), reading_verb
    task = resource.task_start(program)
    resource.task_wait(task, 60)
    for kind in ("status", "reset_before", "reset_after"):
        server.faults.add(Fault(kind=kind, match=VERBS[verb][0], status=503))
        with_task = {
            "task_status": lambda: resource.task_status(task),
            "task_result": lambda: resource.task_result(task),
            "task_logs": lambda: resource.task_logs(task),
            "task_stop": lambda: resource.task_stop(task),
        }
        with_task.get(verb, lambda: _call(resource, verb, program))()


@pytest.mark.parametrize("verb", SOME)
@pytest.mark.parametrize("kind", ["silence", "reset_before"])
def test_no_answer(server, hasty, verb, program, kind):
    """Silence and resets end in an error of the network; a start is not sent blindly again."""
    before = _hits(server, verb)
    fault = Fault(kind=kind, match=VERBS[verb][0], times=None, seconds=3.0)
    lost = verb in NOT_REPEATED
    expected = AnswerLostError if verb == "acquire" else ResourceUnavailableError
    assert _fails(server, hasty, verb, program, fault, expected).owner is Owner.NETWORK
    if lost:
        assert _hits(server, verb) == before + (3 if verb == "task_start" else 1)


def test_lost_answer_to_a_start(server, hasty, program):
    """When the answer to a start is lost, one job exists and it can be found by its key."""
    server.faults.add(Fault(kind="reset_after", match=f"POST {API}/jobs"))
    task = hasty.task_start(program, key="only-once")
    assert hasty.find_task("only-once") == task
    assert hasty.task_wait(task, 60) is TaskStatus.COMPLETED
    assert list(server.jobs) == [task]
    assert server.executions[task] == 1


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - TEXTS - NOT_REPEATED))
@pytest.mark.parametrize("kind", ["not_json", "html", "drop_fields"])
def test_malformed_answers(server, hasty, verb, program, kind):
    """What is not the service's JSON is an error that owns up to it, never a wrong value."""
    task = hasty.task_start(program)
    hasty.task_wait(task, 60)
    server.faults.add(Fault(kind=kind, match=VERBS[verb][0], times=None))
    with pytest.raises(UnexpectedAnswerError) as caught:
        _call(hasty, verb, program)
    assert caught.value.owner is Owner.VENDOR


@pytest.mark.parametrize("kind", ["not_json", "html", "drop_fields"])
def test_malformed_session(server, hasty, kind):
    """A session whose id was not told is an error."""
    server.faults.add(Fault(kind=kind, match=f"POST {API}/sessions"))
    with pytest.raises(UnexpectedAnswerError):
        hasty.acquire()


@pytest.mark.parametrize("kind", ["not_json", "html", "drop_fields"])
def test_malformed_answer_to_a_start(server, hasty, program, kind):
    """The job that was started is found by its key, and is the only one."""
    server.faults.add(Fault(kind=kind, match=f"POST {API}/jobs"))
    task = hasty.task_start(program)
    assert hasty.task_wait(task, 60) is TaskStatus.COMPLETED
    assert list(server.jobs) == [task]


def test_web_page_is_no_result(server, hasty, program):
    """A portal's page is not taken for a result or a log."""
    task = hasty.task_start(program)
    hasty.task_wait(task, 60)
    for what in ("results", "logs"):
        server.faults.add(Fault(kind="html", match=f"GET {API}/jobs/{task}/{what}", times=None))
    with pytest.raises(UnexpectedAnswerError):
        hasty.task_result(task)
    with pytest.raises(UnexpectedAnswerError):
        hasty.task_logs(task)


def test_half_a_body(server, hasty, program):
    """A result that stops half-way is asked for again, and never taken for whole."""
    task = hasty.task_start(program)
    hasty.task_wait(task, 60)
    whole = hasty.task_result(task).value
    match = f"GET {API}/jobs/{task}/results"
    server.faults.add(Fault(kind="half_body", match=match))
    assert hasty.task_result(task).value == whole
    server.faults.add(Fault(kind="half_body", match=match, times=None))
    with pytest.raises(ResourceUnavailableError):
        hasty.task_result(task)


def test_result_that_is_not_stored_yet(server, hasty, program):
    """An empty answer is no result."""
    task = hasty.task_start(program)
    hasty.task_wait(task, 60)
    server.jobs[task].result = ""
    with pytest.raises(UnexpectedAnswerError) as caught:
        hasty.task_result(task)
    assert caught.value.retryable


@pytest.mark.parametrize("verb", SOME)
def test_token_that_is_always_refused(server, hasty, verb, program):
    """A 401 that stays is an error after one renewal."""
    given = sum(server.tokens_given.values())
    fault = Fault(kind="status", match=VERBS[verb][0], status=401, times=None)
    _fails(server, hasty, verb, program, fault, AuthenticationFailedError)
    assert fault.hits == 2
    assert sum(server.tokens_given.values()) == given + 1


def test_nobody_listens(server, hasty, verb, program):
    """A refused connection is an error of the network; nothing was sent."""
    server.stop()
    with pytest.raises(ResourceUnavailableError) as caught:
        _call(hasty, verb, program)
    assert caught.value.owner is Owner.NETWORK
    assert not isinstance(caught.value, AnswerLostError)
    server.start()


def test_restart_in_mid_task(server, opened, program):
    """A task outlives a restart of the server, and so does waiting for it."""
    resource = opened()
    server.run_seconds = 0.6
    task = resource.task_start(program)
    server.restart()
    assert resource.task_wait(task, 30) is TaskStatus.COMPLETED
    assert server.executions[task] == 1


def test_unknown_status_word(server, resource, program):
    """A status of tomorrow counts as running, and the wait goes on."""
    server.run_seconds = 30
    task = resource.task_start(program)
    server.jobs[task].status = "Pondering"
    assert resource.task_status(task) is TaskStatus.RUNNING
    with pytest.raises(TaskNotReadyError):
        resource.task_result(task)
