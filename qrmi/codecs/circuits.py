"""Circuits as text: tagged QPY or OpenQASM 3, and back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from qiskit import ClassicalRegister, QuantumCircuit, qasm3
from qiskit.circuit import Clbit, Parameter, ParameterExpression

from qrmi.codecs import tagged
from qrmi.codecs.circuit_cache import CircuitCache
from qrmi.errors import InvalidInputError, MissingExtraError, QrmiError

__all__ = [
    "ALL_BITS",
    "CircuitForm",
    "decode",
    "encode",
    "parameter_names",
    "renamed_registers",
    "shares_bits",
]

ALL_BITS = "all_bits"
"""The one register of a circuit in OpenQASM 3 whose own registers share bits."""

CircuitForm = Literal["qpy", "qasm3"]
"""How a circuit is written."""

_INPUT = re.compile(r"^\s*input\s+\w+\s*(?:\[\s*\d+\s*\])?\s*(\w+)\s*;", re.MULTILINE)
_BITS = re.compile(r"^bit\[\d+\] (\w+);", re.MULTILINE)
_UNDISPUTED = re.compile(r"[a-z]\w*", re.ASCII)  # names that all readers leave as they are


_texts = CircuitCache()


def encode(circuit: QuantumCircuit, *, form: CircuitForm, qpy_version: int) -> Any:
    """Write a circuit as it stands in a pub: tagged QPY, or OpenQASM 3 text.

    A circuit that has not changed since it was written last is not written again. In OpenQASM 3,
    the ``input`` declarations are in the order of ``circuit.parameters`` and also in that of
    their names: where Qiskit's order is another one (the elements of a long vector), or a name
    is also a register's, the inputs are called ``parameter_0``, ``parameter_1`` and so on.
    Classical registers that share bits, which OpenQASM 3 does not have, become one, `ALL_BITS`.
    Others keep their names where these are a lower-case letter followed by letters, digits and
    underscores of ASCII; readers change other names, so such registers are called ``register_0``
    and so on (`renamed_registers`).

    Raises:
        InvalidInputError: the form cannot hold this circuit.
    """
    if form not in ("qpy", "qasm3"):
        raise InvalidInputError(f"circuits are written as qpy or qasm3, not {form!r}")
    if form == "qasm3":
        return _texts.get(circuit, form, lambda: _to_qasm3(circuit))
    text = _texts.get(
        circuit, qpy_version, lambda: tagged.encode_circuit(circuit, qpy_version=qpy_version)
    )
    return {"__type__": "QuantumCircuit", "__value__": text}


def renamed_registers(circuit: QuantumCircuit, text: str) -> dict[str, str]:
    """Classical registers that OpenQASM 3 cannot call as the circuit does.

    Args:
        circuit: the circuit.
        text: what `encode` made of it.

    Returns:
        Their names in the text, and so in the result, to the circuit's own; none where they
        share bits, or cannot be told apart.
    """
    names = _BITS.findall(text)
    if len(names) != len(circuit.cregs) or shares_bits(circuit):
        return {}
    pairs = zip(names, circuit.cregs, strict=True)
    return {name: register.name for name, register in pairs if name != register.name}


def shares_bits(circuit: QuantumCircuit) -> bool:
    """Whether a classical bit is in more than one register."""
    held = [bit for register in circuit.cregs for bit in register]
    return len(set(held)) < len(held)


def decode(value: Any) -> QuantumCircuit:
    """Read what `encode` writes.

    Raises:
        InvalidInputError: it is neither a tagged circuit nor OpenQASM 3 that can be read.
        MissingExtraError: it is OpenQASM 3 and qiskit-qasm3-import is not installed.
    """
    if isinstance(value, str):
        return _from_qasm3(value)
    if isinstance(value, dict) and value.get("__type__") == "QuantumCircuit":
        return tagged.decode_circuit(value.get("__value__"))  # type: ignore[arg-type]
    raise InvalidInputError("a circuit is tagged QPY or OpenQASM 3 text")


def parameter_names(value: Any, circuit: QuantumCircuit) -> list[str]:
    """The names that the columns of a pub's parameter array stand for, in order.

    For QPY this is the order of ``circuit.parameters``. For OpenQASM 3 it is the order of the
    ``input`` declarations, which differs when Qiskit sorts the names in another way (the elements
    of a vector, say); inputs that the program never uses are among them.
    """
    if isinstance(value, str):
        names: list[str] = _INPUT.findall(value)
        if {parameter.name for parameter in circuit.parameters} <= set(names):
            return names
    return [parameter.name for parameter in circuit.parameters]


def _to_qasm3(circuit: QuantumCircuit) -> str:
    _check_delays(circuit)
    if shares_bits(circuit):
        circuit = _with_registers(circuit, {ALL_BITS: circuit.clbits})
    elif not all(_UNDISPUTED.fullmatch(register.name) for register in circuit.cregs):
        circuit = _with_registers(circuit, _undisputed(circuit))
    text = _dumped(circuit)
    names = _INPUT.findall(text)
    if not names or (names == sorted(names) and not renamed_registers(circuit, text)):
        return text
    width = len(str(len(names) - 1))
    renamed = {
        parameter: Parameter(f"parameter_{number:0{width}}")
        for number, parameter in enumerate(circuit.parameters)
    }
    return _dumped(circuit.assign_parameters(renamed))


def _check_delays(circuit: QuantumCircuit) -> None:
    """Refuse what Qiskit writes as OpenQASM 3 that nobody can read."""
    for item in circuit.data:
        if item.is_control_flow():
            for block in item.operation.blocks:
                _check_delays(block)
        elif item.name == "delay" and isinstance(item.params[0], ParameterExpression):
            raise InvalidInputError(
                f"circuit {circuit.name[:60]!r} has a delay whose length is a parameter, "
                "which cannot be written as OpenQASM 3",
                hint="give it its value with assign_parameters, and send a circuit for each value",
            )


def _undisputed(circuit: QuantumCircuit) -> dict[str, list[Clbit]]:
    """The circuit's classical registers, under other names where readers would change them."""
    taken = {register.name for register in (*circuit.cregs, *circuit.qregs)}
    unused = (name for n in itertools.count() if (name := f"register_{n}") not in taken)
    return {
        register.name if _UNDISPUTED.fullmatch(register.name) else next(unused): list(register)
        for register in circuit.cregs
    }


