"""Program files: what kind a file is, told by its content, and what is to be sent."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import attrs

from qrmi import payload_files
from qrmi.errors import InvalidInputError, MissingExtraError
from qrmi.payloads import PasqalCloud, Payload

__all__ = ["DEFAULT_SHOTS", "GateProgram", "PayloadProgram", "load", "parse"]

DEFAULT_SHOTS = 1000
"""Shots when neither the command line nor the file says how many."""

_STDIN = Path("-")
_KNOWN = (
    "a program is OpenQASM 2 or 3 (its first statement is `OPENQASM 2.0;` or `OPENQASM 3.0;`), "
    "QPY, a Pulser sequence (abstract JSON) or a task_runner payload (JSON)"
)
_BLANK = r"\s|//[^\n]*(?:\n|\Z)|/\*.*?\*/"
_QASM_HEADER = re.compile(rf"(?:{_BLANK})*OPENQASM\s+(\d+)(?:\.\d+)?\s*;", re.DOTALL)
_SEQUENCE_KEYS = frozenset({"register", "channels", "operations"})
_AHS_KEYS = frozenset({"setup", "hamiltonian"})


@attrs.frozen(kw_only=True)
class GateProgram:
    """Circuits to be sampled.

    Attributes:
        form: what the file is, for people.
        circuits: Qiskit circuits, each with at least one measurement.
        notices: what was added to the program.
    """

    form: str
    circuits: list[Any]
    notices: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PayloadProgram:
    """A payload that is sent as it is.

    Attributes:
        form: what the file is, for people.
        payload: what is sent.
    """

    form: str
    payload: Payload


def load(path: Path, shots: int | None = None) -> GateProgram | PayloadProgram:
    """Read a program file.

    Args:
        path: the file; ``-`` is standard input.
        shots: the shots asked for; ``None`` leaves them to the file, else to `DEFAULT_SHOTS`.

    Raises:
        InvalidInputError: the file cannot be read, is of no known form, is malformed, or carries
            its own shots where others are asked for.
        MissingExtraError: the SDK that reads this form is not installed.
    """
    try:
        data = sys.stdin.buffer.read() if path == _STDIN else path.read_bytes()
    except OSError as error:
        raise InvalidInputError(
            f"cannot read {path}: {error.strerror or error}",
            hint="check the file's name and permissions",
        ) from error
    return parse(data, "standard input" if path == _STDIN else str(path), shots)


def parse(data: bytes, name: str, shots: int | None = None) -> GateProgram | PayloadProgram:
    """The program in ``data``; ``name`` is the file's in errors. Raises as `load` does."""
    if data.startswith(b"QISKIT"):
        return _gate("QPY", _from_qpy(data, name), name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name}: neither text nor QPY", hint=_KNOWN) from error
    if header := _QASM_HEADER.match(text):
        version = int(header.group(1))
        return _gate(f"OpenQASM {version}", [_from_qasm(text, version, name)], name)
    if text.lstrip()[:1] in ("{", "["):
        return _from_json(text, name, shots)
    raise InvalidInputError(f"{name}: not a program that qrmi knows", hint=_KNOWN)


# --- circuits ---------------------------------------------------------------------------------


def _gate(form: str, circuits: list[Any], name: str) -> GateProgram:
    notices = []
    measured = []
    for index, circuit in enumerate(circuits):
        label = name if len(circuits) == 1 else f"{name}, circuit {index}"
        _check_bound(circuit, label)
        if _measures(circuit):
            measured.append(circuit)
        else:
            measured.append(circuit.measure_all(inplace=False))
            notices.append(f"{label} measures nothing: all its qubits are measured")
    return GateProgram(form=form, circuits=measured, notices=tuple(notices))


def _check_bound(circuit: Any, label: str) -> None:
    if circuit.parameters:
        names = ", ".join(parameter.name for parameter in circuit.parameters)
        raise InvalidInputError(
            f"{label} has unbound parameters: {names}",
            hint="give them values before you write the file",
        )


