"""`qrmi pbs|lsf|flux setup` and `check`: what they write, and what they find missing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_process import Commands

from qrmi.cli.main import main
from qrmi.schedulers import runs

SECRET = "a-key-of-the-site"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A site with two QPUs and a key; no daemon runs."""
    entries = [
        {"name": "emu", "type": "local", "slots": 3, "environment": {}},
        {
            "name": "fresnel.2",
            "type": "iqm-server",
            "environment": {
                "QRMI_IQM_ISA_ENDPOINT": "https://iqm.example.org",
                "QRMI_IQM_ISA_TOKEN": SECRET,
            },
        },
    ]
    config = tmp_path / "qrmi_config.json"
    config.write_text(json.dumps({"resources": entries}))
    config.chmod(0o600)
    settings = tmp_path / "qrmid.toml"
    settings.write_text('config = "qrmi_config.json"\nsocket = "sock"\ncluster = "lab"\n')
    return settings


@pytest.mark.parametrize("scheduler", ["pbs", "lsf", "flux"])
def test_setup_holds_no_secret(
    toml: Path, tmp_path: Path, scheduler: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written and what is printed is the same, and the site's key is not in it."""
    folder = tmp_path / "made"
    assert main([scheduler, "setup", "--config", str(toml), "--write", str(folder)]) == 0
    capsys.readouterr()
    assert main([scheduler, "setup", "--config", str(toml), "--print"]) == 0
    printed = capsys.readouterr().out
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for file in files:
        assert SECRET not in file.read_text()
        assert file.read_text().strip() in printed
    assert main([scheduler, "setup", "--config", str(toml), "--print", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {str(folder / row["path"]) for row in rows} == set(map(str, files))


@pytest.mark.parametrize(("scheduler", "program"), [("lsf", "qrmi-lsf"), ("flux", "qrmi-flux")])
def test_programs_need_the_system_python_alone(
    toml: Path, tmp_path: Path, scheduler: str, program: str
) -> None:
    """Nodes need not have the library: Debian's own Python runs the hook, isolated."""
    assert main([scheduler, "setup", "--config", str(toml), "--write", str(tmp_path)]) == 0
    file = tmp_path / program
    assert file.read_text().startswith("#!/usr/bin/python3 -IS\n")
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no /usr/bin/python3")
    word = "post" if scheduler == "lsf" else "epilog"
    environment = {"LSB_JOBID": "1", "FLUX_JOB_ID": "1", "PYTHONPATH": "/nowhere"}
    done = subprocess.run(
        [file, word], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "daemon is not there" in done.stderr


def test_qmgr_lines(toml: Path, tmp_path: Path) -> None:
    """PBS counts each QPU's slots, by a name that it allows."""
    assert main(["pbs", "setup", "--config", str(toml), "--write", str(tmp_path)]) == 0
    lines = (tmp_path / "qmgr.txt").read_text().splitlines()
    assert "create resource qpu_fresnel_2 type=long, flag=q" in lines
    assert "set server resources_available.qpu_emu = 3" in lines
    settings = json.loads((tmp_path / "qrmi_hook.json").read_text())
    assert settings["consumables"] == {"qpu_emu": "emu", "qpu_fresnel_2": "fresnel.2"}


def test_names_that_would_be_one(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two QPUs that a scheduler could not tell apart are refused, with both in mind."""
    config = tmp_path / "qrmi_config.json"
    entries = [{"name": name, "type": "local", "environment": {}} for name in ("a.b", "a-b")]
    config.write_text(json.dumps({"resources": entries}))
    assert main(["pbs", "setup", "--config", str(toml), "--print"]) == 1
    assert "qpu_a_b" in capsys.readouterr().err


@pytest.mark.parametrize("scheduler", ["pbs", "lsf", "flux"])
def test_check_without_anything(
    toml: Path,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scheduler: str,
) -> None:
    """No daemon and no scheduler: each is told, with what to do, and the exit code is 1."""
    monkeypatch.setenv("PATH", str(commands.folder))
    assert main([scheduler, "check", "--config", str(toml), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == len([row for row in told["findings"] if row["state"] == "wrong"])
    assert told["findings"][0]["about"] == "qrmid"
    assert "systemctl start qrmid" in told["findings"][0]["text"]


def test_check_of_pbs(
    toml: Path,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What qmgr tells is believed: a hook that lacks an event is found."""
    monkeypatch.setenv("PATH", commands.path)
    commands.add("qmgr", "Hook qrmi\n enabled = True\n event = queuejob,runjob\nqpu_emu\n")
    assert main(["pbs", "check", "--config", str(toml), "--json"]) == 1
    found = {f["about"]: f["text"] for f in json.loads(capsys.readouterr().out)["findings"]}
    assert "execjob_launch" in found["hook qrmi"]
    assert found["resource qpu_emu for emu"] == ""
    assert "PBS does not know it" in found["resource qpu_fresnel_2 for fresnel.2"]


# --- names ------------------------------------------------------------------------------------

_NAMES = st.lists(st.text("abcXYZ019._-", min_size=1).filter(lambda n: n != "auto"), unique=True)


@given(_NAMES, st.integers(0, 3), st.sampled_from("+,:"))
def test_requests_are_read_as_they_are_written(names: list[str], anys: int, joint: str) -> None:
    """Whatever joins them, the names come back in their order."""
    assert runs.names_in(joint.join(names + ["auto"] * anys)) == (names, anys)


@given(st.text(min_size=1, max_size=30))
def test_counted_names_are_plain(name: str) -> None:
    """A consumable's name has no character that a scheduler would mind."""
    assert runs.mangled(name).isascii()
    assert runs.mangled(name).isidentifier()
