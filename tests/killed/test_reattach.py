"""Days later, another process has the SDK's full result of a task.

Of one whose process ended well, and of one whose process was killed between its request and the
id's line in the journal. In between the journal was compacted. Nothing is known to the reader but
ids, from ``qrmi tasks``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from qrmi_sandbox import make_server

_DAYS = 6 * 86400.0
_LIMIT_SECONDS = 100
_AT = re.compile(rb'^\{"v":1,"at":([0-9.]+)', re.MULTILINE)

_HEAD = """
import json, os, signal, sys
import qrmi

NAME = os.environ["TEST_RESOURCE"]
if "TEST_KILLED" in os.environ:
    from qrmi.bookkeeping import TaskBook
    TaskBook.started = lambda *about: os.kill(os.getpid(), signal.SIGKILL)
"""

QISKIT = """
import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.transpiler import generate_preset_pass_manager
from qrmi.qiskit import QRMIBackend, SamplerV2

circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "low"),
                         ClassicalRegister(2, "high"), metadata={"angle": "t"})
circuit.rx(Parameter("t"), 0)
circuit.x(2)
circuit.measure([0, 1, 2], [0, 1, 2])
backend = QRMIBackend(qrmi.open(NAME))
circuit = generate_preset_pass_manager(optimization_level=1, backend=backend).run(circuit)
values = json.loads(os.environ["TEST_VALUES"])
print(SamplerV2(backend).run([(circuit, np.array(values) * np.pi)], shots=30).job_id())
"""
QISKIT_READER = """
from qrmi.qiskit import job
def read(task_id):
    pub, = job(task_id).result()
    places = list(np.ndindex(pub.data.shape)) if pub.data.shape else [()]
    counts = lambda bits: [bits[p].get_counts() if p else bits.get_counts() for p in places]
    return {
        "shape": list(pub.data.shape),
        "low": counts(pub.data.low),
        "high": counts(pub.data.high),
        "metadata": pub.metadata["circuit_metadata"],
    }
import numpy as np
"""
PULSER = """
import dataclasses
import pulser
from pulser import QPUBackend
from pulser.register.special_layouts import TriangularLatticeLayout
from qrmi.pulser import QRMIConnection

layout = TriangularLatticeLayout(61, 5.0)
device = pulser.AnalogDevice
if NAME != "local":
    device = dataclasses.replace(device, name=NAME)
sweep = pulser.Sequence(layout.define_register(60, 0, qubit_ids=["left", "right"]), device)
sweep.declare_channel("global", "rydberg_global")
duration = sweep.declare_variable("t", dtype=int)
sweep.add(pulser.Pulse.ConstantPulse(duration, 3.14159265 / 0.3, 0, 0), "global")
sweep.measure("ground-rydberg")
jobs = [{"runs": 5, "variables": {"t": [16]}}, {"runs": 20, "variables": {"t": [300]}}]
print(QPUBackend(sweep, QRMIConnection(qrmi.open(NAME))).run(jobs).batch_id)
"""
PULSER_READER = """
from pulser.backend.remote import RemoteResults
from qrmi.pulser import QRMIConnection
def read(batch_id):
    connection = QRMIConnection(qrmi.open(NAME))
    connection.resource.task_wait(batch_id, 60)
    first, second = RemoteResults(batch_id, connection).results
    return {
        "atoms": [list(each.atom_order) for each in (first, second)],
        "runs": [sum(each.final_bitstrings.values()) for each in (first, second)],
        "second": dict(second.final_bitstrings),
    }
"""
CUDAQ = """
import cudaq

@cudaq.kernel
def registers():
    q = cudaq.qvector(3)
    x(q[2])
    left = mz(q[0])
    right = mz(q[1:3])

cudaq.set_target("qrmi", resource=NAME)
print(cudaq.sample_async(registers, shots_count=20))
"""
CUDAQ_READER = """
import qrmi.cudaq
def read(task_id):
    counts = qrmi.cudaq.result(task_id)
    return {"all": dict(counts.items()), "right": dict(counts.get_register_counts("right").items())}
