"""The hook as a program, against a daemon and an `scontrol` that are told what to say."""

from __future__ import annotations

import ast
import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qrmi.schedulers.hook import hook_text
from qrmi.schedulers.speaking import Away, Daemon, Lost, Refusal

AROUND = {
    "SLURM_JOB_ID": "17",
    "SLURM_CLUSTER_NAME": "lab",
    "SLURM_JOB_UID": "5",
    "SLURM_JOB_USER": "games",
    "SLURM_JOB_ACCOUNT": "physics",
    "SLURM_JOB_NAME": "ghz",
    "SLURM_JOB_RESTART_COUNT": "2",
}
RECORD = (
    "JobId=17 JobName=ghz UserId=games(5) Requeue=1 Restarts=2 BatchFlag=1 TimeLimit=00:10:00 "
    "SubmitTime=1795393130 BatchHost=n1 JOB_GRES=(null) Licenses=qpu_emu:1 Network=(null)\n"
)
GRANTED = {"outcome": "granted", "grants": [{"resource": "emu", "type": "local", "slots": 1}]}
Answer = Callable[[str, str, Any], "tuple[int, Any] | None"]


class FakeDaemon:
    """Answers as it is told, on a UNIX socket, and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s"
        self.asked: list[tuple[str, str, Any]] = []
        self.answer: Answer = lambda *_: (200, GRANTED)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self.path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        while len(body) < length:
            body += connection.recv(65536)
        method, path = head.decode().split()[:2]
        self.asked.append((method, path, json.loads(body) if body else None))
        told = self.answer(*self.asked[-1])
        if told is not None:
            text = told[1] if isinstance(told[1], bytes) else json.dumps(told[1]).encode()
            start = f"HTTP/1.1 {told[0]} X\r\nContent-Length: {len(text)}\r\n\r\n"
            connection.sendall(start.encode() + text)

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # it may be stopped already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Hook:
    """The program, with its own daemon and `scontrol`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemon = FakeDaemon(folder)
        self.record = folder / "record"
        self.record.write_text(RECORD)
        self.calls = folder / "calls"
        self.calls.touch()
        self.scontrol = folder / "scontrol"
        self.scontrol.write_text(
            f'#!/bin/sh\necho "$@" >> {self.calls}\nenv > {folder}/around\n'
            f"case $* in *show*) cat {self.record};; esac\n"
        )
        self.scontrol.chmod(0o755)
        self.program = folder / "hook"
        self.write()

    def write(self, **settings: Any) -> None:
        usual = {"socket": str(self.daemon.path), "scontrol": str(self.scontrol)}
        usual |= {"conf": "/lab/slurm.conf", "wait_seconds": 1, "away_seconds": 0.2}
        self.program.write_text(hook_text("qrmi.schedulers.slurm.hook", {**usual, **settings}))
        self.program.chmod(0o755)

    def __call__(self, context: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program],
            env={**AROUND, "SLURM_SCRIPT_CONTEXT": context, **more},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Hook]:
    made = Hook(tmp_path)
    yield made
    made.daemon.stop()


def test_the_job_begins(hook: Hook) -> None:
    """The request names this run of the job, and what Slurm says that it wants."""
    assert hook("prolog_slurmctld").returncode == 0
    method, path, body = hook.daemon.asked[0]
    assert (method, path) == ("POST", "/v1/leases")
    assert body == {
        "job": {
            "scheduler": "slurm",
            "cluster": "lab",
            "id": "17",
            "restart": 2,
            "submitted": 1795393130,
            "uid": 5,
            "user": "games",
            "account": "physics",
            "host": "n1",
            "name": "ghz",
        },
        "want": {
            "names": ["emu"],
            "slots": {"emu": 1},
            "any": 0,
            "filters": "",
            "limit_seconds": 600.0,
        },
        "wait_seconds": 0.0,
    }


def test_scontrol_gets_a_clean_environment(hook: Hook) -> None:
    """Nothing of the hook's environment reaches the command, and Slurm's file is the site's."""
    hook("prolog_slurmctld", SLURM_CONF="/evil", LD_PRELOAD="/evil.so", SLURM_TIME_FORMAT="x")
    around = (hook.folder / "around").read_text()
    assert "/evil" not in around
    assert "SLURM_CONF=/lab/slurm.conf" in around
    assert "SLURM_TIME_FORMAT=%s" in around


def test_a_job_without_a_qpu_asks_nobody(hook: Hook) -> None:
    """One look at Slurm is all that such a job costs."""
    hook.record.write_text(RECORD.replace("qpu_emu:1", "(null)"))
    assert hook("prolog_slurmctld").returncode == 0
    assert hook.daemon.asked == []


