"""The gate device that is imitated: what it takes, and its noise."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType

from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.transpiler import Target
from qiskit_aer.noise import NoiseModel

from qrmi.codecs import isa
from qrmi.codecs.target import read_target
from qrmi.errors import InvalidInputError, UnexpectedAnswerError
from qrmi_local.gates import noise as gate_noise
from qrmi_local.gates.circuits import Use, used
from qrmi_local.target import target_text

__all__ = ["GateDevice", "gate_device"]

_KEPT = 32


class GateDevice:
    """An imitated device, or the ideal simulator.

    Attributes:
        target: what the imitated device can do; ``None`` for the ideal simulator, which takes
            any circuit.
        max_shots: the most shots of one pub; ``None`` for no limit.
        noisy: results have the imitated device's errors.
    """

    def __init__(
        self,
        target: Target | None,
        max_shots: int | None,
        *,
        noise: bool,
        flips: gate_noise.Flips = MappingProxyType({}),
    ) -> None:
        self.target = target
        self.max_shots = max_shots
        self.noisy = bool(
            noise
            and target is not None
            and (gate_noise.has_noise(target) or any(map(any, flips.values())))
        )
        self._flips = flips
        self._noise: OrderedDict[frozenset[Use], NoiseModel] = OrderedDict()
        self._delayed: OrderedDict[int, tuple[QuantumCircuit, QuantumCircuit]] = OrderedDict()

    def check(self, circuit: QuantumCircuit, values: BindingsArray | None = None) -> None:
        """Make sure that the imitated device takes a circuit.

        Raises:
            IsaError: it does not.
        """
        if self.target is not None:
            isa.check(circuit, self.target, values)

    def check_shots(self, shots: int) -> None:
        """Make sure that so many shots may be asked for.

        Raises:
            InvalidInputError: they are too many.
        """
        if self.max_shots is not None and shots > self.max_shots:
            raise InvalidInputError(f"{shots} shots; the most is {self.max_shots}")

    def with_delays(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The circuit with the relaxation that happens during its delays.

        The same object comes back for the same circuit, as long as it is remembered.
        """
        if not self.noisy or self.target is None or "delay" not in circuit.count_ops():
            return circuit
        known = self._delayed.get(id(circuit))
        if known is None or known[0] is not circuit:
            known = (circuit, gate_noise.relax_delays(circuit, self.target))
            _keep(self._delayed, id(circuit), known)
        return known[1]

    def noise_model(self, circuits: Iterable[QuantumCircuit]) -> NoiseModel | None:
        """The noise of all that these circuits do; ``None`` for none.

        It has no more than that, since Aer takes seconds over the noise of 100 qubits.
        """
        if not self.noisy or self.target is None:
            return None
        uses = frozenset().union(*(used(circuit) for circuit in circuits))
        model = self._noise.get(uses)
        if model is None:
            model = gate_noise.noise_model(self.target, uses, self._flips)
            _keep(self._noise, uses, model)
        return model


def _keep(cache: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
    cache[key] = value
    while len(cache) > _KEPT:
        cache.popitem(last=False)


@lru_cache(maxsize=8)
def gate_device(text: str | None, noise: bool) -> GateDevice:
    """The device that a description stands for.

    Args:
        text: JSON with ``configuration`` and ``properties``, or ``None`` for the ideal simulator.
        noise: whether results have the device's errors.

    Raises:
        InvalidInputError: the description is malformed.
        UnsupportedPayloadError: it is that of a device without gates.
    """
    if text is None:
        ideal = json.loads(target_text(None, "local"))["configuration"]
        return GateDevice(None, ideal["max_shots"], noise=False)
    try:
        target = read_target(text)
    except UnexpectedAnswerError as error:  # a user's description, no service's answer
        raise InvalidInputError(error.message) from error
    data = json.loads(text)
    return GateDevice(
        target,
        data["configuration"].get("max_shots"),
        noise=noise,
        flips=gate_noise.read_flips(data.get("properties")),
    )
