from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from qrmi.cli.exits import Exit
from qrmi.tools.task_runner.main import App, NotAvailableError

_RESULT = '{"counter": {"10": 75, "01": 25}}'
_INPUTS = {
    "ibm": {"program_id": "sampler", "parameters": {"pubs": []}},
    "pasqal": {"sequence": "{}", "job_runs": 5},
    "pasqal object": {"sequence": {}, "job_runs": 5},
    "alice-bob": {"human_qir": "entry", "input_params": {"nbShots": 5}},
    "iqm": {"iqmjson": "{}", "job_type": "circuit"},
    "oqtopus": {"job_spec": {"job_type": "sampling"}},
}


def _input(paper: Any, kind: str = "pasqal") -> str:
    file: Path = paper.folder / "input.json"
    file.write_text(json.dumps(_INPUTS[kind]))
    return str(file)


def _command(paper: Any, *argv: str) -> Any:
    return paper.process("qrmi.tools.task_runner.main", *argv)


@pytest.mark.parametrize("kind", _INPUTS)
def test_every_kind_of_input(paper: Any, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All payload formats of the upstream schema are taken, texts and objects alike."""
    assert App("paper", _input(paper, kind)).run() == Exit.OK
    assert capsys.readouterr().out == _RESULT + "\n"


def test_output_file_is_verbatim_and_the_task_is_cleaned_up(paper: Any) -> None:
    """OUTPUT has exactly the result's text; the task is stopped at the end all the same."""
    out = paper.folder / "out.json"
    app = App("paper", _input(paper), str(out))
    assert app.run() == Exit.OK
    assert out.read_text() == _RESULT
    assert (paper.folder / "stopped").read_text() == app.task_id == "paper-000"
    assert app.is_running is False


@pytest.mark.parametrize("form", ["positional", "-o", "--output"])
def test_both_forms_of_the_command(paper: Any, form: str) -> None:
    """OUTPUT may follow, as upstream's Python, or be an option, as its binary."""
    out = str(paper.folder / "out.json")
    argv = (
        ["paper", _input(paper), out]
        if form == "positional"
        else [form, out, "paper", _input(paper)]
    )
    process = _command(paper, *argv)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 0, stderr
    assert Path(out).read_text() == _RESULT
    assert stdout.splitlines()[0].endswith(" INFO Task ID: paper-000")
    assert len(stdout.splitlines()) == 1


def test_the_id_comes_first_on_stdout(paper: Any) -> None:
    """Without OUTPUT: a line with the task's id, then the result, as upstream."""
    process = _command(paper, "paper", _input(paper))
    stdout, _ = process.communicate(timeout=20)
    first, second = stdout.splitlines()
    assert first.endswith("Task ID: paper-000")
    assert second == _RESULT


@pytest.mark.parametrize(
    ("ends", "expected"), [("failed", Exit.TASK_FAILED), ("cancelled", Exit.TASK_CANCELLED)]
)
def test_a_task_that_did_not_complete_is_not_exit_0(paper: Any, ends: str, expected: Exit) -> None:
    """The exit code says how the task ended, OUTPUT is not written, the reason is on stderr."""
    paper.configure(PAPER_ENDS=ends)
    out = paper.folder / "out.json"
    process = _command(paper, "paper", _input(paper), str(out))
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == expected
    assert not out.exists()
    assert ("out of ink" if ends == "failed" else "was stopped") in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGCONT, signal.SIGINT])
def test_signals_stop_the_task(paper: Any, number: signal.Signals) -> None:
    """What a scheduler sends at the end of a job ends the wait and stops the task."""
    paper.configure(PAPER_LOOKS="1000000")
    process = _command(paper, "paper", _input(paper))
    assert "Task ID" in process.stdout.readline()
    time.sleep(0.2)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    expected = Exit.INTERRUPTED if number == signal.SIGINT else Exit.TASK_CANCELLED
    assert process.returncode == expected, stderr
    assert "Traceback" not in stderr
    assert (paper.folder / "stopped").read_text() == "paper-000"


def test_only_the_jobs_resources(paper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a job NAME must be one of its QPUs (blanks around names do not matter)."""
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "other, paper ")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "paper,paper")
    assert App("paper", _input(paper)).run() == Exit.OK
    with pytest.raises(NotAvailableError, match="third is not available") as caught:
        App("third", _input(paper)).run()
    assert isinstance(caught.value, ValueError)
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "")
    with pytest.raises(NotAvailableError):
        App("paper", _input(paper)).run()


@pytest.mark.parametrize("junk", ["", "[]", "{}", "null", '{"sequence": 1, "job_runs": "x"}'])
def test_wrong_input_sends_nothing(paper: Any, junk: str) -> None:
    """A malformed INPUT is exit 2 before anything is sent."""
    file = paper.folder / "input.json"
    file.write_text(junk)
    process = _command(paper, "paper", str(file))
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == Exit.USAGE, stderr
    assert list(paper.tasks.iterdir()) == []


def test_unwritable_output_sends_nothing(paper: Any) -> None:
    """OUTPUT is checked before the task is started (a ``RuntimeError`` for upstream)."""
    with pytest.raises(RuntimeError, match="cannot be written"):
        App("paper", _input(paper), "/no/such/folder/out.json").run()
    assert list(paper.tasks.iterdir()) == []


def test_env_file(paper: Any) -> None:
    """A .env file in the working directory is read."""
    pytest.importorskip("dotenv")
    out = paper.folder / "out.json"
    (paper.folder / ".env").write_text("SRUN_DEBUG=2\n")
    process = paper.process(
        "qrmi.tools.task_runner.main", "paper", _input(paper), str(out), cwd=paper.folder
    )
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (0, "", "")
    assert os.environ.get("SRUN_DEBUG") is None
