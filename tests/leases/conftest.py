"""Services whose sessions are counted, and programs that hold them, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from qrmi_sandbox.compute_service import ComputeServiceServer
from qrmi_sandbox.server import Server
from qrmi_sandbox.warden import WardenServer

LIMIT = 30.0
QASM = """OPENQASM 3.0;
include "stdgates.inc";
bit[1] c;
qubit[1] q;
x q[0];
c[0] = measure q[0];
"""
_HEAD = f"""\
import json, os, signal, sys, threading, time
import qrmi
from qrmi import Payload

NAME = os.environ["TEST_RESOURCE"]

def say(text):
    print(text, flush=True)

def program():
    params = {{"pubs": [[{QASM!r}, None, 10]], "options": {{}}, "version": 2}}
    params["support_qiskit"] = True
    return Payload.QiskitPrimitive(json.dumps(params), "sampler")

resource = qrmi.open(NAME)
"""


@attrs.define
class Child:
    """A running program; ``say(text)`` of its script is what `line` gives."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """Its next line; a program that ended instead has its errors shown."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline().strip()
        if not text:
            _, errors = self.process.communicate(timeout=LIMIT)
            pytest.fail(f"the program ended early:\n{errors[-4000:]}")
        return text

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit status (negative: the signal that ended it) and stderr."""
        _, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, errors


@attrs.define
class Service:
    """A server, its entry in a configuration file, and a journal of its own."""

    server: Any
    name: str
    folder: Path
    children: list[Child] = attrs.field(factory=list)

    def environment(self, **changes: str) -> dict[str, str]:
        """What its programs run with."""
        return {
            **os.environ,
            "QRMI_CONFIG": str(self.folder / "qrmi_config.json"),
            "QRMI_STATE_DIR": str(self.folder / "state"),
            "TEST_RESOURCE": self.name,
            **changes,
        }

    def begin(self, script: str, *, head: str = _HEAD, **changes: str) -> Child:
        """Start a program."""
        process = subprocess.Popen(
            [sys.executable, "-c", head + textwrap.dedent(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(**changes),
        )
        self.children.append(Child(process))
        return self.children[-1]

    def run(self, script: str, **changes: str) -> tuple[int, str]:
        """Run a program to its end: exit status and stderr."""
        return self.begin(script, **changes).end()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``qrmi``."""
        return self.python("-m", "qrmi", *arguments)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python."""
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=self.environment(),
            check=False,
        )

    def leases(self) -> list[dict[str, Any]]:
        """What ``qrmi leases --json`` lists."""
        done = self.command("leases", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def held(self) -> list[str]:
        """The sessions that are open at the server."""
        if isinstance(self.server, WardenServer):
            return self.server.held_sessions()
        with self.server.lock:
            return [s.id for s in self.server.sessions.values() if s.accepts]

    def begun(self) -> int:
        """How many sessions were ever opened."""
        return len(self.server.sessions)

    def releases(self) -> int:
        """How many requests asked for the end of a session."""
        with self.server.lock:
            asked = [(r.method, r.path) for r in self.server.requests]
        return sum("sessions" in path and method in ("PATCH", "DELETE") for method, path in asked)

    def jobs(self) -> dict[str, str]:
        """The status of each job of the compute service."""
        with self.server.lock:
            return {job.id: job.status for job in self.server.jobs.values()}

    @staticmethod
    def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait for something that another process does."""
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, "it did not happen in time"
            time.sleep(0.01)


def _service(server: Server, entry: dict[str, Any], folder: Path) -> Service:
    path = folder / "qrmi_config.json"
    path.write_text(json.dumps({"resources": [entry]}))
    path.chmod(0o600)
    return Service(server, entry["name"], folder)


def _ended(service: Service) -> None:
    for child in service.children:
        if child.process.poll() is None:
            child.process.kill()
            child.process.wait(LIMIT)  # its pipes may be open for longer, in children of its own


@pytest.fixture
def ibm(tmp_path: Path) -> Iterator[Service]:
    """A compute service."""
    with ComputeServiceServer() as server:
        service = _service(server, server.resource(), tmp_path)
        yield service
        _ended(service)


@pytest.fixture
def warden(tmp_path: Path) -> Iterator[Service]:
    """A Warden, in a job whose prolog opened no session."""
    with WardenServer() as server:
        entry = {"name": "qpu", "type": "pasqal-local", "environment": server.settings()}
        service = _service(server, entry, tmp_path)
        yield service
        _ended(service)


@pytest.fixture(params=["ibm", "warden"])
def service(request: pytest.FixtureRequest) -> Service:
    """Each service with sessions in turn."""
    found: Service = request.getfixturevalue(request.param)
    return found
