"""What setup writes, without a Grid Engine; and the sensor and the JSV as programs of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qrmi.cli.app import run
from qrmi.config_file import Config
from qrmi.errors import ConfigError
from qrmi.schedulers.gridengine.load import report
from qrmi.schedulers.gridengine.setup.plan import keeps_usage, slots_of

_NAMES = {"a": "qpu_a", "b": "qpu_b"}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A qrmid.toml of a site with two QPUs, and a cell without a qmaster."""
    common = tmp_path / "sge" / "default" / "common"
    common.mkdir(parents=True)
    (common / "cluster_name").write_text("prod\n")
    for name in ("qconf", "qstat", "qalter"):
        (tmp_path / name).write_text("#!/bin/sh\necho GCS 9.2.0\n")
        (tmp_path / name).chmod(0o755)
    entries = [{"name": n, "type": "local", "environment": {}, "slots": 2} for n in ("a", "b-1")]
    path = tmp_path / "qrmi_config.json"
    path.write_text(json.dumps({"resources": entries}))
    path.chmod(0o600)
    file = tmp_path / "qrmid.toml"
    file.write_text(
        'config = "qrmi_config.json"\nsocket = "sock"\n[gridengine]\nenabled = true\n'
        f'root = "{tmp_path}/sge"\nqconf = "{tmp_path}/qconf"\nqstat = "{tmp_path}/qstat"\n'
    )
    return file


def test_setup_prints_every_file(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written; what is left to do is said."""
    assert run(["gridengine", "setup", "--print", "--config", str(settings)]) == 0
    told = capsys.readouterr().out
    for name in ("site.json", "complexes", "prolog", "epilog", "jsv", "load_sensor", "apply.sh"):
        assert f"==== /etc/qrmi/gridengine/{name}" in told
    assert "qpu_b_1 qpu_b_1 INT <= YES JOB 0 0" in told
    assert "qpu_a=2,qpu_b_1=2,qpu_any=4" in told
    assert "usage_patterns=qrmi:qrmi_*" in told


def test_setup_writes_a_folder(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs are programs, everything can be read by all, and no secret is in it."""
    folder = settings.parent / "new" / "hooks"
    wanted = ["gridengine", "setup", "--write", str(folder), "--config", str(settings), "--json"]
    assert run(wanted) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(folder)
    site = json.loads((folder / "site.json").read_text())
    assert site["names"] == {"qpu_a": "a", "qpu_b_1": "b-1"}
    assert (site["cluster"], site["usage_seconds"]) == ("prod", 3)
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == (0o755 if path.read_text()[:2] == "#!" else 0o644)
        if path.read_text()[:2] == "#!":
            subprocess.run(["/bin/sh", "-n", str(path)], check=True)
    assert run(wanted) == 0


def test_setup_replaces_nothing_of_the_sites(settings: Path) -> None:
    """A file of that name that is not ours stays, and none of ours is written beside it."""
    folder = settings.parent / "hooks"
    folder.mkdir()
    (folder / "jsv").write_text("#!/bin/sh\n")
    wanted = ["gridengine", "setup", "--write", str(folder), "--config", str(settings)]
    assert run(wanted) != 0
    assert [path.name for path in folder.iterdir()] == ["jsv"]
    assert run([*wanted, "--force"]) == 0


def test_names_that_would_be_one_are_an_error() -> None:
    """Grid Engine would count two QPUs as one."""
    text = json.dumps(
        {"resources": [{"name": n, "type": "local", "environment": {}} for n in ("a-b", "a_b")]}
    )
    with pytest.raises(ConfigError, match="qpu_a_b"):
        slots_of(Config.loads(text))


@pytest.mark.parametrize("name", ["any", "slots", "ready"])
def test_names_that_are_words_are_an_error(name: str) -> None:
    """They would be the pool, or what users write."""
    text = json.dumps({"resources": [{"name": name, "type": "local", "environment": {}}]})
    with pytest.raises(ConfigError, match=f"qpu_{name}"):
        slots_of(Config.loads(text))


@pytest.mark.parametrize(
    ("version", "expected"),
    [("SGE 8.1.9", False), ("OCS 9.0.1", False), ("GCS 9.2.0", True), ("OCS v10.0", True)],
)
def test_which_grid_engine_keeps_usage(version: str, expected: bool) -> None:
    """Only there an epilog waits for the books."""
    assert keeps_usage(version) is expected


def test_the_sensor_counts_what_is_online() -> None:
    """Away, unknown, malformed or not lent: nothing."""
    rows = [
        {"name": "a", "state": "online", "slots": 3},
        {"name": "b", "state": "drained", "slots": 1},
        {"name": "c", "state": "online", "slots": 1},
        "junk",
    ]
    assert report(rows, _NAMES) == [
        *("begin", "global:qpu_a:3", "global:qpu_any:3", "global:qpu_b:0", "end")
    ]
    assert report([], _NAMES)[1:-1] == ["global:qpu_a:0", "global:qpu_any:0", "global:qpu_b:0"]


@pytest.mark.parametrize("python", [sys.executable, "/nonexistent/python3"])
def test_programs_that_qmaster_starts_never_die(settings: Path, python: str) -> None:
    """Without the daemon the sensor reports zeros; without Python the JSV lets jobs pass."""
    folder = settings.parent / "hooks"
    wanted = ["gridengine", "setup", "--write", str(folder), "--config", str(settings)]
    assert run([*wanted, "--python", python]) == 0

    def talk(name: str, text: str) -> str:
        done = subprocess.run(
            [str(folder / name)], input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    zeros = "begin\nglobal:qpu_a:0\nglobal:qpu_any:0\nglobal:qpu_b_1:0\nend\n"
    assert talk("load_sensor", "\n\nquit\n") == zeros * 2
    told = talk("jsv", "START\nPARAM l_hard qpu=zz\nBEGIN\nSTART\nBEGIN\nQUIT\n")
    verdicts = [line for line in told.splitlines() if line.startswith("RESULT")]
    assert verdicts[1] == "RESULT STATE ACCEPT"
    assert verdicts[0].startswith("RESULT STATE REJECT no QPU") == (python == sys.executable)
