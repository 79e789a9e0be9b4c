from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit, qasm2, qasm3, qpy
from qiskit.providers.fake_provider import GenericBackendV2

from qrmi.codecs.target import write_target

_BELL = QuantumCircuit(2, 2)
_BELL.h(0)
_BELL.cx(0, 1)
_BELL.measure([0, 1], [0, 1])


def _files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("two.qasm", "three.qasm", "bell.qpy")}
    files["two.qasm"].write_text(qasm2.dumps(_BELL))
    files["three.qasm"].write_text(qasm3.dumps(_BELL))
    with files["bell.qpy"].open("wb") as stream:
        qpy.dump([_BELL, _BELL], stream)
    return files


@pytest.mark.parametrize(
    ("name", "programs"), [("two.qasm", 1), ("three.qasm", 1), ("bell.qpy", 2)]
)
def test_circuit_files(paper: Any, name: str, programs: int) -> None:
    """OpenQASM 2, OpenQASM 3 and QPY give the same counts; each circuit of a QPY file its own."""
    file = _files(paper.folder)[name]
    value = paper.json("run", "local", str(file), "--shots", "300", "--seed", "1")
    assert [sum(part["counts"].values()) for part in value["parts"]] == [300] * programs
    assert all(part["counts"].keys() == {"00", "11"} for part in value["parts"])


def test_the_same_result_in_another_process(paper: Any) -> None:
    """`qrmi result` of the id shows what `qrmi run` showed."""
    file = _files(paper.folder)["three.qasm"]
    code, first, _ = paper.run("run", "local", str(file), "--shots", "100")
    task_id = paper.json("tasks")[0]["task_id"]
    assert code == 0
    assert paper.run("result", task_id[:8])[1] == first


def test_circuits_are_adapted_only_where_they_must_be(
    paper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the device does not have is translated, and this is said; what fits is left alone."""
    file = _files(paper.folder)["three.qasm"]
    assert "adapted" not in paper.run("run", "local", str(file))[2]
    device = GenericBackendV2(5, basis_gates=["rz", "sx", "x", "cz"], noise_info=False)
    target = paper.folder / "device.json"
    target.write_text(json.dumps(write_target(device.target, "small")))
    monkeypatch.setenv("local_QRMI_LOCAL_DEVICE", str(target))
    code, out, err = paper.run("run", "local", str(file), "--seed", "1")
    assert code == 0, err
    assert "adapted to the device (the device has no h (used on qubit 0))" in err
    assert "00" in out


def test_bits_without_a_register_are_shown(paper: Any) -> None:
    """In OpenQASM 3 `bit c;` belongs to no register; its outcomes are counted all the same."""
    file = paper.folder / "bare.qasm"
    file.write_text(
        'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit q; bit c;\nx q;\nc = measure q;\n'
    )
    (part,) = paper.json("run", "local", str(file), "--shots", "10")["parts"]
    assert part["counts"] == {"1": 10}


def test_too_many_qubits(paper: Any) -> None:
    """A program that the device cannot hold is the user's error and says why; nothing is sent."""
    file = paper.folder / "wide.qasm"
    file.write_text('OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[5000] q;\nx q;\n')
    code, _, err = paper.run("run", "local", str(file))
    assert code == 2, err
    assert "5000" in err
    assert paper.json("tasks") == []


def test_pulses_for_a_device_without_them(paper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of the wrong kind names what the resource takes; nothing is sent."""
    device = GenericBackendV2(2, noise_info=False)
    target = paper.folder / "device.json"
    target.write_text(json.dumps(write_target(device.target, "small")))
    monkeypatch.setenv("local_QRMI_LOCAL_DEVICE", str(target))
    code, _, err = paper.run("run", "local", str(paper.sequence()))
    assert code == 2, err
    assert "gate" in err
