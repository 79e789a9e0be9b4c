"""The commands `qrmi conformance` and `qrmi sandbox`, as a person runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

import qrmi_sandbox
from qrmi import journal, plugins
from qrmi.cli.main import main


def run(capsys, *argv):
    """The exit code, standard output and standard error of a command."""
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


# --- qrmi conformance ---------------------------------------------------------------------------


def test_a_resource_is_put_to_the_test(capsys, private_state):
    """A table with one line a rule, the sum below it, and exit code 0 when all rules hold."""
    code, out, err = run(capsys, "conformance", "local", "--only", "statuses go forward")
    assert code == 0, err
    head, line, _, total = out.splitlines()
    assert head.split() == ["ABOUT", "RULE", "OUTCOME", "REMARK"]
    assert line.split("  ")[0] == "life"
    assert "statuses go forward" in line
    assert total == "local (local): 1 passed, 0 failed, 0 skipped"


def test_nothing_is_left_behind(capsys, private_state):
    """Whatever was started has ended afterwards."""
    wanted = ["--only", "test_an_id_is_a_text", "--only", "another object stops a task"]
    code, out, _ = run(capsys, "conformance", "local", "--json", *wanted)
    assert code == 0
    report = json.loads(out)
    assert (report["passed"], report["failed"], report["left_behind"]) == (2, 0, [])
    assert {rule["rule"] for rule in report["rules"]} == {
        "test_an_id_is_a_text",
        "test_another_object_stops_a_task",
    }
    records = journal.default().tasks()
    assert len(records) == 2
    assert all(record.context == {"sdk": "conformance"} for record in records)
    from qrmi import QuantumResource

    resource = QuantumResource("local", "local")
    assert all(resource.task_status(record.id).is_final for record in records)


def test_a_broken_rule_is_an_error(capsys, private_state, tmp_path):
    """A program that does not complete breaks rules: exit code 1, and the reason is told."""
    program = tmp_path / "bad.json"
    program.write_text(
        json.dumps({"parameters": {"pubs": [["no circuit"]]}, "program_id": "sampler"})
    )
    only = ["--only", "a task completes and has a result"]
    code, out, _ = run(capsys, "conformance", "local", "--program", str(program), *only)
    assert code == 1
    assert "1 failed" in out
    assert "QrmiError" in out or "ended as FAILED" in out or "InvalidInputError" in out


def test_an_unknown_rule_is_told(capsys, private_state):
    """A rule that does not exist is no success."""
    code, _, err = run(capsys, "conformance", "local", "--only", "be nice")
    assert code == 2
    assert "be nice" in err


# --- qrmi sandbox -------------------------------------------------------------------------------


def test_there_is_a_sandbox_for_every_service(capsys):
    """Every resource type that is not embedded has one."""
    code, out, _ = run(capsys, "sandbox", "--list", "--json")
    assert code == 0
    assert set(json.loads(out)) == set(plugins.driver_types()) - {"local"}


@pytest.mark.parametrize("argv", [[], ["no-such-type"]])
def test_a_wrong_type_names_the_right_ones(capsys, argv):
    code, _, err = run(capsys, "sandbox", *argv)
    assert code == 2
    assert "iqm-server" in err


@pytest.mark.parametrize("kind", sorted(qrmi_sandbox.SERVERS))
def test_a_sandbox_is_started_used_and_stopped(kind, tmp_path):
    """It prints a configuration whose resource answers, and Ctrl-C ends it with code 0."""
    file = tmp_path / "sandbox.json"
    command = [sys.executable, "-m", "qrmi", "sandbox", kind, "--json"]
    process = subprocess.Popen(
        [*command, "--write", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        text = ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        told = json.loads(text)
        assert json.loads(file.read_text()) == told["config"]
        (entry,) = told["config"]["resources"]
        assert entry["type"] == kind
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(told["url"] + "/no/such/route", timeout=10)
        environ = {**os.environ, "QRMI_CONFIG": str(file)}
        shown = subprocess.run(
            [sys.executable, "-m", "qrmi", "show", entry["name"], "--json"],
            capture_output=True,
            text=True,
            env=environ,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["status"]["status"] == "online"
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_told(capsys):
    """A port in use is an error with words."""
    from barn import Barn

    with Barn() as barn:
        port = barn.url.rpartition(":")[2]
        code, _, err = run(capsys, "sandbox", "iqm-server", "--port", port)
    assert code == 2
    assert port in err
