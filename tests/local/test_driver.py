from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import (
    ConfigError,
    InvalidInputError,
    MissingExtraError,
    UnsupportedPayloadError,
)
from qrmi.payloads import (
    AliceBobFelis,
    AnalogJob,
    PasqalCloud,
    PulserBatch,
    QiskitPrimitive,
)
from qrmi.resource import QuantumResource
from qrmi.settings import EnvironmentSource, MappingSource
from qrmi.tasks import ResourceStatusCode, TaskStatus
from qrmi_local import resource
from qrmi_local import target as targets
from qrmi_local.checks import check_payload
from qrmi_local.device import DeviceKind, read_device
from qrmi_local.driver import LocalDriver
from qrmi_local.settings import LocalSettings

GATES = {"backend_name": "fake", "n_qubits": 2, "basis_gates": ["cx", "sx"], "coupling_map": None}
PULSES = {"name": "Tiny", "dimensions": 2, "rydberg_level": 60, "channels": [], "version": "1"}
SECONDS = 30.0


def _sampler(**values):
    return QiskitPrimitive(json.dumps({"pubs": [["circuit", None, 10]], **values}), "sampler")


# --- making one -----------------------------------------------------------------------------------


def test_a_new_driver_opens_nothing(private_state):
    """Neither making a driver nor looking at its status writes a file or starts a process."""
    driver = LocalDriver("local", LocalSettings())
    assert driver.is_accessible()
    assert driver.status().status is ResourceStatusCode.ONLINE
    assert driver.list_tasks() == []
    assert driver.find_task("key") is None
    assert not private_state.exists()


def test_no_sdk_in_the_programs_process(private_state):
    """The driver finds simulators without importing them."""
    code = (
        "import json, sys; from qrmi_local.driver import LocalDriver; "
        "from qrmi_local.settings import LocalSettings; "
        "LocalDriver('local', LocalSettings()).target(); "
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tops = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not tops & {"qiskit", "qiskit_aer", "pulser", "pulser_simulation", "numpy", "requests"}


def test_settings_from_the_environment():
    """Variables have the resource's name before them; blank ones count as absent."""
    environ = {
        "local_QRMI_LOCAL_SEED": "5",
        "local_QRMI_LOCAL_NOISE": "no",
        "local_QRMI_LOCAL_IDLE_SECONDS": "1.5",
        "local_QRMI_LOCAL_DEVICE": "",
    }
    found = LocalSettings.load(EnvironmentSource(prefix="local", environ=environ))
    assert found == LocalSettings(seed=5, noise=False, idle_seconds=1.5)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("QRMI_LOCAL_SEED", "-1"),
        ("QRMI_LOCAL_SEED", "one"),
        ("QRMI_LOCAL_NOISE", "maybe"),
        ("QRMI_LOCAL_IDLE_SECONDS", "0"),
        ("QRMI_LOCAL_IDLE_SECONDS", "nan"),
    ],
)
def test_malformed_setting(key, text):
    """The error names the key."""
    with pytest.raises(ConfigError, match=key):
        LocalSettings.load(MappingSource({key: text}))


# --- what is refused at once ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "error", "says"),
    [
        (QiskitPrimitive("no json", "sampler"), InvalidInputError, "JSON"),
        (QiskitPrimitive("[]", "sampler"), InvalidInputError, "object"),
        (QiskitPrimitive("[" * 100_000, "sampler"), InvalidInputError, "JSON"),
        (QiskitPrimitive("{}", "sampler"), InvalidInputError, "pubs"),
        (_sampler(pubs={}), InvalidInputError, "pubs"),
        (_sampler(pubs=[[]]), InvalidInputError, r"pubs\[0\]"),
        (_sampler(pubs=[["c"], 3]), InvalidInputError, r"pubs\[1\]"),
        (_sampler(pubs=[["c", None, 0]]), InvalidInputError, "at least 1"),
        (_sampler(options={"default_shots": 0}), InvalidInputError, "default_shots"),
        (_sampler(options=[1]), InvalidInputError, "options"),
        (_sampler(version=1), InvalidInputError, "version"),
        (QiskitPrimitive("{}", "noise-learner"), UnsupportedPayloadError, "estimator, sampler"),
        (AliceBobFelis("qir", "{}"), UnsupportedPayloadError, "pulser-sequence"),
        (PasqalCloud("no json", 1), InvalidInputError, "sequence"),
        (PulserBatch(sequence="{}"), InvalidInputError, "no jobs"),
        (PulserBatch(sequence="{}", jobs=[AnalogJob()]), InvalidInputError, "runs"),
        (
            PulserBatch(sequence="{}", jobs=[AnalogJob()], configuration="x"),
            InvalidInputError,
            "configuration",
        ),
    ],
)
def test_malformed_payload_is_refused_before_anything_is_written(
    driver, private_state, payload, error, says
):
    """The error says what is wrong; no task comes into being."""
    with pytest.raises(error, match=says):
        driver.task_start(payload, "key")
    assert driver.find_task("key") is None
    assert not private_state.exists()


def test_configuration_may_have_the_runs(driver):
    """A job needs no runs where the emulator's configuration decides."""
    check_payload(PulserBatch(sequence="{}", jobs=[AnalogJob()], configuration="{}"))


