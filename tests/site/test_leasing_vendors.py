"""Leases of real drivers: Warden in both generations, an account, and the embedded simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from lending_model import QUICK, a_job, wants
from site_lab import eventually

from qrmi.config_file import Config, ResourceDef
from qrmi.errors import InvalidInputError, ResourceNotFoundError
from qrmi.site.lending.facts import facts_in
from qrmi.site.lending.lease_states import Device
from qrmi.site.lending.leasing import Leasing
from qrmi.site.lending.store import Store
from qrmi.site.lending.vendors import SiteVendors
from qrmi.site.terms import Job, Outcome
from qrmi_sandbox.compute_service import ComputeServiceServer
from qrmi_sandbox.munge import PrivateMunge
from qrmi_sandbox.warden import WardenServer

EMU = Device(name="emu", entry="emu", type="local")


class Shared:
    """A munged that outlives a server."""

    def __init__(self, munge: PrivateMunge) -> None:
        self.settings = munge.settings
        self.user_of = munge.user_of

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        """It runs on."""


@pytest.fixture(params=["0.3.2", "0.1"])
def warden(request: pytest.FixtureRequest, site_munge: PrivateMunge) -> Iterator[WardenServer]:
    """Each generation in turn."""
    with WardenServer(generation=request.param, munge=Shared(site_munge)) as server:
        yield server


@pytest.fixture
def lending(tmp_path: Path) -> Iterator[Callable[..., Leasing]]:
    """Lend what is configured: ``lending(vendors)``."""
    made: list[tuple[Leasing, Store]] = []

    def make(vendors: SiteVendors) -> Leasing:
        store = Store(tmp_path / "state")
        store.open()
        leasing = Leasing(store, vendors, pace=QUICK)
        made.append((leasing, store))
        leasing.recover()
        return leasing

    yield make
    for leasing, store in made:
        leasing.close()
        store.close()


def site_of(*resources: Mapping[str, Any]) -> Callable[[], Mapping[str, ResourceDef]]:
    """The resources of a configuration."""
    loaded = {r["name"]: _resource(r) for r in resources}
    return lambda: loaded


def _resource(entry: Mapping[str, Any]) -> ResourceDef:
    import json

    return Config.loads(json.dumps({"resources": [entry]})).resource_map[entry["name"]]


def qpu(server: WardenServer, **more: Any) -> dict[str, Any]:
    """An entry for a Warden, with what must not reach it: another job's session."""
    environment = {
        **server.settings(job="not this one"),
        "QRMI_JOB_ACQUISITION_TOKEN": "somebody-elses",
        "QRMI_HTTP_BUDGET_SECONDS": "1",
    }
    return {"name": "qpu", "type": "pasqal-local", "environment": environment, **more}


# --- sessions -----------------------------------------------------------------------------------


def test_a_session_is_opened_for_the_job(
    warden: WardenServer, lending: Callable[..., Leasing]
) -> None:
    """The vendor is told whose job it is, and the session is gone at its end."""
    leasing = lending(SiteVendors(site_of(qpu(warden, slots=2))))
    assert leasing.acquire(a_job("77", uid=1234), wants("qpu")).outcome is Outcome.GRANTED
    (session,) = warden.sessions
    assert (session.user, session.job, session.slots) == ("1234", "77", 1)
    record = leasing.lease(a_job("77").key)
    assert record is not None
    assert record.tokens == {"qpu": session.id}
    assert leasing.end(a_job("77", uid=1234)).released == ("qpu",)
    assert warden.held_sessions() == []


def test_slots_reach_the_vendor(site_munge: PrivateMunge, lending: Callable[..., Leasing]) -> None:
    """A job that is lent several slots has as many in its session."""
    with WardenServer(munge=Shared(site_munge)) as warden:
        leasing = lending(SiteVendors(site_of(qpu(warden, slots=5))))
        leasing.acquire(a_job(), wants("qpu", slots={"qpu": 3}))
        assert [session.slots for session in warden.sessions] == [3]
        warden.slots_total = 4
        answer = leasing.acquire(a_job("2"), wants("qpu", slots={"qpu": 2}))
        assert answer.outcome is Outcome.LATER
        assert "qpu cannot be had now" in answer.reason
        assert answer.hint
        assert leasing.used() == {"qpu": 3}
        leasing.end(a_job())
        assert warden.held_sessions() == []


def test_a_lost_answer_leaves_no_session(
    warden: WardenServer, lending: Callable[..., Leasing]
) -> None:
    """A newer Warden is asked again; an older one shows in its answer that this does not help."""
    vendors = SiteVendors(site_of(qpu(warden)))
    usual, lost = vendors.acquire, []

    def loses(device: Device, job: Job, limit_seconds: float | None, slots: int) -> str:
        token = usual(device, job, limit_seconds, slots)
        if not lost:
            lost.append(token)
            vendors._habits.clear()  # as after a restart: nothing is known of the server
            raise RuntimeError("the daemon forgot what it heard")
        return token

    vendors.acquire = loses  # type: ignore[method-assign]
    leasing = lending(vendors)
    assert leasing.acquire(a_job(), wants("qpu")).outcome is Outcome.LATER
    if warden.is_old:
        eventually(lambda: not vendors.habit(Device(name="qpu", entry="qpu", type="")).repeatable)
        assert warden.held_sessions() == lost
        assert leasing.used() == {"qpu": 1}
        (record,) = leasing.leases()
        assert "stay taken until none can be left" in record.reason
    else:
        eventually(lambda: leasing.used() == {})
        assert warden.held_sessions() == []


