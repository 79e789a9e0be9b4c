"""Analog circuits of qiskit-pasqal-provider run through a handle, with Qiskit's bit order."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Parameter

pytest.importorskip("qiskit_pasqal_provider")

from qiskit_pasqal_provider.providers.gate import HamiltonianGate, InterpolatePoints

from qrmi import QuantumResource
from qrmi.errors import InvalidInputError, UnsupportedPayloadError
from qrmi.primitives.pasqal import QRMIPasqalBackend, SamplerV2, get_device, get_target
from qrmi.qiskit import job

# Two atoms too far apart to feel each other, and a third one within the blockade of the second.
APART = [[-20.0, 0.0], [10.0, 0.0], [15.0, 0.0]]


def pulse(amplitude: Any = 2 * np.pi, coords: Any = ([-15.0, 0.0], [15.0, 0.0])) -> HamiltonianGate:
    """A resonant pulse of half a microsecond over all atoms, of constant amplitude (rad/us)."""
    return HamiltonianGate(
        amplitude=InterpolatePoints(values=[amplitude] * 3, duration=500),
        detuning=InterpolatePoints(values=[0.0] * 3, duration=500),
        phase=0.0,
        coords=coords,
    )


def circuit(gate: HamiltonianGate) -> QuantumCircuit:
    made = QuantumCircuit(gate.num_qubits, metadata={"analog": True})
    made.append(gate, range(gate.num_qubits))
    return made


def test_counts_in_pulsers_order_and_bits_in_qiskits(local: QuantumResource) -> None:
    """The lone first atom is always excited, of the other two at most one: `0..` is never first."""
    job = SamplerV2(local).run([circuit(pulse(coords=APART))], shots=100)
    result = job.result()
    counts = result[0].data.counts
    assert set(counts) <= {"100", "101", "110", "111", "000", "001", "010"}
    assert sum(n for bits, n in counts.items() if bits[0] == "1") > 90
    assert counts.get("111", 0) < 10
    assert result[0].data.meas.get_counts() == {bits[::-1]: n for bits, n in counts.items()}
    assert result[0].metadata == {"shots": 100, "circuit_metadata": {"analog": True}}
    assert result.metadata == {
        "version": 2,
        "status": "DONE",
        "success": True,
        "backend_name": "local",
        "job_id": job.job_id(),
    }


def test_parameters_are_bound(local: QuantumResource) -> None:
    amplitude = Parameter("amplitude")
    made = circuit(pulse(amplitude))
    on = SamplerV2(local).run([(made, {"amplitude": 2 * np.pi})], shots=50).result()[0].data
    off = SamplerV2(local).run([(made, [0.0], 20)]).result()[0].data
    assert on.meas.get_counts().get("11", 0) > 45
    assert off.meas.get_counts() == {"00": 20}


def test_measurements_and_wiring_are_followed(local: QuantumResource) -> None:
    """The gate's first atom is the qubit it acts on first; registers take what is measured."""
    made = QuantumCircuit(3)
    made.add_register(ClassicalRegister(2, "low"), ClassicalRegister(1, "high"))
    made.append(pulse(coords=APART), [2, 0, 1])
    made.barrier()
    made.measure(2, 2)
    made.measure(0, 1)
    bare = made.remove_final_measurements(inplace=False)
    data = SamplerV2(local).run([bare], shots=60).result()[0].data
    assert sum(n for bits, n in data.meas.get_counts().items() if bits[-3] == "1") > 50
    data = SamplerV2(local).run([made], shots=60).result()[0].data
    assert data.high.get_counts().get("1", 0) > 50
    assert {bits[-1] for bits in data.low.get_counts()} == {"0"}


def test_jobs_can_be_opened_again(local: QuantumResource) -> None:
    made = SamplerV2(local).run([circuit(pulse())], shots=10)
    for again in (job(made.job_id()), job(made.job_id(), local), pickle.loads(pickle.dumps(made))):
        assert again.result()[0].data.meas.get_counts() == made.result()[0].data.meas.get_counts()


def test_upstreams_backend(local: QuantumResource) -> None:
    backend = QRMIPasqalBackend(local)
    made = backend.run(circuit(pulse(Parameter("a"))), shots=5, values={"a": 0.0})
    assert made.result()[0].data.counts == {"00": 5}
    assert backend.device == get_device(local) == get_target(local).device


@pytest.mark.parametrize(
    "pubs",
    [
        list,
        lambda: [circuit(pulse()), circuit(pulse())],
        lambda: [QuantumCircuit(2)],
        lambda: [(circuit(pulse(Parameter("a"))), [[1.0], [2.0]])],
        lambda: [circuit(pulse(Parameter("a")))],
        lambda: [(circuit(pulse()), None, 0)],
        lambda: [circuit(pulse()).compose(_x(), [0])],
    ],
    ids=["none", "two", "no pulse", "two sets", "unbound", "zero shots", "gate"],
)
def test_what_cannot_run_is_refused(local: QuantumResource, pubs: Any) -> None:
    with pytest.raises(InvalidInputError):
        SamplerV2(local).run(pubs())


def _x() -> QuantumCircuit:
    made = QuantumCircuit(1)
    made.x(0)
    return made


def test_gate_devices_run_no_pulses(tiny: QuantumResource) -> None:
    with pytest.raises(UnsupportedPayloadError, match="pulse sequences") as error:
        SamplerV2(tiny)
    assert "qiskit-primitive" in error.value.hint
