"""`qrmi doctor` finds planted trouble, says what to do, and finds none where there is none."""

from __future__ import annotations

import datetime
import json
import ssl
import time
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from planting import Planting
from plants import CS, FELIS, IQM, OQTOPUS, PASQAL, QS, WARDEN

from qrmi import config, journal
from qrmi.cli.main import main
from qrmi.config import ResourceDef
from qrmi.diagnosis import clocks, installation, resources, surroundings
from qrmi.diagnosis.findings import Finding, Verdict
from qrmi.diagnosis.resources import Examination
from qrmi_sandbox.iqm import IQMServer

SOON = {"QRMI_HTTP_READ_TIMEOUT_SECONDS": "2", "QRMI_HTTP_BUDGET_SECONDS": "2"}


def examined(name: str, type_name: str, settings: dict[str, str]) -> list[Finding]:
    """All findings on one resource."""
    examination = Examination(ResourceDef(name, type_name, False, settings))
    examination.run()
    return examination.findings


def of_server(planting: Planting, type_name: str, **changes: str | None) -> list[Finding]:
    entry = planting.settings(type_name)
    chosen = {**entry["environment"], **SOON, **changes}
    given = {key: value for key, value in chosen.items() if value is not None}
    return examined(entry["name"], entry["type"], given)


def worst(findings: list[Finding]) -> Verdict:
    order = [Verdict.OK, Verdict.WARNING, Verdict.PROBLEM]
    return max((finding.verdict for finding in findings), key=order.index)


def only(findings: list[Finding], check: str) -> Finding:
    (found,) = {f.text: f for f in findings if f.check == check}.values()
    return found


@pytest.mark.parametrize("type_name", [IQM, CS, QS, FELIS, OQTOPUS, PASQAL, WARDEN])
def test_a_resource_in_order_has_no_finding_but_good_ones(
    type_name: str, planting: Planting
) -> None:
    """Credentials, account, status, way and clock are looked at; all are well; nothing is left."""
    server = planting.server(type_name)
    before = len(server.requests)
    findings = of_server(planting, type_name)
    assert worst(findings) is Verdict.OK, findings
    assert {"credentials", "status", "latency", "way", "clock"} <= {f.check for f in findings}
    made = [r for r in server.requests[before:] if r.method not in ("GET", "HEAD")]
    assert all("token" in r.path for r in made), made


def test_the_embedded_simulator_is_in_order(private_state: Path) -> None:
    """It needs no way and no credentials."""
    assert [f.verdict for f in examined("local", "local", {})] == [Verdict.OK]


@pytest.mark.parametrize(
    ("type_name", "changes", "check", "word"),
    [
        (IQM, {"QRMI_IQM_ISA_TOKEN": "wrong-secret"}, "status", "credentials"),
        (CS, {"QRMI_IBM_QCS_IAM_APIKEY": "wrong-secret"}, "credentials", "IAM API key"),
        (PASQAL, {"QRMI_PASQAL_CLOUD_CLIENT_SECRET": "wrong-secret"}, "credentials", "credentials"),
        (OQTOPUS, {"QRMI_OQTOPUS_API_TOKEN": "wrong-secret"}, "account", "credentials"),
        (OQTOPUS, {"QRMI_OQTOPUS_API_TOKEN": None}, "settings", "qrmi config check"),
        (WARDEN, {"QRMI_MUNGE_SOCKET": "/nowhere/munge.socket"}, "credentials", "munged"),
    ],
)
def test_credentials_that_are_wrong_are_named(
    type_name: str, changes: dict[str, str | None], check: str, word: str, planting: Planting
) -> None:
    """The check that fails is the one that needs them; no secret is in what is found."""
    findings = of_server(planting, type_name, **changes)
    found = only(findings, check)
    assert found.verdict is Verdict.PROBLEM
    assert word in found.advice
    assert "wrong-secret" not in repr(findings)


@pytest.mark.parametrize(("ahead", "word"), [(120.0, "behind"), (-120.0, "ahead of")])
def test_a_clock_that_is_wrong_is_seen(ahead: float, word: str, planting: Planting) -> None:
    """Two minutes are a warning that says in which direction."""
    planting.change(IQM, clock_ahead_seconds=ahead)
    found = only(of_server(planting, IQM), "clock")
    assert found.verdict is Verdict.WARNING
    assert word in found.text
    assert "NTP" in found.advice
    assert 118 < min(map(abs, found.values.values())) < 122


@given(
    skew=st.floats(-1e5, 1e5),
    trip=st.floats(0, 20),
    share=st.floats(0, 1),
    now=st.floats(1e9, 2e9),
)
def test_the_true_skew_lies_between_the_bounds(
    skew: float, trip: float, share: float, now: float
) -> None:
    """Whenever the service wrote its date during the round trip, however long that took."""
    theirs = now + share * trip - skew
    date = datetime.datetime.fromtimestamp(int(theirs), datetime.UTC)
    found = clocks.skew(date.strftime("%a, %d %b %Y %H:%M:%S GMT"), now, now + trip)
    assert found is not None
    assert found.least_seconds - 1e-3 <= skew <= found.most_seconds + 1e-3


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026", "\x00"])
def test_a_date_that_is_none_says_nothing(date: str | None) -> None:
    """No finding is better than a wrong one."""
    assert clocks.skew(date, 0.0, 1.0) is None


