"""LSF's hooks, as `qrmi lsf setup` writes them, with fake commands and a real daemon."""

from __future__ import annotations

import socket
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
from qrmi.schedulers.others import lsf

Run = Callable[..., "subprocess.CompletedProcess[str]"]
NOBODY = 65534
HOSTILE = {
    "QRMI_SITE_SOCKET": "/tmp/mine",
    "QRMI_CONFIG": "/tmp/mine",
    "PYTHONPATH": "/tmp/mine",
    "PYTHONHOME": "/tmp/mine",
    "LSF_ENVDIR": "/tmp/mine",
    "LSB_EFFECTIVE_RSRCREQ": "rusage[qpu_fresnel_2=1]",
}


@pytest.fixture
def hooks(
    site: Site,
    commands: Commands,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a program of the setup: ``hooks("pre", LSB_JOBID="17")``."""
    monkeypatch.setenv("PATH", commands.path)
    monkeypatch.setenv("LSF_ENVDIR", "/site/lsf/conf")
    folder = commands.folder / "hooks"
    code = main(
        [
            "lsf",
            "setup",
            "--config",
            str(site.toml),
            "--folder",
            str(folder),
            "--write",
            str(folder),
        ]
    )
    assert code == 0, capsys.readouterr().err
    commands.add("bjobs", line())
    commands.add("bpost")

    def run(
        word: str, *words: str, user: int | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        job = {"LSB_JOBID": "17", "LSB_JOBINDEX": "0", "PATH": "/bin:/usr/bin"}
        return subprocess.run(
            [folder / "qrmi-lsf", word, *words],
            env={**HOSTILE, **job, **environment},
            user=user,
            cwd="/tmp",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def line(resreq: str = "select[type == any] rusage[qpu_emu=1] ", user: str = "root") -> str:
    """What `bjobs -o` prints for a job."""
    return f"{user}^Nov 23 00:12^10.0^proj^{resreq}^bell\n"


def test_life_of_a_job(hooks: Run, site: Site, commands: Commands) -> None:
    """PRE_EXEC acquires, JOB_STARTER gives the environment, POST_EXEC gives back, twice as once."""
    assert hooks("pre").returncode == 0
    (lease,) = site.leases()
    assert lease["job"]["id"] == "17"
    assert lease["job"]["host"] == socket.gethostname()
    assert lease["limit_seconds"] == 600
    assert site.open_sessions()["emu"] == 1
    done = hooks("start", "/bin/sh", "-c", "env; exit 7")
    assert done.returncode == 7
    assert "QRMI_JOB_QPU_RESOURCES=emu\n" in done.stdout
    assert "emu_QRMI_JOB_TIMEOUT_SECONDS=600\n" in done.stdout
    assert hooks("post").returncode == 0
    assert site.open_sessions()["emu"] == 0
    assert hooks("post").returncode == 0
    assert commands.environment_of("bjobs")["LSF_ENVDIR"] == "/site/lsf/conf"


def test_environment_is_the_users_alone(hooks: Run, site: Site, commands: Commands) -> None:
    """The starter runs as the user; another user's job has no environment for it."""
    commands.add("bjobs", line(user="nobody"))
    assert hooks("pre").returncode == 0
    mine = hooks("start", "/usr/bin/env", user=NOBODY)
    assert "QRMI_JOB_QPU_RESOURCES=emu\n" in mine.stdout
    others = hooks("start", "/usr/bin/env", user=NOBODY - 1)
    assert "ACQUISITION_TOKEN" not in others.stdout
    hooks("post")


def test_busy_goes_back_to_the_queue(hooks: Run, site: Site, commands: Commands) -> None:
    """Non-zero is LSF's word for later; `bjobs -l` shows why."""
    other = site.occupy("emu")
    assert hooks("pre").returncode == 1
    ((_, message, number),) = commands.calls("bpost")
    assert number == "17"
    assert message.startswith("qrmi: ")
    assert len(site.leases()) == 1
    assert hooks("post").returncode == 0  # LSF may do that, and nothing is fenced for ever
    site.end(other)
    assert hooks("pre").returncode == 0
    hooks("post")


def test_refused_fails_the_job_in_its_own_output(hooks: Run, commands: Commands) -> None:
    """The pre-execution goes on, and the job itself says why and fails."""
    commands.add("bjobs", line("rusage[qpu_gone=1]"))
    assert hooks("pre").returncode == 0
    done = hooks("start", "/bin/sh", "-c", "echo ran")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "gone" in done.stderr
    changed = hooks("start", "/bin/sh", "-c", "echo ran", LSB_EFFECTIVE_RSRCREQ="rusage[mem=1]")
    assert changed.stdout == "ran\n"  # bmod has taken the QPU out of the request


def test_all_or_nothing(hooks: Run, site: Site, commands: Commands) -> None:
    """Two QPUs of which one is taken: neither is held."""
    other = site.occupy("fresnel.2")
    commands.add("bjobs", line("rusage[qpu_emu=1,qpu_fresnel_2=1]"))
    assert hooks("pre").returncode == 1
    assert site.open_sessions() == {"emu": 0, "fresnel.2": 1}
    site.end(other)


def test_other_jobs_do_not_need_the_daemon(hooks: Run, site: Site, commands: Commands) -> None:
    """A job without QPUs goes its way while the daemon is down."""
    commands.add("bjobs", line("select[mem>10] rusage[mem=10]"))
    site.stop()
    assert hooks("pre").returncode == 0
    plain = {"LSB_EFFECTIVE_RSRCREQ": "select[type == any]"}
    done = hooks("start", "/bin/sh", "-c", "env; exit 3", **plain)
    assert done.returncode == 3
    assert "QRMI_PLUGIN_ERROR" not in done.stdout
    assert hooks("post").returncode == 0


def test_daemon_away(hooks: Run, site: Site, commands: Commands) -> None:
    """A QPU job goes back to the queue; one that has begun is told why it has no QPU."""
    site.stop(kill=True)
    assert hooks("pre").returncode == 1
    assert "daemon" in commands.calls("bpost")[0][1]
    done = hooks("start", "/usr/bin/env")
    assert "QRMI_PLUGIN_ERROR=the site's daemon" in done.stdout


def test_requeued_job(hooks: Run, site: Site) -> None:
    """The next run has a lease of its own, also when nobody ended the first."""
    assert hooks("pre").returncode == 0
    (first,) = site.leases()
    time.sleep(1.1)
    assert hooks("pre").returncode == 0
    (second,) = site.leases()
    assert first["key"] != second["key"]
    assert site.open_sessions()["emu"] == 1
    hooks("post")


def test_array(hooks: Run, site: Site) -> None:
    """A task of an array has an id of its own."""
    assert hooks("pre", LSB_JOBINDEX="3").returncode == 0
    assert site.leases()[0]["job"]["id"] == "17[3]"
    assert hooks("post").returncode == 0  # the job without an index is another
    assert site.open_sessions()["emu"] == 1
    hooks("post", LSB_JOBINDEX="3")


@pytest.mark.parametrize("number", ["", "17; rm -rf /", "../17", "-1"])
def test_number_that_is_none(hooks: Run, commands: Commands, number: str) -> None:
    """What LSF did not say is no argument of a command."""
    assert hooks("pre", LSB_JOBID=number).returncode == 1
    assert commands.calls("bjobs") == []
    assert commands.calls("bpost") == []


def test_starter_keeps_exit_codes(hooks: Run) -> None:
    """The job's own code, its signal, and a shell's codes for what cannot be started."""
    number = fresh()
    assert hooks("start", "exit 5", LSB_JOBID=number).returncode == 5
    killed = hooks("start", "/bin/sh", "-c", "kill -9 $$", LSB_JOBID=number)
    assert killed.returncode == -9
    assert hooks("start", "/no/such", "program", LSB_JOBID=number).returncode == 127


def test_elim(hooks: Run, site: Site) -> None:
    """Slots of each QPU that can be lent, and the number of such QPUs; an away one has none."""
    assert hooks("elim", "--once").stdout == "3 qpu_emu 1 qpu_fresnel_2 1 qpu_any 2\n"
    site.caller.ask("POST", "/v1/resources/emu/drain", {"reason": "laser", "until": None})
    try:
        assert hooks("elim", "--once").stdout == "3 qpu_emu 0 qpu_fresnel_2 1 qpu_any 1\n"
    finally:
        site.caller.ask("POST", "/v1/resources/emu/resume", {})


def test_esub(hooks: Run, tmp_path: Path) -> None:
    """`bsub -a "qrmi(a+b)"` becomes a resource requirement; an unknown name stops bsub."""
    given, changed = tmp_path / "given", tmp_path / "changed"
    given.write_text('LSB_SUB_QUEUE="normal"\nLSB_SUB_RES_REQ="select[mem>1] rusage[mem=10]"\n')
    files = {
        "LSB_SUB_PARM_FILE": str(given),
        "LSB_SUB_MODIFY_FILE": str(changed),
        "LSB_SUB_ABORT_VALUE": "97",
    }
    assert hooks("esub", "emu+fresnel.2+auto", **files).returncode == 0
    assert changed.read_text() == (
        'LSB_SUB_RES_REQ="select[mem>1] rusage[qpu_emu=1,qpu_fresnel_2=1,qpu_any=1,mem=10]"\n'
    )
    done = hooks("esub", "nosuch", **files)
    assert done.returncode == 97
    assert "emu, fresnel.2" in done.stderr


# --- pure parts -------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(["emu", "fresnel.2", "x-1"]), st.integers(1, 9), min_size=1))
def test_usage_is_read_as_it_is_written(slots: dict[str, int]) -> None:
    """What esub writes, PRE_EXEC reads, whatever else is in the requirement."""
    usage = ",".join(f"{lsf.mangled(name)}={count}" for name, count in slots.items())
    text = lsf.merged("select[mem>1] rusage[mem=5] span[hosts=1]", usage)
    asked = {"effective_resreq": text, "runtimelimit": ""}
    want = lsf.want_of(asked, ["emu", "fresnel.2", "x-1", "other"])
    assert want == {"names": list(slots), "slots": slots, "any": 0, "limit_seconds": None}


@given(st.text(max_size=200))
def test_any_requirement_is_read(text: str) -> None:
    """Junk asks for nothing, or for something; it is no error."""
    want: dict[str, Any] = lsf.want_of({"effective_resreq": text, "runtimelimit": text}, [])
    assert want["any"] >= 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 23 00:12", "2026-11-23 00:12:00"),
        ("Nov 23 00:12:31", "2026-11-23 00:12:31"),
        ("Dec 31 23:59", "2025-12-31 23:59:00"),
        ("Nov 23 00:12 2024", "2024-11-23 00:12:00"),
    ],
)
def test_time_of_submission(text: str, expected: str) -> None:
    """LSF shows the year only where it is told to; December seen in January was last year's."""
    now = time.mktime(time.strptime("2026-11-24", "%Y-%m-%d"))
    found = lsf._epoch(text, now)
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found)) == expected
    assert lsf._epoch("soon", now) == 0


def test_check_says_what_is_missing(
    site: Site, commands: Commands, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """With everything in place nothing is missing; without a queue's lines, those are."""
    monkeypatch.setenv("PATH", commands.path)
    commands.add("lsinfo", "qpu_emu Numeric N\nqpu_fresnel_2 Numeric N\nqpu_any Numeric N\n")
    commands.add("bhosts", "qpu_emu 1.0\nqpu_fresnel_2 1.0\n")
    queue = "PRE_EXEC: /e/qrmi-lsf pre\nPOST_EXEC: /e/qrmi-lsf post\n"
    queue += "JOB_STARTER: /e/qrmi-lsf start\n"
    commands.add("bqueues", queue)
    assert main(["lsf", "check", "--config", str(site.toml)]) == 0
    commands.add("bqueues", "QUEUE: normal\n")
    assert main(["lsf", "check", "--config", str(site.toml)]) == 1
    assert "no queue starts it" in capsys.readouterr().out