def test_where_licenses_are_the_only_way(hook: Hook) -> None:
    """The controller's word on licenses is enough: no other program runs for jobs without."""
    hook.write(licenses_only=True)
    for context in ("prolog_slurmctld", "epilog_slurmctld"):
        assert hook(context, SLURM_JOB_LICENSES="matlab:1").returncode == 0
        assert hook(context).returncode == 0
    assert hook.calls.read_text() == ""
    assert hook.daemon.asked == []
    assert hook("prolog_slurmctld", SLURM_JOB_LICENSES="matlab,qpu_emu:1").returncode == 0
    assert len(hook.daemon.asked) == 1


@pytest.mark.parametrize(
    ("outcome", "status"), [("granted", 0), ("refused", 0), ("later", 1), ("ended", 1)]
)
def test_exit_codes_at_the_begin(hook: Hook, outcome: str, status: int) -> None:
    """0 starts the job, 1 puts it back; a refusal is left for the first task to tell."""
    hook.daemon.answer = lambda *_: (200, {"outcome": outcome, "reason": "x"})
    assert hook("prolog_slurmctld").returncode == status


@pytest.mark.parametrize("change", [("BatchFlag=1", "BatchFlag=0"), ("Requeue=1", "Requeue=0")])
def test_what_cannot_be_put_back_waits(hook: Hook, change: tuple[str, str]) -> None:
    """The daemon is asked to go on trying for the site's time; then the reason is passed on."""
    hook.record.write_text(RECORD.replace(*change))
    hook.daemon.answer = lambda *_: (200, {"outcome": "later", "reason": "emu is held"})
    assert hook("prolog_slurmctld").returncode == 1
    assert hook.daemon.asked[0][2]["wait_seconds"] == 1.0
    assert "qrmi: emu is held" in hook.calls.read_text()


def test_a_daemon_that_is_away_at_the_begin(hook: Hook) -> None:
    """It is asked again for a bounded time; then the job is put back."""
    hook.daemon.stop()
    begun = time.monotonic()
    assert hook("prolog_slurmctld").returncode == 1
    assert time.monotonic() - begun < 5


def test_an_answer_that_never_comes_is_given_back(hook: Hook) -> None:
    """What may have been granted without the hook hearing of it is ended before the job goes."""
    hook.daemon.answer = lambda _m, path, _b: None if path == "/v1/leases" else (200, {})
    assert hook("prolog_slurmctld").returncode == 1
    assert hook.daemon.asked[-1][1] == "/v1/leases/end"
    assert hook.daemon.asked[-1][2]["job"]["submitted"] == 1795393130


def test_an_error_of_the_daemon_puts_the_job_back(hook: Hook) -> None:
    """The site's trouble is the job's only in time."""
    hook.daemon.answer = lambda *_: (403, {"error": {"message": "no admin", "hint": "be one"}})
    done = hook("prolog_slurmctld")
    assert done.returncode == 1
    assert "no admin" in done.stderr


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (503, {"error": {"message": "the disk is full", "hint": "tell the site"}}),
            "disk is full",
        ),
        (None, "did not answer"),
        ((200, b"<html>"), "is not the site's daemon"),
    ],
)
def test_a_job_that_is_put_back_for_the_sites_trouble_says_so(
    hook: Hook, answer: Any, reason: str
) -> None:
    """In its AdminComment, which the daemon takes back once it is well."""
    hook.daemon.answer = lambda *_: answer
    assert hook("prolog_slurmctld").returncode == 1
    (line,) = (line for line in hook.calls.read_text().splitlines() if "AdminComment" in line)
    assert line.startswith("update JobId=17 AdminComment=qrmi: ")
    assert reason in line


def test_a_busy_qpu_is_not_worth_a_word(hook: Hook) -> None:
    """Slurm says by itself that it waits for licenses."""
    hook.daemon.answer = lambda *_: (200, {"outcome": "later", "reason": "it is busy"})
    assert hook("prolog_slurmctld").returncode == 1
    assert "AdminComment" not in hook.calls.read_text()


def test_a_site_without_scontrol_still_starts_jobs(hook: Hook) -> None:
    """A broken installation must not stop the jobs that want no QPU."""
    hook.write(scontrol="/nonexistent/scontrol")
    done = hook("prolog_slurmctld")
    assert done.returncode == 0
    assert "scontrol" in done.stderr


def test_the_job_ends(hook: Hook) -> None:
    """The end names the run, of whatever submission, and needs no look at Slurm."""
    assert hook("epilog_slurmctld", SLURM_JOB_RESTART_COUNT="0").returncode == 0
    _, path, body = hook.daemon.asked[0]
    assert path == "/v1/leases/end"
    assert (body["job"]["id"], body["job"]["restart"], body["job"]["submitted"]) == ("17", 0, None)
    assert hook.calls.read_text() == ""


