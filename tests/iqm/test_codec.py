"""Circuits to run requests, and measurements back, with real Qiskit."""

from __future__ import annotations

import json
import math
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Operator, SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager

from qrmi.errors import (
    InvalidInputError,
    IsaError,
    UnexpectedAnswerError,
    UnsupportedPayloadError,
)
from qrmi_iqm import codec
from qrmi_iqm.circuits import keys
from qrmi_sandbox.iqm_devices import DEVICES, Machine
from qrmi_sandbox.iqm_run import check_request


def target_text(machine: Machine, **parts) -> str:
    return json.dumps(
        {
            "calibration_set": machine.calibration_set(),
            "dynamic_quantum_architecture": machine.architecture(),
            "quality_metrics": machine.metrics(),
            "static_quantum_architecture": None,
            **parts,
        }
    )


TEXTS = {alias: target_text(machine) for alias, machine in DEVICES.items()}


def device(alias: str = "garnet"):
    return types.SimpleNamespace(resource=None, target_text=TEXTS[alias])


def encoded(*pubs, alias: str = "garnet", **options):
    coerced = [SamplerPub.coerce(pub) for pub in pubs]
    return codec.encode_sampler(coerced, device=device(alias), options=options)


def request_of(made, payload: int = 0) -> dict:
    return json.loads(made.payloads[payload].iqmjson)


def operations(circuit: QuantumCircuit, alias: str = "garnet", **options) -> list[dict]:
    made = encoded((circuit, None, 10), alias=alias, **options)
    return request_of(made)["circuits"][0]["instructions"]


# --- target ---------------------------------------------------------------------------------------


def test_a_target_has_native_gates_where_they_are_calibrated() -> None:
    """Qubit i is the i-th of the architecture; cz is symmetric; errors and durations are there."""
    target = codec.read_target(TEXTS["garnet"])
    assert target.num_qubits == 20
    assert set(target.operation_names) == {"r", "cz", "measure", "id", "delay", "if_else", "reset"}
    assert target.instruction_supported("cz", (0, 1))
    assert target.instruction_supported("cz", (1, 0))
    assert not target.instruction_supported("cz", (0, 7))
    assert target["r"][(0,)].error == pytest.approx(1 - 0.9991)
    assert target["cz"][(0, 1)].duration == pytest.approx(4e-8)
    assert target["measure"][(3,)].error == pytest.approx(1 - 0.984)
    assert target.qubit_properties[0].t1 == pytest.approx(4.1e-5)
    assert target.qubit_properties[1].frequency == pytest.approx(4.51e9)


def test_a_cz_in_another_implementation_has_that_ones_numbers() -> None:
    """The architecture says which implementation is in use at each locus."""
    target = codec.read_target(TEXTS["garnet"])
    assert target["cz"][(18, 19)].error == pytest.approx(1 - 0.9935)


def test_qubits_around_a_resonator_are_coupled_by_way_of_it() -> None:
    """QB6 is not calibrated for measurement, so it is none of the target's."""
    target = codec.read_target(TEXTS["sirius"])
    assert target.num_qubits == 5
    assert len(target["cz"]) == 5 * 4
    error = 1 - 0.9935 * 0.9951**2
    assert target["cz"][(0, 4)].error == pytest.approx(error)
    assert target["cz"][(0, 4)].duration == pytest.approx(4e-8 + 2 * 8e-8)


def test_metrics_may_be_missing() -> None:
    text = target_text(DEVICES["garnet"], calibration_set=None, quality_metrics=None)
    target = codec.read_target(text)
    assert target["cz"][(0, 1)] is None
    assert target.qubit_properties[0].t1 is None


def test_a_device_that_is_not_calibrated_runs_no_circuits() -> None:
    empty = {**DEVICES["garnet"].architecture(), "gates": {}}
    with pytest.raises(UnsupportedPayloadError):
        codec.read_target(target_text(DEVICES["garnet"], dynamic_quantum_architecture=empty))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"dynamic_quantum_architecture": {"gates": 1, "qubits": []}}'],
)
def test_a_malformed_target_is_the_services_fault(text) -> None:
    with pytest.raises(UnexpectedAnswerError):
        codec.read_target(text)


# --- circuits -------------------------------------------------------------------------------------


def test_native_gates_become_operations_on_named_qubits() -> None:
    circuit = QuantumCircuit(2, 1)
    circuit.r(0.5, 0.25, 0)
    circuit.barrier()
    circuit.cz(1, 0)
    circuit.delay(80, 1, unit="ns")
    circuit.id(0)
    circuit.reset(1)
    circuit.measure(1, 0)
    assert operations(circuit) == [
        {"name": "prx", "locus": ["QB1"], "args": {"angle": 0.5, "phase": 0.25}},
        {"name": "barrier", "locus": ["QB1", "QB2"], "args": {}},
        {"name": "cz", "locus": ["QB1", "QB2"], "args": {}},
        {"name": "delay", "locus": ["QB2"], "args": {"duration": pytest.approx(8e-8)}},
        {"name": "reset", "locus": ["QB2"], "args": {}},
        {"name": "measure", "locus": ["QB2"], "args": {"key": "c_1_0_0"}},
    ]


