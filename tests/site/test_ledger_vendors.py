"""Tasks that jobs run without the daemon, from the vendor's own accounts where it has some."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from site_lab import Qrmid, eventually, job

from qrmi.errors import UnexpectedAnswerError
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource
from qrmi.site.books.usage import ResourceUse, measured
from qrmi.site.terms import Want
from qrmi.tasks import SessionUse, TaskStatus
from qrmi_pasqal.local.accounts import use_of_session
from qrmi_sandbox.munge import PrivateMunge
from qrmi_sandbox.warden import WardenServer


class _Running:
    """A munged that outlives the server."""

    def __init__(self, munge: PrivateMunge) -> None:
        self.settings, self.user_of = munge.settings, munge.user_of

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        """It runs on."""


@pytest.fixture(params=["0.3.2", "0.1"])
def warden(request: pytest.FixtureRequest, site_munge: PrivateMunge) -> Iterator[WardenServer]:
    with WardenServer(generation=request.param, munge=_Running(site_munge)) as server:  # type: ignore[arg-type]
        server.qpu.emulate = lambda program: json.dumps({"counter": {"0": 1}})
        yield server


def test_what_warden_accounts_for_is_in_the_ledger(
    warden: WardenServer, qrmid: Callable[..., Qrmid]
) -> None:
    """Jobs and shots of this session alone; an older Warden tells nothing, and 0 is not said."""
    settings = {k: v for k, v in warden.settings().items() if not k.startswith("QRMI_JOB_")}
    entry = {"name": "orion", "type": "pasqal-local", "environment": settings}
    daemon = qrmid(resources=[entry]).start()
    body = {"job": job(7, uid=os.getuid()).as_json(), "want": Want(names=("orion",)).as_json()}
    assert daemon.client().post("/v1/leases", body)["outcome"] == "granted"
    (session,) = warden.held_sessions()
    other = warden.open_session("someone-else")
    for token, shots in ((session, 100), (session, 20), (other, 7)):
        given = {**warden.settings(), "QRMI_JOB_ACQUISITION_TOKEN": token}
        resource = QuantumResource.from_config("orion", "pasqal-local", given)
        task = resource.task_start(PasqalCloud("{}", shots))
        assert resource.task_wait(task) is TaskStatus.COMPLETED
    daemon.client().post("/v1/leases/end", {"job": body["job"]})
    assert warden.held_sessions() == [other]
    eventually(daemon.ledger)
    (line,) = daemon.ledger()
    (use,) = json.loads(line)["resources"]
    told = (use["tasks"], use["shots"], use["qpu_seconds"], use["errors"])
    assert told == ((None, None, None, {}) if warden.is_old else (2, 120, 0.0, {}))
    assert session not in daemon.log()
    assert session not in line


def rows(*statuses: str) -> dict[str, Any]:
    """A page of Warden's accounts."""
    row = {"id": 1, "shots": 10, "execution_time": 2, "wait_time": 3}
    return {"data": [{**row, "status": status} for status in statuses], "pagination": {}}


def test_a_session_of_many_jobs_is_asked_for_in_pages() -> None:
    pages = [rows(*["DONE"] * 100), rows("DONE", "ERROR", "CANCELED")]
    asked = []

    def ask(request: Any) -> Any:
        asked.append(request)
        return pages[len(asked) - 1]

    assert use_of_session(ask, "http://w", "the-session") == SessionUse(
        tasks=103, failed=1, shots=1030, qpu_seconds=206.0, wait_seconds=309.0
    )
    assert [request.url.partition("?")[2] for request in asked] == [
        "session_id=the-session&limit=100&offset=0", "session_id=the-session&limit=100&offset=100",
    ]  # fmt: skip
    assert "the-session" not in asked[0].name


@pytest.mark.parametrize("answer", [[], {}, {"data": [{}]}, {"data": 3}, {"data": [7]}])
def test_another_answer_is_an_error(answer: object) -> None:
    with pytest.raises(UnexpectedAnswerError):
        use_of_session(lambda request: answer, "http://w", "s")


def test_a_failure_is_the_users_until_somebody_knows_better() -> None:
    use = ResourceUse(resource="orion", type="pasqal-local", held_seconds=5.0)
    told = measured(use, SessionUse(tasks=3, failed=1, shots=30))
    assert (told.tasks, told.shots, told.qpu_seconds, told.errors) == (3, 30, None, {"user": 1})
    assert told.held_seconds == 5.0
