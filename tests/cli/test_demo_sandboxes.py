"""`qrmi demo --resource NAME` on the sandbox of every vendor."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from qrmi import ResourceType
from qrmi.cli.demo import DEMOS
from qrmi.cli.main import main
from qrmi.discovery import ResourceProvider
from qrmi_sandbox import SERVERS, make_server

SHOTS = 1000
GATES, PULSES = frozenset({"Qiskit", "CUDA-Q"}), frozenset({"Pulser"})
RUNS = {name: PULSES if name.startswith("pasqal") else GATES for name in SERVERS}
LISTING = sorted(SERVERS.keys() - {"pasqal-local"})


@pytest.fixture
def sandbox(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The configuration's entry of a sandbox that runs; the configuration holds nothing else."""
    monkeypatch.setenv("QRMI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("QRMI_CONFIG", str(tmp_path / "qrmi_config.json"))
    with make_server(request.param) as server:
        entry = server.resource()
        (tmp_path / "qrmi_config.json").write_text(json.dumps({"resources": [entry]}))
        yield entry


def in_sandboxes(*names: str) -> pytest.MarkDecorator:
    """One test for each of these resource types."""
    return pytest.mark.parametrize("sandbox", names, indirect=True)


def share(counts: Mapping[str, int], outcome: str, expected: float) -> None:
    """An outcome's number lies within five standard deviations of theory."""
    deviation = math.sqrt(SHOTS * expected * (1 - expected))
    assert counts.get(outcome, 0) == pytest.approx(SHOTS * expected, abs=5 * deviation)


def is_ghz(counts: Mapping[str, int]) -> None:
    assert counts.keys() == {"00000", "11111"}
    share(counts, "00000", 0.5)


def is_grover(counts: Mapping[str, int]) -> None:
    """Two iterations for one of eight items: sin^2(5 arcsin(1 / sqrt 8)), the rest evenly."""
    found = math.sin(5 * math.asin(8**-0.5)) ** 2
    share(counts, "101", found)
    for bits in itertools.product("01", repeat=3):
        if bits != ("1", "0", "1"):
            share(counts, "".join(bits), (1 - found) / 7)


def is_ordered_chain(counts: Mapping[str, int]) -> None:
    """Every second atom is excited, the outer ones too, and neighbours almost never both."""
    assert 0.7 * SHOTS < counts["1010101"] < 0.87 * SHOTS
    assert sum(number for bits, number in counts.items() if "11" in bits) < 0.01 * SHOTS


THEORY: dict[str, Callable[[Mapping[str, int]], None]] = {
    "Qiskit": is_ghz,
    "CUDA-Q": is_grover,
    "Pulser": is_ordered_chain,
}


def test_every_upstream_type_has_a_sandbox() -> None:
    """There is one for each resource type of the upstream library, and for no other."""
    assert SERVERS.keys() == {kind.type_name for kind in ResourceType}


@in_sandboxes(*sorted(SERVERS))
def test_demo(sandbox: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Programs of the kind that the resource runs give what theory says, others are passed over."""
    for demo in DEMOS:
        pytest.importorskip(demo.needs)
    code = main(["demo", "--resource", sandbox["name"], "--shots", str(SHOTS), "--json"])
    told = json.loads(capsys.readouterr().out)
    reports = {report["sdk"]: report for report in told["runs"]}
    assert code == 0, reports
    assert (told["resource"], told["type"]) == (sandbox["name"], sandbox["type"])
    assert {sdk for sdk, r in reports.items() if r["status"] == "ok"} == RUNS[told["type"]]
    for sdk, report in reports.items():
        if report["status"] == "ok":
            assert sum(report["counts"].values()) == SHOTS
            THEORY[sdk](report["counts"])
        else:
            assert (report["status"], report["error"]) == ("not supported", None)


@in_sandboxes("iqm-server")
def test_tasks_of_the_demo_are_there_for_other_processes(
    sandbox: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """What one process ran, another one finds with the id that the first one printed."""
    main(["demo", "--resource", sandbox["name"], "--shots", "50", "--json"])
    first = json.loads(capsys.readouterr().out)["runs"][0]
    done = subprocess.run(
        [sys.executable, "-m", "qrmi", "result", first["task_id"], "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parts"][0]["counts"] == first["counts"]


@in_sandboxes("ibm-quantum-compute-service", "iqm-server")
def test_tasks_on_a_device_of_an_account(
    sandbox: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An account's name runs on its least busy device; another process reads the result."""
    account = {**sandbox, "name": "ours", "is_dynamic": True}
    account["environment"].pop("QRMI_IQM_QC_ALIAS", None)
    (tmp_path / "qrmi_config.json").write_text(json.dumps({"resources": [account]}))
    program = tmp_path / "flip.qasm"
    program.write_text("OPENQASM 2.0; qreg q[1]; creg c[1]; U(pi,0,pi) q[0]; measure q -> c;")
    assert main(["run", "ours", str(program), "--shots", "20", "--no-wait", "--json"]) == 0
    started = json.loads(capsys.readouterr().out)
    assert started["resource"] != "ours"
    done = subprocess.run(
        [sys.executable, "-m", "qrmi", "result", started["task_id"], "--wait", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parts"][0]["counts"] == {"1": 20}


@in_sandboxes(*LISTING)
def test_discovery(sandbox: dict[str, Any]) -> None:
    """Every service that lists devices gives an online one, and only simulators when asked to."""
    provider = ResourceProvider(sandbox["type"], sandbox["environment"])
    best = provider.least_busy("num_qubits=1&status=online")
    assert best is not None
    assert best.is_accessible()
    devices = {device.resource_id() for device in provider.resources()}
    simulators = {device.resource_id() for device in provider.resources("is_simulator=true")}
    assert best.resource_id() in devices
    assert not devices & simulators
