"""Planting failures for real: in servers, files, the environment and processes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from qrmi import QuantumResource
from qrmi.errors import QrmiError
from qrmi.testing.programs import tiny_program
from qrmi_sandbox import make_server
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.server import Server

if TYPE_CHECKING:
    import pytest

__all__ = ["HASTY", "Planting", "Servers", "raised_in_a_child"]

PATIENT = {"QRMI_HTTP_BUDGET_SECONDS": "8", "QRMI_START_SETTLE_SECONDS": "0.3"}
HASTY = {
    "QRMI_HTTP_CONNECT_TIMEOUT_SECONDS": "1",
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": "0.3",
    "QRMI_HTTP_BUDGET_SECONDS": "0.4",
    "QRMI_START_SETTLE_SECONDS": "0.2",
}


class Servers:
    """One server of each type, shared by the tests of a session."""

    def __init__(self) -> None:
        self._running: dict[str, Server] = {}

    def get(self, type_name: str) -> Server:
        """The server of a resource type, which listens."""
        if type_name not in self._running:
            self._running[type_name] = make_server(type_name).start()
        return self._running[type_name]

    def stop(self) -> None:
        """Stop all."""
        for server in self._running.values():
            server.stop()


class Planting:
    """Plants failures for one test and takes them back at its end.

    Attributes:
        folder: an empty folder.
        environment: changes the environment until the test's end.
    """

    def __init__(self, servers: Servers, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._servers = servers
        self._stack = contextlib.ExitStack()
        self.folder = folder
        self.environment = patch
        self.given: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def server(self, type_name: str) -> Server:
        """The server of a resource type; faults planted in it end with the test."""
        server = self._servers.get(type_name)
        self._stack.callback(server.faults.clear)
        self.given = server.ids_given
        return server

    def change(self, type_name: str, **values: Any) -> Server:
        """Set attributes of a server until the test's end."""
        server = self.server(type_name)
        for name, value in values.items():
            self._stack.callback(setattr, server, name, getattr(server, name))
            setattr(server, name, value)
        return server

    def fault(self, type_name: str, **fault: Any) -> None:
        """Let matching requests fail until the test's end."""
        self.server(type_name).faults.add(Fault(**{"times": None, **fault}))

    def settings(self, type_name: str, name: str | None = None) -> dict[str, Any]:
        """A server's entry for a configuration file."""
        return self.server(type_name).resource(name)

    def resource(
        self, type_name: str, name: str | None = None, *, hasty: bool = False, **changes: str | None
    ) -> QuantumResource:
        """A handle on a server's resource; a setting that is ``None`` is left out."""
        entry = self.settings(type_name, name)
        chosen = {**entry["environment"], **(HASTY if hasty else PATIENT), **changes}
        given = {key: value for key, value in chosen.items() if value is not None}
        made = QuantumResource.from_config(name or entry["name"], entry["type"], given)
        self._stack.callback(_closed, made)
        return made

    def started(self, type_name: str, **changes: str | None) -> tuple[QuantumResource, str]:
        """A handle and a task that was started through it."""
        resource = self.resource(type_name, **changes)
        return resource, resource.task_start(tiny_program(resource))

    def file(self, name: str, content: str | dict[str, Any]) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def listener(self, serve: Callable[[socket.socket], None]) -> int:
        """The port of something that serves each connection in its own way."""
        listening = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listening.settimeout(10.0)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        return int(listening.getsockname()[1])

    @contextlib.contextmanager
    def closed_port(self) -> Iterator[int]:
        """A port on which nobody listens."""
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            yield holder.getsockname()[1]


def _closed(resource: QuantumResource) -> None:
    with contextlib.suppress(QrmiError):
        resource.close()


def raised_in_a_child(program: str, **environment: str) -> QrmiError:
    """The error that a program, run in a process of its own, ends in; it must end in one.

    The error comes back pickled.
    """
    import pickle

    code = (
        "import sys, pickle\n"
        "from qrmi.errors import QrmiError\n"
        "try:\n" + "".join(f"    {line}\n" for line in program.splitlines()) + "except QrmiError as"
        " error:\n    sys.stdout.buffer.write(pickle.dumps(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr.decode()[-2000:]
    error = pickle.loads(done.stdout)
    assert isinstance(error, QrmiError)
    raise error
