"""An imitated gate device refuses what it would refuse, and has its errors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Delay, IfElseOp, Measure, Parameter, Reset
from qiskit.circuit.classical import expr
from qiskit.circuit.library import CZGate, RZGate, SXGate, XGate
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import (
    InstructionProperties,
    QubitProperties,
    Target,
    generate_preset_pass_manager,
)

from qrmi.codecs import primitive, primitive_results
from qrmi.codecs.target import read_target, write_target
from qrmi.errors import InvalidInputError, IsaError, UnsupportedPayloadError
from qrmi_local.gates.run import run
from qrmi_local.target import target_text

_FLIP = (0.1, 0.02, 0.2)  # each qubit's chance to be read wrong
_FREE = (0.0, 0.0, 0.0)


def _target(
    *, readout: tuple[float, ...] = _FREE, gates: float = 0.0, t1: float | None = None
) -> Target:
    qubits = [QubitProperties(t1=t1, t2=t1, frequency=5e9)] * 3 if t1 else None
    target = Target(num_qubits=3, dt=1e-9, qubit_properties=qubits)
    single = {(q,): InstructionProperties(error=gates, duration=4e-8) for q in range(3)}
    double = {
        pair: InstructionProperties(error=10 * gates, duration=1e-7) for pair in ((0, 1), (1, 2))
    }
    target.add_instruction(SXGate(), single)
    target.add_instruction(XGate(), dict(single))
    target.add_instruction(
        RZGate(Parameter("t")), {(q,): InstructionProperties(error=0) for q in range(3)}
    )
    target.add_instruction(CZGate(), double)
    target.add_instruction(
        Measure(), {(q,): InstructionProperties(error=readout[q]) for q in range(3)}
    )
    target.add_instruction(Delay(Parameter("d")), {(q,): None for q in range(3)})
    target.add_instruction(Reset(), {(q,): None for q in range(3)})
    target.add_instruction(IfElseOp, name="if_else")
    return target


def _device(target: Target, **changes: object) -> str:
    device = write_target(target, "imitated")
    device["configuration"].update(changes)
    return json.dumps(device)


def _sample(circuit: QuantumCircuit, device: object, shots: int = 4000, **options: object):
    payload = primitive.encode_sampler([SamplerPub.coerce((circuit, None, shots))])
    return primitive_results.decode_result(
        run(payload, **{"device": device, "seed": 3, **options})
    )[0]


def _estimate(pub: tuple, device: object, **options: object):
    payload = primitive.encode_estimator([EstimatorPub.coerce(pub)])
    return primitive_results.decode_result(
        run(payload, **{"device": device, "seed": 3, **options})
    )[0]


def _flipped() -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    circuit.x([0, 2])
    circuit.measure_all()
    return circuit


def _ones(data: object) -> np.ndarray:
    bits = np.unpackbits(data.meas.array, axis=-1)[:, ::-1][:, :3]
    return bits.mean(axis=0)


def test_readout_errors_are_each_qubits_own():
    """Each bit is wrong as often as its own qubit is read wrong."""
    pub = _sample(_flipped(), _device(_target(readout=_FLIP)))
    assert _ones(pub.data) == pytest.approx([0.9, 0.02, 0.8], abs=0.03)


def test_readout_errors_may_differ_by_outcome():
    """IBM's properties tell how often a 0 is read as 1 and a 1 as 0: neither is averaged away."""
    device = write_target(_target(readout=(0.15, 0.15, 0.15)), "imitated")
    chances = {"prob_meas1_prep0": 0.05, "prob_meas0_prep1": 0.25}
    for qubit in device["properties"]["qubits"][:2]:
        qubit += [{"name": name, "value": value, "unit": ""} for name, value in chances.items()]
    assert _ones(_sample(_flipped(), device).data) == pytest.approx([0.75, 0.05, 0.85], abs=0.03)


