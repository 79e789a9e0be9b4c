"""A site around a `SlurmLab`: `qrmid` as a process, the hook, and vendors' servers that count."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from cluster_site import NAMES, REPOSITORY, SLOTS, ClusterSite
from lab import SlurmLab, User, free_ports, python_of, until

from qrmi.schedulers.hook import hook_text

__all__ = ["NAMES", "SlurmSite"]

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


class SlurmSite(ClusterSite):
    """Everything that one cluster with QPUs consists of.

    Attributes:
        lab: the Slurm, whose hook speaks to this site's daemon.
    """

    def __init__(self, **options: str) -> None:
        self.lab = SlurmLab(
            licenses={**{f"qpu_{name}": SLOTS[name] for name in NAMES}, "qpu": 7},
            gres={"emu": 1, "fresnel": 1},
            options=options,
        )
        super().__init__(self.lab.folder / "qrmid")
        self.lab.hook = self.lab.folder / "hooks" / "qrmi-hook"
        self.listen = f"127.0.0.1:{free_ports(1)[0]}"
        self._is_twice = False  # whether a node knew the id of the job at hand already

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

    def leases(self) -> dict[str, dict[str, Any]]:
        """What the daemon says that is held, by job id."""
        return self.rows()

    def held(self, job: str) -> list[str]:
        """The resources that a job holds."""
        row = self.leases().get(job)
        return [] if row is None else [grant["resource"] for grant in row["grants"]]

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
        return f"env {around} {shlex.join(python_of(user))} -c {shlex.quote(program)}"

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
        self._is_twice = False
        job = self.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", licenses)
        until(lambda: self._is_over(job), seconds=60, told=lambda: str(self.lab.fields(job)))
        assert self.lab.state(job) == "COMPLETED", self.lab.output(job)
        assert sorted(self.lab.output(job).strip().split(",")) == sorted(NAMES)
        self.until_free()

    def _is_over(self, job: str) -> bool:
        # a controller that forgot a job gives its id away: the node refuses it, drains itself, and
        # Slurm holds the job until an administrator lets it go
        self._is_twice |= self.lab.forgive("Duplicate jobid")
        if self._is_twice and self.lab.fields(job).get("Reason") == "launch_failed_requeued_held":
            self.lab.run("scontrol", "release", job, check=False)
        return self.lab.state(job) in ("COMPLETED", "FAILED", "CANCELLED")
