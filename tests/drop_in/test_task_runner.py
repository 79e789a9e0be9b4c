"""``task_runner`` on every type: each form of its input file, its output, its exit codes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_MODULE = "import runpy; runpy.run_module('qrmi.tools.task_runner.main', run_name='__main__')"
_TEXTS = {  # the fields that may be a text or the object that it is the text of
    "alice-bob-felis": ("input_params",),
    "ibm-quantum-compute-service": ("parameters",),
    "ibm-quantum-system": ("parameters",),
    "iqm-server": ("iqmjson",),
    "oqtopus": ("job_spec",),
    "pasqal-cloud": ("sequence",),
    "pasqal-local": ("sequence",),
    "qiskit-runtime-service": ("parameters",),
}
_WHEEL_CAN = {  # with objects; a text it encodes twice
    "ibm-quantum-compute-service",
    "ibm-quantum-system",
    "iqm-server",
    "pasqal-cloud",
    "qiskit-runtime-service",
}


def run(job: Any, python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, found as a script of the Python's environment is."""
    script = job.folder / "run.py"
    script.write_text(_MODULE)
    done: subprocess.CompletedProcess[str] = job.run(python, script, *arguments)
    return done


def comparable(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    if "job_id" in value:  # of OQTOPUS, with ids and times
        return '{"01": 7}' in text
    return value.get("counter", value)


def _with(fields: dict[str, Any], kind: str, *, objects: bool) -> dict[str, Any]:
    def form(value: Any) -> Any:
        as_object = json.loads(value) if isinstance(value, str) else value
        return as_object if objects else json.dumps(as_object)

    return {name: form(v) if name in _TEXTS[kind] else v for name, v in fields.items()}


@pytest.mark.parametrize("kind", _TEXTS)
def test_every_type_and_every_form(
    job: Callable[[str], Any], pythons: dict[str, Path], kind: str
) -> None:
    """Texts and objects give the same; OUTPUT is the result alone; the id comes first on stdout."""
    made = job(kind)
    fields = json.loads((made.folder / "input.json").read_text())
    results = {}
    for objects in (True, False):
        chosen = _with(fields, kind, objects=objects)
        (made.folder / "input.json").write_text(json.dumps(chosen))
        done = run(made, pythons["here"], made.name, "input.json", "out.json")
        assert done.returncode == 0, done.stderr
        (line,) = done.stdout.splitlines()
        assert re.fullmatch(r"\S+ \S+ INFO Task ID: \S+", line)
        results[objects] = comparable((made.folder / "out.json").read_text())
    assert results[True] == results[False]
    if kind not in _WHEEL_CAN:
        return
    (made.folder / "input.json").write_text(json.dumps(_with(fields, kind, objects=True)))
    theirs = run(made, pythons["rust"], made.name, "input.json", "theirs.json")
    assert theirs.returncode == 0, theirs.stderr
    assert comparable((made.folder / "theirs.json").read_text()) == results[True]
    assert "Task ID: " in theirs.stdout


def test_a_job_of_oqtopus_as_its_generator_writes_it(
    job: Callable[[str], Any], pythons: dict[str, Path]
) -> None:
    """The job's fields at the top level, with ``null`` for those that are not set."""
    made = job("oqtopus")
    fields = json.loads(json.loads((made.folder / "input.json").read_text())["job_spec"])
    whole = {**fields, "description": None, "operator": None, "transpiler_info": None}
    (made.folder / "input.json").write_text(json.dumps(whole))
    done = run(made, pythons["here"], made.name, "input.json")
    assert done.returncode == 0, done.stderr
    assert '{"01": 7}' in done.stdout.splitlines()[1]


def test_a_failed_task_is_exit_3(job: Callable[[str], Any], pythons: dict[str, Path]) -> None:
    """The wheel's command says 0; ours says how it ended, and why, and writes no OUTPUT."""
    made = job("iqm-server")
    fields = json.loads((made.folder / "input.json").read_text())
    body = {**json.loads(fields["iqmjson"]), "max_circuit_duration_over_t2": 1e-9}
    (made.folder / "input.json").write_text(json.dumps({**fields, "iqmjson": body}))
    done = run(made, pythons["here"], made.name, "input.json", "out.json")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert not (made.folder / "out.json").exists()


def test_what_it_cannot_run(job: Callable[[str], Any], pythons: dict[str, Path]) -> None:
    """A resource that the job does not hold is 6, wrong arguments and files are 2."""
    made = job("oqtopus")
    (made.folder / "wrong.json").write_text('{"program": 3}')
    expected = {("other", "input.json"): 6, (made.name, "wrong.json"): 2, (made.name,): 2}
    for arguments, code in expected.items():
        done = run(made, pythons["here"], *arguments)
        assert done.returncode == code, (arguments, done.stderr)
    assert made.server.jobs() == {}