def test_noise_can_be_switched_off():
    """Without noise the device's rules stay and its errors go."""
    device = _device(_target(readout=_FLIP))
    assert _ones(_sample(_flipped(), device, noise=False).data).tolist() == [1, 0, 1]
    wrong = QuantumCircuit(3)
    wrong.h(0)
    with pytest.raises(IsaError, match="no h"):
        _sample(wrong, device, noise=False)


def test_a_device_may_come_as_a_mapping():
    """Parsed JSON is as good as its text."""
    device = write_target(_target(), "imitated")
    assert _ones(_sample(_flipped(), device).data).tolist() == [1, 0, 1]


def test_gate_errors_grow_with_the_circuit():
    """An error of 1 % a gate depolarises: 40 gates leave about the share that theory gives."""
    circuit = QuantumCircuit(3)
    for _ in range(40):
        circuit.x(0)
    circuit.measure_all()
    pub = _sample(circuit, _device(_target(gates=0.01)))
    assert _ones(pub.data)[0] == pytest.approx((1 - (1 - 0.02) ** 40) / 2, abs=0.03)
    assert _ones(pub.data)[1:].tolist() == [0, 0]


def test_excited_qubits_relax_in_gates_and_delays():
    """During a delay of T1 a qubit keeps its excitation with probability 1/e."""
    t1 = 1e-4
    circuit = QuantumCircuit(3)
    circuit.x([0, 1])
    circuit.delay(round(t1 / 1e-9), 0, unit="dt")
    circuit.measure_all()
    ones = _ones(_sample(circuit, _device(_target(t1=t1))).data)
    assert ones == pytest.approx([math.exp(-1), 1, 0], abs=0.03)


def test_noise_reaches_into_branches():
    """A gate inside a branch has its error too."""
    circuit = QuantumCircuit(3)
    circuit.measure_all()
    with circuit.if_test((circuit.clbits[0], 0)):
        for _ in range(200):
            circuit.x(1)
    circuit.measure(1, 1)
    ones = _ones(_sample(circuit, _device(_target(gates=0.02))).data)
    assert ones[1] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("change", ["gate", "direction", "width", "shots"])
def test_what_the_device_would_refuse_is_refused(change):
    """Instructions, coupling, width and shots beyond the device are errors of ours."""
    circuit = QuantumCircuit(4 if change == "width" else 3)
    if change == "gate":
        circuit.h(0)
    if change == "direction":
        circuit.cz(1, 0)
    circuit.measure_all()
    error = InvalidInputError if change == "shots" else IsaError
    with pytest.raises(error):
        _sample(circuit, _device(_target(), max_shots=1000), 1001 if change == "shots" else 10)
    if change not in ("width", "shots"):
        bare = circuit.remove_final_measurements(inplace=False)
        with pytest.raises(IsaError):
            _estimate((bare, "ZZZ", None, 0.1), _device(_target()))


def test_a_device_without_gates_is_refused():
    """A description without a configuration takes no circuits."""
    with pytest.raises(UnsupportedPayloadError):
        _sample(_flipped(), '{"configuration": null, "devices": []}')


def test_ideal_devices_give_exact_values():
    """A target without figures has no noise: values are exact, precision zero allowed."""
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    pub = _estimate((circuit, ["IIY", "IIZ"], None, 0.0), _device(_target()))
    assert pub.data.evs.tolist() == pytest.approx([-1, 0], abs=1e-9)


def test_noisy_values_have_the_devices_errors():
    """Readout errors damp each observable by its own qubits' (1 - 2p); stds are true."""
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.sx(2)
    observables = ["IIZ", "IZI", "IZZ", "YII", {"YII": 1.0, "IZZ": 1.0, "IIZ": 2.0}, {"II1": 1.0}]
    pub = _estimate((circuit, observables, None, 0.01), _device(_target(readout=_FLIP)))
    damp = 1 - 2 * np.array(_FLIP)
    single = np.array([-damp[0], damp[1], -damp[0] * damp[1], -damp[2]])
    expected = [*single, single[3] + single[2] + 2 * single[0], 1 - _FLIP[0]]
    assert (np.abs(pub.data.evs - expected) < 5 * pub.data.stds).all()
    spread = np.sqrt(1 - single**2) * 0.01
    assert pub.data.stds[:4] == pytest.approx(spread, rel=0.1)
    assert pub.metadata["target_precision"] == 0.01


