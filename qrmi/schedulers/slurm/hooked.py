"""The job that Slurm's hook runs for, and Slurm's own word on it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["AWAY_HINT", "PAUSE_SECONDS", "HookedJob", "SlurmSilent", "log", "sentence"]

AWAY_HINT = "this is the site's to mend; submit the job again later"
"""What to do where the site's daemon is in trouble."""

PAUSE_SECONDS = 0.5
"""Between two attempts."""

_SILENT_SECONDS = 20.0
_AWAY_SECONDS = 10.0  # how long a daemon that is not there is waited for
_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


class SlurmSilent(Exception):  # noqa: N818 (a state of the controller)
    """Slurm's command failed."""


class HookedJob:
    """The job that a hook runs for."""

    def __init__(self, environment: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        self.environment = environment
        self.settings = settings
        self.id = environment.get("SLURM_JOB_ID", "")
        self.id = self.id if self.id.isdecimal() else ""
        self.cluster = str(settings.get("cluster") or environment.get("SLURM_CLUSTER_NAME", ""))
        self.away_seconds = float(settings.get("away_seconds", _AWAY_SECONDS))

    def named(self) -> dict[str, Any]:
        """What names the job, whichever of its runs."""
        return {"scheduler": "slurm", "cluster": self.cluster or "cluster", "id": self.id}

    def has_license(self) -> bool:
        """Whether the controller says that it has a license of a QPU."""
        return "qpu" in self.environment.get("SLURM_JOB_LICENSES", "")

    def run(self, fields: Mapping[str, str], submit: int | None) -> dict[str, Any]:
        """This run of the job, as `qrmi.site.terms.Job` reads it."""
        get = self.environment.get
        restart = get("SLURM_JOB_RESTART_COUNT", "") or fields.get("Restarts", "")
        uid = get("SLURM_JOB_UID", "")
        return {
            **self.named(),
            "restart": int(restart) if restart.isdecimal() else 0,
            "submitted": submit,
            "uid": int(uid) if uid.isdecimal() else -1,
            "user": get("SLURM_JOB_USER", ""),
            "account": _told(get("SLURM_JOB_ACCOUNT", "")) or fields.get("Account", ""),
            "host": fields.get("BatchHost", ""),
            "name": get("SLURM_JOB_NAME", "")[:1000],
        }

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Ask the site's daemon, as `qrmi.schedulers.speaking.Daemon.ask` does."""
        from qrmi.schedulers.speaking import asker

        return asker(self.settings)(method, path, body, **more)

    def record(self) -> str:
        """What Slurm says of the job; it is asked again for a while where it is silent.

        Raises:
            SlurmSilent: it stays so.
            OSError: its command cannot be run.
        """
        ends = time.monotonic() + _SILENT_SECONDS
        while True:
            try:
                return self.scontrol("-d", "-o", "show", "job", self.id)
            except SlurmSilent:
                if time.monotonic() > ends:
                    raise
            from qrmi.schedulers.speaking import pause

            pause(PAUSE_SECONDS)

    def scontrol(self, *arguments: str) -> str:
        """What the command prints.

        Raises:
            SlurmSilent: it failed.
            OSError: it cannot be run.
        """
        command = [str(self.settings.get("scontrol") or "/usr/bin/scontrol"), *arguments]
        around = {"PATH": _PATH, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}
        conf = str(self.settings.get("conf") or "")
        if conf:
            around["SLURM_CONF"] = conf
        return _output(command, around)


def _told(text: str) -> str:
    return "" if text == "(null)" else text


def sentence(told: Mapping[str, Any]) -> str:
    """Why not, and what to do, in one line."""
    reason = str(told.get("reason") or "this job has no QPU any more")
    hint = str(told.get("hint") or "")
    return " ".join((f"{reason}; {hint}" if hint else reason).split())


def log(text: str) -> None:
    """For the site: into the system's log, and where the scheduler keeps a hook's words."""
    import syslog

    syslog.openlog("qrmi-hook", 0, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, text)
    sys.stderr.write(f"qrmi-hook: {text}\n")


def _output(command: list[str], around: dict[str, str]) -> str:
    """What a command prints, without `subprocess`, whose import alone costs more than the rest."""
    reader, writer = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader)]
    try:
        pid = os.posix_spawn(command[0], command, around, file_actions=actions)
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read().decode("utf-8", "replace")
    status = os.waitpid(pid, 0)[1]
    if status:
        raise SlurmSilent(f"{command[0]} {command[1]} ended with status {status >> 8 or status}")
    return text
