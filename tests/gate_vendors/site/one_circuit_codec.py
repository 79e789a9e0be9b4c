"""The codec of the vendor whose tasks are one circuit."""

from __future__ import annotations

import json

from one_circuit import OneCircuit
from qiskit import qasm3
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CZGate, RZGate, SXGate
from qiskit.primitives import PrimitiveResult, SamplerPubResult
from qiskit.transpiler import Target

from qrmi.codecs import bases, binding, notes
from qrmi.codecs.interface import GATE, Encoded, Limits
from qrmi.errors import InvalidInputError

KIND = GATE


def read_target(text):
    """RZ, SX and measurements on each qubit, CZ between any two."""
    qubits = json.loads(text)["qubits"]
    target = Target(num_qubits=qubits)
    for instruction in (RZGate(Parameter("angle")), SXGate(), Measure()):
        target.add_instruction(instruction, {(qubit,): None for qubit in range(qubits)})
    pairs = [(a, b) for a in range(qubits) for b in range(qubits) if a != b]
    target.add_instruction(CZGate(), dict.fromkeys(pairs))
    return target


def read_limits(text):
    return Limits(max_shots=json.loads(text)["most"])


def encode_sampler(pubs, *, device, options):
    unknown = sorted(set(options) - {"label"})
    if unknown:
        raise InvalidInputError(f"no such option: {', '.join(unknown)}", hint="there is: label")
    described = [[binding.registers(pub.circuit), list(pub.shape), pub.shots] for pub in pubs]
    payloads = [
        OneCircuit(qasm3.dumps(circuit), pub.shots)
        for pub in pubs
        for circuit in binding.bound(pub)
    ]
    return Encoded(payloads=payloads, notes=notes.pack({"pubs": described}))


def encode_estimator(pubs, *, device, options):
    sampled, plan = bases.plan(pubs, target=read_target(device.target_text))
    encoded = encode_sampler(sampled, device=device, options=options)
    return Encoded(payloads=encoded.payloads, notes={"sampled": encoded.notes, "plan": plan})


def decode_result(texts, kept):
    if "plan" in kept:
        return bases.combine(decode_result(texts, kept["sampled"]), kept["plan"])
    found = iter(texts)
    results = []
    for registers, shape, shots in notes.unpack(kept)["pubs"]:
        width = sum(size for _, size, _ in registers)
        size = 1
        for length in shape:
            size *= length
        measured = [binding.columns(json.loads(next(found))["counts"], width) for _ in range(size)]
        results.append(SamplerPubResult(binding.assemble(measured, registers, shape, shots)))
    return PrimitiveResult(results)