@given(
    st.sampled_from(["x", "y", "rx", "ry", "h", "s", "sx", "rz", "u"]),
    st.lists(st.floats(-7, 7), min_size=3, max_size=3),
)
def test_a_gate_on_one_qubit_is_the_same_rotations(name, angles) -> None:
    """Whatever gate it was, the operations have its matrix, but for a phase."""
    circuit = QuantumCircuit(1)
    count = {"rx": 1, "ry": 1, "rz": 1, "u": 3}.get(name, 0)
    getattr(circuit, name)(*angles[:count], 0)
    rebuilt = QuantumCircuit(1)
    for operation in operations(circuit):
        assert operation["name"] == "prx"
        rebuilt.r(operation["args"]["angle"], operation["args"]["phase"], 0)
    assert Operator(rebuilt).equiv(Operator(circuit), atol=1e-6)


def test_a_cz_by_way_of_the_resonator() -> None:
    """One qubit's state moves in, meets the other, and moves back."""
    circuit = QuantumCircuit(3, 2)
    circuit.cz(0, 2)
    circuit.measure([0, 2], [0, 1])
    made = [op for op in operations(circuit, alias="sirius") if op["name"] != "measure"]
    assert [operation["name"] for operation in made] == ["move", "cz", "move"]
    assert made[0]["locus"] == made[2]["locus"]
    assert {made[0]["locus"][0], made[1]["locus"][0]} == {"QB1", "QB3"}
    assert {operation["locus"][1] for operation in made} == {"COMPR1"}


def test_a_state_stays_in_the_resonator_while_that_pays() -> None:
    """One qubit meets three others: two moves, not six."""
    circuit = QuantumCircuit(4, 1)
    for qubit in (1, 2, 3):
        circuit.r(0.5, 0.0, qubit)
        circuit.cz(0, qubit)
        circuit.r(0.5, 0.0, qubit)
    circuit.measure(0, 0)
    made = operations(circuit, alias="sirius")
    assert [op["locus"] for op in made if op["name"] == "move"] == [["QB1", "COMPR1"]] * 2
    assert [op["locus"][0] for op in made if op["name"] == "cz"] == ["QB2", "QB3", "QB4"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("r"), st.integers(0, 3), st.floats(-3, 3)),
            st.tuples(st.just("cz"), st.integers(0, 3), st.integers(1, 3)),
            st.tuples(st.just("barrier"), st.integers(0, 3), st.none()),
        ),
        max_size=14,
    )
)
def test_visits_to_the_resonator_change_nothing(steps) -> None:
    """Operations with moves have the circuit's own matrix, and the service takes them."""
    circuit = QuantumCircuit(4)
    for name, qubit, value in steps:
        if name == "r":
            circuit.r(value, 0.3, qubit)
        elif name == "cz":
            circuit.cz(qubit, (qubit + value) % 4)
        else:
            circuit.barrier(qubit)
    body = request_of(encoded((circuit, None, 1), alias="sirius"))
    check_request(body, DEVICES["sirius"])
    place = {"QB1": 0, "QB2": 1, "QB3": 2, "QB4": 3, "COMPR1": 4}
    rebuilt = QuantumCircuit(5)
    for op in body["circuits"][0]["instructions"]:
        at = [place[name] for name in op["locus"]]
        if op["name"] == "prx":
            rebuilt.r(op["args"]["angle"], op["args"]["phase"], *at)
        elif op["name"] != "barrier":
            {"cz": rebuilt.cz, "move": rebuilt.swap}[op["name"]](*at)
    empty = Operator(rebuilt).data[:16, :16]  # the resonator is empty before and after
    assert np.allclose(empty, Operator(circuit).data)


@pytest.mark.parametrize(
    "write",
    [
        lambda circuit: circuit.cx(0, 1),
        lambda circuit: circuit.cz(0, 10),
        lambda circuit: circuit.ccx(0, 1, 2),
    ],
)
def test_what_the_device_lacks_is_named(write) -> None:
    circuit = QuantumCircuit(11, 1)
    write(circuit)
    with pytest.raises(IsaError, match="on QB1"):
        operations(circuit)