"""
_TAIL = """
print(json.dumps([read(task_id) for task_id in sys.argv[1:]]))
"""
_LOW, _HIGH = [{"0": 30}, {"1": 30}, {"0": 30}], {"10": 30}


@attrs.frozen
class Case:
    """What is started on what, and what its result must be."""

    kind: str
    name: str
    program: str
    reader: str
    result: dict[str, Any]
    values: tuple[float, ...] | float = (0.0, 1.0, 2.0)


def _sampled(kind: str, name: str, *, single: bool = False) -> Case:
    result = {
        "shape": [] if single else [3],
        "low": [{"1": 30}] if single else _LOW,
        "high": [_HIGH] * (1 if single else 3),
        "metadata": {} if single else {"angle": "t"},  # OpenQASM has no place for it
    }
    values = 1.0 if single else (0.0, 1.0, 2.0)
    return Case(kind, name, QISKIT, QISKIT_READER, result, values)


_BATCH = {"atoms": [["left", "right"]] * 2, "runs": [5, 20], "second": {"11": 20}}
CASES = {
    "Qiskit on local": _sampled("local", "local"),
    "Qiskit on ibm-quantum-compute-service": _sampled("ibm-quantum-compute-service", "test_heron"),
    "Qiskit on oqtopus": _sampled("oqtopus", "qulacs", single=True),
    "Pulser on local": Case("local", "local", PULSER, PULSER_READER, _BATCH),
    "Pulser on pasqal-cloud": Case("pasqal-cloud", "FRESNEL", PULSER, PULSER_READER, _BATCH),
    "CUDA-Q on local": Case(
        "local", "local", CUDAQ, CUDAQ_READER, {"all": {"001": 20}, "right": {"01": 20}}
    ),
}


@attrs.frozen
class Site:
    """The user's folders, and where the resource is."""

    folder: Path
    environment: dict[str, str]

    def script(self, text: str) -> Path:
        """A program as a file."""
        path = self.folder / f"program{len(list(self.folder.glob('*.py')))}.py"
        path.write_text(text)
        return path

    def begin(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start Python."""
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment, **changes},
        )

    def run(self, *arguments: str) -> str:
        """Run Python to its end; what it printed."""
        return _ended(self.begin(*arguments))


def _ended(process: subprocess.Popen[str], code: int = 0) -> str:
    printed, errors = process.communicate(timeout=_LIMIT_SECONDS)
    assert process.returncode == code, errors[-4000:]
    return printed


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, private_state: Path) -> Iterator[Site]:
    """A server of the case's kind, where there is one, and a configuration that leads there."""
    case: Case = request.param
    environment = {"TEST_RESOURCE": case.name, "TEST_VALUES": json.dumps(case.values)}
    if case.kind == "local":
        yield Site(tmp_path, environment)
        return
    with make_server(case.kind) as server:
        path = tmp_path / "qrmi_config.json"
        path.write_text(json.dumps({"resources": [server.resource(case.name)]}))
        path.chmod(0o600)
        yield Site(tmp_path, {**environment, "QRMI_CONFIG": str(path)})


def _days_ago(state: Path) -> int:
    """Make all that the journal has six days older; how many lines."""
    lines = 0
    for path in (state / "journal").glob("*.jsonl"):
        text, number = _AT.subn(
            lambda found: b'{"v":1,"at":%.6f' % (float(found[1]) - _DAYS), path.read_bytes()
        )
        path.write_bytes(text)
        lines += number
    return lines


_SITES = [
    pytest.param(
        case,
        case,
        id=name,
        marks=pytest.mark.skipif(
            case.program is CUDAQ and importlib.util.find_spec("cudaq") is None,
            reason="CUDA-Q is not installed",
        ),
    )
    for name, case in CASES.items()
]


@pytest.mark.parametrize(("site", "case"), _SITES, indirect=["site"])
def test_the_full_result_is_there_days_later(site: Site, case: Case, private_state: Path) -> None:
    """Registers, shapes, parameters, metadata, atoms' names; twice, the second time after a kill.

    ``qrmi result`` shows it too, and ``task(id)`` gives it as it came.
    """
    program = str(site.script(_HEAD + case.program))
    well, killed = site.begin(program), site.begin(program, TEST_KILLED="1")
    first = _ended(well).split()[-1]
    _ended(killed, -9)
    assert _days_ago(private_state) >= 3
    compacted = json.loads(site.run("-m", "qrmi", "journal", "compact", "--json"))
    assert compacted["files"] >= 2
    listed = json.loads(site.run("-m", "qrmi", "tasks", "--json"))
    ids = [task["task_id"] for task in listed]
    assert len(ids) == 2
    assert first in ids
    assert None not in ids, "what was sent before the kill is not found"
    read = site.script(_HEAD + case.reader + _TAIL)
    results = json.loads(site.run(str(read), *ids).splitlines()[-1])
    assert results == [case.result, case.result]
    other = next(task_id for task_id in ids if task_id != first)
    shown = json.loads(site.run("-m", "qrmi", "result", other, "--json"))
    assert shown["task_id"] == other
    raw = site.script(
        _HEAD + "task = qrmi.open(NAME).task(sys.argv[1])\n"
        "print(json.dumps([bool(task.result(60).value), task.context['sdk']]))"
    )
    sdk = {QISKIT: "qiskit", PULSER: "pulser", CUDAQ: "cudaq"}[case.program]
    assert json.loads(site.run(str(raw), other).splitlines()[-1]) == [True, sdk]
