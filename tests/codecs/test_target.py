"""Configuration and properties to `Target` and back; IBM's own conversion is the peer."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Delay, IfElseOp, Measure, Parameter, Reset
from qiskit.circuit.library import CZGate, RXGate, RZZGate, SXGate
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from qrmi.codecs.target import from_configuration, read_target, write_target
from qrmi.errors import UnexpectedAnswerError, UnsupportedPayloadError

_DEVICES = ["lima", "perth", "auckland", "sherbrooke", "torino", "fez", "kingston"]


def _close(mine: object, other: object, field: str) -> bool:
    one, two = getattr(mine, field, None), getattr(other, field, None)
    return one is two if one is None or two is None else math.isclose(one, two, rel_tol=1e-12)


def _assert_same(ours: Target, theirs: Target) -> None:
    assert set(ours.operation_names) == set(theirs.operation_names)
    assert ours.num_qubits == theirs.num_qubits
    for name in ours.operation_names:
        mine, other = dict(ours[name]), dict(theirs[name])
        assert set(mine) == set(other), name
        for qargs in mine:
            for field in ("error", "duration"):
                assert _close(mine[qargs], other[qargs], field), (name, qargs, field)
    assert _close(ours, theirs, "dt")
    assert ours.timing_constraints().__dict__ == theirs.timing_constraints().__dict__
    pairs = zip(ours.qubit_properties or (), theirs.qubit_properties or (), strict=True)
    for mine, other in pairs:
        for field in ("t1", "t2", "frequency"):
            assert _close(mine, other, field)


@pytest.mark.parametrize("device", _DEVICES)
def test_targets_are_ibms(device):
    """Names, qubits, errors, durations, dt and qubits' figures are those of IBM's converter."""
    runtime = pytest.importorskip("qiskit_ibm_runtime")
    from qiskit_ibm_runtime.utils import backend_decoder
    from qiskit_ibm_runtime.utils.backend_converter import convert_to_target

    folder = Path(runtime.__file__).parent / "fake_provider" / "backends" / device
    if not folder.is_dir():
        pytest.skip(f"this version has no {device}")
    texts = [next(folder.glob(f"{kind}_*.json")).read_text() for kind in ("conf", "props")]
    theirs = convert_to_target(
        backend_decoder.configuration_from_server_data(
            json.loads(texts[0]), use_fractional_gates=None
        ),
        backend_decoder.properties_from_server_data(
            json.loads(texts[1]), use_fractional_gates=None
        ),
    )
    ours = read_target(f'{{"configuration": {texts[0]}, "properties": {texts[1]}}}')
    _assert_same(ours, theirs)
    if "rzz" in ours.operation_names and hasattr(ours, "gate_has_angle_bounds"):
        assert ours.gate_has_angle_bounds("rzz")
    _assert_same(read_target(json.dumps(write_target(ours, device))), ours)


_VALUE = st.none() | st.floats(1e-9, 1e-2)
_PROPERTIES = st.none() | st.builds(
    lambda error, duration: InstructionProperties(duration=duration, error=error), _VALUE, _VALUE
)
_QUBITS = 3
_PAIRS = [(0, 1), (1, 0), (1, 2)]


def _places(*places: tuple[int, ...]) -> st.SearchStrategy:
    some = st.dictionaries(st.sampled_from(places), _PROPERTIES, min_size=1)
    return st.none() | some


@st.composite
def _targets(draw) -> Target:
    qubit = st.builds(QubitProperties, t1=_VALUE, t2=_VALUE, frequency=st.floats(1e9, 9e9))
    properties = draw(st.none() | st.lists(qubit, min_size=_QUBITS, max_size=_QUBITS))
    target = Target(
        num_qubits=_QUBITS,
        qubit_properties=properties,
        dt=draw(st.none() | st.floats(1e-10, 1e-8)),
        granularity=draw(st.integers(1, 16)),
    )
    single = [(index,) for index in range(_QUBITS)]
    for instruction, places in (
        (SXGate(), single),
        (RXGate(Parameter("t")), single),
        (Reset(), single),
        (Delay(Parameter("d")), single),
        (CZGate(), _PAIRS),
        (RZZGate(Parameter("t")), _PAIRS),
    ):
        if draw(st.booleans()):
            target.add_instruction(instruction, draw(_places(*places)))
    target.add_instruction(Measure(), draw(_places(*single)))
    if draw(st.booleans()):
        target.add_instruction(IfElseOp, name="if_else")
    return target


@given(_targets())
@settings(max_examples=150, deadline=None)
def test_targets_come_back(target):
    """`read_target` of `write_target` is the same target."""
    again = read_target(json.dumps(write_target(target, "t")))
    _assert_same(again, target)
    if hasattr(again, "gate_has_angle_bounds") and "rzz" in again.operation_names:
        assert not again.gate_has_angle_bounds("rzz")


def _configuration(**changes: object) -> dict:
    return {
        "backend_name": "t",
        "n_qubits": 2,
        "basis_gates": ["rx", "rzz", "cz"],
        "coupling_map": [[0, 1]],
        "gates": [
            {"name": "cz", "coupling_map": [[0, 1]]},
            {"name": "rzz", "coupling_map": [[0, 1]]},
        ],
        **changes,
    }


def test_the_protocols_smallest_device_is_read():
    """A configuration without supported instructions still measures, resets and waits."""
    target = from_configuration(_configuration())
    assert {"measure", "reset", "delay"} <= set(target.operation_names)
    assert target.instruction_supported("measure", (1,))
    assert not target.instruction_supported("cz", (1, 0))


def test_ideal_devices_have_no_places():
    """Without coupling, instructions are allowed on all qubits, measurements too."""
    target = from_configuration(
        _configuration(coupling_map=None, gates=[], n_qubits=50, simulator=True)
    )
    assert target.num_qubits == 50
    for name in ("rx", "cz", "measure", "delay", "reset"):
        assert list(target[name]) == [None]
    assert target.operation_from_name("rx").num_qubits == 1
    if hasattr(target, "gate_has_angle_bounds"):
        assert not target.gate_has_angle_bounds("rzz")


def test_faulty_qubits_and_gates_are_absent():
    """What is not operational is not in the target."""
    properties = {
        "qubits": [[{"name": "operational", "value": 0, "unit": ""}], [], []],
        "gates": [
            _gate("cz", [0, 1]),
            _gate("cz", [1, 2]),
            _gate("rx", [1]),
            _gate("rx", [2], operational=0),
        ],
    }
    configuration = _configuration(
        n_qubits=3, gates=[{"name": "cz", "coupling_map": [[0, 1], [1, 2]]}]
    )
    target = from_configuration(configuration, properties)
    assert set(target["cz"]) == {(1, 2)}
    assert set(target["rx"]) == {(1,)}
    assert set(target["measure"]) == {(1,), (2,)}
    assert set(target["reset"]) == {(1,), (2,)}


def _gate(name: str, qubits: list[int], **values: float) -> dict:
    entries = [{"name": key, "value": value, "unit": ""} for key, value in values.items()]
    return {"gate": name, "qubits": qubits, "parameters": entries}


def test_units_are_si():
    """Times come in us and ns, frequencies in GHz, dt in ns; the target has s and Hz."""
    qubit = [
        {"name": "T1", "value": 100.0, "unit": "us"},
        {"name": "T2", "value": 50.0, "unit": "µs"},
        {"name": "frequency", "value": 5.0, "unit": "GHz"},
        {"name": "readout_error", "value": 0.25, "unit": ""},
        {"name": "readout_length", "value": 1000, "unit": "ns"},
    ]
    gate = {
        "gate": "rx",
        "qubits": [0],
        "parameters": [{"name": "gate_length", "value": 40, "unit": "ns"}],
    }
    target = from_configuration(_configuration(dt=0.5), {"qubits": [qubit] * 2, "gates": [gate]})
    assert target.dt == pytest.approx(0.5e-9)
    assert target.qubit_properties[0].t1 == pytest.approx(100e-6)
    assert target.qubit_properties[0].t2 == pytest.approx(50e-6)
    assert target.qubit_properties[0].frequency == pytest.approx(5e9)
    assert target["measure"][0,].error == 0.25
    assert target["measure"][0,].duration == pytest.approx(1e-6)
    assert target["rx"][0,].duration == pytest.approx(40e-9)


def test_rzz_of_a_device_is_bounded():
    """A device's rzz takes 0 to pi/2, unless the configuration says otherwise."""
    target = from_configuration(_configuration())
    if not hasattr(target, "supported_angle_bound"):
        pytest.skip("Qiskit before 2.2 has no bounds on angles")
    assert target.supported_angle_bound("rzz", [math.pi / 2])
    assert not target.supported_angle_bound("rzz", [2.0])
    free = from_configuration(_configuration(angle_bounds={}))
    assert not free.gate_has_angle_bounds("rzz")


