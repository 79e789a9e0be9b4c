"""`QRMIProvider` lists what can be opened here and takes gate programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit.providers import QiskitBackendNotFoundError

from qrmi import QuantumResource
from qrmi.errors import InvalidInputError, ResourceNotFoundError
from qrmi.qiskit import BackendNotFoundError, QRMIProvider, SamplerV2


@pytest.fixture
def provider() -> QRMIProvider:
    return QRMIProvider()


@pytest.fixture
def two_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration with a second simulator, and a resource of a type nobody installed."""
    resources = [
        {"name": "second", "type": "local", "environment": {"QRMI_LOCAL_SEED": "3"}},
        {"name": "alien", "type": "no-such-type", "environment": {}},
    ]
    path = tmp_path / "qrmi_config.json"
    path.write_text(json.dumps({"resources": resources}))
    monkeypatch.setenv("QRMI_CONFIG", str(path))


def test_embedded_simulator_is_always_there(provider: QRMIProvider) -> None:
    assert [backend.name for backend in provider.backends()] == ["local"]
    assert provider.backend("local").provider is provider
    assert provider.get_backend().name == "local"


@pytest.mark.usefixtures("two_more")
def test_configured_resources_are_listed(provider: QRMIProvider) -> None:
    """One that cannot be made is left out; asking for it by name gives its own error."""
    assert [backend.name for backend in provider.backends()] == ["second", "local"]
    assert [backend.name for backend in provider.backends("second")] == ["second"]
    assert provider.least_busy(min_num_qubits=2).name in {"second", "local"}


def test_filters(provider: QRMIProvider) -> None:
    names = [backend.name for backend in provider.backends(simulator=True, min_num_qubits=2)]
    assert names == ["local"]
    assert provider.backends(simulator=False) == []
    assert provider.backends(min_num_qubits=10**6) == []
    assert provider.backends(filters=lambda backend: "h" not in backend.operation_names) == []
    with pytest.raises(InvalidInputError, match="colour"):
        provider.backends(colour="red")


def test_unknown_names(provider: QRMIProvider) -> None:
    """The error is Qiskit's and ours, and lists what there is."""
    with pytest.raises(QiskitBackendNotFoundError) as error:
        provider.backend("nowhere")
    assert isinstance(error.value, ResourceNotFoundError)
    assert "local" in str(error.value)
    assert provider.backends("nowhere") == []
    with pytest.raises(BackendNotFoundError):
        provider.least_busy(min_num_qubits=10**6)


def test_jobs_are_those_of_qiskit_newest_first(
    provider: QRMIProvider, local: QuantumResource
) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    jobs = [SamplerV2(local).run([circuit], shots=1) for _ in range(3)]
    found = provider.jobs(limit=2)
    assert [one.job_id() for one in found] == [jobs[2].job_id(), jobs[1].job_id()]
    assert provider.jobs(backend_name="elsewhere") == []
    with pytest.raises(InvalidInputError, match="limit"):
        provider.jobs(-1)
    assert provider.job(jobs[0].job_id()).result()[0].data.c.num_shots == 1
