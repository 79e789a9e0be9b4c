"""What a bad Pasqal Cloud gets: the typed error of each case in time, and nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from qrmi import QuantumResource
from qrmi.codecs.analog import decode_counter
from qrmi.errors import (
    AccessDeniedError,
    InvalidInputError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
)
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi.tasks import TaskStatus
from qrmi.transport import Client, Headers, HttpConfig, Request, Response, Timeout
from qrmi_pasqal.cloud.service import Service
from qrmi_sandbox.bad import CASES, IMPATIENT, Case
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer

On = Callable[..., QuantumResource]
BATCHES = "/core-fast/api/v1/batches"


@pytest.fixture
def impatient(on: On) -> QuantumResource:
    """A handle that gives up soon, with a token already."""
    resource = on("EMU_FREE", **IMPATIENT)
    resource.list_tasks()
    return resource


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_look(
    case: Case, server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """A status, by the short route or the long one."""
    task_id = impatient.task_start(PasqalCloud(flip_text, 5))
    found = case.check_read(
        server, lambda: impatient.task_status(task_id), match="GET /core-fast/api"
    )
    assert isinstance(found, TaskStatus | Exception)
    assert impatient.task_wait(task_id, 60) is TaskStatus.COMPLETED


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_start(
    case: Case, server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """A start, and the look-up of a start whose answer was lost."""
    case.check_start(
        server,
        lambda: impatient.task_start(PasqalCloud(flip_text, 5), key=case.name),
        match=f"* {BATCHES}",
        made=lambda: len(server.batches),
    )
    assert server.executions[case.name] <= 1


def test_a_lost_answer_is_made_good(
    server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """The batch is there: it is found by its tag, not sent again."""
    server.faults.add(Fault(kind="reset_after", match=f"POST {BATCHES}"))
    task_id = impatient.task_start(PasqalCloud(flip_text, 5))
    assert list(server.batches) == [task_id]
    assert sum(r.method == "POST" and r.path == BATCHES for r in server.requests) == 1


def test_a_lost_start_of_a_cudaq_job_is_uncertain(
    server: PasqalCloudServer, impatient: QuantumResource, ahs_text: str
) -> None:
    """CUDA-Q jobs have no tags: it is said that one may exist, and none is sent again."""
    server.faults.add(Fault(kind="reset_after", match="POST /core-fast/api/v1/cudaq/job"))
    with pytest.raises(TaskStartUncertainError):
        impatient.task_start(PasqalCloud(ahs_text, 5))
    assert len(server.batches) == 1


def test_a_service_that_ignores_tags_finds_nothing(
    server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """What is listed without the tag is another task."""
    impatient.task_start(PasqalCloud(flip_text, 5), key="one")
    for batch in server.batches.values():
        batch.tags = []
    assert impatient.find_task("one") is None


def test_jobs_are_added_once(
    server: PasqalCloudServer, impatient: QuantumResource, sweep_text: str
) -> None:
    """A lost answer to an addition is an error that says so; nothing is added twice."""
    batch_id = impatient.batch_start(PulserBatch(sequence=sweep_text))
    server.faults.add(Fault(kind="reset_after", match="POST /core-fast/api/v2/batches"))
    with pytest.raises(ResourceUnavailableError, match="its answer never came"):
        impatient.batch_add(batch_id, [AnalogJob(runs=1, variables={"t": [16]})])
    assert len(impatient.batch_jobs(batch_id)) == 1


def test_a_restart_in_mid_task_is_survived(
    server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """The service goes away and comes back while the task runs; it is run once."""
    server.run_seconds = 0.5
    task_id = impatient.task_start(PasqalCloud(flip_text, 5))
    server.restart()
    assert impatient.task_wait(task_id, 60) is TaskStatus.COMPLETED
    assert server.executions[task_id] == 1


def test_a_link_that_has_expired_says_so(
    server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """The storage refuses: asking again gives a new link. The link itself is not shown."""
    server.large_results = True
    task_id = impatient.task_start(PasqalCloud(flip_text, 5))
    impatient.task_wait(task_id, 60)
    server.faults.add(Fault(kind="status", status=403, match="GET /storage"))
    with pytest.raises(ResourceUnavailableError, match="behind its link") as caught:
        impatient.task_result(task_id)
    assert caught.value.retryable
    assert "X-Signature" not in str(caught.value)
    assert decode_counter(impatient.task_result(task_id).value) == {"11": 5}


@pytest.mark.parametrize("link", ["http://[::1", "http://h:99999/x", "s3://bucket/x", 7])
def test_a_link_that_is_no_url_is_not_followed(link: object) -> None:
    """It is the service's fault, and the link is not shown."""

    class Linking:
        def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
            return Response(200, {}, json.dumps({"data": {"results_link": link}}).encode())

    service = Service(lambda: Client(Linking(), HttpConfig()), "https://h/api")
    with pytest.raises(UnexpectedAnswerError, match="is no URL") as caught:
        service.stored_result("j")
    assert str(link) not in str(caught.value)