def test_resources_without_gates_say_what_they_offer():
    """A target without a configuration is refused by naming the devices in it."""
    text = json.dumps({"configuration": None, "devices": [{"device_type": "AnalogDevice"}]})
    with pytest.raises(UnsupportedPayloadError, match="AnalogDevice"):
        read_target(text)
    with pytest.raises(UnsupportedPayloadError):
        read_target("[]")


@pytest.mark.parametrize(
    ("configuration", "properties"),
    [
        ({"basis_gates": []}, None),
        (_configuration(n_qubits="x"), None),
        (_configuration(gates=[1]), None),
        (_configuration(), {"qubits": [[{"name": "T1", "value": 1, "unit": "parsec"}]]}),
        (_configuration(), {"gates": [{"gate": "cz"}]}),
    ],
)
def test_malformed_descriptions_are_our_error(configuration, properties):
    """Whatever is wrong with a description, the error is ours."""
    with pytest.raises(UnexpectedAnswerError):
        from_configuration(configuration, properties)


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(_configuration())), _JSON, _JSON)
@settings(max_examples=100, deadline=None)
def test_junk_in_our_error_out(key, junk, more):
    """Any key with any value, the result is a target or our error."""
    for value in (junk, {"configuration": {**_configuration(), key: junk}, "properties": more}):
        with contextlib.suppress(UnexpectedAnswerError, UnsupportedPayloadError):
            assert isinstance(read_target(json.dumps(value)), Target)
