"""Flux's hooks, as `qrmi flux setup` writes them, with a fake `flux` and a real daemon."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_process import Commands, Site, fresh

from qrmi.cli.main import main
from qrmi.schedulers.calling import SiteProblem
from qrmi.schedulers.others import flux

Run = Callable[..., "subprocess.CompletedProcess[str]"]
HOSTILE = {"PYTHONPATH": "/tmp/mine", "QRMI_SITE_SOCKET": "/tmp/mine", "FLUX_URI": "local:///mine"}
NOBODY = 65534


class Hooks:
    """The setup's programs."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder = folder
        self.commands = commands
        self.job = fresh()

    def be_patient(self, seconds: int) -> None:
        """How long the prolog waits for a QPU."""
        program = self.folder / "qrmi-flux"
        text = re.sub(
            r"^_PATIENCE_SECONDS = [0-9.]+",
            f"_PATIENCE_SECONDS = {seconds}",
            program.read_text(),
            flags=re.M,
        )
        program.write_text(text)

    def asks(self, qpu: Any = None, **system: Any) -> None:
        """What `flux job info ID jobspec` tells."""
        if qpu is not None:
            system["qrmi"] = {"qpu": qpu}
        self.commands.add("flux", json.dumps({"attributes": {"system": system}}))

    def start(self, name: str, *words: str, user: int | None = None) -> subprocess.Popen[str]:
        """Start a program as Flux does."""
        known = {"FLUX_JOB_ID": self.job, "FLUX_JOB_USERID": "0", "PATH": "/bin:/usr/bin"}
        return subprocess.Popen(
            [self.folder / name, *words],
            env={**HOSTILE, **known},
            user=user,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, *words: str, user: int | None = None) -> str:
        """Run it to its end, which is always a good one: Flux drains nodes otherwise."""
        process = self.start(name, *words, user=user)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    def raised(self) -> list[str]:
        """The messages of the exceptions that were raised on the job."""
        return [words[-1] for words in self.commands.calls("flux") if words[:2] == ["job", "raise"]]