def test_storage_that_redirects_gets_no_token(
    server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """No request to the storage ever carries credentials."""
    server.large_results = True
    task_id = impatient.task_start(PasqalCloud(flip_text, 5))
    impatient.task_wait(task_id, 60)
    impatient.task_result(task_id)
    asked = [r for r in server.requests if r.path.startswith("/storage")]
    assert asked
    assert all("authorization" not in r.headers for r in asked)


def test_refusals_have_the_services_reason(
    server: PasqalCloudServer, on: On, flip_text: str
) -> None:
    """A 422 and a 403 say what the service said; the sequence is not in the message."""
    with pytest.raises(
        InvalidInputError, match=r"body\.device_type: unknown device type"
    ) as caught:
        on("EMU_TN", QRMI_PASQAL_CLOUD_DEVICE_TYPE="EMU_TN").task_start(PasqalCloud(flip_text, 1))
    assert "rydberg" not in str(caught.value)
    with pytest.raises(AccessDeniedError, match="not a member of this project"):
        on(QRMI_PASQAL_CLOUD_PROJECT_ID="other").task_start(PasqalCloud(flip_text, 1))


@pytest.mark.filterwarnings("ignore:openqrmi does not know")
def test_a_device_that_is_not_there_is_not_found(on: On) -> None:
    """An empty list of devices is no crash."""
    with pytest.raises(ResourceNotFoundError, match="ORION_GAMMA"):
        on("ORION", QRMI_PASQAL_CLOUD_DEVICE_TYPE="ORION_GAMMA").status()


def test_an_unknown_status_word_does_not_end_a_wait(
    server: PasqalCloudServer,
    impatient: QuantumResource,
    flip_text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It counts as running, and is warned of."""
    task_id = impatient.task_start(PasqalCloud(flip_text, 5))
    server.batches[task_id].forced = "DEFRAGMENTING"
    assert impatient.task_status(task_id) is TaskStatus.RUNNING
    assert "DEFRAGMENTING" in caplog.text
    server.batches[task_id].forced = None
    assert impatient.task_wait(task_id, 60) is TaskStatus.COMPLETED


def test_counts_that_are_none_are_an_error(
    server: PasqalCloudServer, impatient: QuantumResource, flip_text: str
) -> None:
    """A result whose counts are no whole numbers is not handed on."""
    task_id = impatient.task_start(PasqalCloud(flip_text, 5))
    impatient.task_wait(task_id, 60)
    server.batches[task_id].jobs[0].result = {"counter": {"11": 0.5}}
    with pytest.raises(UnexpectedAnswerError, match="whole numbers"):
        impatient.task_result(task_id)


def test_what_is_malformed_is_refused_here(
    server: PasqalCloudServer, impatient: QuantumResource
) -> None:
    """No sequence at all: nothing is sent."""
    before = len(server.requests)
    for text in ("", "[]", "{}", "not JSON", json.dumps({"version": "1"})):
        with pytest.raises(InvalidInputError):
            impatient.task_start(PasqalCloud(text, 1))
    assert len(server.requests) == before
