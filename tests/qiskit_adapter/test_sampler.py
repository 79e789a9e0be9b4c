"""`SamplerV2` keeps the contract of Qiskit's own samplers: whatever they take, say or refuse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import (
    BaseSamplerV2,
    BitArray,
    DataBin,
    PrimitiveResult,
    SamplerPubResult,
    StatevectorSampler,
)
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi import QuantumResource
from qrmi.errors import InvalidInputError, IsaError, UnsupportedPayloadError
from qrmi.qiskit import (
    InvalidPubError,
    InvalidPubTypeError,
    QRMIPrimitiveJob,
    SamplerOptions,
    SamplerV2,
)

Pubs = Callable[[], Any]


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, metadata={"which": "bell", "nested": {"a": [1, 2.5, None]}})
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def rotation(name: str = "theta") -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.ry(Parameter(name), 0)
    circuit.measure(0, 0)
    return circuit


def ansatz() -> QuantumCircuit:
    circuit = efficient_su2(2, reps=1)
    circuit.measure_all()
    return circuit


def registers() -> QuantumCircuit:
    """Registers of 1, 9 and 3 bits, the last never written to."""
    qubits = QuantumRegister(3, "q")
    alpha, beta = ClassicalRegister(1, "alpha"), ClassicalRegister(9, "beta")
    circuit = QuantumCircuit(qubits, alpha, beta, ClassicalRegister(3, "gamma"))
    circuit.x(0)
    circuit.x(2)
    circuit.measure(0, alpha[0])
    circuit.measure(1, beta[0])
    circuit.measure(2, beta[8])
    return circuit


def unmeasured() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    return circuit


def vector_circuit() -> QuantumCircuit:
    """A vector of parameters whose names sort differently as text, and a lone one between."""
    angles = ParameterVector("x", 11)
    circuit = QuantumCircuit(2)
    for number, angle in enumerate(angles):
        circuit.ry(angle, number % 2)
    circuit.rz(Parameter("a"), 0)
    circuit.measure_all()
    return circuit


X = tuple(f"x[{number}]" for number in range(11))
ANGLES = np.linspace(0, np.pi, 6)
GOOD: OrderedDict[str, Pubs] = OrderedDict(
    circuit=lambda: [bell()],
    tuple_of_one=lambda: [(bell(),)],
    no_values=lambda: [(bell(), None)],
    no_values_shots=lambda: [(bell(), None, 17)],
    empty_values=lambda: [(bell(), [])],
    several=lambda: [bell(), (registers(), None, 5), (rotation(), [0.3])],
    iterator=lambda: iter([bell(), registers()]),
    generator=lambda: (c for c in (bell(),)),
    no_pubs=list,
    registers=lambda: [registers()],
    unmeasured=lambda: [unmeasured()],
    list_pub=lambda: [[rotation(), [0.4], 9]],
    scalar=lambda: [(rotation(), 0.3)],
    one_value=lambda: [(rotation(), [0.3])],
    column=lambda: [(rotation(), ANGLES)],
    column_2d=lambda: [(rotation(), ANGLES.reshape(-1, 1))],
    grid=lambda: [(rotation(), ANGLES.reshape(2, 3, 1))],
    many_parameters=lambda: [(ansatz(), np.linspace(0, 1, 8))],
    many_sets=lambda: [(ansatz(), np.linspace(0, 1, 24).reshape(3, 8))],
    integers=lambda: [(rotation(), [1])],
    by_name=lambda: [(rotation(), {"theta": 0.2})],
    by_name_broadcast=lambda: [(rotation(), {"theta": ANGLES})],
    by_names=lambda: [(vector_circuit(), {X: np.arange(22).reshape(2, 11), "a": [1, 2]})],
    vector_order=lambda: [(vector_circuit(), np.arange(12) / 7)],
    bindings=lambda: [(rotation(), BindingsArray({"theta": ANGLES}))],
    sampler_pub=lambda: [SamplerPub.coerce((rotation(), ANGLES), 33)],
    sampler_pub_no_shots=lambda: [SamplerPub.coerce(bell())],
    same_twice=lambda: [bell(), bell()],
    no_sets=lambda: [(rotation(), np.zeros((0, 1)))],
    numpy_shots=lambda: [(bell(), None, np.int64(12))],
)


def described(result: PrimitiveResult) -> list[Any]:
    """All of a result but the bits themselves."""
    return [
        type(result),
        result.metadata,
        [
            (
                type(pub),
                type(pub.data),
                pub.data.shape,
                pub.metadata,
                [
                    (name, type(bits), bits.shape, bits.num_bits, bits.num_shots, bits.array.dtype)
                    for name, bits in pub.data.items()
                ],
            )
            for pub in result
        ],
    ]


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("shots", [None, 40], ids=["default", "shots=40"])
def test_good_pubs_give_what_qiskit_gives(
    local: QuantumResource, case: str, shots: int | None
) -> None:
    """Shapes, registers, types, shots and metadata equal those of StatevectorSampler."""
    theirs = StatevectorSampler(default_shots=25).run(GOOD[case](), shots=shots).result()
    ours = SamplerV2(local, options={"default_shots": 25}).run(GOOD[case](), shots=shots).result()
    assert described(ours) == described(theirs)


@pytest.mark.parametrize("case", GOOD)
def test_distributions_are_qiskits(local: QuantumResource, case: str) -> None:
    """Each register of each element has the distribution that Qiskit samples from."""
    shots = 400
    theirs = StatevectorSampler(seed=1).run(GOOD[case](), shots=shots).result()
    sampler = SamplerV2(local, options={"run_options": {"simulator": {"seed_simulator": 3}}})
    ours = sampler.run(GOOD[case](), shots=shots).result()
    for our_pub, their_pub in zip(ours, theirs, strict=True):
        for name, bits in our_pub.data.items():
            for index in np.ndindex(bits.shape):
                assert distance(bits[index], their_pub.data[name][index]) < 0.35


def distance(one: BitArray, other: BitArray) -> float:
    """Total variation distance."""
    first, second = one.get_int_counts(), other.get_int_counts()
    return (
        sum(
            abs(first.get(key, 0) / one.num_shots - second.get(key, 0) / other.num_shots)
            for key in {*first, *second}
        )
        / 2
    )


def test_default_shots_are_1024(local: QuantumResource) -> None:
    result = SamplerV2(local).run([bell()]).result()
    assert result[0].data.meas.num_shots == 1024


def test_shots_of_a_pub_beat_those_of_run_beat_the_default(local: QuantumResource) -> None:
    sampler = SamplerV2(local, options={"default_shots": 10})
    result = sampler.run([(bell(), None, 30), bell()], shots=20).result()
    assert [pub.metadata["shots"] for pub in result] == [30, 20]
    sampler.options.default_shots = 11
    assert sampler.run([bell()]).result()[0].metadata["shots"] == 11


BAD: OrderedDict[str, Pubs] = OrderedDict(
    bare_circuit=bell,
    bare_pub=lambda: (rotation(), [0.3]),
    unbound=lambda: [rotation()],
    too_many_values=lambda: [(bell(), [0.1])],
    too_few_values=lambda: [(ansatz(), [0.1])],
    zero_shots=lambda: [(bell(), None, 0)],
    negative_shots=lambda: [(bell(), None, -3)],
    float_shots=lambda: [(bell(), None, 10.5)],
    true_shots=lambda: [(bell(), None, True)],
    long_pub=lambda: [(bell(), None, 3, 4)],
    empty_pub=lambda: [()],
    not_a_circuit=lambda: [("bell",)],
    number=lambda: [3],
    none=lambda: None,
    nested=lambda: [[[bell()]]],
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", BAD)
def test_what_qiskit_refuses_is_refused_alike(
    tiny: QuantumResource, driver: Any, case: str
) -> None:
    """The exception is one of the same kind with the same text, and nothing is sent."""
    with pytest.raises(Exception) as theirs:  # noqa: PT011 (the peer's choice is the point)
        StatevectorSampler().run(BAD[case]()).result()
    with pytest.raises(theirs.type) as ours:
        SamplerV2(tiny).run(BAD[case]())
    assert ours.value.args[0] == theirs.value.args[0]
    assert not driver.payloads


def test_values_for_parameters_that_the_circuit_lacks(tiny: QuantumResource, driver: Any) -> None:
    with pytest.raises(InvalidPubError, match="phi"):
        SamplerV2(tiny, options={"isa_check": False}).run([(rotation(), {"phi": 1.0})])
    assert not driver.payloads


@pytest.mark.parametrize("shots", [0, -1, 2.5, "many", True])
def test_wrong_shots_of_run(tiny: QuantumResource, driver: Any, shots: Any) -> None:
    """Refused as Qiskit does, and as InvalidInputError; nothing is sent."""
    with pytest.raises((TypeError, ValueError)) as theirs:
        StatevectorSampler().run([bell()], shots=shots)
    with pytest.raises(InvalidInputError) as ours:
        SamplerV2(tiny).run([bell()], shots=shots)
    assert isinstance(ours.value, theirs.type)
    assert not driver.payloads


def test_circuit_without_registers_is_warned_of(local: QuantumResource) -> None:
    """As with Qiskit, the result is empty and the user is told why."""
    circuit = QuantumCircuit(1)
    circuit.h(0)
    with pytest.warns(UserWarning, match="no output classical registers"):
        job = SamplerV2(local).run([circuit], shots=3)
    result = job.result()[0]
    assert dict(result.data.items()) == {}
    assert result.metadata["shots"] == 3


@pytest.mark.parametrize("name", ["shape", "self"])
def test_register_names_that_no_result_can_hold(
    tiny: QuantumResource, driver: Any, name: str
) -> None:
    """A register called `shape` would only fail when the result is read: it is refused first."""
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, name))
    with pytest.raises(InvalidPubError, match=name):
        SamplerV2(tiny).run([circuit])
    with pytest.raises(InvalidPubError, match=name):
        SamplerV2(tiny).backend.run(circuit)
    assert not driver.payloads


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(tiny: QuantumResource, driver: Any, value: float) -> None:
    with pytest.raises(InvalidInputError, match="finite"):
        SamplerV2(tiny, options={"isa_check": False}).run([(rotation(), [value])])
    assert not driver.payloads


def test_circuits_off_the_isa_are_not_sent(tiny: QuantumResource, driver: Any) -> None:
    """The message names the instruction, the hint names the pass manager."""
    with pytest.raises(IsaError, match="h") as error:
        SamplerV2(tiny).run([bell()])
    assert "generate_preset_pass_manager" in error.value.hint
    assert not driver.payloads
    SamplerV2(tiny, options={"isa_check": False}).run([bell()])
    assert len(driver.payloads) == 1


def test_more_shots_than_the_device_takes(tiny: QuantumResource, driver: Any) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(InvalidInputError, match="at most 5000 shots"):
        SamplerV2(tiny).run([circuit], shots=5001)
    assert not driver.payloads


def test_resources_without_gate_programs(pulses_only: QuantumResource) -> None:
    """The error names the resource and what it does take."""
    with pytest.raises(UnsupportedPayloadError, match="neutral") as error:
        SamplerV2(pulses_only)
    assert "pulser-sequence" in error.value.hint


def test_all_pubs_travel_in_one_task(tiny: QuantumResource, driver: Any) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    job = SamplerV2(tiny).run([circuit, circuit, circuit])
    assert list(driver.payloads) == [job.job_id()]
    assert driver.payloads[job.job_id()].program_id == "sampler"


def test_options_reach_the_payload(tiny: QuantumResource, driver: Any) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    SamplerV2(tiny, options={"run_options": {"dynamical_decoupling": {"enable": True}}}).run(
        [circuit]
    )
    (payload,) = driver.payloads.values()
    assert '"options": {"dynamical_decoupling": {"enable": true}}' in payload.input


@pytest.mark.parametrize(
    "options",
    [
        {"shots": 3},
        {"default_shots": 1.5},
        {"default_precision": 0.1},
        {3: 4},
        {"run_options": [1]},
        7,
        [("default_shots", 3)],
    ],
)
def test_unknown_options_are_type_errors(local: QuantumResource, options: Any) -> None:
    """And ours too, so that one ``except QrmiError`` is enough."""
    with pytest.raises(InvalidPubTypeError) as error:
        SamplerV2(local, options=options)
    assert isinstance(error.value, TypeError)


def test_options_may_hold_numpys_values(tiny: QuantumResource, driver: Any) -> None:
    """Integers of NumPy become numbers; what JSON has no word for is refused, unsent."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    options = {"run_options": {"simulator": {"seed_simulator": np.int64(7)}}}
    SamplerV2(tiny, options=options).run([circuit])
    (payload,) = driver.payloads.values()
    assert '"seed_simulator": 7' in payload.input
    with pytest.raises(InvalidInputError):
        SamplerV2(tiny, options={"run_options": {"a": object()}}).run([circuit])
    assert len(driver.payloads) == 1


