"""A site: a real `qrmid` process that lends two Wardens, and commands that record their calls."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs

from qrmi.schedulers.calling import Site as Caller
from qrmi_sandbox.munge import Munge
from qrmi_sandbox.warden import WardenServer

_READY_SECONDS = 30.0


class Shared:
    """Credentials that outlive a server."""

    def __init__(self, munge: Munge) -> None:
        self.settings = munge.settings
        self.user_of = munge.user_of

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        """It runs on."""


_numbers = itertools.count(1000)


def fresh() -> str:
    """An id that no other job has: what has ended once is never lent to again."""
    return str(next(_numbers))


@attrs.define
class Site:
    """A running site.

    Attributes:
        folder: its files; users can reach it.
        wardens: the vendors' servers by resource.
        ask: speaks to the daemon as its administrator.
        process: the daemon.
    """

    folder: Path
    wardens: dict[str, WardenServer]
    process: subprocess.Popen[bytes] | None = None

    @property
    def toml(self) -> Path:
        """The daemon's settings."""
        return self.folder / "qrmid.toml"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "sock"

    @property
    def caller(self) -> Caller:
        """Its administrator."""
        return Caller({"cluster": "lab", "socket": str(self.socket)})

    def start(self) -> None:
        """Start the daemon; it answers when this returns."""
        log = (self.folder / "log").open("ab")
        command = [sys.executable, "-m", "qrmi", "site", "serve", "--config", str(self.toml)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        until = time.monotonic() + _READY_SECONDS
        while not self._answers():
            told = (self.folder / "log").read_text()
            assert self.process.poll() is None, told
            assert time.monotonic() < until, told
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            rows = self.caller.ask("GET", "/v1/resources")
        except Exception:
            return False
        return bool(all(row["state"] == "online" for row in rows))

    def stop(self, *, kill: bool = False) -> None:
        """Stop the daemon, or kill it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    def leases(self) -> list[dict[str, Any]]:
        """What is held."""
        found: list[dict[str, Any]] = self.caller.ask("GET", "/v1/leases")
        return found

    def open_sessions(self) -> dict[str, int]:
        """How many sessions are open at each vendor's server."""
        return {name: len(server.held_sessions()) for name, server in self.wardens.items()}

    def occupy(self, name: str) -> dict[str, Any]:
        """Have a job of another scheduler hold a resource; returns the job."""
        other = {"scheduler": "slurm", "cluster": "lab", "id": fresh(), "submitted": 1, "uid": 0}
        answer = self.caller.ask("POST", "/v1/leases", {"job": other, "want": {"names": [name]}})
        assert answer["outcome"] == "granted", answer
        return other

    def end(self, job: dict[str, Any]) -> None:
        """End a job's lease."""
        self.caller.ask("POST", "/v1/leases/end", {"job": job, "why": "a test"})


class Commands:
    """A folder of fake commands: each prints what it is told to, and records how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder / "calls"

    def add(self, name: str, prints: str = "", code: int = 0) -> None:
        """Make a command, or give one of them another answer."""
        (self.folder / f"{name}.out").write_text(prints)
        script = self.folder / name
        script.write_text(
            "#!/bin/sh\n"
            f'{{ printf "%s" {name}; for word; do printf "\\t%s" "$word"; done; echo; }} '
            f">> {self.calls_file}\n"
            f"env > {self.folder}/{name}.env\n"
            f"cat {self.folder}/{name}.out\nexit {code}\n"
        )
        script.chmod(0o755)

    def calls(self, name: str) -> list[list[str]]:
        """The words of each call of a command."""
        if not self.calls_file.exists():
            return []
        lines = [line.split("\t") for line in self.calls_file.read_text().splitlines()]
        return [words[1:] for words in lines if words[0] == name]

    def environment_of(self, name: str) -> dict[str, str]:
        """What a command's last call found in its environment."""
        lines = (self.folder / f"{name}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def path(self) -> str:
        """A search path on which they come first."""
        return f"{self.folder}:{os.environ['PATH']}"
