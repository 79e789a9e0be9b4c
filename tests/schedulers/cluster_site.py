"""A site around a real scheduler: `qrmid` as a process, and vendors' servers that count."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from processes import REPOSITORY, end

from qrmi.schedulers.speaking import Away, Daemon, Lost
from qrmi_sandbox import make_server

__all__ = ["NAMES", "REPOSITORY", "SLOTS", "ClusterSite", "marked"]

NAMES = ("emu", "many", "fresnel", "test_heron")
"""Two embedded simulators (one of four slots), a QPU behind Warden, one of a compute service."""

SLOTS = {"emu": 1, "many": 4, "fresnel": 1, "test_heron": 1}
"""How many slots each has."""


def marked(
    items: list[pytest.Item], folder: Path, fixtures: set[str], mark: str, missing: str
) -> None:
    """Mark the tests of a folder that use a cluster, and skip them where there can be none.

    Args:
        items: what was collected.
        folder: whose tests are meant.
        fixtures: those that start the cluster.
        mark: the scheduler's.
        missing: why there can be none; empty when there can.
    """
    for item in items:
        if folder in item.path.parents and fixtures & set(getattr(item, "fixturenames", ())):
            item.add_marker(mark)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


class ClusterSite:
    """What a site consists of, whichever scheduler it has.

    Args:
        folder: for the daemon's files.

    Attributes:
        warden: the server of ``fresnel``; ``compute`` that of ``test_heron``.
        process: the daemon; ``daemon`` speaks to it.
        settings: its ``qrmid.toml``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "run" / "sock"
        self.settings = folder / "qrmid.toml"
        self.warden: Any = make_server("pasqal-local")
        self.compute: Any = make_server("ibm-quantum-compute-service")
        self.process: subprocess.Popen[bytes] | None = None
        self.daemon = Daemon(socket=str(self.socket))

    def configuration(self) -> dict[str, Any]:
        """The site's ``qrmi_config.json``."""
        emulators = [
            {"name": name, "type": "local", "slots": SLOTS[name], "environment": {}}
            for name in ("emu", "many")
        ]
        fresnel = {"name": "fresnel", "type": "pasqal-local", "environment": self.warden_settings()}
        return {"resources": [*emulators, fresnel, self.compute.resource("test_heron")]}

    def warden_settings(self) -> dict[str, str]:
        """Warden's address, without anything of a job."""
        return {"QRMI_WARDEN_URL": self.warden.url, **self.warden.munge.settings()}

    def environment(self) -> dict[str, str]:
        """Of the site's own programs."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return {**kept, "QRMI_STATE_DIR": str(self.folder / "tasks"), "COLUMNS": "200"}

    # --- the daemon -----------------------------------------------------------------------------

    def start_daemon(self) -> None:
        """Start `qrmid`; it answers when this returns."""
        with (self.folder / "log").open("ab") as log:
            self.process = process = subprocess.Popen(
                [sys.executable, "-m", "qrmi", "site", "serve", "--config", self.settings],
                cwd=REPOSITORY,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        latest = time.monotonic() + 60
        while not self.answers():
            is_alive = process.poll() is None and time.monotonic() < latest
            assert is_alive, f"qrmid does not run: {self.log()}"
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether the daemon does."""
        with contextlib.suppress(Away, Lost):
            self.daemon.ask("GET", "/v1/leases")
            return True
        return False

    def stop_daemon(self) -> None:
        """Stop it as systemd would."""
        if self.process is not None:
            end(self.process, seconds=10)

    def kill_daemon(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause_daemon(self) -> None:
        """Let it hang: whoever asks waits."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def paused_daemon(self) -> Iterator[Callable[[], None]]:
        """The daemon hangs until the end, or until what this gives is called."""
        assert self.process is not None
        go_on = partial(self.process.send_signal, signal.SIGCONT)
        self.pause_daemon()
        try:
            yield go_on
        finally:
            go_on()

    def log(self) -> str:
        """What the daemon wrote."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def rows(self) -> dict[str, dict[str, Any]]:
        """What the daemon says is held, by job."""
        return {row["job"]["id"]: row for row in self.daemon.ask("GET", "/v1/leases")}

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
        return any(before[1] > after[0] for before, after in pairwise(spans))

    def until_free(self, seconds: float = 30.0) -> None:
        """Wait for the end of all leases, and of all sessions at the vendors."""
        latest = time.monotonic() + seconds
        while self.rows() or self.sessions():
            told = f"{self.rows()} {self.sessions()} {self.log()}"
            assert time.monotonic() < latest, f"not within {seconds:g} s: nothing is held: {told}"
            time.sleep(0.05)
