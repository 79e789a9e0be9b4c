"""Circuits to QIR and histograms back, without a server."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.circuit.classical import expr
from qiskit.primitives import StatevectorEstimator
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.errors import (
    InvalidInputError,
    IsaError,
    UnexpectedAnswerError,
    UnsupportedPayloadError,
)
from qrmi_alice_bob import codec
from qrmi_alice_bob.instructions import MeasureX, MeasureY, functions_of
from qrmi_alice_bob.qir import write_qir
from qrmi_sandbox.felis_targets import TARGETS
from qrmi_sandbox.qir_run import read_qir, run_program

BY_NAME = {target["name"]: target for target in TARGETS}
CATS, LOGICAL, ROTATIONS = (
    BY_NAME[name] for name in ("EMU:40Q:PHYSICAL_CATS", "EMU:15Q:LOGICAL_EARLY", "EMU:6Q:ROTATIONS")
)


class Device:
    """What an adapter tells the codec."""

    resource = None

    def __init__(self, target=ROTATIONS):
        self.target_text = json.dumps(target)


def run(encoded):
    """The results of encoded jobs, as the sandbox computes them."""
    texts = []
    for payload in encoded.payloads:
        shots = json.loads(payload.input_params)["nbShots"]
        counts = run_program(read_qir(payload.human_qir), shots)
        texts.append("".join(f"{bits},{count}\n" for bits, count in counts.items()))
    return texts


def sampled(circuit, *values, shots=50, target=ROTATIONS, **options):
    pub = SamplerPub.coerce((circuit, *values), shots=shots)
    encoded = codec.encode_sampler([pub], device=Device(target), options=options)
    return codec.decode_result(run(encoded), encoded.notes)[0]


# --- the target -----------------------------------------------------------------------------------


def test_a_target_of_cats():
    """Preparations are ``initialize``, the measurement along X has an instruction of its own."""
    target = codec.read_target(json.dumps(CATS))
    assert target.num_qubits == 40
    assert set(target.operation_names) == {
        "ccx", "cx", "delay", "if_else", "initialize", "measure", "measure_x", "rz", "x", "z",
    }  # fmt: skip
    limits = codec.read_limits(json.dumps(CATS))
    assert (limits.max_shots, limits.max_circuits, limits.simulator) == (10_000_000, None, False)


@pytest.mark.parametrize("text", ['{"devices": []}', "[]", "null"])
def test_a_target_that_is_not_for_circuits(text):
    """A target without instructions is refused as a kind of program, not as junk."""
    with pytest.raises(UnsupportedPayloadError):
        codec.read_target(text)


@pytest.mark.parametrize(
    "text", ["", "{", '{"instructions": 7}', '{"instructions": [], "numQubits": "many"}']
)
def test_a_target_that_is_junk(text):
    """A malformed target is the service's fault."""
    with pytest.raises(UnexpectedAnswerError):
        codec.read_target(text)


# --- programs -------------------------------------------------------------------------------------


def test_a_program_in_qir():
    """The target's own functions are called; all results are recorded, the last bit first."""
    circuit = QuantumCircuit(2, 2)
    circuit.initialize("+", 0)
    circuit.cx(0, 1)
    circuit.append(MeasureX(), [1], [0])
    circuit.measure(0, 1)
    lines = write_qir(circuit, functions_of(CATS)).splitlines()
    calls = [line.strip().removeprefix("call void ") for line in lines if "call void" in line]
    one = "inttoptr (i64 1 to %{}*)"
    qubit, result = f"%Qubit* {one.format('Qubit')}", f"%Result* {one.format('Result')}"
    assert calls == [
        "@__quantum__rt__initialize(i8* null)",
        "@__quantum__qis__prepare_x__body(i1 false, %Qubit* null)",
        f"@__quantum__qis__prepare_z__body(i1 false, {qubit})",
        f"@__quantum__qis__cnot__body(%Qubit* null, {qubit})",
        f"@__quantum__qis__mx__body({qubit}, %Result* null)",
        f"@__quantum__qis__mz__body(%Qubit* null, {result})",
        "@__quantum__rt__array_record_output(i64 2, i8* null)",
        f"@__quantum__rt__result_record_output({result}, i8* null)",
        "@__quantum__rt__result_record_output(%Result* null, i8* null)",
    ]


