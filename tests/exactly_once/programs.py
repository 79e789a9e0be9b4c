"""A program for each vendor with the same result each time, and a mark by which runs are counted.

Some services know no key of ours, so the mark travels in the program's own text.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import attrs

from qrmi import Payload

__all__ = ["VENDORS", "Vendor", "mark_in", "unmarked"]

SHOTS = 7
_MARK = re.compile(r"mark-\w+")


def mark_in(text: str) -> str:
    """The mark of a program; empty when it has none."""
    found = _MARK.search(text)
    return found[0] if found else ""


def unmarked(text: str) -> str:
    """The program without its mark: equal programs give equal texts."""
    return _MARK.sub("mark", text)


@attrs.frozen(kw_only=True)
class Vendor:
    """What a trial of a vendor needs to know.

    Attributes:
        kind: the resource type.
        name: the resource.
        make: a program with a mark in it.
        result: what is the same in all its results.
        decides: a regular expression for the one request that makes the task run.
        starts: a regular expression for the requests of a start, ``METHOD path``, and for those by
            which one is looked for: more happens to these.
        refuses: whether the server refuses the request that decides when it comes again.
        uncertain: whether its documentation says that a start may end with nobody knowing.
    """

    kind: str
    name: str
    make: Callable[[str], Payload]
    result: Callable[[str], Any]
    decides: str
    starts: str
    refuses: bool = False
    uncertain: bool = False


def _qasm(mark: str) -> str:
    return f"""OPENQASM 3.0;
include "stdgates.inc";
// {mark}
bit[2] c;
qubit[2] q;
x q[0];
c[0] = measure q[0];
c[1] = measure q[1];
"""


def _primitive(mark: str) -> Payload:
    body = {"pubs": [[_qasm(mark), None, SHOTS]], "version": 2, "options": {}}
    return Payload.QiskitPrimitive(json.dumps(body), "sampler")


def _iqm(mark: str) -> Payload:
    turn = {"name": "prx", "locus": ["QB1"], "args": {"angle": math.pi, "phase": 0.0}}
    measure = {"name": "measure", "locus": ["QB1"], "args": {"key": "m_1_0_0"}}
    circuit = {"name": mark, "instructions": [turn, measure]}
    return Payload.IQMServer(json.dumps({"circuits": [circuit], "shots": SHOTS}), "circuit")


@functools.cache
def _qir() -> str:
    from qiskit import QuantumCircuit

    from qrmi_alice_bob.instructions import functions_of
    from qrmi_alice_bob.qir import write_qir
    from qrmi_sandbox.felis_targets import TARGETS

    target = next(target for target in TARGETS if target["name"] == "EMU:6Q:ROTATIONS")
    circuit = QuantumCircuit(2, 2)
    circuit.rx(math.pi, 0)
    circuit.measure([0, 1], [0, 1])
    return write_qir(circuit, functions_of(target))


def _felis(mark: str) -> Payload:
    values = json.dumps({"nbShots": SHOTS, "averageNbPhotons": 4.0})
    return Payload.AliceBobFelis(f"; {mark}\n{_qir()}", values)


def _oqtopus(mark: str) -> Payload:
    """Every other one has a name of the user's own, so that the key goes elsewhere."""
    spec = {"job_type": "sampling", "program": [_qasm(mark)], "shots": SHOTS}
    named = {"name": mark, "description": "a trial"} if mark[-1] in "02468" else {}
    return Payload.Oqtopus(json.dumps({**spec, **named}))


@functools.cache
def _sequence() -> dict[str, Any]:
    import pulser
    from pulser.register.special_layouts import TriangularLatticeLayout

    register = TriangularLatticeLayout(61, 5.0).define_register(30, 34)
    sequence = pulser.Sequence(register, dataclasses.replace(pulser.AnalogDevice, name="FRESNEL"))
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(100, 0.0, 0.0, 0.0), "ising")
    sequence.measure("ground-rydberg")
    written: dict[str, Any] = json.loads(sequence.to_abstract_repr())
    return written


def _analog(mark: str) -> Payload:
    return Payload.PasqalCloud(json.dumps({**_sequence(), "name": mark}), SHOTS)


def _ahs(mark: str) -> Payload:
    def field(*values: str) -> dict[str, Any]:
        series = {"times": ["0.00000000", "0.00000100"], "values": list(values)}
        return {"pattern": "uniform", "time_series": series}

    still = field("0.00000000", "0.00000000")
    driving = {"amplitude": still, "phase": still, "detuning": still}
    sites = [["0.00000500", "0.00000000"], ["0.00001100", "0.00000000"]]
    program = {
        "setup": {"ahs_register": {"sites": sites, "filling": [1, 1]}, "comment": mark},
        "hamiltonian": {"drivingFields": [driving], "localDetuning": []},
    }
    return Payload.PasqalCloud(json.dumps(program), SHOTS)


def _same(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _outcome(text: str) -> Any:
    return json.loads(text)["job_info"]["result"]


def _counter(text: str) -> Any:
    return json.loads(text)["counter"]


_POST = "(POST|PUT) .*"
_COMPUTE = f"{_POST}|GET /api/v1/jobs"

VENDORS = {
    "alice-bob-felis": Vendor(
        kind="alice-bob-felis",
        name="EMU:6Q:ROTATIONS",
        make=_felis,
        result=_same,
        decides=r"POST /v1/jobs/[^/]+/input",
        starts=_POST,
        refuses=True,
    ),
    "ibm-quantum-compute-service": Vendor(
        kind="ibm-quantum-compute-service",
        name="test_heron",
        make=_primitive,
        result=_same,
        decides="POST /api/v1/jobs",
        starts=_COMPUTE,
    ),
    "ibm-quantum-system": Vendor(
        kind="ibm-quantum-system",
        name="test_heron",
        make=_primitive,
        result=_same,
        decides="POST /v1/jobs",
        starts=_POST,
        refuses=True,
    ),
    "iqm-server": Vendor(
        kind="iqm-server",
        name="garnet",
        make=_iqm,
        result=_same,
        decides="POST .*",
        starts=_POST,
        uncertain=True,
    ),
    "oqtopus": Vendor(
        kind="oqtopus",
        name="qulacs",
        make=_oqtopus,
        result=_outcome,
        decides=r"POST /jobs/[^/]+/submit",
        starts=f"{_POST}|GET /jobs",
        refuses=True,
    ),
    "pasqal-cloud": Vendor(
        kind="pasqal-cloud",
        name="FRESNEL",
        make=_analog,
        result=_counter,
        decides="POST .*/v1/batches",
        starts=f"{_POST}|GET .*/v1/batches",
    ),
    "pasqal-cloud, CUDA-Q": Vendor(
        kind="pasqal-cloud",
        name="FRESNEL",
        make=_ahs,
        result=_counter,
        decides="POST .*/v1/cudaq/job",
        starts=_POST,
        uncertain=True,
    ),
    "pasqal-local": Vendor(
        kind="pasqal-local",
        name="FRESNEL",
        make=_analog,
        result=_counter,
        decides="POST /jobs",
        starts=f"{_POST}|GET /jobs",
        uncertain=True,
    ),
    "qiskit-runtime-service": Vendor(
        kind="qiskit-runtime-service",
        name="test_heron",
        make=_primitive,
        result=_same,
        decides="POST /api/v1/jobs",
        starts=_COMPUTE,
    ),
}
"""What is tried, by the name of its row in the tables."""
