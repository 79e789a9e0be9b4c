"""A vendor that takes one circuit a task, installed as any third party's distribution is."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from qrmi import QuantumResource, plugins

if importlib.util.find_spec("cudaq") is None:  # a CPU-only CUDA-Q is in README's test command
    collect_ignore = ["test_cudaq.py"]

SITE = Path(__file__).parent / "site"


@pytest.fixture(autouse=True)
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The vendor's distribution is on the path; what is cached of plug-ins is read anew."""
    caches = (plugins._entries, plugins._installed_class, plugins.codec)
    monkeypatch.syspath_prepend(str(SITE))
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@attrs.frozen
class Service:
    """The folder that is the vendor's service, and the configuration that leads there."""

    folder: Path
    config: Path

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks, in the order of their starts."""
        number = len(list(self.folder.glob("task-*.json")))
        return [json.loads((self.folder / f"task-{n}.json").read_text()) for n in range(number)]

    def script(self, *statuses: str) -> None:
        """What tasks that are started from now on report, look by look."""
        (self.folder / "script").write_text(" ".join(statuses))

    def refuse(self, number: int) -> None:
        """Refuse the start of that number, counted from zero."""
        (self.folder / "refuse").write_text(str(number))

    def change(self, number: int, **fields: Any) -> None:
        """Change one task."""
        path = self.folder / f"task-{number}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_state: Path) -> Service:
    """An empty service, named ``one`` in the configuration file."""
    folder = tmp_path / "service"
    folder.mkdir()
    config = tmp_path / "qrmi_config.json"
    entry = {
        "name": "one",
        "type": "one-circuit",
        "environment": {"ONE_CIRCUIT_FOLDER": str(folder)},
    }
    config.write_text(json.dumps({"resources": [entry]}))
    monkeypatch.setenv("QRMI_CONFIG", str(config))
    return Service(folder, config)


@pytest.fixture
def one(service: Service) -> QuantumResource:
    """A handle on the vendor's resource."""
    return QuantumResource("one", "one-circuit")


@pytest.fixture
def elsewhere(service: Service) -> Callable[..., str]:
    """Runs a program, or the command line, in another process; gives what it prints."""

    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(SITE)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