@pytest.mark.parametrize(
    ("state", "measure", "outcome"),
    [
        ("0", "measure", "0"), ("1", "measure", "1"), ("+", "x", "0"), ("-", "x", "1"),
        ([0, 1], "measure", "1"), ([2**-0.5, -(2**-0.5)], "x", "1"), (1, "measure", "1"),
    ],
)  # fmt: skip
def test_prepared_states(state, measure, outcome):
    """Each state that cats can prepare is prepared, however Qiskit was told."""
    circuit = QuantumCircuit(1, 1)
    circuit.initialize(state, 0)
    if measure == "x":
        circuit.append(MeasureX(), [0], [0])
    else:
        circuit.measure(0, 0)
    result = sampled(circuit, shots=20, target=CATS, average_nb_photons=16)
    assert result.data.c.get_counts() == {outcome: 20}


def test_a_label_of_several_qubits():
    """In a label the last qubit is leftmost."""
    circuit = QuantumCircuit(3)
    circuit.initialize("110", [0, 1, 2])
    circuit.measure_all()
    result = sampled(circuit, shots=5, target=CATS, averageNbPhotons=16.0)
    assert result.data.meas.get_counts() == {"110": 5}


@pytest.mark.parametrize("state", [[0.6, 0.8], [1, 0, 0, 1]])
def test_a_state_that_cannot_be_prepared(state):
    """Anything but the six states of one qubit is refused with what can be done."""
    circuit = QuantumCircuit(2)
    amplitudes = np.array(state) / np.linalg.norm(state)
    circuit.initialize(amplitudes, range(len(state) // 2))
    with pytest.raises(IsaError, match="cannot prepare"):
        write_qir(circuit, functions_of(CATS))


def test_what_the_target_lacks():
    """An instruction that the target does not list is named, and what it lists."""
    circuit = QuantumCircuit(1)
    circuit.h(0)
    with pytest.raises(IsaError, match=r"no h; it has .*prepare_x"):
        write_qir(circuit, functions_of(CATS))


def test_delays_are_in_microseconds():
    """A delay's time is converted; a unit without a time is refused."""
    circuit = QuantumCircuit(1)
    circuit.delay(1500, 0, unit="ns")
    assert "delay__body(double 1.500000e+00" in write_qir(circuit, functions_of(CATS))
    circuit.delay(3, 0, unit="dt")
    with pytest.raises(IsaError, match="'dt'"):
        write_qir(circuit, functions_of(CATS))


@pytest.mark.parametrize("value", range(4))
def test_branches_on_what_was_measured(value):
    """A bit, a register, an else, and one inside the other."""
    first, second = ClassicalRegister(2, "first"), ClassicalRegister(2, "second")
    circuit = QuantumCircuit(QuantumRegister(4), first, second)
    for bit in range(2):
        if value >> bit & 1:
            circuit.rx(np.pi, bit)
        circuit.measure(bit, first[bit])
    with circuit.if_test((first, 2)) as otherwise:
        circuit.rx(np.pi, 2)
    with otherwise, circuit.if_test((first[0], True)):
        circuit.rx(np.pi, 3)
    circuit.measure([2, 3], second)
    text = {0: "00", 1: "10", 2: "01", 3: "10"}[value]
    assert sampled(circuit, shots=5).data.second.get_counts() == {text: 5}


def test_a_condition_that_qir_has_not():
    """Expressions are refused."""
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test(expr.logic_or(circuit.clbits[0], circuit.clbits[1])):
        circuit.rx(1.0, 0)
    with pytest.raises(IsaError, match="one bit or one register"):
        sampled(circuit)


# --- results --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.data())
def test_bits_come_back_where_they_belong(width, data):
    """A circuit that writes known bits gives them back, in any registers and order."""
    qubits = data.draw(st.permutations(range(width)))
    ones = data.draw(st.lists(st.booleans(), min_size=width, max_size=width))
    split = data.draw(st.integers(0, width))
    registers = [
        ClassicalRegister(n, name) for n, name in ((split, "a"), (width - split, "b")) if n
    ]
    circuit = QuantumCircuit(QuantumRegister(width), *registers)
    for clbit, qubit in enumerate(qubits):
        if ones[clbit]:
            circuit.rx(np.pi, qubit)
        circuit.measure(qubit, clbit)
    result = sampled(circuit, shots=3)
    text = "".join("1" if one else "0" for one in reversed(ones))
    found = "".join(
        next(iter(result.data[register.name].get_counts())) for register in reversed(registers)
    )
    assert found == text


def test_a_pub_with_values_becomes_as_many_jobs():
    """One job for each set of values, in C order; the shape comes back."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    circuit.measure_all()
    pub = SamplerPub.coerce((circuit, [[[0.0]], [[np.pi]], [[0.0]]]), shots=4)
    encoded = codec.encode_sampler([pub], device=Device(), options={})
    assert len(encoded.payloads) == 3
    data = codec.decode_result(run(encoded), encoded.notes)[0].data
    assert data.meas.shape == (3, 1)
    assert [data.meas.get_counts((i, 0)) for i in range(3)] == [{"0": 4}, {"1": 4}, {"0": 4}]


def test_a_heading_and_blank_lines_are_passed_over():
    """Some outputs begin with a line of headings."""
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    pub = SamplerPub.coerce((circuit,), shots=5)
    encoded = codec.encode_sampler([pub], device=Device(), options={})
    text = "memory,count\r\n\r\n01,3\r\n10,2\r\n"
    result = codec.decode_result([text], encoded.notes)[0]
    assert result.data.c.get_counts() == {"01": 3, "10": 2}


@pytest.mark.parametrize("text", ["", "01,x", "01", "2,5", "0,5", "01,4\n", "<html>", "01,-5"])
def test_a_histogram_that_is_junk(text):
    """Text that is no histogram of this circuit is the service's fault."""
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    pub = SamplerPub.coerce((circuit,), shots=5)
    encoded = codec.encode_sampler([pub], device=Device(), options={})
    with pytest.raises(UnexpectedAnswerError):
        codec.decode_result([text], encoded.notes)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"photons": 3}, "averageNbPhotons"),
        ({"nbShots": 3}, "averageNbPhotons"),
        ({"averageNbPhotons": 0.5}, "1.0 to 10.0"),
        ({"averageNbPhotons": "many"}, "type float"),
        ({"averageNbPhotons": True}, "type float"),
    ],
)
def test_options_that_the_target_does_not_take(options, words):
    """An option is known, of the right type and in range, or refused before anything is sent."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(InvalidInputError, match=words):
        sampled(circuit, **options)


def test_a_parameter_that_the_target_requires():
    """Without a default, a required parameter has to be given; with one, it is filled in."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(InvalidInputError, match="requires a value for averageNbPhotons"):
        sampled(circuit, target=CATS)
    pub = SamplerPub.coerce((circuit,), shots=7)
    encoded = codec.encode_sampler([pub], device=Device(), options={})
    assert json.loads(encoded.payloads[0].input_params) == {"nbShots": 7, "averageNbPhotons": 4.0}


