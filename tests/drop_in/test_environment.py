"""Variables of the job, files and log levels mean what they mean to the Rust wheel."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qrmi

_SCRIPT = Path(__file__).with_name("environment.py").read_text()
_BETTER = {  # what the wheel trips over, and what it is here; docs/migrating.md has the reasons
    ("lists", "empty delimiter"): {"value": [["a", "b"], ["t", "u"]]},
    ("lists", "blanks"): {"value": [["a", "b"], ["t", "u"]]},
}


@pytest.fixture(scope="module")
def said(
    peer: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What the wheel (``rust``) and what we (``here``) make of the same variables and files."""
    folder = str(tmp_path_factory.mktemp("files"))
    return {name: peer(name).run(_SCRIPT, FOLDER=folder) for name in ("rust", "here")}


@pytest.mark.parametrize("part", ["files", "lists", "service"])
def test_the_same_values_and_errors(said: dict[str, Any], part: str) -> None:
    """Equal values; an error that every ``except`` catches which caught theirs."""
    for name, theirs in said["rust"][part].items():
        ours = said["here"][part][name]
        if (part, name) in _BETTER:
            assert ours == _BETTER[part, name]
        elif "error" in theirs:
            assert set(theirs["error"]) <= set(ours.get("error", [])), (part, name, ours)
        else:
            assert ours == theirs, (part, name)


def test_a_plugins_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in's reason for not giving a QPU is what the user reads."""
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "a")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "iqm-server")
    monkeypatch.setenv("QRMI_PLUGIN_ERROR", "no slot on garnet")
    with pytest.raises(RuntimeError, match="no slot on garnet"):
        qrmi.QRMIService()
    assert qrmi.get_job_qpu_resources_and_types() == (["a"], ["iqm-server"])


def test_unequal_lists_are_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's helper raises ``ValueError``, its service ``ConfigError``; here one is both."""
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "a,b")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "iqm-server")
    with pytest.raises(ValueError, match="inconsistent"):
        qrmi.get_job_qpu_resources_and_types()
    with pytest.raises(qrmi.ConfigError):
        qrmi.QRMIService()


# A call that warns under both: a service whose only resource has a type that nobody knows.
_LOGGING = """
import json, logging, os, sys
import qrmi
lines = []
class Kept(logging.Handler):
    def emit(self, record):
        lines.append([record.levelname, record.name.split(".")[0].split("::")[0]])
if os.environ["HOW"] == "callback":
    qrmi.set_log_callback(lambda level, target, message: lines.append(
        [level, target.split(".")[0].split("::")[0]]))
elif os.environ["HOW"] == "handler":
    logging.basicConfig(level=1, handlers=[Kept()])
else:
    qrmi.set_log_callback(None)
os.environ.update(QRMI_JOB_QPU_RESOURCES="a", QRMI_JOB_QPU_TYPES="no-such-type")
assert qrmi.QRMIService().resources() == []
logging.getLogger("qrmi.test").info("news")
logging.getLogger("qrmi.test").debug("detail")
print(json.dumps(lines))
"""
_LEVELS = [None, "", "off", "error", "warn", "INFO", "debug", "trace", "qrmi=debug", "other=trace"]


@pytest.mark.parametrize("how", ["callback", "handler"])
@pytest.mark.parametrize("level", _LEVELS)
def test_rust_log(peer: Callable[[str], Any], how: str, level: str | None) -> None:
    """The warning arrives, or not, at the same levels, with the same level's word."""
    more = {} if level is None else {"RUST_LOG": level}
    theirs, ours = (peer(name).run(_LOGGING, HOW=how, **more) for name in ("rust", "here"))
    warning = ["WARN" if how == "callback" else "WARNING", "qrmi"]
    assert (warning in ours) == (warning in theirs)


@pytest.mark.parametrize(
    ("level", "more"), [("warn", []), ("info", ["INFO"]), ("trace", ["INFO", "DEBUG"])]
)
def test_levels_of_a_callback(peer: Callable[[str], Any], level: str, more: list[str]) -> None:
    """``RUST_LOG`` opens the callback to what is below a warning."""
    lines = peer("here").run(_LOGGING, HOW="callback", RUST_LOG=level)
    assert [word for word, _ in lines if word != "WARN"] == more


def test_none_writes_lines_to_stderr(peer: Callable[[str], Any]) -> None:
    """``[timestamp LEVEL target] message``, as the wheel writes them."""
    pattern = re.compile(
        r"^\[\d{4}-\d\d-\d\dT[\d:.+Z]+ WARN qrmi\S*\] .*no-such-type", re.MULTILINE
    )
    for name in ("rust", "here"):
        done = subprocess.run(
            [peer(name).python, "-P", "-c", _LOGGING],
            env={"HOW": "none", "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert pattern.search(done.stderr), (name, done.stderr)
        assert json.loads(done.stdout) == []


def test_a_level_of_the_program_wins(peer: Callable[[str], Any]) -> None:
    """``RUST_LOG`` does not undo what the program has set."""
    script = (
        "import logging; logging.getLogger('qrmi').setLevel(logging.INFO)\n"
        "import qrmi; qrmi.set_log_callback(lambda *line: None); qrmi.QuantumResource\n"
        "print(logging.getLogger('qrmi').level)"
    )
    assert peer("here").run(script, RUST_LOG="off") == logging.INFO