def test_standard_errors_include_correlations():
    """Z0 and Z1 of a perfectly correlated pair add up to twice the error, not to sqrt(2) times."""
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.rz(math.pi / 2, 0)
    circuit.sx(1)
    circuit.rz(math.pi / 2, 1)
    circuit.cz(0, 1)
    circuit.sx(1)
    target = _target(readout=(0.0, 0.0, 0.1))
    observables = ["IIZ", {"IIZ": 1.0, "IZI": 1.0}]
    passes = generate_preset_pass_manager(1, target=target, initial_layout=[0, 1, 2])
    bell = QuantumCircuit(3)
    bell.h(0)
    bell.cx(0, 1)
    pub = _estimate((passes.run(bell), observables, None, 0.02), _device(target))
    assert pub.data.stds[0] == pytest.approx(0.02, rel=0.1)
    assert pub.data.stds[1] == pytest.approx(0.04, rel=0.1)


def test_noisy_values_broadcast():
    """Values by measurement have the broadcast shape, each cell its own."""
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.rz(Parameter("t"), 0)
    circuit.sx(0)
    angles = np.array([0.0, 0.5, 1.0, 2.0])
    pub = _estimate((circuit, [["IIZ"], ["ZII"]], angles, 0.02), _device(_target(readout=_FLIP)))
    assert pub.data.evs.shape == (2, 4)
    expected = np.array([-np.cos(angles) * 0.8, np.full(4, 0.6)])
    assert np.abs(pub.data.evs - expected).max() < 0.1


def test_a_precision_beyond_the_devices_shots_is_refused():
    """The shots that a precision takes are held to the device's limit."""
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    device = _device(_target(readout=_FLIP), max_shots=1000)
    with pytest.raises(InvalidInputError, match="10000 shots"):
        _estimate((circuit, "IIZ", None, 0.01), device)
    with pytest.raises(InvalidInputError, match="precision of 0"):
        _estimate((circuit, "IIZ", None, 0.0), device)


@pytest.mark.parametrize("seed", ["x", -1, 1.5, True])
def test_a_malformed_seed_is_refused(seed: object) -> None:
    """A seed that would be ignored gives results that cannot be repeated: refuse it."""
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    options = {"simulator": {"seed_simulator": seed}}
    with pytest.raises(InvalidInputError, match="seed"):
        run(primitive.encode_sampler([SamplerPub.coerce(circuit, 1)], options=options))


def test_what_aer_cannot_run_is_named() -> None:
    """Classical variables and circuits without qubits are refused in our words."""
    circuit = QuantumCircuit(1, 1)
    circuit.add_var("flag", expr.lift(False))
    circuit.measure(0, 0)
    with pytest.raises(InvalidInputError, match="classical variables"):
        run(primitive.encode_sampler([SamplerPub.coerce(circuit, 1)]))
    empty = EstimatorPub.coerce((QuantumCircuit(0), SparsePauliOp("")), 0.1)
    with pytest.raises(InvalidInputError, match="at least one qubit"):
        run(primitive.encode_estimator([empty]))


def test_delays_can_be_told_in_seconds_after_the_pass_manager() -> None:
    """The ideal simulator has a tick, so a pass manager turns nanoseconds into ticks."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.delay(100, 0, "ns")
    circuit.measure_all()
    target = read_target(target_text(None, "local"))
    ready = generate_preset_pass_manager(1, target=target).run(circuit)
    text = run(primitive.encode_sampler([SamplerPub.coerce(ready, 10)]))
    assert primitive_results.decode_result(text)[0].data.meas.get_counts() == {"1": 10}