def test_a_job_that_was_put_back_ends(hook: Hook) -> None:
    """Slurm counts the restart first: runs that hold something end, one to come is not fenced."""
    runs = [("17", 1), ("17", 2), ("17", 3), ("18", 0)]
    rows = [
        {"job": {"scheduler": "slurm", "cluster": "lab", "id": job, "restart": n, "submitted": 5}}
        for job, n in runs
    ]
    hook.daemon.answer = lambda method, *_: (200, rows if method == "GET" else {})
    assert hook("epilog_slurmctld").returncode == 0
    ended = [body["job"] for method, _, body in hook.daemon.asked if method == "POST"]
    assert [(run["id"], run["restart"]) for run in ended] == [("17", 1), ("17", 2)]


@pytest.mark.parametrize("trouble", ["away", "silent", "error"])
def test_no_trouble_at_the_end_is_the_jobs(hook: Hook, trouble: str) -> None:
    """The daemon finds out by itself: the node is not kept waiting."""
    if trouble == "away":
        hook.daemon.stop()
    else:
        hook.daemon.answer = lambda *_: None if trouble == "silent" else (500, {"error": {}})
    begun = time.monotonic()
    assert hook("epilog_slurmctld").returncode == 0
    assert time.monotonic() - begun < 5


def test_a_task_gets_its_environment(hook: Hook) -> None:
    """Each variable is a line for Slurm; a value that is no line is left out."""
    values = {"QRMI_JOB_ID": "17", "emu_X": "a b,c='d'", "BAD": "1\nexport EVIL=1"}
    told = {"outcome": "granted", "environment": values}
    hook.daemon.answer = lambda *_: (200, told)
    done = hook("prolog_task")
    assert done.returncode == 0
    assert done.stdout == "export QRMI_JOB_ID=17\nexport emu_X=a b,c='d'\n"
    expected = {"scheduler": "slurm", "cluster": "lab", "id": "17"}
    assert hook.daemon.asked == [("POST", "/v1/environment", expected)]


def test_a_task_of_a_refused_job_says_why(hook: Hook) -> None:
    """The reason and what to do are in the user's own output, and this job alone fails."""
    told = {"outcome": "refused", "reason": "there is no QPU x", "hint": "there\nis: emu"}
    hook.daemon.answer = lambda *_: (200, told)
    done = hook("prolog_task")
    assert done.returncode == 1
    assert done.stdout == "print qrmi: there is no QPU x; there is: emu\n"


@pytest.mark.parametrize("trouble", ["away", "silent", "error", "refused"])
def test_no_trouble_touches_jobs_without_a_qpu(hook: Hook, trouble: str) -> None:
    """Whatever is wrong with the daemon, or was said of an older job with that id, they run."""
    hook.record.write_text(RECORD.replace("qpu_emu:1", "(null)"))
    answers = {"silent": None, "error": (500, {}), "refused": (200, {"outcome": "refused"})}
    if trouble == "away":
        hook.daemon.stop()
    else:
        hook.daemon.answer = lambda *_: answers[trouble]
    done = hook("prolog_task")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("trouble", ["away", "silent"])
def test_a_job_with_a_qpu_does_not_run_without(hook: Hook, trouble: str) -> None:
    """A job that wants one and cannot be told of it fails, and says so."""
    if trouble == "away":
        hook.daemon.stop()
    hook.daemon.answer = lambda *_: None
    done = hook("prolog_task")
    assert done.returncode == 1
    assert done.stdout.startswith("print qrmi: the site's daemon")


def test_what_another_job_left_is_unset(hook: Hook) -> None:
    """Variables of the job that submitted this one go; the user's own stay."""
    hook.daemon.answer = lambda *_: (200, {"outcome": "none"})
    left = {"QRMI_JOB_ID": "9", "SLURM_JOB_QPU_TYPES": "x", "emu_QRMI_JOB_ACQUISITION_TOKEN": "t"}
    done = hook("prolog_task", **left, QRMI_CONFIG="mine")
    assert sorted(done.stdout.splitlines()) == sorted(f"unset {name}" for name in left)


def test_a_users_own_variables_stay(hook: Hook) -> None:
    """Outside of a job with a QPU, what the user set is the user's."""
    hook.daemon.answer = lambda *_: (200, {"outcome": "none"})
    done = hook("prolog_task", QRMI_JOB_QPU_RESOURCES="mine")
    assert done.stdout == ""


@pytest.mark.parametrize("around", [{"SLURM_JOB_ID": ""}, {"SLURM_JOB_ID": "1;rm"}, {}])
def test_a_context_that_is_none_of_ours(hook: Hook, around: dict[str, str]) -> None:
    """Started in any other way, it does nothing and harms nobody."""
    context = "prolog_slurmctld" if around else "epilog_task"
    assert hook(context, **around).returncode == 0
    assert hook.daemon.asked == []


