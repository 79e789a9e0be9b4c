"""A resource type of a made-up vendor, installed as any third party would install it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qrmi import plugins
from qrmi.cli.main import main
from qrmi_local.service import client

_PLUGIN = '''
import json, time, attrs
from pathlib import Path
from qrmi.driver import Capabilities, Driver
from qrmi.errors import *
from qrmi.settings import Secret, Settings, setting
from qrmi.tasks import *

@attrs.frozen(kw_only=True)
class PaperSettings(Settings):
    folder: str = setting("PAPER_FOLDER", help="where tasks are kept")
    ends: str = setting("PAPER_ENDS", default="completed", help="how tasks end")
    looks: int = setting("PAPER_LOOKS", default=0, convert=int, help="looks before the end")
    token: Secret | None = setting("PAPER_TOKEN", default=None, convert=Secret, help="a secret")

class PaperDriver(Driver):
    """Tasks are files; each look at one brings it nearer to its end."""
    PAYLOADS = frozenset({
        "qiskit-primitive", "pulser-sequence", "alice-bob-felis", "iqm-server", "oqtopus"})
    CAPABILITIES = Capabilities(logs=True, stop_running=True, min_poll_seconds=0.05)
    SETTINGS = PaperSettings
    def _file(self, task_id):
        return Path(self.settings.folder) / task_id
    def is_accessible(self):
        if self.settings.ends == "unreachable":
            raise ResourceUnavailableError("the paper is wet", resource_id=self.resource_id)
        return True
    def target(self):
        return Target(json.dumps({"configuration": {
            "backend_name": "paper", "n_qubits": 3, "basis_gates": ["x", "cz"],
            "coupling_map": [[0, 1]], "max_shots": 99}, "properties": None}))
    def task_start(self, payload, key):
        task_id = f"paper-{len(list(Path(self.settings.folder).iterdir())):03}"
        self._file(task_id).write_text("0")
        return TaskId(task_id)
    def task_status(self, task_id):
        if not self._file(task_id).is_file():
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id)
        looks = int(self._file(task_id).read_text())
        if looks < 0:
            return TaskStatus.CANCELLED
        if looks >= self.settings.looks:
            return TaskStatus[self.settings.ends.upper()]
        self._file(task_id).write_text(str(looks + 1))
        return TaskStatus.RUNNING if looks else TaskStatus.QUEUED
    def task_result(self, task_id):
        status = self.task_status(task_id)
        if status is TaskStatus.FAILED:
            raise TaskFailedError(f"task {task_id} failed: out of ink", task_id=task_id)
        if status is TaskStatus.CANCELLED:
            raise TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        if status is not TaskStatus.COMPLETED:
            raise TaskNotReadyError(f"task {task_id} is {status.name.lower()}", task_id=task_id)
        return TaskResult('{"counter": {"10": 75, "01": 25}}')
    def task_stop(self, task_id):
        if not self.task_status(task_id).is_final:
            self._file(task_id).write_text("-1")
        (Path(self.settings.folder).parent / "stopped").write_text(task_id)
        return True
    def task_logs(self, task_id):
        return "ink applied\\n"
'''


class Paper:
    """The made-up vendor: what is set for its resources, and a way to run commands."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.tasks = folder / "tasks"
        self.tasks.mkdir()
        self.config = folder / "qrmi_config.json"
        self.configure()
        self._capsys = capsys

    def configure(self, *entries: dict[str, object], **settings: str) -> None:
        """Write the configuration: one resource ``paper`` with ``settings``, and ``entries``."""
        paper = {
            "name": "paper",
            "type": "paper",
            "environment": {"PAPER_FOLDER": str(self.tasks), **settings},
        }
        self.config.write_text(json.dumps({"resources": [paper, *entries]}))
        self.config.chmod(0o600)

    def run(self, *argv: str) -> tuple[int, str, str]:
        """Run a command in this process: exit code, stdout, stderr."""
        self._capsys.readouterr()
        code = main(argv)
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def json(self, *argv: str) -> object:
        """Run a command with ``--json``; all of stdout is one JSON value."""
        _, out, _ = self.run(*argv, "--json")
        return json.loads(out)

    def sequence(self) -> Path:
        """A program file that the resource takes: a pulse sequence."""
        file = self.folder / "sequence.json"
        file.write_text(json.dumps({"register": [], "channels": {}, "operations": []}))
        return file

    def process(self, module: str, *argv: str, **kwargs: object) -> subprocess.Popen[str]:
        """Run a command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(self.folder), *_path()))},
            **kwargs,  # type: ignore[call-overload]
        )


def _path() -> list[str]:
    return [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []


@pytest.fixture
def paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Paper]:
    """The vendor installed, one resource of its configured, and an empty journal."""
    dist = tmp_path / "paper_vendor-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: paper-vendor\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[qrmi.drivers]\npaper = paper_vendor:PaperDriver\n")
    (tmp_path / "paper_vendor.py").write_text(_PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("QRMI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("QRMI_CONFIG", str(tmp_path / "qrmi_config.json"))
    forget = _forget_plugins()
    forget()
    yield Paper(tmp_path, capsys)
    sys.modules.pop("paper_vendor", None)
    forget()
    client.shutdown(tmp_path / "state")


def _forget_plugins() -> Callable[[], None]:
    caches = [
        value
        for value in vars(plugins).values()
        if getattr(value, "__module__", "") == plugins.__name__ and hasattr(value, "cache_clear")
    ]

    def forget() -> None:
        for cached in caches:
            cached.cache_clear()

    return forget
