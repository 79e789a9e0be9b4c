"""A site around a `SlurmLab`: `qrmid` as a process, the hook, and vendors' servers that count."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab import REPOSITORY, SlurmLab, User, free_ports, until, user_python

from qrmi.schedulers.hook import hook_text
from qrmi.schedulers.speaking import Away, Daemon, Lost
from qrmi_sandbox import make_server

__all__ = ["NAMES", "SlurmSite"]

NAMES = ("emu", "many", "fresnel", "test_heron")
"""Two embedded simulators (one of four slots), a QPU behind Warden, one of a compute service."""

_SLOTS = {"emu": 1, "many": 4, "fresnel": 1, "test_heron": 1}
_SETTINGS = """
config = "qrmi_config.json"
state = "state"
socket = "{socket}"
cluster = "{cluster}"
listen = "{listen}"
munge_socket = "{munge}"
public_url = "http://{listen}"
poll_seconds = 0.5
reap_seconds = 1
[slurm]
enabled = true
conf = "{conf}"
scontrol = "/usr/bin/scontrol"
squeue = "/usr/bin/squeue"
"""


class SlurmSite:
    """Everything that one cluster with QPUs consists of.

    Attributes:
        lab: the Slurm, whose hook speaks to this site's daemon.
        warden: the server of ``fresnel``; ``compute`` that of ``test_heron``.
        process: the daemon.
    """

    def __init__(self, **options: str) -> None:
        self.lab = SlurmLab(
            licenses={**{f"qpu_{name}": _SLOTS[name] for name in NAMES}, "qpu": 7},
            gres={"emu": 1, "fresnel": 1},
            options=options,
        )
        self.folder = self.lab.folder / "qrmid"
        self.socket = self.folder / "run" / "sock"
        self.settings = self.folder / "qrmid.toml"
        self.lab.hook = self.lab.folder / "hooks" / "qrmi-hook"
        self.listen = f"127.0.0.1:{free_ports(1)[0]}"
        self.warden: Any = make_server("pasqal-local")
        self.compute: Any = make_server("ibm-quantum-compute-service")
        self.process: subprocess.Popen[bytes] | None = None
        self.daemon = Daemon(socket=str(self.socket))

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> SlurmSite:
        """Start servers, daemon and Slurm."""
        self.warden.start()
        self.compute.start()
        for folder in (self.folder, self.folder / "run", self.lab.hook.parent):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        self._write(self.folder / "qrmi_config.json", json.dumps(self.configuration()), 0o600)
        self._write(self.settings, _SETTINGS.format(
            socket=self.socket, cluster=self.lab.cluster, conf=self.lab.conf,
            listen=self.listen, munge=self.lab.munge_socket,
        ), 0o600)  # fmt: skip
        self.write_hook()
        self.start_daemon()
        self.lab.start()
        return self

    def stop(self) -> None:
        """Stop all of it."""
        self.lab.stop()
        if self.process is not None:
            self.kill_daemon()  # it has nothing more to do, and needs no time to find that out
        self.compute.stop()
        self.warden.stop()
        self.lab.remove()  # the daemon wrote there to the end

    def configuration(self) -> dict[str, Any]:
        """The site's ``qrmi_config.json``."""
        fresnel = {"name": "fresnel", "type": "pasqal-local", "environment": self.warden_settings()}
        emulators = [
            {"name": name, "type": "local", "slots": _SLOTS[name], "environment": {}}
            for name in ("emu", "many")
        ]
        return {"resources": [*emulators, fresnel, self.compute.resource("test_heron")]}

    def warden_settings(self) -> dict[str, str]:
        """Warden's address, without anything of a job."""
        return {"QRMI_WARDEN_URL": self.warden.url, **self.warden.munge.settings()}

    def write_hook(self, **settings: Any) -> None:
        """Write the hook's program, with other settings than usual."""
        usual = {
            "socket": str(self.socket),
            "scontrol": "/usr/bin/scontrol",
            "conf": str(self.lab.conf),
            "wait_seconds": 4,
            "away_seconds": 4,
        }
        text = hook_text("qrmi.schedulers.slurm.hook", {**usual, **settings})
        self._write(self.lab.hook, text, 0o755)

    def _write(self, path: Path, text: str, mode: int) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.chmod(mode)
        fresh.rename(path)  # a program that runs is not written to

    @property
    def repository(self) -> Path:
        """Where this library is."""
        return REPOSITORY

    # --- the daemon -----------------------------------------------------------------------------

    def start_daemon(self) -> None:
        """Start `qrmid`; it answers when this returns."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        around = {**kept, "QRMI_STATE_DIR": str(self.folder / "tasks")}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qrmi", "site", "serve", "--config", self.settings],
                cwd=REPOSITORY,
                env=around,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self.answers, seconds=20, told=self.log)

    def answers(self) -> bool:
        """Whether the daemon does."""
        with contextlib.suppress(Away, Lost):
            self.daemon.ask("GET", "/v1/leases")
            return True
        return False

    def stop_daemon(self) -> None:
        """Stop it as systemd would."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill_daemon()

    def kill_daemon(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """What the daemon wrote."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def leases(self) -> dict[str, dict[str, Any]]:
        """What the daemon says that is held, by job id."""
        return {row["job"]["id"]: row for row in self.daemon.ask("GET", "/v1/leases")}

    def held(self, job: str) -> list[str]:
        """The resources that a job holds."""
        row = self.leases().get(job)
        return [] if row is None else [grant["resource"] for grant in row["grants"]]

    def until_free(self, seconds: float = 30.0) -> None:
        """Wait for the end of all leases, and of all sessions at the vendors."""

        def told() -> str:
            return f"{self.leases()} {self.sessions()} {self.log()}"

        until(lambda: not self.leases() and not self.sessions(), seconds=seconds, told=told)

    # --- the vendors ----------------------------------------------------------------------------

    def sessions(self) -> list[str]:
        """Sessions that are open at a vendor's server."""
        with self.compute.lock:
            ours = [s.id for s in self.compute.sessions.values() if s.state != "closed"]
        return [*ours, *self.warden.held_sessions()]

    def owners_overlap(self) -> bool:
        """Whether two sessions of the QPU behind Warden were ever open together."""
        with self.warden.lock:
            spans = sorted((s.created_at, s.revoked_at or "9") for s in self.warden.sessions)
        return any(before[1] > after[0] for before, after in itertools.pairwise(spans))

    # --- jobs -----------------------------------------------------------------------------------

    @property
    def user(self) -> User:
        """Somebody who submits jobs."""
        return self.lab.users[0]

    @property
    def other(self) -> User:
        """Somebody else."""
        return self.lab.users[1]

    def python(self, user: User, program: str) -> str:
        """A line of a job's script that runs a program with this library."""
        state = self.lab.folder / "jobs" / f"state-{user.name}"
        around = f"QRMI_STATE_DIR={state} XDG_CONFIG_HOME={state} HOME={state}"
        return f"env {around} {shlex.join(user_python(user))} -c {shlex.quote(program)}"

    def submit(self, script: str, *options: str, **more: Any) -> str:
        """Submit a batch job, as the first user where nobody is named."""
        more.setdefault("user", self.user)
        return self.lab.submit(script, *options, **more)

    def settle(self) -> None:
        """What holds after every test: queue empty, nothing held, nodes up, the next job runs."""
        if self.process is None or self.process.poll() is not None:
            self.start_daemon()
        self.warden.faults.clear()
        for name in ("slurmctld", "n1", "n2"):
            if not self.lab.is_up(name):
                self.lab.start_daemon(name)
        self.lab.cancel_all()
        until(lambda: not self.lab.queue(), seconds=90, told=lambda: str(self.lab.queue()))
        self.until_free()
        assert not self.owners_overlap()
        self.lab.forgive("Duplicate jobid")
        self.lab.until_idle()
        licenses = ",".join(f"qpu_{name}" for name in NAMES)
        job = self.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", licenses)
        until(lambda: self._is_over(job), seconds=60, told=lambda: str(self.lab.fields(job)))
        assert self.lab.state(job) == "COMPLETED", self.lab.output(job)
        assert sorted(self.lab.output(job).strip().split(",")) == sorted(NAMES)
        self.until_free()

    def _is_over(self, job: str) -> bool:
        self.lab.forgive("Duplicate jobid")  # a controller that forgot a job gives its id away
        return self.lab.state(job) in ("COMPLETED", "FAILED", "CANCELLED")
