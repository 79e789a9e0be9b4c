"""qrmi.open(): a job's QPU, the configured default, else the embedded simulator."""

from __future__ import annotations

import asyncio
import json
import pickle
from pathlib import Path

import pytest

import qrmi
from qrmi import aio, discovery, journal, plugins, registry
from qrmi.errors import (
    InvalidInputError,
    ResourceNotFoundError,
    TaskNotFoundError,
    UnsupportedResourceTypeError,
)


def write_config(folder: Path, monkeypatch: pytest.MonkeyPatch, **extra: object) -> None:
    path = folder / "qrmi_config.json"
    entries = [
        {"name": name, "type": "local", "environment": {"QRMI_LOCAL_SEED": str(seed)}}
        for seed, name in enumerate(("one", "two"))
    ]
    path.write_text(json.dumps({"resources": entries, **extra}))
    monkeypatch.setenv("QRMI_CONFIG", str(path))


def test_without_anything_it_is_the_embedded_simulator() -> None:
    resource = qrmi.open()
    assert (resource.resource_id(), resource.type_name) == ("local", "local")
    assert resource.resource_type() == "local"


def test_the_files_default_wins_over_the_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path, monkeypatch, default="two")
    assert qrmi.open().resource_id() == "two"
    assert qrmi.open("one").resource_id() == "one"
    assert qrmi.open("local").resource_id() == "local"
    assert [r.name for r in qrmi.resources()] == ["one", "two", "local"]


def test_the_jobs_qpu_wins_over_the_files_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path, monkeypatch, default="two")
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "granted")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "local")
    assert qrmi.open().resource_id() == "granted"
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "a,b")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "local,local")
    with pytest.raises(ResourceNotFoundError, match="a, b"):
        qrmi.open()
    assert qrmi.open("b").resource_id() == "b"


def test_a_job_without_a_qpu_is_told_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    assert qrmi.open().resource_id() == "local"
    assert "no QPU" in caplog.text


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ResourceNotFoundError, match=r"'nope'.*local \(local\)"):
        qrmi.open("nope")


def test_settings_of_the_file_reach_the_handle_and_travel_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path, monkeypatch)
    resource = qrmi.open("two")
    monkeypatch.delenv("QRMI_CONFIG")
    again = pickle.loads(pickle.dumps(resource))
    assert again._driver.settings == resource._driver.settings
    assert again._driver.settings.seed == 1


def test_a_task_leads_back_to_its_resource(private_state: Path) -> None:
    journal.default().append(
        "intent", key="k", resource="mine", type="local", format="f", digest="d",
        settings={"QRMI_LOCAL_SEED": "9"},
    )  # fmt: skip
    journal.default().append("started", key="k", task="t-1")
    resource = registry.resource_of_task("t-1")
    assert resource.resource_id() == "mine"
    assert resource._driver.settings.seed == 9
    with pytest.raises(TaskNotFoundError):
        registry.resource_of_task("t-2")


def test_service_gives_the_jobs_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(qrmi.EnvVarNotSetError):
        qrmi.QRMIService()
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "a,ghost")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "local,no-such-type")
    service = qrmi.QRMIService()
    assert [r.resource_id() for r in service.resources()] == ["a"]
    assert service.resource("a") is service.resources()[0]
    assert service.resource("ghost") is None


def test_filters_are_read_strictly() -> None:
    assert discovery.parse_filters(" num_qubits = 5 && status=online ") == {
        "num_qubits": "5",
        "status": "online",
    }
    for text in ("foo", "num_qubits>=100"):
        with pytest.raises(InvalidInputError):
            discovery.parse_filters(text)
    with pytest.raises(UnsupportedResourceTypeError):
        qrmi.ResourceProvider("local", {}).resources()


def test_every_registered_plugin_loads_and_unknown_ones_are_named() -> None:
    """Drivers and codecs come from entry points; an absent one lists or names what is missing."""
    assert plugins.codec("qiskit-primitive").__name__ == "qrmi.codecs.gate"
    assert plugins.codec("pulser-sequence").__name__ == "qrmi.codecs.analog"
    for name in plugins.driver_types():
        assert issubclass(plugins.driver_class(name), qrmi.Driver)
    with pytest.raises(UnsupportedResourceTypeError, match="no-such"):
        plugins.codec("no-such")


def test_the_async_handle_has_the_same_verbs(private_state: Path) -> None:
    """Every public verb of the handle exists as a coroutine, and tasks run."""
    async_verbs = {name for name in dir(aio.AsyncQuantumResource) if not name.startswith("_")}
    verbs = {name for name in dir(qrmi.QuantumResource) if not name.startswith("_")}
    made_otherwise = {"from_config", "from_driver"}
    assert verbs - made_otherwise <= async_verbs

    async def main() -> str:
        async with await aio.AsyncQuantumResource.open() as resource, resource.acquired():
            return (await resource.status()).status.name

    assert asyncio.run(main()) == "ONLINE"
