from __future__ import annotations

import sys
from typing import Any

import pytest

from qrmi.cli.demo import DEMOS
from qrmi.cli.exits import Exit

_QISKIT, _CUDAQ, _PULSER = DEMOS


@pytest.fixture
def demo(paper: Any) -> Any:
    """A way to run the demonstration, and the reports by SDK."""

    def run(*argv: str) -> tuple[int, dict[str, Any]]:
        value = paper.json("demo", *argv)
        code = 1 if any(r["status"] == "failed" for r in value["runs"]) else 0
        return code, {report["sdk"]: report for report in value["runs"]}

    return run


def test_three_true_results(demo: Any, paper: Any, tmp_path: Any) -> None:
    """On the embedded simulator each program shows what physics says, under an id to come back."""
    for sdk in DEMOS:
        pytest.importorskip(sdk.needs)
    plot = tmp_path / "demo.png"
    code, reports = demo("--shots", "500", "--plot", str(plot))
    assert code == 0, reports
    assert [r["status"] for r in reports.values()] == ["ok"] * 3
    assert all(sum(r["counts"].values()) == 500 for r in reports.values())
    ghz, grover, chain = (r["counts"] for r in reports.values())
    assert ghz.keys() == {"00000", "11111"}
    assert min(ghz.values()) > 150
    assert grover["101"] > 400
    assert chain["1010101"] > 250
    assert plot.read_bytes().startswith(b"\x89PNG")
    for report in reports.values():
        assert {"import", "build", "run"} <= report["seconds"].keys()
        assert paper.run("status", report["task_id"])[0] == 0


def test_absent_sdks_are_passed_over(
    demo: Any, paper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SDK that is not installed is named with the command that installs it; no failure."""
    monkeypatch.setitem(sys.modules, "cudaq", None)
    monkeypatch.setitem(sys.modules, "pulser", None)
    code, reports = demo("--shots", "20")
    assert code == 0
    assert reports["Qiskit"]["status"] == "ok"
    assert reports["CUDA-Q"]["status"] == reports["Pulser"]["status"] == "not installed"
    assert "--no-deps cuda-quantum-cu13" in reports["CUDA-Q"]["install"]
    monkeypatch.setitem(sys.modules, "qiskit", None)
    code, out, _ = paper.run("demo")
    assert code == Exit.ERROR
    assert "pip install 'openqrmi[pulser]'" in out


def test_a_failure_is_not_exit_0_and_the_others_run(
    paper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that fails is reported with its reason; those after it still run."""
    monkeypatch.setitem(sys.modules, "cudaq", None)
    paper.configure(PAPER_ENDS="failed")
    code, _, err = paper.run("demo", "--resource", "paper")
    assert code != 0
    assert err.count("error:") == 2


def test_programs_of_the_wrong_kind_are_passed_over() -> None:
    """A resource for pulses is not sent circuits, nor the other way round."""
    gates, pulses = frozenset({"qiskit-primitive"}), frozenset({"pulser-sequence"})
    assert [demo.takes(gates) for demo in DEMOS] == [True, True, False]
    assert [demo.takes(pulses) for demo in DEMOS] == [False, False, True]


def test_unwritable_plot_runs_nothing(paper: Any) -> None:
    """A plot that could not be written is refused before the first program."""
    assert paper.run("demo", "--plot", "/no/such/folder/demo.png")[0] == Exit.USAGE
    assert paper.json("tasks") == []