# --- expectation values ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", [ROTATIONS, LOGICAL, CATS], ids=lambda target: target["name"])
def test_expectation_values(target):
    """Bases are changed with what the target has: rotations, Clifford gates, a measurement of X."""
    circuit = QuantumCircuit(2)
    if target is CATS:
        circuit.initialize("+", 0)
        observables = ["XX", "ZZ", "ZI", "XI"]
    else:
        circuit.h(0)
        observables = ["XX", "YY", "ZZ", "ZI", "XY"]
    circuit.cx(0, 1)
    options = {"average_nb_photons": 16} if target is CATS else {}
    pub = EstimatorPub.coerce((circuit, observables), precision=0.05)
    encoded = codec.encode_estimator([pub], device=Device(target), options=options)
    data = codec.decode_result(run(encoded), encoded.notes)[0].data
    plain = QuantumCircuit(2)
    plain.h(0)
    plain.cx(0, 1)
    exact = StatevectorEstimator().run([(plain, observables)]).result()[0].data.evs
    assert np.allclose(data.evs, exact, atol=0.3)


def test_an_axis_that_the_target_cannot_measure():
    """Cats without a measurement along Y refuse observables that need it."""
    circuit = QuantumCircuit(1)
    pub = EstimatorPub.coerce((circuit, ["Y"]), precision=0.1)
    with pytest.raises(IsaError, match="Y"):
        codec.encode_estimator([pub], device=Device(CATS), options={"average_nb_photons": 9})


def test_measurements_along_other_axes_say_what_they_are():
    """The two instructions have definitions, so that simulators can run them."""
    for instruction, gates in ((MeasureX(), {"h", "measure"}), (MeasureY(), {"sdg", "h", "s"})):
        assert gates <= set(instruction.definition.count_ops())
