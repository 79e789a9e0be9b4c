"""What a Warden tells of itself, and to whom."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from qrmi.codecs.analog import read_devices
from qrmi.errors import QrmiError, ResourceUnavailableError, UnsupportedFunctionError
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceCapacity, ResourceStatusCode
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.warden import WardenServer

Opened = Callable[..., QuantumResource]


def paths(server: WardenServer) -> list[str]:
    """Paths of the requests since the last look."""
    seen = [request.path for request in server.requests]
    server.requests.clear()
    return seen


def test_the_sites_words(warden: WardenServer, opened: Opened) -> None:
    """A QPU under maintenance is offline, in the administrators' own words."""
    warden.is_accessible, warden.message = False, "calibration until noon"
    handle = opened(warden)
    status = handle.status()
    assert status.status is ResourceStatusCode.OFFLINE
    assert status.status_reason == "calibration until noon"
    assert handle.is_accessible() is False


def test_an_administrator_sees_everything(newer: WardenServer, opened: Opened) -> None:
    """Slots and the queue, from a newer Warden to its administrators."""
    newer.open_session("1", slots=4)
    status = opened(newer).status()
    assert status.to_dict() == {
        "status": "online",
        "status_reason": "Warden ok.",
        "healthy": None,
        "busy": False,
        "capacity": {"available_slots": 6, "max_slots": 10},
        "pending_job_count": 0,
    }


def test_a_user_sees_the_slots(newer: WardenServer, opened: Opened) -> None:
    """The queue is for administrators; that is learned once."""
    newer.admins = set()
    handle = opened(newer)
    for expected in (["/accessible", "/status", "/qpu-slots"], ["/accessible", "/qpu-slots"]):
        status = handle.status()
        assert (status.busy, status.pending_job_count) == (None, None)
        assert status.capacity == ResourceCapacity(10, 10)
        assert paths(newer) == expected


def test_slots_that_are_not_configured(newer: WardenServer, opened: Opened) -> None:
    """Without slots there is no capacity: not zero."""
    newer.slots_total = None
    assert opened(newer).status().capacity is None


def test_an_older_warden_is_asked_once(older: WardenServer, opened: Opened) -> None:
    """Routes that it lacks are not asked for again: one request, as upstream."""
    handle = opened(older)
    handle.status()
    paths(older)
    status = handle.status()
    assert paths(older) == ["/accessible"]
    assert (status.busy, status.capacity, status.pending_job_count) == (None, None, None)


def test_a_status_needs_no_munge(newer: WardenServer, opened: Opened) -> None:
    """On a host without munged one can still see whether the QPU takes jobs."""
    handle = opened(newer, QRMI_MUNGE_SOCKET="/nowhere/munge.socket", QRMI_MUNGE_COMMAND="")
    assert handle.is_accessible()
    assert handle.status().status is ResourceStatusCode.ONLINE
    assert handle.status().capacity == ResourceCapacity(10, 10)


def test_the_target_is_in_the_form_of_pasqals_services(
    warden: WardenServer, opened: Opened
) -> None:
    """A list of one device, whose specifications are a text that Pulser reads."""
    value = opened(warden).target().value
    (entry,) = json.loads(value)
    assert entry["device_type"] == "AnalogDevice"
    assert isinstance(entry["specs"], str)
    assert read_devices(value)["AnalogDevice"].name == "AnalogDevice"


def test_metadata_is_upstreams(newer: WardenServer, opened: Opened) -> None:
    """The resource's name, and no request."""
    assert opened(newer).metadata() == {"backend_name": "qpu"}
    assert newer.requests == []


def test_a_url_that_leads_elsewhere(newer: WardenServer) -> None:
    """A wrong base URL is pointed at, by the name of its variable."""
    settings = {**newer.settings(), "QRMI_WARDEN_URL": newer.url + "/api/"}
    with pytest.raises(UnsupportedFunctionError, match="no such route") as caught:
        QuantumResource.from_config("qpu", "pasqal-local", settings).is_accessible()
    assert "QRMI_WARDEN_URL" in caught.value.hint
    assert caught.value.owner == "site"


def test_a_base_url_with_a_slash(newer: WardenServer) -> None:
    """A trailing slash is not doubled."""
    settings = {**newer.settings(), "QRMI_WARDEN_URL": newer.url + "/"}
    assert QuantumResource.from_config("qpu", "pasqal-local", settings).is_accessible()
    assert newer.requests[-1].path == "/accessible"


def test_nobody_listens(opened: Opened, newer: WardenServer) -> None:
    """A Warden that is down is the network's or the site's, and worth another try."""
    handle = opened(newer, QRMI_WARDEN_URL="http://127.0.0.1:9", QRMI_HTTP_BUDGET_SECONDS="0.2")
    with pytest.raises(ResourceUnavailableError) as caught:
        handle.is_accessible()
    assert caught.value.retryable


@pytest.mark.parametrize("kind", ["not_json", "html", "drop_fields"])
def test_answers_that_are_none(newer: WardenServer, opened: Opened, kind: str) -> None:
    """Junk instead of an answer is the vendor's, whatever was asked."""
    handle = opened(newer)
    newer.faults.add(Fault(kind=kind, times=None))  # type: ignore[arg-type]
    for verb in (handle.is_accessible, handle.status, handle.target, handle.list_tasks):
        with pytest.raises(QrmiError) as caught:
            verb()
        assert caught.value.owner == "vendor"