def test_a_user_whom_the_vendor_refuses(
    warden: WardenServer, lending: Callable[..., Leasing]
) -> None:
    """A refusal is one for ever, in the vendor's words, without the session or the key."""
    warden.users = {1}
    leasing = lending(SiteVendors(site_of(qpu(warden))))
    answer = leasing.acquire(a_job(uid=2), wants("qpu"))
    assert answer.outcome is Outcome.REFUSED
    assert "not authorized" in answer.reason
    assert "authorized_users" in answer.hint
    assert "somebody-elses" not in str(answer)
    assert leasing.used() == {}


def test_a_vendor_that_is_gone(warden: WardenServer, lending: Callable[..., Leasing]) -> None:
    """No connection is later, and nothing is taken; an end is pending, in words without secrets."""
    leasing = lending(SiteVendors(site_of(qpu(warden, slots=2))))
    leasing.acquire(a_job(), wants("qpu"))
    (session,) = warden.held_sessions()
    warden.stop()
    assert leasing.acquire(a_job("2"), wants("qpu")).outcome is Outcome.LATER
    assert leasing.used() == {"qpu": 1}
    assert leasing.end(a_job()).pending == ("qpu",)
    (record,) = leasing.leases()
    eventually(lambda: "cannot be given back" in next(iter(leasing.leases())).reason, 60)
    assert session not in str(record.as_json())


# --- resources -----------------------------------------------------------------------------------


def test_the_configuration_may_change() -> None:
    """What the function gives counts from then on; drivers of old settings are not used again."""
    resources = dict(site_of({"name": "emu", "type": "local", "environment": {}})())
    vendors = SiteVendors(lambda: resources)
    assert vendors.names() == ["emu"]
    assert vendors.capacity("emu") == 1
    token = vendors.acquire(EMU, a_job(), None, 1)
    vendors.release(EMU, a_job(), token)
    assert not vendors.habit(EMU).kept
    resources["emu"] = attrs.evolve(resources["emu"], slots=4)
    assert vendors.capacity("emu") == 4
    del resources["emu"]
    assert vendors.capacity("emu") == 0
    for call in (vendors.definition, vendors.devices):
        with pytest.raises(ResourceNotFoundError, match="no resource 'emu'"):
            call("emu")
    vendors.close()


def test_filters_of_a_single_device(private_state: Path) -> None:
    """A device that is configured by itself is held against the filters by its target."""
    vendors = SiteVendors(site_of({"name": "emu", "type": "local", "environment": {}}))
    assert [device.name for device in vendors.devices("emu")] == ["emu"]
    passing = ("name=e*", "num_qubits=2", "is_simulator=true", "status=online&num_qubits=1")
    for filters in passing:
        assert vendors.devices("emu", filters), filters
    for filters in ("name=f*", "num_qubits=100000", "is_simulator=false"):
        assert not vendors.devices("emu", filters), filters
    for filters in ("qubits=2", "num_qubits=many", "status=maybe"):
        with pytest.raises(InvalidInputError):
            vendors.devices("emu", filters)


@pytest.mark.parametrize(
    ("target", "qubits", "shots", "is_simulator"),
    [
        ('{"configuration": {"n_qubits": 7, "max_shots": 9, "simulator": false}}', 7, 9, False),
        ('[{"specs": "{\\"max_atom_num\\": 80, \\"max_runs\\": 500}"}]', 80, 500, False),
        ('{"a": {"num_qubits": 3}, "num_qubits": 5, "simulator": true}', 5, None, True),
        ("not JSON", None, None, False),
        ('{"num_qubits": "many", "max_shots": true}', None, None, False),
        ("[" * 100_000, None, None, False),
    ],
)
def test_facts_of_a_target(
    target: str, qubits: int | None, shots: int | None, is_simulator: bool
) -> None:
    """Numbers are found in any vendor's form; what is not there is not known."""
    told = facts_in(target)
    assert (told.num_qubits, told.max_shots, told.is_simulator) == (qubits, shots, is_simulator)


def test_the_devices_of_an_account(lending: Callable[..., Leasing]) -> None:
    """Of an account the online device with the shortest queue is lent, with a session of its own.

    The account is asked once in a while, however many jobs want one.
    """
    with ComputeServiceServer() as server:
        account = {**server.resource("cloud"), "is_dynamic": True, "slots": 3}
        drained = {"test_eagle"}
        vendors = SiteVendors(site_of(account), lambda name: "drained" if name in drained else "")
        found = vendors.devices("cloud")
        assert [device.entry for device in found] == ["cloud"] * len(found)
        away = {device.name: device.away for device in found if device.away}
        assert away["test_paused"] == "it is not online"
        assert vendors.habit(found[0]).longest_seconds == 28800
        leasing = lending(vendors)
        free = [device.name for device in found if not device.away]
        for number, name in enumerate(free[:2]):
            answer = leasing.acquire(a_job(str(number)), wants("cloud"))
            assert [grant.resource for grant in answer.grants] == [name]
        tokens = {t for record in leasing.leases() for t in record.tokens.values()}
        assert len(tokens) == len(free[:2])
        assert tokens <= server.sessions.keys()
        listed = [device.name for device in vendors.devices("cloud", "num_qubits=6")]
        assert set(listed) < {device.name for device in found}
        for number in range(len(free[:2])):
            leasing.end(a_job(str(number)))
        assert all(server.sessions[token].state != "active" for token in tokens)
