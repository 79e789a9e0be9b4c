"""Every public name of the Rust wheel is here, with the same signature, values and behaviour.

`surface.py` is run under both; what the wheel says, ours must say as well. It may say more:
further optional arguments, further attributes, further bases of an error.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = Path(__file__).with_name("surface.py").read_text()
_ACCIDENTS = {"os", "getLogger"}  # modules that the wheel's star-import lets slip

_WALK = """
import json, pathlib, qrmi
root = pathlib.Path(qrmi.__file__).parent
files = [p.relative_to(root.parent).with_suffix("") for p in root.rglob("*.py")]
names = [".".join(file.parts).removesuffix(".__init__") for file in files]
print(json.dumps(names))
"""


@pytest.fixture(scope="module")
def said(peer: Callable[[str], Any]) -> dict[str, Any]:
    """What the wheel (``rust``) and what we (``here``) say of themselves."""
    return {name: peer(name).run(_SCRIPT) for name in ("rust", "here")}


def both(said: dict[str, Any], *path: str) -> Iterator[tuple[str, Any, Any]]:
    theirs, ours = said["rust"], said["here"]
    for key in path:
        theirs, ours = theirs[key], ours[key]
    assert theirs, path
    for name, value in theirs.items():
        assert name in ours, f"{'.'.join(path)}: {name} is missing"
        yield name, value, ours[name]


def accepts(theirs: list[Any] | None, ours: list[Any] | None) -> bool:
    """Whether every call that fits their parameters fits ours; what ours has more is optional."""
    if theirs is None:
        return ours is not None
    assert ours is not None
    return (
        [name for name, _ in ours[: len(theirs)]] == [name for name, _ in theirs]
        and all(
            optional or not free for (_, optional), (_, free) in zip(ours, theirs, strict=False)
        )
        and all(optional for _, optional in ours[len(theirs) :])
    )


def test_everything_is_exported(said: dict[str, Any]) -> None:
    assert set(said["rust"]["exported"]) - _ACCIDENTS <= set(said["here"]["exported"])


def test_classes_have_the_same_methods(said: dict[str, Any]) -> None:
    """Same methods and attributes; names, order and need of parameters."""
    constructed = {"QuantumResource", "QRMIService", "ResourceProvider"}
    for name, theirs, ours in both(said, "classes"):
        if name in constructed:
            assert accepts(theirs["constructor"], ours["constructor"]), name
        for method, parameters in theirs["methods"].items():
            assert accepts(parameters, ours["methods"][method]), (name, method)
        assert set(theirs["attributes"]) <= set(ours["attributes"]), name
    for name, theirs, ours in both(said, "functions"):
        assert accepts(theirs, ours), name


def test_enums_are_the_same(said: dict[str, Any]) -> None:
    """Integers, texts in every formatting, equality with integers and strangers, truth, hash."""
    for name, _, _ in both(said, "enums"):
        for member, theirs, ours in both(said, "enums", name):
            assert ours == theirs, (name, member)


def test_payloads_are_the_same(said: dict[str, Any]) -> None:
    """Fields by position and by name, ``__match_args__``, pattern matching, read-only."""
    for name, theirs, ours in both(said, "payloads"):
        assert ours == theirs, name


def test_errors_are_caught_where_the_wheels_are(said: dict[str, Any]) -> None:
    """Every ancestor of theirs is one of ours, RuntimeError above all."""
    for name, theirs, ours in both(said, "errors"):
        assert set(theirs) <= set(ours), name
        assert "RuntimeError" in ours


def test_the_same_calls_are_refused(said: dict[str, Any]) -> None:
    """With an error that the same ``except`` catches."""
    for name, theirs, ours in both(said, "refusals"):
        assert theirs, name
        assert set(theirs) <= set(ours or []), name


@pytest.mark.parametrize("part", ["logger", "keys", "handle"])
def test_the_rest_is_equal(said: dict[str, Any], part: str) -> None:
    """The logger's name; keys in upper and lower case; what a handle says without a service."""
    assert said["here"][part] == said["rust"][part]


def test_every_module_is_there(peer: Callable[[str], Any]) -> None:
    """The wheel's tree of modules, walked in its folder; nothing of it is imported."""
    names = set(peer("rust").run(_WALK))
    assert "qrmi.primitives.ibm.backend" in names
    missing = [name for name in sorted(names) if importlib.util.find_spec(name) is None]
    assert missing == []