@pytest.fixture
def hooks(site: Site, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Hooks:
    """The programs, with little patience."""
    monkeypatch.setenv("PATH", commands.path)
    folder = commands.folder / "hooks"
    arguments = ["--config", str(site.toml), "--folder", str(folder), "--write", str(folder)]
    assert main(["flux", "setup", *arguments]) == 0
    made = Hooks(folder, commands)
    made.be_patient(1)
    made.asks("emu", duration=600.0)
    return made


def test_life_of_a_job(hooks: Hooks, site: Site) -> None:
    """The prolog acquires, the shell's plug-in gets the environment, the epilog gives back."""
    hooks.run("prolog.d/qrmi")
    (lease,) = site.leases()
    assert lease["job"]["id"] == hooks.job
    assert lease["limit_seconds"] == 600
    assert site.open_sessions()["emu"] == 1
    hooks.run("prolog.d/qrmi")  # on every node, where the site wants that
    assert site.open_sessions()["emu"] == 1
    printed = hooks.run("qrmi-flux", "env", hooks.job)
    assert "QRMI_JOB_QPU_RESOURCES=emu\n" in printed
    hooks.run("epilog.d/qrmi")
    assert site.open_sessions()["emu"] == 0
    hooks.run("housekeeping.d/qrmi")
    assert hooks.raised() == []


def test_environment_is_the_users_alone(hooks: Hooks) -> None:
    """Another user is told nothing."""
    hooks.run("prolog.d/qrmi")
    assert "TOKEN" not in hooks.run("qrmi-flux", "env", hooks.job, user=NOBODY)
    hooks.run("epilog.d/qrmi")


def test_busy_waits_in_the_prolog(hooks: Hooks, site: Site) -> None:
    """It runs when the QPU is free; when patience is over the job is ended, with the reason."""
    other = site.occupy("emu")
    hooks.run("prolog.d/qrmi")
    assert len(hooks.raised()) == 1
    assert len(site.leases()) == 1
    site.end(other)


def test_busy_and_then_free(hooks: Hooks, site: Site) -> None:
    """What is given back goes to the job that waits."""
    other = site.occupy("emu")
    hooks.be_patient(30)
    waiting = hooks.start("prolog.d/qrmi")
    time.sleep(1.0)
    assert waiting.poll() is None
    site.end(other)
    assert waiting.wait(30) == 0
    waiting.communicate()
    assert hooks.raised() == []
    assert [lease["job"]["scheduler"] for lease in site.leases()] == ["flux"]
    hooks.run("epilog.d/qrmi")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_cancelled_while_it_waits(hooks: Hooks, site: Site, number: int) -> None:
    """A prolog that Flux kills leaves nothing behind once the epilog has run."""
    other = site.occupy("emu")
    hooks.be_patient(30)
    waiting = hooks.start("prolog.d/qrmi")
    time.sleep(0.7)
    waiting.send_signal(number)
    waiting.communicate(timeout=20)
    hooks.run("epilog.d/qrmi")
    site.end(other)
    time.sleep(0.5)
    assert site.leases() == []


def test_refused_ends_the_job_and_no_node(hooks: Hooks) -> None:
    """An exception with the reason; the exit code is 0, so that no node is drained."""
    hooks.asks("nosuch")
    hooks.run("prolog.d/qrmi")
    (message,) = hooks.raised()
    assert "nosuch" in message


@pytest.mark.parametrize("asked", [17, ["emu", 3], {"emu": 0}, {"emu": "x"}])
def test_request_that_makes_no_sense(hooks: Hooks, asked: Any) -> None:
    """It is refused with the form that would do."""
    hooks.asks(asked)
    hooks.run("prolog.d/qrmi")
    assert "system.qrmi.qpu" in hooks.raised()[0]


def test_all_or_nothing(hooks: Hooks, site: Site) -> None:
    """Two QPUs of which one is taken: neither is held."""
    other = site.occupy("fresnel.2")
    hooks.asks("emu+fresnel.2")
    hooks.run("prolog.d/qrmi")
    assert site.open_sessions() == {"emu": 0, "fresnel.2": 1}
    site.end(other)


def test_other_jobs_do_not_need_the_daemon(hooks: Hooks, site: Site) -> None:
    """A job without QPUs goes its way while the daemon is down."""
    hooks.asks()
    site.stop()
    hooks.run("prolog.d/qrmi")
    assert hooks.run("qrmi-flux", "env", hooks.job) == ""
    hooks.run("epilog.d/qrmi")
    assert hooks.raised() == []


def test_daemon_away(hooks: Hooks, site: Site) -> None:
    """A QPU job ends with the reason, and no node is drained."""
    site.stop(kill=True)
    hooks.run("prolog.d/qrmi")
    assert "daemon" in hooks.raised()[0]


def test_lua_plugin(hooks: Hooks, tmp_path: Path) -> None:
    """The plug-in asks once for all tasks of a shell, and sets what it is told."""
    lua = shutil.which("lua5.1") or shutil.which("lua")
    if lua is None:
        pytest.skip("Lua is not installed")
    hooks.run("prolog.d/qrmi")
    script = tmp_path / "shell.lua"
    script.write_text(f"""
        local set = {{}}
        task = {{ getenv = function (name) return "{hooks.job}" end,
                  setenv = function (name, value) set[name] = value end }}
        shell = {{ die = function (text) print ("died " .. text); os.exit (1) end }}
        plugin = {{ register = function (given) handler = given.handlers[1].fn end }}
        dofile ("{hooks.folder}/qrmi.lua")
        handler ()
        handler ()
        for name, value in pairs (set) do print (name .. "=" .. value) end
    """)
    done = subprocess.run([lua, script], capture_output=True, text=True, timeout=60, check=False)
    assert "QRMI_JOB_QPU_RESOURCES=emu\n" in done.stdout, done.stderr
    hooks.run("epilog.d/qrmi")


# --- pure parts -------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1))
def test_numbers_of_jobs(number: int) -> None:
    """Both of Flux's forms name the same job."""
    digits, left = "", number
    while left or not digits:
        left, digit = divmod(left, 58)
        digits = flux._ALPHABET[digit] + digits
    assert flux.number_of(f"ƒ{digits}") == flux.number_of(str(number)) == number


@given(st.text(max_size=20).filter(lambda text: not text.isdecimal()))
def test_other_texts_are_no_job(text: str) -> None:
    """Nothing but a job's number goes on to a command."""
    try:
        assert flux.number_of(text) >= 0
    except SiteProblem:
        return
    assert text[0] in "ƒf"


@pytest.mark.parametrize(
    ("asked", "names", "anys", "slots"),
    [
        ("emu", ["emu"], 0, {}),
        ("emu+fresnel.2", ["emu", "fresnel.2"], 0, {}),
        (["emu", "auto"], ["emu"], 1, {}),
        ({"emu": 2}, ["emu"], 0, {"emu": 2}),
        ("auto+auto", [], 2, {}),
    ],
)
def test_ways_to_ask(asked: Any, names: list[str], anys: int, slots: dict[str, int]) -> None:
    """By names, by a list, by slots, and for any."""
    want = flux.want_of({"attributes": {"system": {"qrmi": {"qpu": asked}}}})
    assert (want["names"], want["any"], want["slots"]) == (names, anys, slots)