def test_the_environment_is_no_configuration(hook: Hook, tmp_path: Path) -> None:
    """No variable redirects the hook, or has it run other code."""
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("sitecustomize", "usercustomize", "json", "socket"):
        (evil / f"{name}.py").write_text(f"open({str(evil / 'ran')!r}, 'w')")
    around = {
        "PYTHONPATH": str(evil),
        "PYTHONSTARTUP": str(evil / "json.py"),
        "PYTHONHOME": str(evil),
        "QRMI_SITE_SOCKET": str(evil / "s"),
        "QRMI_SITE_URL": "http://127.0.0.1:1",
        "QRMI_CONFIG": str(evil / "config.json"),
        "HOME": str(evil),
    }
    assert hook("prolog_slurmctld", **around).returncode == 0
    assert hook("prolog_task", **around).returncode == 0
    assert len(hook.daemon.asked) == 2
    assert not (evil / "ran").exists()


def test_the_program_runs_on_old_pythons(hook: Hook) -> None:
    """Nodes may have an older Python than the site's daemon."""
    text = hook.program.read_text()
    ast.parse(text, feature_version=(3, 8))
    assert not [line for line in text.splitlines() if "import" in line and "qrmi" in line]
    assert hook.program.read_text().startswith("#!/usr/bin/python3 -IS\n")


def test_an_scontrol_that_fails_once_is_asked_again(hook: Hook) -> None:
    """A busy controller costs the job nothing but a moment."""
    text = hook.scontrol.read_text()
    once = f"[ -e {hook.folder}/failed ] || {{ touch {hook.folder}/failed; exit 1; }}\n"
    hook.scontrol.write_text(text.replace("#!/bin/sh\n", "#!/bin/sh\n" + once))
    assert hook("prolog_slurmctld").returncode == 0
    assert len(hook.daemon.asked) == 1


def test_only_what_is_needed_is_compiled(hook: Hook) -> None:
    """Jobs without a QPU do not pay for the code of those with one."""
    now, later = hook.program.read_text().split("PARTS = {", 1)
    assert "def begin(" in later
    assert "def begin(" not in now
    for part in ("speaking", "libmunge", "slurm.end", "slurm.task", "slurm.jobs"):
        assert f"qrmi.schedulers.{part}': r" in later or f"qrmi.{part}': r" in later


@pytest.mark.parametrize("context", ["prolog_slurmctld", "epilog_slurmctld", "prolog_task"])
def test_what_takes_long_to_load_is_not_loaded(hook: Hook, context: str) -> None:
    """Every job of the site waits for it."""
    note = "import atexit\natexit.register(lambda: open(sys.argv[0] + '.loaded', 'w').write("
    note += "' '.join(sys.modules)))\n"
    text = hook.program.read_text()
    hook.program.write_text(text.replace("import sys\n", f"import sys\n{note}", 1))
    assert hook(context, SLURM_JOB_RESTART_COUNT="0").returncode == 0
    assert hook.daemon.asked
    loaded = (hook.folder / "hook.loaded").read_text().split()
    assert "sys" in loaded
    assert not {"re", "json", "socket", "subprocess", "typing"} & set(loaded)


def test_modules_that_do_not_fit_in_one_file_are_refused() -> None:
    """A program that would not run is not written."""
    with pytest.raises(ValueError, match="main"):
        hook_text("qrmi.schedulers.speaking", {})
    with pytest.raises(ValueError, match="absolute"):
        hook_text("qrmi.schedulers.slurm.hook", {}, python="python3")


def test_speaking_tells_its_troubles_apart(hook: Hook) -> None:
    """Nothing done, perhaps done, and refused are three things."""
    daemon = Daemon(socket=str(hook.daemon.path))
    hook.daemon.answer = lambda *_: (404, {"error": {"message": "no", "retryable": False}})
    with pytest.raises(Refusal, match="no") as caught:
        daemon.ask("GET", "/v1/leases")
    assert (caught.value.status, caught.value.told["retryable"]) == (404, False)
    hook.daemon.answer = lambda *_: (200, b"<html>")
    with pytest.raises(Lost):
        daemon.ask("GET", "/v1/leases")
    hook.daemon.answer = lambda *_: time.sleep(0.5)
    with pytest.raises(Lost):
        daemon.ask("GET", "/v1/leases", seconds=0.1)
    with pytest.raises(Away):
        Daemon(socket=str(hook.folder / "none")).ask("GET", "/v1/leases")
    with pytest.raises(Away):
        Daemon(url="http://127.0.0.1:1").ask("GET", "/v1/leases")
