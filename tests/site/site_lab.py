"""Daemons for tests: a real process, or the doors alone in this one."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from qrmi.site.client import SiteClient
from qrmi.site.doors.peers import Peers
from qrmi.site.doors.server import Server
from qrmi.site.parts import Parts
from qrmi.site.terms import Answer, Ended, Grant, Job, Outcome, Want

__all__ = [
    "Doors",
    "PlainLeases",
    "Qrmid",
    "as_user",
    "eventually",
    "free_port",
    "job",
    "raw_request",
]


def job(number: int = 7, *, uid: int = 0, **fields: Any) -> Job:
    """A Slurm job."""
    known = {"scheduler": "slurm", "cluster": "lab", "id": str(number), "submitted": 1_700_000_000}
    return Job(**{**known, "uid": uid, **fields})


def eventually(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def raw_request(
    path: Path, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request over a UNIX socket, byte for byte as given."""
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(20)
    connection.sock.connect(str(path))
    try:
        connection.request(method, target, body=body or None, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def as_user(uid: int, call: Callable[[], Any]) -> Any:
    """What a call gives in a child process of another user; a JSON value, or the error's fields."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            try:
                told = {"value": call()}
            except Exception as error:
                fields = ("message", "hint", "retryable")
                told = {"error": {name: getattr(error, name, None) for name in fields}}
                told["error"]["class"] = type(error).__name__
                told["error"]["owner"] = str(getattr(error, "owner", ""))
            os.write(writing, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return json.loads(text)


@attrs.define
class _Lease:
    job: Job
    grants: tuple[Grant, ...]
    since: float = 1.0
    limit_seconds: float | None = None
    state: str = "held"

    def as_json(self) -> dict[str, Any]:
        """As a lease shows itself."""
        return {
            "key": self.job.key,
            "job": self.job.as_json(),
            "state": self.state,
            "grants": [grant.as_json() for grant in self.grants],
            "since": self.since,
        }


class PlainLeases:
    """An engine in memory: one slot a name, and a vendor that answers when it is told to."""

    def __init__(self) -> None:
        self.held: dict[str, _Lease] = {}
        self.asked: list[str] = []
        self.ended: list[tuple[Job, str]] = []
        self.slow: dict[str, threading.Event] = {}
        self.slow_ends: dict[str, threading.Event] = {}
        self.error: Exception | None = None
        self.freed: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def acquire(self, job: Job, want: Want) -> Answer:
        """Lend; blocks while a wanted name is in `slow`."""
        self.asked.append(job.key)
        for name in want.names:
            if name in self.slow:
                self.slow[name].wait(30)
        if self.error is not None:
            raise self.error
        with self._lock:
            if job.key in self.held:
                return Answer(outcome=Outcome.GRANTED, grants=self.held[job.key].grants)
            taken = {grant.resource for lease in self.held.values() for grant in lease.grants}
            if taken & set(want.names):
                return Answer(outcome=Outcome.LATER, reason="another job holds it")
            grants = tuple(Grant(resource=name, type="local") for name in want.names)
            self.held[job.key] = _Lease(job, grants)
            return Answer(outcome=Outcome.GRANTED, grants=grants)

    def end(self, job: Job, why: str = "", *, patience_seconds: float | None = None) -> Ended:
        """Take back; a vendor in `slow_ends` is waited for, with patience."""
        lease = self.held.get(job.key)
        for name in [grant.resource for grant in lease.grants] if lease else ():
            if name in self.slow_ends:
                seconds = 5.0 if patience_seconds is None else patience_seconds
                self.slow_ends[name].wait(seconds)
        with self._lock:
            self.ended.append((job, why))
            lease = self.held.pop(job.key, None)
        self.freed()
        return Ended(released=[grant.resource for grant in lease.grants] if lease else ())

    def leases(self, place: str | None = None) -> list[_Lease]:
        """All, or those of one job."""
        with self._lock:
            held = list(self.held.values())
        return [each for each in held if place is None or each.job.run.startswith(f"{place}/")]


class Doors:
    """The server in a thread of this process."""

    def __init__(
        self,
        path: Path,
        *,
        leases: Any = None,
        admins: frozenset[int] | None = None,
        munge_socket: str = "",
        tcp: bool = False,
        **parts: Any,
    ) -> None:
        # Sockets have short names, and other users have to get to them.
        self._folder = tempfile.TemporaryDirectory(prefix="qd", dir="/tmp")
        Path(self._folder.name).chmod(0o755)
        self.path = Path(self._folder.name) / path.name
        self.leases = leases or PlainLeases()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = Server(
            Parts(leases=self.leases, **parts),
            Peers(admins or frozenset({0, os.getuid()}), munge_socket=munge_socket),
            socket_path=self.path,
            address=("127.0.0.1", 0) if tcp else None,
        )
        if isinstance(self.leases, PlainLeases):
            self.leases.freed = self._freed
        self._run(self.server.start())
        self._is_open = True

    def _freed(self) -> None:
        self._loop.call_soon_threadsafe(self.server.changed)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        """Close them."""
        if self._is_open:
            self._is_open = False
            self._run(self.server.stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()
            self._folder.cleanup()

    @property
    def url(self) -> str:
        """For other hosts."""
        return f"http://127.0.0.1:{self.server.tcp_port}"

    def client(self, **given: Any) -> SiteClient:
        """Over the socket."""
        return SiteClient(socket_path=self.path, **given)


class Qrmid:
    """`qrmi site serve` in a process of its own.

    Args:
        folder: for its files.
        resources: entries of its qrmi_config.json.
        settings: further keys of its qrmid.toml.
    """

    def __init__(
        self, folder: Path, *, resources: list[dict[str, Any]] | None = None, **settings: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._short = tempfile.TemporaryDirectory(prefix="qd", dir="/tmp")
        Path(self._short.name).chmod(0o755)
        self.socket = Path(self._short.name) / "s"
        self.config = folder / "qrmi_config.json"
        self.toml = folder / "qrmid.toml"
        self.log_file = folder / "log"
        self.write_config(resources or [{"name": "emu", "type": "local", "environment": {}}])
        known = {"config": str(self.config), "state": str(folder / "state")}
        known["socket"] = str(self.socket)
        values = {**known, "poll_seconds": 0.5, **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        self.toml.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def write_config(self, resources: list[dict[str, Any]]) -> None:
        """Change its qrmi_config.json."""
        self.config.touch(mode=0o600)
        self.config.write_text(json.dumps({"resources": resources}))

    def ledger(self) -> list[str]:
        """The lines of its ledger that are whole."""
        files = (self.folder / "state" / "ledger").glob("*")
        lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
        return [line for line in lines if line.endswith("\n")]

    def start(self, *, wait: bool = True, **environment: str) -> Qrmid:
        """Start it; it answers when this returns."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qrmi", "site", "serve", "--config", str(self.toml)],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            eventually(self.answers, 30)
        return self

    def answers(self) -> bool:
        """Whether it does."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return bool(self.client(answer_seconds=5).get("/health")["ok"])
        except Exception:
            return False

    def client(self, **given: Any) -> SiteClient:
        """Over its socket."""
        return SiteClient(socket_path=self.socket, **given)

    def log(self) -> str:
        """What it wrote."""
        return self.log_file.read_text()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, seconds: float = 10.0) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """``kill -9``, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
