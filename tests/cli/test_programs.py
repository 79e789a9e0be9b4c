from __future__ import annotations

import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qasm3, qpy
from qiskit.circuit import Parameter

from qrmi.cli.programs import GateProgram, PayloadProgram, parse
from qrmi.errors import InvalidInputError
from qrmi.payloads import PasqalCloud, QiskitPrimitive


def _bell(measured: bool = True) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    if measured:
        circuit.measure_all()
    return circuit


def _qpy(*circuits: QuantumCircuit) -> bytes:
    buffer = io.BytesIO()
    qpy.dump(list(circuits), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (qasm2.dumps(_bell()).encode(), "OpenQASM 2"),
        (qasm3.dumps(_bell()).encode(), "OpenQASM 3"),
        (
            b"\xef\xbb\xbf// a comment\n/* and\n another */ " + qasm3.dumps(_bell()).encode(),
            "OpenQASM 3",
        ),
        (_qpy(_bell()), "QPY"),
    ],
)
def test_content_says_what_a_circuit_file_is(data: bytes, form: str) -> None:
    """The header decides, behind comments and a byte order mark too; the name does not."""
    program = parse(data, "file.txt")
    assert isinstance(program, GateProgram)
    assert program.form == form
    assert program.circuits[0].count_ops()["measure"] == 2
    assert program.notices == ()


def test_unbound_parameters_are_named() -> None:
    """A circuit that cannot run is refused before anything is sent."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("theta"), 0)
    with pytest.raises(InvalidInputError, match="theta"):
        parse(_qpy(circuit), "open.qpy")


def test_nothing_measured_is_measured() -> None:
    """A circuit without measurements has all its qubits measured, and this is said."""
    program = parse(_qpy(_bell(measured=False), _bell()), "two.qpy")
    assert isinstance(program, GateProgram)
    assert [c.count_ops()["measure"] for c in program.circuits] == [2, 2]
    assert len(program.notices) == 1


def test_measuring_inside_a_branch_is_measuring() -> None:
    """A measurement in a control-flow block counts."""
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(2)):
        circuit.measure(0, 0)
    program = parse(_qpy(circuit), "loop.qpy")
    assert isinstance(program, GateProgram)
    assert program.notices == ()


def test_pulse_sequence() -> None:
    """Pulser's abstract JSON becomes one run with the shots asked for."""
    text = json.dumps({"register": [], "channels": {}, "operations": [], "variables": {}})
    program = parse(text.encode(), "sequence.json", 42)
    assert isinstance(program, PayloadProgram)
    assert program.payload == PasqalCloud(text, 42)


def test_open_variables_are_refused() -> None:
    """A sequence with variables names them in the error."""
    text = json.dumps({"register": [], "channels": {}, "operations": [], "variables": {"om": {}}})
    with pytest.raises(InvalidInputError, match="om"):
        parse(text.encode(), "sequence.json")


def test_task_runner_payload() -> None:
    """A payload goes as it is; shots cannot be pushed into one that carries its own."""
    text = json.dumps({"program_id": "sampler", "parameters": {"pubs": []}}).encode()
    program = parse(text, "input.json")
    assert isinstance(program, PayloadProgram)
    assert program.payload == QiskitPrimitive('{"pubs": []}', "sampler")
    with pytest.raises(InvalidInputError, match="own shots"):
        parse(text, "input.json", 10)


def test_shots_replace_those_of_an_analog_payload() -> None:
    """``--shots`` wins over ``job_runs``."""
    program = parse(b'{"sequence": "{}", "job_runs": 5}', "input.json", 7)
    assert isinstance(program, PayloadProgram)
    assert program.payload == PasqalCloud("{}", 7)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.text(max_size=80).map(lambda text: f"OPENQASM 3.0;\n{text}".encode()),
        st.text(max_size=80).map(lambda text: f"OPENQASM 2.0;\n{text}".encode()),
        st.binary(max_size=80).map(lambda data: b"QISKIT" + data),
        st.dictionaries(st.text(max_size=9), st.none() | st.integers()).map(
            lambda data: json.dumps(data).encode()
        ),
    )
)
def test_junk_is_our_error(data: bytes) -> None:
    """Whatever a file holds, it is a program or `InvalidInputError`, nothing else."""
    with contextlib.suppress(InvalidInputError):
        parse(data, "junk")
