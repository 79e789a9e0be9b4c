"""A job of a scheduler, on a sandbox: its variables, its files, and Pythons to run scripts with."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from qrmi import Payload, payload_files
from qrmi_sandbox import make_server
from qrmi_sandbox.munge import PrivateMunge
from qrmi_sandbox.server import Server

NAMES = {
    "alice-bob-felis": "EMU:6Q:ROTATIONS",
    "ibm-quantum-compute-service": "test_heron",
    "ibm-quantum-system": "test_heron",
    "iqm-server": "garnet",
    "oqtopus": "qulacs",
    "pasqal-cloud": "FRESNEL",
    "pasqal-local": "FRESNEL",
    "qiskit-runtime-service": "test_heron",
}
"""A resource of each type."""

SHOTS = 7
_QASM = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
x q[0];
c[0] = measure q[0];
c[1] = measure q[1];
"""


@attrs.define
class Job:
    """What a scheduler's job sees of one resource.

    Attributes:
        server: the sandbox.
        name: the resource.
        kind: its type.
        folder: the working directory and the home of the job.
        payload: a program whose result is the same each time.
        environment: the job's variables; the resource's own are in ``.env``.
    """

    server: Server
    name: str
    kind: str
    folder: Path
    payload: Payload
    environment: dict[str, str]

    def run(
        self, python: Path, script: Path, *arguments: str, timeout: float = 60.0, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as a user would."""
        return subprocess.run(
            [python, script, *arguments],
            cwd=self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@pytest.fixture
def job(
    tmp_path: Path, munge_library: Callable[[str], Path], state_dir: Path
) -> Iterator[Callable[[str], Job]]:
    """``job(type)``: a job that holds a resource of that type."""
    running: list[Server] = []

    def made(kind: str) -> Job:
        server = make_server(kind).start()
        running.append(server)
        entry = server.resource(NAMES[kind])
        settings = dict(entry["environment"])
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "NO_PROXY": "127.0.0.1,localhost",
            "QRMI_STATE_DIR": str(state_dir),
            "QRMI_JOB_QPU_RESOURCES": entry["name"],
            "QRMI_JOB_QPU_TYPES": kind,
        }
        for key in ("QRMI_JOB_UID", "QRMI_JOB_ID"):  # of the job, not of the resource
            if key in settings:
                environment[key] = settings.pop(key)
        if isinstance(getattr(server, "munge", None), PrivateMunge):
            library = munge_library(settings["QRMI_MUNGE_SOCKET"])
            environment["LD_LIBRARY_PATH"] = str(library)
        lines = [f"{entry['name']}_{key}='{value}'\n" for key, value in settings.items()]
        (tmp_path / ".env").write_text("".join(lines))
        for name, value in settings.items():  # dotenv reads no names with colons
            environment[f"{entry['name']}_{name}"] = value
        account = {**entry, "name": "account", "is_dynamic": True}
        config = {"resources": [entry, account]}
        (tmp_path / "qrmi_config.json").write_text(json.dumps(config))
        payload = _PAYLOADS[kind]()
        (tmp_path / "input.json").write_text(payload_files.to_json(payload))
        return Job(server, entry["name"], kind, tmp_path, payload, environment)

    yield made
    for server in running:
        server.stop()


@pytest.fixture
def pythons(peer: Callable[[str], Any]) -> dict[str, Path]:
    """The wheel's Python and ours."""
    return {"rust": peer("rust").python, "here": Path(sys.executable)}


def _primitive() -> Payload:
    pubs = [[_QASM, None, SHOTS]]
    body = {"pubs": pubs, "version": 2, "support_qiskit": True, "options": {}}
    return Payload.QiskitPrimitive(json.dumps(body), "sampler")


def _analog() -> Payload:
    """A pulse without amplitude on two atoms, on the device that both Pasqal sandboxes have."""
    import dataclasses

    import pulser
    from pulser.register.special_layouts import TriangularLatticeLayout

    register = TriangularLatticeLayout(61, 5.0).define_register(30, 34)
    sequence = pulser.Sequence(register, dataclasses.replace(pulser.AnalogDevice, name="FRESNEL"))
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(100, 0.0, 0.0, 0.0), "ising")
    sequence.measure("ground-rydberg")
    return Payload.PasqalCloud(str(sequence.to_abstract_repr()), SHOTS)


def _iqm() -> Payload:
    turn = {"name": "prx", "locus": ["QB1"], "args": {"angle": math.pi, "phase": 0.0}}
    measure = {"name": "measure", "locus": ["QB1"], "args": {"key": "m_1_0_0"}}
    circuit = {"name": "flip", "instructions": [turn, measure]}
    return Payload.IQMServer(json.dumps({"circuits": [circuit], "shots": SHOTS}), "circuit")


def _felis() -> Payload:
    from qiskit import QuantumCircuit

    from qrmi_alice_bob.instructions import functions_of
    from qrmi_alice_bob.qir import write_qir
    from qrmi_sandbox.felis_targets import TARGETS

    target = next(target for target in TARGETS if target["name"] == NAMES["alice-bob-felis"])
    circuit = QuantumCircuit(2, 2)
    circuit.rx(math.pi, 0)
    circuit.measure([0, 1], [0, 1])
    values = {"nbShots": SHOTS, "averageNbPhotons": 4.0}
    return Payload.AliceBobFelis(write_qir(circuit, functions_of(target)), json.dumps(values))


def _oqtopus() -> Payload:
    spec = {"job_type": "sampling", "program": [_QASM], "shots": SHOTS, "name": "flip"}
    return Payload.Oqtopus(json.dumps(spec))


_PAYLOADS: dict[str, Callable[[], Payload]] = {
    "alice-bob-felis": _felis,
    "ibm-quantum-compute-service": _primitive,
    "ibm-quantum-system": _primitive,
    "iqm-server": _iqm,
    "oqtopus": _oqtopus,
    "pasqal-cloud": _analog,
    "pasqal-local": _analog,
    "qiskit-runtime-service": _primitive,
}
