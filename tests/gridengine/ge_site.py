"""A site around a `GELab`: `qrmid` as a process, what setup wrote, and servers that count."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster_site import NAMES, REPOSITORY, ClusterSite
from ge_lab import GELab, until
from processes import user_python

__all__ = ["NAMES", "OTHER", "USER", "GESite", "python_of_user"]

USER, OTHER = "games", "news"
"""Accounts that every system has, to submit jobs as."""

_SETTINGS = """
config = "qrmi_config.json"
state = "state"
socket = "{socket}"
poll_seconds = 0.5
reap_seconds = 1
lost_seconds = {lost}
{doors}
[gridengine]
enabled = true
root = "{root}"
qconf = "/usr/lib/gridengine/qconf"
qstat = "/usr/lib/gridengine/qstat"
environment = {environment}
"""


class GESite(ClusterSite):
    """Everything that one cluster with QPUs consists of.

    Args:
        lost_seconds: after how long an unheard host is lost.
        remote: the hooks reach the daemon over TCP, and prove themselves with MUNGE.

    Attributes:
        lab: the Grid Engine, set up by what ``qrmi gridengine setup --write`` wrote.
        hooks: the folder of the setup.
    """

    def __init__(self, lost_seconds: float = 5.0, *, remote: bool = False) -> None:
        self.lab = GELab()
        super().__init__(self.lab.folder / "qrmid")
        self.hooks = self.lab.folder / "hooks"
        self._lost = lost_seconds
        self._remote = remote

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> GESite:
        """Start Grid Engine, the servers and the daemon, and apply the setup."""
        self.lab.__enter__()
        self.warden.start()
        self.compute.start()
        for folder in (self.folder, self.folder / "run"):
            folder.mkdir()
            folder.chmod(0o755)
        self._private("qrmi_config.json", json.dumps(self.configuration()))
        names = ("SGE_QMASTER_PORT", "SGE_EXECD_PORT", "SGE_ARCH")
        pairs = ", ".join(f'{name} = "{self.lab.environment[name]}"' for name in names)
        settings = {"socket": self.socket, "root": self.lab.root, "lost": self._lost}
        settings["doors"] = self._doors() if self._remote else ""
        self._private("qrmid.toml", _SETTINGS.format(environment=f"{{{pairs}}}", **settings))
        self.start_daemon()
        self.qrmi("gridengine", "setup", "--write", str(self.hooks))
        self.apply()
        return self

    def _doors(self) -> str:
        """Settings with which hooks reach the daemon as from another host, over TCP."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            place = f"127.0.0.1:{probe.getsockname()[1]}"
        munge = self.warden.munge.socket
        return f'listen = "{place}"\npublic_url = "http://{place}"\nmunge_socket = "{munge}"'

    def apply(self, name: str = "apply.sh") -> str:
        """Run ``apply.sh`` or ``remove.sh`` of the setup; what it said."""
        command = [str(self.hooks / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stop(self) -> None:
        """Stop all of it."""
        self.stop_daemon()
        self.lab.stop()
        for server in (self.compute, self.warden):
            with contextlib.suppress(Exception):
                server.stop()

    def _private(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)

    def qrmi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the ``qrmi`` command about this site, as the site's staff."""
        config = ["--config", str(self.folder / "qrmid.toml")]
        done = subprocess.run(
            [sys.executable, "-m", "qrmi", *arguments, *config],
            cwd=REPOSITORY,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    @contextlib.contextmanager
    def hooked(self, which: str, before: str = ":", after: str = ":") -> Iterator[None]:
        """Have the queue start a program of a test's own around our prolog or epilog."""
        path = self.lab.folder / f"{which}-{time.time_ns()}"
        ours = f'{self.hooks}/{which} "$@"'
        path.write_text(f"#!/bin/sh\n{before}\n{ours}\ncode=$?\n{after}\nexit $code\n")
        path.chmod(0o755)
        try:
            self._set_hook(which, path)
            yield
        finally:
            self._set_hook(which, self.hooks / which)

    def _set_hook(self, which: str, path: Path) -> None:
        line = f"root@{path} $job_id $ja_task_id"
        self.lab.qconf("-mattr", "queue", which, line, "all.q")

    # --- the daemon -----------------------------------------------------------------------------

    def leases(self) -> dict[str, list[str]]:
        """What the daemon says is held: the resources by job and task."""
        return {job: [g["resource"] for g in row["grants"]] for job, row in self.rows().items()}

    def states(self) -> dict[str, str]:
        """How the resources stand."""
        return {row["name"]: row["state"] for row in self.daemon.ask("GET", "/v1/resources")}

    # --- jobs -----------------------------------------------------------------------------------

    def submit(self, script: str, *options: str, user: str | None = USER, **more: Any) -> str:
        """Submit a batch job."""
        return self.lab.submit(script, *options, user=user, **more)

    def python(self, program: str) -> str:
        """A line of a job's script that runs a program with this library."""
        state = f"{self.lab.folder}/jobs/state-$USER"
        around = f"QRMI_STATE_DIR={state} XDG_CONFIG_HOME={state} HOME={state}"
        command = shlex.join(python_of_user())
        return f"mkdir -p {state}; env {around} {command} -c {shlex.quote(program)}"

    def settle(self) -> None:
        """What holds after every test: nothing held, the queue healthy, and the next job runs."""
        if self.process is None or self.process.poll() is not None:
            self.start_daemon()
        self.lab.revive()
        self.lab.delete_all()
        self.until_free()
        assert not self.owners_overlap()
        until(lambda: not self.lab.queue_letters(), "the queue is healthy", 40)
        wanted = ",".join(f"qpu_{name}=1" for name in NAMES)
        job = self.submit("echo got $QRMI_JOB_QPU_RESOURCES", "-l", wanted)
        self.lab.wait_gone(job)
        told = self.lab.output(job)
        held = told.strip().removeprefix("got ").split(",")
        assert sorted(held) == sorted(NAMES), told + self.log()
        self.until_free()


def python_of_user() -> list[str]:
    """A command that runs Python with this library as a job's user."""
    return user_python(USER, user=USER, group="nogroup", extra_groups=[])