def _with_registers(
    circuit: QuantumCircuit, registers: Mapping[str, Sequence[Clbit]]
) -> QuantumCircuit:
    """The same circuit, on the same bits, with these classical registers instead of its own."""
    made = QuantumCircuit(circuit.qubits, *circuit.qregs, name=circuit.name)
    made.add_bits(circuit.clbits)
    for name, bits in registers.items():
        made.add_register(ClassicalRegister(bits=bits, name=name))
    made = made.compose(circuit, made.qubits, made.clbits)
    made._layout = circuit.layout  # qubits stay the device's own: $0, $1
    return made


def _dumped(circuit: QuantumCircuit) -> str:
    try:
        # The options are those of the upstream library (PROTOCOLS section 12.1).
        text: str = qasm3.dumps(
            circuit,
            disable_constants=True,
            allow_aliasing=True,
            experimental=qasm3.ExperimentalFeatures.SWITCH_CASE_V1,
        )
    except Exception as error:
        raise InvalidInputError(
            f"circuit {circuit.name[:60]!r} cannot be written as OpenQASM 3: {error}"
        ) from error
    return text


def _from_qasm3(text: str) -> QuantumCircuit:
    try:
        return qasm3.loads(text)
    except ImportError as error:
        raise MissingExtraError(
            "reading OpenQASM 3 needs qiskit-qasm3-import",
            hint="pip install 'openqrmi[qiskit]'",
        ) from error
    except QrmiError:
        raise
    except Exception as error:
        raise InvalidInputError(f"OpenQASM 3 cannot be read: {error}") from error
