from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qrmi.cli.exits import EXIT_CODES_HELP, Exit
from qrmi.cli.guard import guarded


def _start(paper: Any) -> str:
    code, out, _ = paper.run("run", "paper", str(paper.sequence()), "--no-wait")
    assert code == 0
    return out.strip()


# --- exit codes -------------------------------------------------------------------------------


def test_exit_codes_are_documented() -> None:
    """Every code has its line in ``qrmi --help``."""
    for code in Exit:
        assert f"\n  {code.value:<4} " in EXIT_CODES_HELP


@pytest.mark.parametrize(
    ("ends", "expected"),
    [("completed", Exit.OK), ("failed", Exit.TASK_FAILED), ("cancelled", Exit.TASK_CANCELLED)],
)
def test_the_end_of_a_task_is_the_exit_code(paper: Any, ends: str, expected: Exit) -> None:
    """A task that did not complete is never exit 0; `run`, `result` and `status` agree."""
    paper.configure(PAPER_ENDS=ends, PAPER_LOOKS="2")
    code, _, err = paper.run("run", "paper", str(paper.sequence()))
    assert code == expected
    task_id = paper.json("tasks")[0]["task_id"]
    assert paper.run("status", task_id)[0] == expected
    assert paper.run("result", task_id)[0] == expected
    if ends == "failed":
        assert "out of ink" in err
        assert f"qrmi logs {task_id}" in err


def test_not_ready(paper: Any) -> None:
    """A result before the end is exit 5 with the command that waits; a time limit is too."""
    paper.configure(PAPER_LOOKS="1000")
    task_id = _start(paper)
    code, out, err = paper.run("result", task_id)
    assert (code, out) == (Exit.NOT_READY, "")
    assert f"qrmi result {task_id} --wait" in err
    code, _, err = paper.run("run", "paper", str(paper.sequence()), "--timeout", "0.1")
    assert code == Exit.NOT_READY
    assert "qrmi stop paper-001" in err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("show", "nowhere"), Exit.NOT_FOUND),
        (("status", "nothing"), Exit.NOT_FOUND),
        (("run", "paper", "/no/such/file"), Exit.USAGE),
        (("run", "paper", "FILE", "--shots", "0"), Exit.USAGE),
        (("run", "paper", "FILE", "--shots", "many"), Exit.USAGE),
        (("run", "paper", "FILE", "--seed", "-1"), Exit.USAGE),
        (("run", "paper", "FILE", "--timeout", "-1"), Exit.USAGE),
        (("run", "paper", "FILE", "--timeout", "soon"), Exit.USAGE),
        (("result", ""), Exit.USAGE),
        (("run", "paper", "FILE", "--out", "/no/such/folder/out.json"), Exit.USAGE),
        (("no-such-command",), Exit.USAGE),
        ((), Exit.USAGE),
        (("--help",), Exit.OK),
        (("--version",), Exit.OK),
    ],
)
def test_wrong_use(paper: Any, argv: tuple[str, ...], expected: Exit) -> None:
    """Wrong arguments, names and files have their codes, and nothing is sent."""
    argv = tuple(str(paper.sequence()) if word == "FILE" else word for word in argv)
    assert paper.run(*argv)[0] == expected
    assert list(paper.tasks.iterdir()) == []


def test_junk_file(paper: Any) -> None:
    """A file that is no program says what a program is."""
    junk = paper.folder / "junk.qasm"
    junk.write_text("hello")
    code, _, err = paper.run("run", "paper", str(junk))
    assert code == Exit.USAGE
    assert "junk.qasm" in err
    assert "OPENQASM 3.0" in err


# --- results ----------------------------------------------------------------------------------


def test_histogram(paper: Any) -> None:
    """Counts are drawn, most frequent first, on stdout; the way there is on stderr."""
    paper.configure(PAPER_LOOKS="2")
    code, out, err = paper.run("run", "paper", str(paper.sequence()))
    assert code == 0
    assert "100 shots" in out
    assert out.index("75.0%") < out.index("25.0%")
    assert [word in err for word in ("queued", "running", "completed")] == [True] * 3


