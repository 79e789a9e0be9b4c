"""Slurm's commands: which there are, what they need, and what they print."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import attrs

from qrmi.errors import QrmiError
from qrmi.site.running import Controller

__all__ = ["SlurmCommands", "program_path", "records"]

_FOLDERS = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/usr/local/sbin:/opt/slurm/bin"
_KEY = re.compile(r"(?:^|(?<= ))([A-Za-z][\w/:]*)=")


_SLURMCTLD = Controller(
    name="slurmctld",
    silent=(
        "unable to contact slurm controller",
        "connection refused",
        "socket timed out",
        "zero bytes were transmitted",
        "in standby mode",
        "protocol authentication error",
    ),
    alive="`scontrol ping`",
    install="install Slurm's commands here, or name the path as `{command}` of [slurm]",
)


@attrs.frozen(kw_only=True)
class SlurmCommands:
    """Runs Slurm's commands.

    Attributes:
        scontrol, squeue, sacctmgr: by path, or by a name that is looked for in the usual folders.
        conf: slurm.conf; empty for the commands' own default.
        timeout_seconds: how long an answer is waited for.
    """

    scontrol: str = "scontrol"
    squeue: str = "squeue"
    sacctmgr: str = "sacctmgr"
    conf: str = ""
    timeout_seconds: float = 15.0

    def run(self, command: str, *arguments: str) -> str:
        """Run ``scontrol``, ``squeue`` or ``sacctmgr`` and return what it wrote; times are epochs.

        Raises:
            CommandRefusedError: it answered with an error.
            ResourceUnavailableError: it did not answer in time, or the controller is not there.
            ConfigError: there is no such command.
        """
        return _SLURMCTLD.output(
            command,
            [program_path(getattr(self, command), command), *arguments],
            environment=self._environment(),
            seconds=self.timeout_seconds,
        )

    def version(self) -> tuple[int, int] | None:
        """Year and month of the commands' version; ``None`` when they do not say."""
        try:
            match = re.search(r"(\d+)\.(\d+)", self.run("scontrol", "--version"))
        except QrmiError:
            return None
        return (int(match[1]), int(match[2])) if match else None

    def _environment(self) -> dict[str, str]:
        conf = {"SLURM_CONF": self.conf} if self.conf else {}
        return {"PATH": _FOLDERS, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s", **conf}


def program_path(program: str, command: str) -> str:
    """The absolute path of a command of Slurm's.

    Args:
        program: its path, or its name in one of the usual folders.
        command: what it is called in settings.

    Raises:
        ConfigError: there is no such command.
    """
    found = program if program.startswith("/") else shutil.which(program, path=_FOLDERS)
    if not found:
        raise _SLURMCTLD.missing(command, program)
    return found


def records(text: str) -> Iterator[dict[str, str]]:
    """What ``scontrol -o show …`` writes: one record a line, by key. A value may have blanks.

    Where a key stands twice the first one counts: what users may write comes after a job's id.
    """
    for line in text.splitlines():
        parts = _KEY.split(line)
        record: dict[str, str] = {}
        for key, value in zip(parts[1::2], parts[2::2], strict=True):
            record.setdefault(key, value.strip())
        if record:
            yield record