def test_options_are_copied_and_checked_when_set(local: QuantumResource) -> None:
    mine = SamplerOptions(default_shots=5)
    sampler = SamplerV2(local, options=mine)
    mine.default_shots = 6
    assert sampler.options.default_shots == 5
    with pytest.raises(ValueError, match="default_shots"):
        sampler.options.default_shots = 0


def test_modes(local: QuantumResource) -> None:
    """A handle, a name, a backend, and nothing at all are the embedded simulator here."""
    from_handle = SamplerV2(local)
    for mode in ("local", from_handle.backend, None):
        assert SamplerV2(mode).run([bell()], shots=2).result()[0].data.meas.num_shots == 2
    assert SamplerV2(from_handle.backend).backend is from_handle.backend


def test_backends_of_others_are_refused() -> None:
    """Nothing else is a mode; another provider's backend would have to run elsewhere."""
    from qiskit.providers.fake_provider import GenericBackendV2

    with pytest.raises(TypeError, match="GenericBackendV2"):
        SamplerV2(GenericBackendV2(2))  # type: ignore[arg-type]


def test_types(local: QuantumResource) -> None:
    sampler = SamplerV2(local)
    job = sampler.run([bell()], shots=2)
    assert isinstance(sampler, BaseSamplerV2)
    assert isinstance(job, QRMIPrimitiveJob)
    assert isinstance(job.result()[0], SamplerPubResult)
    assert isinstance(job.result()[0].data, DataBin)
    assert job.result() is job.result()


def test_metadata_that_is_not_json_stays_here(local: QuantumResource) -> None:
    """Qiskit takes any object as circuit metadata: it comes back, though it cannot travel."""
    circuit = bell()
    circuit.metadata = {"array": {1, 2}, "self": object}
    result = SamplerV2(local).run([circuit], shots=2).result()
    assert result[0].metadata["circuit_metadata"] is circuit.metadata