def test_out_is_verbatim(paper: Any) -> None:
    """``--out`` has what the resource sent, character by character, from `run` and `result`."""
    first, second = paper.folder / "a.json", paper.folder / "b.json"
    assert paper.run("run", "paper", str(paper.sequence()), "--out", str(first))[0] == 0
    assert paper.run("result", "paper-000", "--out", str(second))[0] == 0
    assert first.read_text() == second.read_text() == '{"counter": {"10": 75, "01": 25}}'


def test_json_of_a_run(paper: Any) -> None:
    """All of stdout is one JSON value, with ids, counts and the raw result; stderr is silent."""
    code, out, err = paper.run("run", "paper", str(paper.sequence()), "--json")
    value = json.loads(out)
    assert (code, err) == (0, "")
    assert (value["task_id"], value["resource"], value["status"]) == (
        "paper-000",
        "paper",
        "completed",
    )
    assert value["parts"][0]["counts"] == {"10": 75, "01": 25}
    assert value["result"] == {"counter": {"10": 75, "01": 25}}


def test_json_of_an_error(paper: Any) -> None:
    """With ``--json`` stdout stays empty and the error on stderr is JSON with owner and ids."""
    paper.configure(PAPER_ENDS="failed")
    code, out, err = paper.run("run", "paper", str(paper.sequence()), "--json")
    error = json.loads(err)["error"]
    assert (code, out) == (Exit.TASK_FAILED, "")
    assert (error["type"], error["owner"], error["task_id"]) == (
        "TaskFailedError",
        "user",
        "paper-000",
    )


@pytest.mark.parametrize("argv", [("run", "paper"), ("nonsense",), ("tasks", "--limit", "x")])
def test_wrong_arguments_are_json_too(paper: Any, argv: tuple[str, ...]) -> None:
    """A machine that asked for JSON can read why its arguments were refused."""
    code, out, err = paper.run(*argv, "--json")
    assert (code, out) == (Exit.USAGE, "")
    assert json.loads(err)["error"]["owner"] == "user"


@pytest.mark.parametrize("module", ["qrmi", "qrmi.tools.task_runner.main"])
def test_output_that_cannot_be_written(paper: Any, module: str) -> None:
    """A full disk or a closed stdout ends in a message, never in a traceback."""
    payload = paper.folder / "payload.json"
    payload.write_text(json.dumps({"sequence": paper.sequence().read_text(), "job_runs": 1}))
    words = "run paper" if module == "qrmi" else "paper"
    for target in (">/dev/full", ">&-"):
        line = f"{sys.executable} -m {module} {words} {payload} {target}"
        done = subprocess.run(
            ["sh", "-c", line],
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(paper.folder)},
        )
        assert "Traceback" not in done.stderr
        if "full" in target:
            assert done.returncode == Exit.ERROR
            assert "No space left" in done.stderr


def test_an_encoding_without_our_characters(paper: Any) -> None:
    """Data survive as JSON escapes; a table has ``?`` where it must."""
    paper.configure({"name": "größe", "type": "paper", "environment": {}})
    for argv, expected in ((("--json",), '"gr\\u00f6\\u00dfe"'), ((), "gr??e")):
        done = subprocess.run(
            [sys.executable, "-m", "qrmi", "resources", *argv],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(paper.folder), "PYTHONIOENCODING": "ascii"},
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