def test_a_parameter_without_a_value_is_refused() -> None:
    circuit = QuantumCircuit(1)
    circuit.r(Parameter("a"), 0, 0)
    pub = SamplerPub(circuit, shots=10, validate=False)
    with pytest.raises(InvalidInputError):
        codec.encode_sampler([pub], device=device(), options={})


def test_feedback_is_a_controlled_rotation() -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 1)
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.r(math.pi, 0.0, 1)
    measured, controlled = operations(circuit)
    assert measured["args"]["key"] == "c_2_0_1"
    assert controlled["name"] == "cc_prx"
    assert controlled["args"] == {
        "angle": math.pi,
        "phase": 0.0,
        "feedback_qubit": "QB1",
        "feedback_key": measured["args"]["feedback_key"],
    }


def test_conditions_beyond_the_device_are_refused() -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.cregs[0], 3)):
        circuit.r(1.0, 0.0, 1)
    with pytest.raises(IsaError, match="condition"):
        operations(circuit)
    circuit = QuantumCircuit(2, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.r(1.0, 0.0, 1)
    with pytest.raises(IsaError, match="not measured"):
        operations(circuit)


def test_keys_are_those_of_iqms_own_package() -> None:
    """{register}_{size}_{index}_{bit}; a bit in two registers goes by the first."""
    assert keys([["a", 2, [0, 1]], ["b", 2, [1, 2]]]) == {0: "a_2_0_0", 1: "a_2_0_1", 2: "b_2_1_1"}


def test_a_bit_that_is_measured_again_keeps_the_latest_value() -> None:
    """Keys are used once in a circuit; the first measurement still happens."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.r(math.pi, 0, 0)
    circuit.measure(0, 0)
    found = [op["args"]["key"] for op in operations(circuit) if op["name"] == "measure"]
    assert found[1] == "c_1_0_0"
    assert len(set(found)) == 2


# --- requests -------------------------------------------------------------------------------------


def test_pubs_with_other_shots_go_into_other_requests() -> None:
    """A request has one number of shots; values of parameters are circuits."""
    circuit = QuantumCircuit(1, 1)
    circuit.r(Parameter("a"), 0, 0)
    circuit.measure(0, 0)
    made = encoded((circuit, [[0.0], [1.0]], 10), (circuit, [2.0], 20), (circuit, [3.0], 10))
    bodies = [request_of(made, number) for number in (0, 1)]
    assert [body["shots"] for body in bodies] == [10, 20]
    assert [len(body["circuits"]) for body in bodies] == [3, 1]
    assert bodies[0]["calibration_set_id"] == DEVICES["garnet"].calibration_id
    angles = [c["instructions"][0]["args"]["angle"] for c in bodies[0]["circuits"]]
    assert angles == [0.0, 1.0, 3.0]


def test_options_are_forwarded_and_unknown_ones_named() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    made = encoded(
        (circuit, None, 10),
        heralding_mode="zeros",
        circuit_compilation_options={"dd_mode": "enabled", "active_reset_cycles": None},
        use_timeslot=True,
        tag="mine",
        qubit_index_to_name={0: "QB7"},
    )
    body = request_of(made)
    assert (body["heralding_mode"], body["dd_mode"]) == ("zeros", "enabled")
    assert "active_reset_cycles" not in body
    assert body["circuits"][0]["instructions"][0]["locus"] == ["QB7"]
    assert (made.payloads[0].use_timeslot, made.payloads[0].tag) == (True, "mine")
    with pytest.raises(InvalidInputError, match="no option seed") as caught:
        encoded((circuit, None, 10), seed=1)
    assert "heralding_mode" in caught.value.hint
    for bad in ({"tag": "x" * 51}, {"use_timeslot": "yes"}, {"qubit_index_to_name": {}}):
        with pytest.raises(InvalidInputError):
            encoded((circuit, None, 10), **bad)


# --- results --------------------------------------------------------------------------------------


@given(st.data())
def test_bits_come_back_where_they_were_measured(data) -> None:
    """Registers that overlap, are out of order or partly unmeasured: each bit is its own."""
    size = data.draw(st.integers(1, 10))
    circuit = QuantumCircuit(QuantumRegister(size))
    bits = ClassicalRegister(size, "all")
    circuit.add_register(bits)
    chosen = data.draw(st.lists(st.integers(0, size - 1), min_size=1, unique=True))
    circuit.add_register(ClassicalRegister(bits=[bits[i] for i in chosen], name="some"))
    measured = data.draw(st.lists(st.integers(0, size - 1), unique=True))
    for bit in measured:
        circuit.measure(bit, bits[bit])
    shots = data.draw(st.integers(1, 9))
    values = np.array(
        data.draw(
            st.lists(
                st.lists(st.integers(0, 1), min_size=size, max_size=size),
                min_size=shots,
                max_size=shots,
            )
        )
    )
    values[:, [bit for bit in range(size) if bit not in measured]] = 0
    made = encoded((circuit, None, shots))
    names = [op["args"]["key"] for op in request_of(made)["circuits"][0]["instructions"]]
    rows = {n: [[int(v)] for v in values[:, b]] for n, b in zip(names, measured, strict=True)}
    text = json.dumps({"measurement_counts": None, "measurements": [rows]})
    result = codec.decode_result([text], json.loads(json.dumps(made.notes)))[0].data
    rows = ["".join(str(value) for value in row[::-1]) for row in values]
    assert result["all"].get_bitstrings() == rows
    rows = ["".join(str(row[bit]) for bit in reversed(chosen)) for row in values]
    assert result["some"].get_bitstrings() == rows


def test_names_of_registers_with_brackets() -> None:
    """Marks such as ``[0]`` in a name are no bits."""
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "a[0]"))
    circuit.measure(0, 0)
    made = encoded((circuit, None, 2))
    text = json.dumps({"measurements": [{"a[0]_1_0_0": [[1], [0]]}], "measurement_counts": None})
    result = codec.decode_result([text], made.notes)[0]
    assert result.data["a[0]"].get_bitstrings() == ["1", "0"]


def one_bit():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    return encoded((circuit, None, 4))


def decoded(notes, measurements, counts=None):
    text = json.dumps({"measurement_counts": counts, "measurements": measurements})
    return codec.decode_result([text], notes)


def test_counts_stand_in_for_measurements() -> None:
    counts = [{"measurement_keys": ["c_1_0_0"], "counts": {"0": 1, "1": 3}}]
    assert decoded(one_bit().notes, None, counts)[0].data.c.get_counts() == {"0": 1, "1": 3}


def test_heralding_may_leave_fewer_shots() -> None:
    """The result has what there is, and its metadata says what was asked for."""
    pub = decoded(one_bit().notes, [{"c_1_0_0": [[0], [1], [1]]}])[0]
    assert pub.data.c.num_shots == 3
    assert (pub.metadata["shots"], pub.metadata["requested_shots"]) == (3, 4)


@pytest.mark.parametrize(
    "measurements",
    [
        None,
        [],
        [{}, {}],
        ["text"],
        [{"c_1_0_0": [[0]] * 5}],
        [{"c_1_0_0": [[0, 1]] * 4}],
        [{"c_1_0_0": [[2]] * 4}],
        [{"c_1_0_0": [[-1]] * 4}],
        [{"c_1_0_0": [[0.5]] * 4}],
        [{"c_1_0_0": [["0"]] * 4}],
        [{"c_1_0_0": [[0], []]}],
        [{"c_1_0_0": [[0]] * 4, "other": [[0]] * 3}],
        [{"c_1_0_0": 7}],
    ],
)
def test_malformed_measurements_are_the_services_fault(measurements) -> None:
    with pytest.raises(UnexpectedAnswerError):
        decoded(one_bit().notes, measurements)


@pytest.mark.parametrize("text", ["", "null", "[]", '{"measurements": 5}', "<html>"])
def test_a_text_that_is_no_result(text) -> None:
    with pytest.raises(UnexpectedAnswerError):
        codec.decode_result([text], one_bit().notes)


def test_notes_stay_small() -> None:
    """A program's notes travel in the journal: a sweep of a wide circuit, an estimator's bases."""
    circuit = QuantumCircuit(54, 54, metadata={"experiment": "e" * 100})
    circuit.r(Parameter("a"), 0, 0)
    circuit.measure(range(54), range(54))
    pubs = [(circuit, np.zeros((50, 1)), 10)] * 3
    assert len(json.dumps(dict(encoded(*pubs, alias="emerald").notes))) < 1500
    bare = QuantumCircuit(6)
    ising = SparsePauliOp.from_sparse_list(
        [("ZZ", [i, i + 1], 1.0) for i in range(5)] + [("X", [i], 0.5) for i in range(6)], 6
    )
    pub = EstimatorPub.coerce((bare, ising), 0.1)
    made = codec.encode_estimator([pub], device=device(), options={})
    assert len(json.dumps(dict(made.notes))) < 1500


def test_a_transpiled_circuit_is_taken_as_it_is() -> None:
    """What Qiskit makes for the target needs nothing that the device lacks."""
    circuit = QuantumCircuit(5, 5)
    circuit.h(0)
    for qubit in range(4):
        circuit.cx(0, qubit + 1)
    circuit.measure(range(5), range(5))
    for alias in ("garnet", "sirius"):
        passes = generate_preset_pass_manager(1, target=codec.read_target(TEXTS[alias]))
        names = {op["name"] for op in operations(passes.run(circuit), alias=alias)}
        assert names <= {"prx", "cz", "measure", "move", "barrier"}