def _measures(circuit: Any) -> bool:
    blocks = [circuit]
    while blocks:
        for instruction in blocks.pop().data:
            if instruction.operation.name == "measure":
                return True
            blocks.extend(getattr(instruction.operation, "blocks", ()))
    return False


def _from_qpy(data: bytes, name: str) -> list[Any]:
    qiskit = _qiskit()
    try:
        programs = qiskit.qpy.load(io.BytesIO(data))
    except Exception as error:  # the reader raises whatever junk leads it to
        raise InvalidInputError(f"{name}: not valid QPY: {_first_line(error)}") from error
    circuits = [item for item in programs if isinstance(item, qiskit.QuantumCircuit)]
    if not circuits or len(circuits) != len(programs):
        raise InvalidInputError(f"{name}: no circuits in it, or things that are not circuits")
    return circuits


def _from_qasm(text: str, version: int, name: str) -> Any:
    qiskit = _qiskit()
    if version not in (2, 3):
        raise InvalidInputError(f"{name}: OpenQASM {version}; 2 and 3 are known")
    try:
        if version == 3:
            return qiskit.qasm3.loads(text)
        return qiskit.qasm2.loads(
            text,
            include_path=qiskit.qasm2.LEGACY_INCLUDE_PATH,
            custom_instructions=qiskit.qasm2.LEGACY_CUSTOM_INSTRUCTIONS,
        )
    except qiskit.exceptions.MissingOptionalLibraryError as error:
        raise MissingExtraError(
            "OpenQASM 3 files need qiskit-qasm3-import", hint="pip install 'openqrmi[qiskit]'"
        ) from error
    except Exception as error:  # parse errors, and whatever junk leads the importer to
        raise InvalidInputError(
            f"{name}: not valid OpenQASM {version}: {_first_line(error)}"
        ) from error


def _qiskit() -> Any:
    try:
        import qiskit
        import qiskit.exceptions
        import qiskit.qasm2
        import qiskit.qasm3
        import qiskit.qpy
    except ImportError as error:
        raise MissingExtraError(
            "circuit files need Qiskit", hint="pip install 'openqrmi[qiskit]'"
        ) from error
    return qiskit


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "message", "") or error).strip("'\"").splitlines()
    return next((line.strip() for line in lines if line.strip()), type(error).__name__)


# --- JSON -------------------------------------------------------------------------------------


def _from_json(text: str, name: str, shots: int | None) -> PayloadProgram:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name}: not valid JSON: {error}", hint=_KNOWN) from error
    keys = data.keys() if isinstance(data, dict) else frozenset()
    if keys >= _SEQUENCE_KEYS:
        if data.get("variables"):
            raise InvalidInputError(
                f"{name} has open variables: {', '.join(data['variables'])}",
                hint="give them values with sequence.build(...) before you write the file",
            )
        return _analog("Pulser sequence", text, shots)
    if keys >= _AHS_KEYS:
        return _analog("analog Hamiltonian program", text, shots)
    try:
        payload = payload_files.from_json(text)
    except InvalidInputError as error:
        hint = error.hint if isinstance(data, dict) else _KNOWN
        raise InvalidInputError(f"{name}: {error.message}", hint=hint) from error
    return PayloadProgram(form=f"{payload.FORMAT} payload", payload=_with_shots(payload, shots))


def _analog(form: str, sequence: str, shots: int | None) -> PayloadProgram:
    runs = DEFAULT_SHOTS if shots is None else shots
    return PayloadProgram(form=form, payload=PasqalCloud(sequence, runs))


def _with_shots(payload: Payload, shots: int | None) -> Payload:
    if shots is None:
        return payload
    if isinstance(payload, PasqalCloud):
        return attrs.evolve(payload, job_runs=shots)
    raise InvalidInputError(
        f"a {payload.FORMAT} payload carries its own shots",
        hint="change them in the file, or leave --shots out",
    )
