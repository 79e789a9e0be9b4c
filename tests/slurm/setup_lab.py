"""A Slurm that is set up by following, to the letter, what `qrmi slurm setup` says."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lab import SlurmLab, until
from processes import REPOSITORY

from qrmi.cli.app import run
from qrmi.site.slurm.commands import SlurmCommands

__all__ = ["Daemon", "SetUpLab", "called"]


def called(*argv: str) -> tuple[int, str]:
    """The exit code and the output of a command line, without a process of its own."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(argv)
    return code, out.getvalue()


class SetUpLab(SlurmLab):
    """A lab whose hooks, licenses and filters come from a setup and from nowhere else.

    Args:
        slots: the site's resources by name, and how many slots each has.
        nodes: as ``--nodes``.
        hooked: whether hooks are called; without them Slurm counts, and nobody confirms.
        entries: of qrmi_config.json, where they are not simply embedded simulators.
        options: further lines of slurm.conf.
    """

    def __init__(
        self,
        slots: Mapping[str, int],
        *,
        nodes: str = "",
        hooked: bool = False,
        entries: Sequence[Mapping[str, Any]] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(options=options)
        self.slots = dict(slots)
        self.nodes = nodes
        self.hooked = hooked
        self.entries = entries
        self.etc = self.folder / "etc"
        self.settings = self.folder / "qrmid.toml"
        self.socket = self.folder / "sock" / "qrmid.sock"
        self.more = ""  # lines of qrmid.toml
        self.steps: list[str] = []

    def write_configuration(self) -> None:
        """The plain cluster's files, then the setup's."""
        super().write_configuration()
        self.socket.parent.mkdir(exist_ok=True)
        self.socket.parent.chmod(0o755)
        self.write_site()
        self.set_up()
        if not self.hooked:
            text = (self.etc / "qrmi.conf").read_text()
            kept = [line for line in text.splitlines() if not re.match(r"\w*Prolog|Epilog", line)]
            (self.etc / "qrmi.conf").write_text("\n".join(kept) + "\n")

    def write_site(self) -> None:
        """The site's qrmi_config.json and qrmid.toml."""
        entries = self.entries or [
            {"name": name, "type": "local", "environment": {}, "slots": count}
            for name, count in self.slots.items()
        ]
        config = self.folder / "qrmi_config.json"
        config.write_text(json.dumps({"resources": entries}))
        config.chmod(0o600)
        self.settings.write_text(
            f'config = "qrmi_config.json"\nstate = "site"\nsocket = "{self.socket}"\n'
            f'munge_socket = "{self.munge_socket}"\ncluster = "{self.cluster}"\n'
            "poll_seconds = 0.3\nreap_seconds = 1\n"
            f'{self.more}[slurm]\nenabled = true\nconf = "{self.conf}"\n'
        )

    def set_up(self, *more: str) -> dict[str, Any]:
        """Run the setup, and do by hand what it says is left to do."""
        nodes = ["--nodes", self.nodes] if self.nodes else []
        line = ["slurm", "setup", "--config", str(self.settings), "--write", str(self.etc)]
        code, text = called(*line, *nodes, *more, "--json")
        assert code == 0, text
        said: dict[str, Any] = json.loads(text)
        self.steps = said["steps"]
        for step in self.steps:
            self._follow(step)
        return said

    def _follow(self, step: str) -> None:
        if match := re.match(r"at the end of (\S+):\n    (.+)", step):
            path = Path(match[1])
            path.write_text(path.read_text() + match[2] + "\n")
        elif match := re.match(r"remove these lines from (\S+);.*?:\n(.*)", step, re.DOTALL):
            path, gone = Path(match[1]), {line.strip() for line in match[2].splitlines()}
            lines = [line for line in path.read_text().splitlines() if line not in gone]
            path.write_text("\n".join(lines) + "\n")
        elif match := re.match(r"on the line NodeName=(\S+) of (\S+):\n    (Gres=\S+)", step):
            path = Path(match[2])
            lines = path.read_text().splitlines()
            changed = [
                f"{line} {match[3]}" if line.startswith(f"NodeName={match[1]} ") else line
                for line in lines
            ]
            path.write_text("\n".join(changed) + "\n")

    @property
    def commands(self) -> SlurmCommands:
        """Slurm's commands, as the site's daemon runs them."""
        return SlurmCommands(conf=str(self.conf))

    def reason(self, job: str) -> str:
        """Why a job waits, as squeue shows it."""
        return self.run("squeue", "-h", "-o", "%r", "-j", job, check=False).stdout.strip()

    def refusal(self, *options: str, script: str = "true", **more: Any) -> str:
        """What sbatch says when it refuses a job."""
        done = self.run(
            "sbatch",
            "--output=%j.out",
            *options,
            stdin=f"#!/bin/sh\n{script}\n",
            check=False,
            **more,
        )
        assert done.returncode != 0, done.stdout
        return done.stderr


class Daemon:
    """`qrmid` beside a lab."""

    def __init__(self, lab: SetUpLab) -> None:
        self.lab = lab
        self.log = lab.folder / "log" / "qrmid.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qrmi", "site", "serve", "--config", str(lab.settings)],
                cwd=REPOSITORY,
                env={**os.environ, "QRMI_STATE_DIR": str(lab.folder / "tasks")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lab.socket.exists, told=self.log.read_text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