def _secured(planting: Planting, days: int, *, trusted: bool = True) -> list[Finding]:
    authority = trustme.CA()
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=ends).configure_cert(context)
    known = planting.folder / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(known))
    with IQMServer(tls=context) as server:
        return of_server(
            planting, IQM, QRMI_IQM_ISA_ENDPOINT=server.url, QRMI_HTTP_CA_BUNDLE=str(known)
        )


def test_certificates_are_looked_at(planting: Planting) -> None:
    """One that ends soon is a warning; one that has ended or is not trusted stands in the way."""
    assert only(_secured(planting, 300), "certificate").verdict is Verdict.OK
    soon = only(_secured(planting, 3), "certificate")
    assert (soon.verdict, "renew" in soon.advice) == (Verdict.WARNING, True)
    ended = only(_secured(planting, -3), "way")
    assert (ended.verdict, "expired" in ended.text) == (Verdict.PROBLEM, True)
    foreign = only(_secured(planting, 300, trusted=False), "way")
    assert (foreign.verdict, "QRMI_HTTP_CA_BUNDLE" in foreign.advice) == (Verdict.PROBLEM, True)


def test_the_way_is_told_step_by_step(planting: Planting) -> None:
    """A name that is unknown, a port where nobody listens, a host that stays silent."""
    unknown = of_server(planting, IQM, QRMI_IQM_ISA_ENDPOINT="http://iqm.invalid")
    assert only(unknown, "way").values["step"] == "name"
    with planting.closed_port() as port:
        closed = of_server(planting, IQM, QRMI_IQM_ISA_ENDPOINT=f"http://127.0.0.1:{port}")
    assert only(closed, "way").values["step"] == "connection"
    planting.environment.setattr(resources, "_CONNECT_SECONDS", 0.5)
    planting.fault(IQM, kind="silence", seconds=30)
    silent = of_server(
        planting, IQM, QRMI_HTTP_READ_TIMEOUT_SECONDS="0.3", QRMI_HTTP_BUDGET_SECONDS="0.5"
    )
    assert only(silent, "way").values["step"] == "answer"
    assert worst(silent) is Verdict.PROBLEM


def test_a_proxy_is_named_without_its_password(planting: Planting) -> None:
    """Its host and port are; what it refuses is found on the way."""
    with planting.closed_port() as port:
        findings = of_server(
            planting, IQM, QRMI_HTTP_PROXY=f"http://me:s3cret-word@127.0.0.1:{port}"
        )
    assert f"127.0.0.1:{port}" in only(findings, "way").text
    assert "s3cret-word" not in repr(findings)


def test_a_silent_service_does_not_hold_the_doctor_up(planting: Planting) -> None:
    """Waits are cut short, whatever patience the settings have."""
    planting.environment.setattr(resources, "_READ_SECONDS", 1.0)
    planting.environment.setattr(resources, "_CONNECT_SECONDS", 1.0)
    planting.fault(IQM, kind="silence", seconds=60)
    entry = planting.settings(IQM)
    begun = time.monotonic()
    findings = examined(entry["name"], IQM, entry["environment"])
    assert worst(findings) is Verdict.PROBLEM
    assert time.monotonic() - begun < 15


def test_a_maintenance_is_a_warning(planting: Planting) -> None:
    """A service that says so works as it should."""
    planting.change(WARDEN, is_accessible=False, message="until noon")
    found = only(of_server(planting, WARDEN), "status")
    assert found.verdict is Verdict.WARNING


# --- the machine ----------------------------------------------------------------------------------


def test_a_state_folder_that_cannot_be_written(planting: Planting) -> None:
    """Nothing can be started without it, so it is a problem."""
    planting.environment.setenv("QRMI_STATE_DIR", str(planting.file("file", "") / "below"))
    found = {f.check: f for f in surroundings.state()}
    assert found["folder"].verdict is Verdict.PROBLEM
    assert "QRMI_STATE_DIR" in found["folder"].advice


def test_a_state_folder_that_others_can_write(planting: Planting) -> None:
    """Anyone could put records into it."""
    folder = planting.folder / "open"
    folder.mkdir()
    folder.chmod(0o777)
    planting.environment.setenv("QRMI_STATE_DIR", str(folder))
    found = {f.check: f for f in surroundings.state()}
    assert found["permissions"].advice == f"chmod 700 {folder}"


def test_a_journal_that_needs_a_look(planting: Planting) -> None:
    """A start without a known end, and a file that cannot be understood, are warnings."""
    assert {f.check: f for f in surroundings.state()}["journal"].verdict is Verdict.OK
    journal.default().append(
        "intent", key="k", resource="r", type=IQM, format="f", digest="d", context={}, settings={}
    )
    found = {f.check: f for f in surroundings.state()}["journal"]
    assert (found.verdict, "qrmi explain" in found.advice) == (Verdict.WARNING, True)
    (config.state_dir() / "journal" / "x-1-2-3.jsonl").write_text("not JSON\n")
    found = {f.check: f for f in surroundings.state()}["journal"]
    assert "damaged" in found.text