@given(st.text(), st.sampled_from(["sampler", "estimator", "other"]))
def test_any_text_is_taken_or_refused(text, program_id):
    """Junk in, our own error out."""
    for payload in (QiskitPrimitive(text, program_id), PasqalCloud(text, 1)):
        with contextlib.suppress(InvalidInputError):
            check_payload(payload)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["pubs", "options", "version", "default_shots", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_taken_or_refused(values):
    """Whatever JSON it is, the check ends with nothing or with our own error."""
    with contextlib.suppress(InvalidInputError):
        check_payload(QiskitPrimitive(json.dumps(values), "sampler"))


def test_missing_simulator(private_state, monkeypatch):
    """The error is the command that installs it; nothing was written."""
    monkeypatch.setitem(targets.SIMULATORS, DeviceKind.GATE, "qrmi_no_such_simulator")
    driver = LocalDriver("local", LocalSettings())
    with pytest.raises(MissingExtraError, match=r"pip install 'openqrmi\[qiskit\]'"):
        driver.task_start(_sampler(), "key")
    assert json.loads(driver.target().value)["configuration"] is None
    assert not private_state.exists()


# --- target and imitation -------------------------------------------------------------------------


@pytest.mark.skipif(
    importlib.util.find_spec("qiskit_aer") is None
    or importlib.util.find_spec("pulser_simulation") is None,
    reason="both simulators are needed",
)
def test_ideal_target(private_state):
    """Without a device, all qubits are connected and Pulser's own devices are offered."""
    found = json.loads(LocalDriver("here", LocalSettings()).target().value)
    configuration = found["configuration"]
    assert configuration["backend_name"] == "here"
    assert configuration["coupling_map"] is None
    assert configuration["max_shots"] == 10_000_000
    assert {"measure", "reset", "if_else"} <= set(configuration["supported_instructions"])
    names = [device["device_type"] for device in found["devices"]]
    assert names == ["AnalogDevice", "DigitalAnalogDevice", "MockDevice"]
    assert [json.loads(device["specs"])["name"] for device in found["devices"]] == names


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GATES),
        json.dumps({"configuration": GATES}),
        json.dumps({"configuration": GATES, "properties": None, "devices": []}),
    ],
)
def test_imitated_gate_device(make_driver, program, told, text):
    """Its configuration is the target's only part; its description goes with each task."""
    driver = make_driver(device=text)
    target = json.loads(driver.target().value)
    assert target == {"configuration": GATES, "properties": None, "devices": []}
    assert driver.metadata() == {"backend_name": "fake"}
    task = driver.task_start(program(), "key")
    driver.task_wait(task, SECONDS)
    device = json.loads(told(driver, task)["device"])
    assert device == {"configuration": GATES, "properties": None}
    with pytest.raises(UnsupportedPayloadError, match=r"fake.*gate programs"):
        driver.task_start(PasqalCloud("{}", 1), "other")


def test_imitated_pulser_device(make_driver, program, told, tmp_path):
    """A device from a file: only pulses are taken, and the simulation gets the specs as written."""
    file = tmp_path / "device.json"
    file.write_text(json.dumps(PULSES, indent=1))
    driver = make_driver(device=str(file))
    target = json.loads(driver.target().value)
    assert target == {
        "configuration": None,
        "properties": None,
        "devices": [{"device_type": "Tiny", "specs": file.read_text()}],
    }
    task = driver.task_start(PasqalCloud("{}", 1), "key")
    file.unlink()
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert json.loads(told(driver, task)["device"]) == PULSES
    file.write_text(json.dumps(PULSES))
    with pytest.raises(UnsupportedPayloadError, match=r"Tiny.*analog programs"):
        driver.task_start(program(), "other")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/no/such/file.json", "/no/such/file.json"),
        ("{", "line 1"),
        ("{}", "neither"),
        ('{"configuration": 3}', "objects"),
        ('{"configuration": {"n_qubits": 0, "basis_gates": []}}', "n_qubits"),
        ('{"configuration": {"n_qubits": 1, "basis_gates": [1]}}', "basis_gates"),
        ('{"configuration": {"n_qubits": 1, "basis_gates": [], "max_shots": "x"}}', "max_shots"),
        ('{"configuration": {"n_qubits": 1, "basis_gates": [], "max_shots": -1}}', "max_shots"),
        (json.dumps({**PULSES, "name": None}), "name"),
    ],
)
def test_malformed_device(private_state, text, says):
    """The error names the setting and what is wrong; nothing was written."""
    driver = LocalDriver("local", LocalSettings(device=text))
    for verb in (driver.target, driver.metadata, lambda: driver.task_start(_sampler(), "key")):
        with pytest.raises(ConfigError, match=says) as caught:
            verb()
        assert "QRMI_LOCAL_DEVICE" in str(caught.value)
    assert not private_state.exists()


@given(st.text() | st.text().map(lambda text: "{" + text))
def test_any_device_is_read_or_refused(text):
    """Junk in, our own error out."""
    with contextlib.suppress(ConfigError):
        read_device(text)


def test_resource_that_imitates(private_state):
    """A handle on an imitated device keeps its description, so that it can be used elsewhere."""
    handle = resource(configuration=GATES, seed=3, noise=False, name="fake")
    assert isinstance(handle, QuantumResource)
    assert handle.resource_id() == "fake"
    assert json.loads(handle.target().value)["configuration"] == GATES
    again = resource(configuration=GATES, name="fake")
    assert again.target() == handle.target()
    pulses = resource(device=json.dumps(PULSES))
    assert json.loads(pulses.target().value)["devices"][0]["device_type"] == "Tiny"


def test_resource_imitates_one_device(private_state):
    """Two devices, or properties of none, are refused."""
    with pytest.raises(InvalidInputError, match="one device"):
        resource(configuration=GATES, device=json.dumps(PULSES))
    with pytest.raises(InvalidInputError, match="properties"):
        resource(properties={})