_NAMES = {
    "qrmi.primitives": "QRMIBaseEstimatorV2 QRMIBaseSamplerV2 QRMIService RuntimeJobV2",
    "qrmi.primitives.base_estimator": "QRMIBaseEstimatorV2",
    "qrmi.primitives.base_sampler": "QRMIBaseSamplerV2",
    "qrmi.primitives.runtime_job_v2": "RuntimeJobV2",
    "qrmi.primitives.service": "QRMIService",
    "qrmi.primitives.ibm": "EstimatorV2 SamplerV2 get_backend get_target",
    "qrmi.primitives.ibm.backend": "QRMIBackend get_backend",
    "qrmi.primitives.ibm.estimator": "EstimatorV2",
    "qrmi.primitives.ibm.sampler": "SamplerV2",
    "qrmi.primitives.ibm.target": "get_target",
    "qrmi.primitives.pasqal": "QPPSamplerV2 QRMIPasqalBackend QRMIPasqalJob SamplerV2 get_device "
    "get_target",
    "qrmi.primitives.pasqal.sampler": "QPPSamplerV2 QRMIPasqalBackend QRMIPasqalJob",
    "qrmi.primitives.pasqal.target": "get_device get_target",
    "qrmi.pulser": "PulserQRMIConnection QRMIService",
    "qrmi.pulser.backend": "PulserQRMIConnection",
    "qrmi.pulser.connection": "PulserQRMIConnection",
    "qrmi.pulser.service": "QRMIService",
    "qrmi.qiskit_iqm": "IQMProvider QRMIBackend",
    "qrmi.qiskit_iqm.iqm_provider": "IQMProvider QRMIBackend",
    "qrmi.tools.task_runner.main": "App run",
}
"""Names of modules, those of older releases too."""


@pytest.mark.parametrize("module", _NAMES)
def test_names_of_modules(module: str) -> None:
    found = importlib.import_module(module)
    for name in _NAMES[module].split():
        assert callable(getattr(found, name)), name


def test_one_class_each() -> None:
    """The same name in several modules is the same object."""
    homes: dict[str, list[Any]] = {}
    for module, names in _NAMES.items():
        if not module.startswith(("qrmi.primitives.pasqal", "qrmi.qiskit_iqm")):
            for name in names.split():
                homes.setdefault(name, []).append(getattr(importlib.import_module(module), name))
    for name, objects in homes.items():
        assert all(found is objects[0] for found in objects), name


def test_constructors_of_adapters() -> None:
    """Arguments by upstream's names and places; none of it asks a service for anything."""
    from qrmi import QuantumResource
    from qrmi.primitives import QRMIBaseEstimatorV2, QRMIBaseSamplerV2, RuntimeJobV2
    from qrmi.primitives.pasqal import QPPSamplerV2, QRMIPasqalBackend, QRMIPasqalJob

    handle = QuantumResource("local", "local")
    QRMIBaseSamplerV2(handle, options={"default_shots": 5, "run_options": {}})
    QRMIBaseEstimatorV2(qrmi=handle, options={"default_precision": 0.1, "run_options": {}})
    RuntimeJobV2(handle, "id", delete_job=True)
    QPPSamplerV2(qrmi=handle, options={"default_shots": 5})
    QRMIPasqalBackend(handle, options=None)
    job = QRMIPasqalJob(
        handle, "id", "local", poll_interval_seconds=0.1, timeout_seconds=3.0, delete_job=True
    )
    assert job.job_id() == "id"


def test_oqtopus_jobs_by_field() -> None:
    """The older form, by keyword: fields that are ``None`` are left out; one class for both."""
    from qrmi import Payload

    payload = Payload.Oqtopus(
        name="bell",
        description="two qubits",
        job_type="estimation",
        program=["OPENQASM 3.0;"],
        shots=10,
        transpiler_info={"transpiler_lib": None},
        simulator_info=None,
        mitigation_info='{"ro_error_mitigation": "pseudo_inverse"}',
        operator=[{"pauli": "Z 0", "coeff": 1.0}],
    )
    assert json.loads(payload.job_spec) == {
        "name": "bell",
        "description": "two qubits",
        "job_type": "estimation",
        "program": ["OPENQASM 3.0;"],
        "shots": 10,
        "transpiler_info": {"transpiler_lib": None},
        "mitigation_info": {"ro_error_mitigation": "pseudo_inverse"},
        "operator": [{"pauli": "Z 0", "coeff": 1.0}],
    }
    assert payload == Payload.Oqtopus(payload.job_spec)
    assert payload.__match_args__ == ("job_spec",)
    with pytest.raises(TypeError):
        Payload.Oqtopus()
    with pytest.raises(TypeError):
        Payload.Oqtopus("{}", name="bell")
    with pytest.raises(RuntimeError, match="mitigation_info"):
        Payload.Oqtopus(job_type="sampling", program="", mitigation_info="{")


def test_the_command_is_installed() -> None:
    """``task_runner`` and ``python -m qrmi.tools.task_runner.main`` are the same."""
    command = [sys.executable, "-m", "qrmi.tools.task_runner.main", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    installed = Path(sys.executable).with_name("task_runner")
    again = subprocess.run([installed, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout == again.stdout