def test_the_schedulers_job(planting: Planting) -> None:
    """What the job was given, or why it was given nothing."""
    assert list(surroundings.job()) == []
    planting.environment.setenv("SLURM_JOB_ID", "4711")
    assert [f.verdict for f in surroundings.job()] == [Verdict.WARNING]
    planting.environment.setenv("QRMI_JOB_QPU_RESOURCES", "a,b")
    planting.environment.setenv("QRMI_JOB_QPU_TYPES", "iqm-server")
    assert [f.verdict for f in surroundings.job()] == [Verdict.PROBLEM]
    planting.environment.setenv("QRMI_JOB_QPU_TYPES", "iqm-server,oqtopus")
    assert [f.verdict for f in surroundings.job()] == [Verdict.OK]
    planting.environment.setenv("QRMI_PLUGIN_ERROR", "no slot")
    (found,) = surroundings.job()
    assert "no slot" in found.text


def test_the_rust_library_beside_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both install a package called qrmi: one has to go."""
    assert Verdict.PROBLEM not in {f.verdict for f in installation.findings()}
    about = tmp_path / "qrmi-0.26.4.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: qrmi\nVersion: 0.26.4\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = [f for f in installation.findings() if f.verdict is Verdict.PROBLEM]
    assert "0.26.4" in found.text
    assert "uninstall" in found.advice


def test_packages_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that raises, one that ends Python, and one that is well, are told apart."""
    (tmp_path / "raises_x.py").write_text("raise ImportError('libfoo.so.3 is missing')")
    (tmp_path / "dies_x.py").write_text("import os; os._exit(3)")
    (tmp_path / "noisy_x.py").write_text("print('{\"a\": 1} hello')")
    monkeypatch.syspath_prepend(str(tmp_path))
    failures = installation.import_failures(["raises_x", "dies_x", "noisy_x"], 30)
    assert set(failures) == {"raises_x", "dies_x"}
    assert "libfoo" in failures["raises_x"]


def test_a_package_that_takes_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a warning: it may come from a slow file system; the doctor does not wait for it."""
    (tmp_path / "slow_x.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    failures = installation.import_failures(["slow_x", "json"], 1.0)
    assert failures == {"slow_x": installation.SLOW}
    parts = {"s": [installation.Part(name="slow-x", wanted="", version="1")]}
    assert [f.verdict for f in installation.extras(parts, failures)] == [Verdict.WARNING]


def test_what_extras_come_to() -> None:
    """Whole, partly there, too old, broken, absent: each has its verdict and its command."""
    part = installation.Part
    parts = {
        "a": [part(name="one", wanted=">=1", version="1.0")],
        "b": [
            part(name="one", wanted=">=1", version="1.0"),
            part(name="two", wanted="", version=None),
        ],
        "c": [part(name="one", wanted=">=2", version="1.0")],
        "d": [part(name="bad", wanted="", version="1.0")],
        "e": [part(name="two", wanted="", version=None)],
    }
    found = {f.check: f for f in installation.extras(parts, {"bad": "ImportError: no"})}
    assert {name: f.verdict.value for name, f in found.items()} == {
        "a": "ok",
        "b": "warning",
        "c": "warning",
        "d": "problem",
        "e": "ok",
    }
    assert "openqrmi[b]" in found["b"].advice
    assert set(installation.parts_of_extras()) >= {"qiskit", "pulser", "fast", "ibm", "cli"}


# --- the command ----------------------------------------------------------------------------------


def test_the_command(planting: Planting, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with what to do; exit code 1 for a problem; the same as JSON; no secret."""
    good, bad = planting.settings(IQM), planting.settings(OQTOPUS)
    bad["environment"]["QRMI_OQTOPUS_API_TOKEN"] = "wrong-secret"
    path = planting.file("qrmi_config.json", {"resources": [good, bad]})
    path.chmod(0o600)
    planting.environment.setenv("QRMI_CONFIG", str(path))
    planting.environment.setenv("COLUMNS", "80")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= max(80, len(str(path)) + 30)
    assert all(word in text for word in (good["name"], bad["name"], "BAD", "local", "problem(s)"))
    assert "wrong-secret" not in text
    assert main(["doctor", bad["name"], "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == len([f for f in found["findings"] if f["verdict"] == "problem"]) > 0
    assert good["name"] not in {f["subject"] for f in found["findings"]}
    assert main(["doctor", "nobody"]) == 6


def test_offline_asks_nobody(planting: Planting, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the machine and the settings are looked at."""
    entry = planting.settings(IQM)
    path = planting.file("qrmi_config.json", {"resources": [entry]})
    path.chmod(0o600)
    planting.environment.setenv("QRMI_CONFIG", str(path))
    before = len(planting.server(IQM).requests)
    assert main(["doctor", "--offline", "--json"]) == 0
    subjects = {f["subject"] for f in json.loads(capsys.readouterr().out)["findings"]}
    assert subjects == {"installation", "state", "configuration"}
    assert len(planting.server(IQM).requests) == before
