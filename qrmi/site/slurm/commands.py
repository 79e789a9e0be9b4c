"""Slurm's commands as a daemon runs them: absolute paths, time-outs, a clean environment."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import attrs

from qrmi.errors import ConfigError, Owner, QrmiError, ResourceUnavailableError

__all__ = ["SlurmCommands", "SlurmRefusedError", "program_path", "records"]

_FOLDERS = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/usr/local/sbin:/opt/slurm/bin"
_LONGEST_TEXT = 300
_KEY = re.compile(r"(?:^|(?<= ))([A-Za-z][\w/:]*)=")


class SlurmRefusedError(ResourceUnavailableError):
    """A command answered that it did not do what it was asked to."""


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
            SlurmRefusedError: it answered with an error.
            ResourceUnavailableError: it did not answer in time, or the controller is not there.
            ConfigError: there is no such command.
        """
        line = [program_path(getattr(self, command), command), *arguments]
        try:
            done = subprocess.run(
                line,
                env=self._environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ResourceUnavailableError(
                f"{command} did not answer within {self.timeout_seconds:g} s",
                hint="`scontrol ping` says whether slurmctld is up",
            ) from None
        except OSError as error:
            raise _no_command(command, line[0]) from error
        if done.returncode == 0:
            return done.stdout.decode(errors="replace")
        raise _refusal(command, (done.stderr + done.stdout).decode(errors="replace"))

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


_SILENT = (
    "Unable to contact slurm controller",
    "Connection refused",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "in standby mode",
    "Protocol authentication error",
)


def _refusal(command: str, text: str) -> ResourceUnavailableError:
    line = " ".join(text.split())[:_LONGEST_TEXT]
    if any(word in text for word in _SILENT):
        return ResourceUnavailableError(
            f"slurmctld does not answer {command}",
            hint="`scontrol ping` says whether it is up; the daemon goes on asking",
        )
    return SlurmRefusedError(f"{command}: {line or 'it failed'}", owner=Owner.SITE, hint="")


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
        raise _no_command(command, program)
    return found


def _no_command(command: str, program: str) -> ConfigError:
    return ConfigError(
        f"there is no command {program}",
        owner=Owner.SITE,
        hint=f"install Slurm's commands here, or name the path as `{command}` of [slurm]",
    )


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