@pytest.mark.parametrize("raised", [ZeroDivisionError, OSError, "PanicException"])
def test_no_command_ends_in_a_traceback(
    raised: type[BaseException] | str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Defects, the system's refusals and the panics of SDKs in Rust become one message each."""
    kind = type(raised, (BaseException,), {}) if isinstance(raised, str) else raised

    def command() -> int:
        raise kind("the reason")

    assert guarded(command, as_json=True, interrupted="") == Exit.ERROR
    out, err = capsys.readouterr()
    assert out == ""
    assert "the reason" in json.loads(err)["error"]["message"]


def test_a_program_from_standard_input(paper: Any) -> None:
    """``-`` is standard input, and ``python -m qrmi`` is the command."""
    process = paper.process("qrmi", "run", "paper", "-", stdin=subprocess.PIPE)
    out, err = process.communicate(paper.sequence().read_text(), timeout=60)
    assert process.returncode == 0, err
    assert "75" in out


# --- tasks ------------------------------------------------------------------------------------


def test_ids_may_be_shortened(paper: Any) -> None:
    """A beginning of an id will do as long as it is unique; otherwise the ids are listed."""
    for _ in range(11):
        _start(paper)
    assert paper.run("status", "paper-01")[0] == 0
    code, _, err = paper.run("status", "paper-00")
    assert code == Exit.USAGE
    assert "paper-001" in err


def test_tasks_are_looked_up_again(paper: Any) -> None:
    """A task that ended while nobody looked is shown with its end, and then known to have it."""
    paper.configure(PAPER_LOOKS="2")
    _start(paper)
    assert paper.json("tasks", "--no-refresh")[0]["status"] == "queued"
    seen = [paper.json("tasks")[0]["status"] for _ in range(4)]
    assert seen == ["queued", "running", "completed", "completed"]
    assert paper.json("tasks", "--no-refresh")[0]["status"] == "completed"


def test_tasks_of_a_lost_resource_are_still_listed(paper: Any) -> None:
    """A resource that is gone does not hide its tasks."""
    paper.configure(PAPER_LOOKS="9")
    _start(paper)
    paper.config.write_text('{"resources": []}')
    (paper.tasks / "paper-000").unlink()
    assert paper.json("tasks")[0]["status"] == "queued"


def test_limit(paper: Any) -> None:
    """``--limit`` shows the newest; ``--all`` shows all."""
    for _ in range(3):
        _start(paper)
    assert [task["task_id"] for task in paper.json("tasks", "--limit", "2")] == [
        "paper-002",
        "paper-001",
    ]
    assert len(paper.json("tasks", "--all", "--limit", "1")) == 3


def test_stop(paper: Any) -> None:
    """A stopped task is cancelled; stopping one that has ended is no error and says so."""
    paper.configure(PAPER_LOOKS="1000")
    task_id = _start(paper)
    code, out, _ = paper.run("stop", task_id)
    assert (code, "cancelled" in out) == (0, True)
    assert paper.run("result", task_id)[0] == Exit.TASK_CANCELLED
    assert paper.json("stop", task_id) == {
        "task_id": task_id,
        "resource": "paper",
        "status": "cancelled",
        "had_ended": True,
    }


def test_logs(paper: Any) -> None:
    """The resource's log goes to stdout."""
    assert paper.run("logs", _start(paper))[1] == "ink applied\n"


def test_a_task_that_the_journal_does_not_know(paper: Any) -> None:
    """``--resource`` says where to look for it."""
    (paper.tasks / "elsewhere").write_text("0")
    assert paper.run("status", "elsewhere")[0] == Exit.NOT_FOUND
    assert paper.run("status", "elsewhere", "--resource", "paper")[0] == 0


# --- resources --------------------------------------------------------------------------------


def test_unreachable_resources_are_listed_with_the_reason(paper: Any) -> None:
    """One resource's trouble is a row of the table, not the end of the command."""
    paper.configure(
        {"name": "odd", "type": "no-such-type", "environment": {}}, PAPER_ENDS="unreachable"
    )
    code, out, _ = paper.run("resources")
    assert code == 0
    assert "the paper is wet" in out
    assert "no-such-type" in out
    rows = {row["name"]: row for row in paper.json("resources")}
    assert rows["paper"]["status"] == rows["odd"]["status"] == "unreachable"
    assert rows["paper"]["error"]["owner"] == "site"
    assert rows["local"]["origin"] == "embedded"


def test_show(paper: Any) -> None:
    """Status, payloads and the device in a few lines; all of it with ``--json``."""
    _, out, _ = paper.run("show", "paper")
    for word in ("online", "iqm-server", "3 qubits", "1 coupled pairs", "cz x", "99"):
        assert word in out
    value = paper.json("show", "paper")
    assert value["target"]["configuration"]["n_qubits"] == 3
    assert value["capabilities"]["logs"] is True


# --- config -----------------------------------------------------------------------------------


def test_config_check(paper: Any) -> None:
    """Missing, malformed and unknown keys are named, other entries still checked, exit code 1."""
    paper.configure(
        {"name": "bare", "type": "paper", "environment": {"PAPER_FOLDERS": "x"}},
        {"name": "odd", "type": "no-such-type", "environment": {}},
        PAPER_LOOKS="many",
        PAPER_TOKEN="hunter2",
    )
    code, out, err = paper.run("config", "check")
    assert code == Exit.ERROR
    assert "hunter2" not in out + err
    findings = {(f["resource"], f["key"]): f for f in paper.json("config", "check")["findings"]}
    assert findings["paper", "paper_PAPER_LOOKS"]["state"] == "malformed"
    assert findings["paper", "paper_PAPER_TOKEN"]["text"] == "***"
    assert findings["bare", "bare_PAPER_FOLDER"]["state"] == "missing"
    assert "PAPER_FOLDER?" in findings["bare", "PAPER_FOLDERS"]["text"]
    assert findings["odd", ""]["problem"] is True


def test_config_check_of_a_good_file(paper: Any) -> None:
    """Nothing missing is exit 0; a file whose secret others can read is refused wherever used."""
    paper.configure(PAPER_TOKEN="hunter2")
    assert paper.run("config", "check", str(paper.config))[0] == 0
    paper.config.chmod(stat.S_IRUSR | stat.S_IRGRP)
    code, out, _ = paper.run("config", "check")
    assert (code, "chmod 600" in out) == (Exit.ERROR, True)


def test_config_check_of_a_broken_file(paper: Any) -> None:
    """A file that is no JSON is an error with its line."""
    paper.config.write_text('{\n"resources": [,]}')
    code, _, err = paper.run("config", "check")
    assert code == Exit.ERROR
    assert "line 2" in err


def test_config_settings(paper: Any) -> None:
    """Every setting comes from its declaration."""
    rows = {row["key"]: row for row in paper.json("config", "settings", "paper")}
    assert rows["PAPER_FOLDER"]["required"] is True
    assert (rows["PAPER_LOOKS"]["kind"], rows["PAPER_LOOKS"]["default"]) == ("whole number", "0")
    assert rows["PAPER_TOKEN"]["secret"] is True
    assert paper.run("config", "settings", "no-such-type")[0] == Exit.ERROR


# --- processes --------------------------------------------------------------------------------


def test_interrupt_stops_waiting_not_the_task(paper: Any) -> None:
    """Ctrl-C ends the wait with 130 and says how to come back; the task goes on."""
    paper.configure(PAPER_LOOKS="1000000")
    process = paper.process("qrmi.cli.main", "run", "paper", str(paper.sequence()))
    assert process.stderr is not None
    for line in process.stderr:
        if "running" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "qrmi result paper-000 --wait" in err
    assert "qrmi stop paper-000" in err
    assert "Traceback" not in err
    assert paper.json("status", "paper-000")["status"] == "running"


def test_a_reader_that_leaves_is_no_error(paper: Any) -> None:
    """``qrmi tasks | head`` ends quietly."""
    for _ in range(3):
        _start(paper)
    process = paper.process("qrmi.cli.main", "config", "settings")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("argv", [("--help",), ("tasks",), ("config", "settings")])
def test_light_commands_import_no_sdk(paper: Any, argv: tuple[str, ...]) -> None:
    """They start at once: no SDK and no HTTP library is imported."""
    program = (
        "import sys; from qrmi.cli.main import main; main(sys.argv[1:]);"
        "bad = {'qiskit', 'cudaq', 'pulser', 'numpy', 'requests'} & set(sys.modules);"
        "sys.exit(f'imported: {bad}' if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *argv], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_overwritten_by_the_rust_package(tmp_path: Path) -> None:
    """With another ``qrmi/__init__`` in our place the command names the repair and does nothing."""
    import shutil

    import qrmi

    package = tmp_path / "qrmi"
    shutil.copytree(Path(qrmi.__file__).parent, package, ignore=shutil.ignore_patterns("*.pyc"))
    (package / "_core.py").write_text("")
    (package / "__init__.py").write_text("from qrmi import _core\n")
    for module in ("qrmi.cli.main", "qrmi.tools.task_runner"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}; {module}.main()"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "pip install --force-reinstall openqrmi" in done.stderr
