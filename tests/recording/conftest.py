"""Programs in processes of their own, recorded and replayed; vendors on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from qrmi_sandbox import make_server

Done = subprocess.CompletedProcess[str]


@attrs.frozen
class Bench:
    """A folder with a state folder of its own, from which ``qrmi`` and programs are run."""

    folder: Path
    file: Path

    def qrmi(self, *arguments: object, stdin: str | None = None, **environment: str) -> Done:
        """The command line; what it printed is in the answer."""
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "qrmi", *map(str, arguments)],
            capture_output=True,
            text=True,
            input=stdin,
            env=self.environment(**environment),
            cwd=self.folder,
            timeout=100,
            check=False,
        )

    def environment(self, **more: str) -> dict[str, str]:
        """Of this process, with a state folder for this bench."""
        return {**os.environ, "QRMI_STATE_DIR": str(self.folder / "state"), **more}

    def program(self, text: str) -> list[str]:
        """The command that runs a program, which is written to a file."""
        path = self.folder / f"program{len(list(self.folder.glob('program*')))}.py"
        path.write_text(text, encoding="utf-8")
        return [sys.executable, "-W", "ignore", str(path)]

    def record(self, command: list[str], **environment: str) -> Done:
        """Run a command with the recording on."""
        return self.qrmi("record", self.file, "--", *command, **environment)

    def replay(self, command: list[str], **environment: str) -> Done:
        """Run a command on the recording."""
        return self.qrmi("replay", self.file, "--", *command, **environment)

    def entries(self) -> list[dict[str, Any]]:
        """The lines of the recording."""
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path, tmp_path / "run.jsonl")
    from qrmi_local.service import client

    client.shutdown(tmp_path / "state")


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Callable[[str], tuple[Any, dict[str, str]]]]:
    """Starts a vendor's server; gives it and the environment with a configuration for it."""
    servers = []

    def start(resource_type: str) -> tuple[Any, dict[str, str]]:
        server = make_server(resource_type)
        server.start()
        servers.append(server)
        entry = server.resource(None)
        config = tmp_path / f"{resource_type}.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"resources": [entry], "default": entry["name"]}))
        return server, {"QRMI_CONFIG": str(config)}

    yield start
    for server in servers:
        server.stop()
