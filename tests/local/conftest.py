"""Drivers whose processes are real and run `probes/qrmi_probe.py` in place of a simulator."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qrmi.payloads import AnalogJob, PulserBatch, QiskitPrimitive
from qrmi_local.device import DeviceKind
from qrmi_local.driver import LocalDriver
from qrmi_local.settings import LocalSettings

PROBES = Path(__file__).parent / "probes"


@pytest.fixture
def make_driver(private_state: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LocalDriver]:
    """Makes drivers on a state folder of this test alone; arguments are settings."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROBES), *_path()]))
    functions = dict.fromkeys(DeviceKind, "qrmi_probe:run")
    return lambda **settings: LocalDriver("local", LocalSettings(**settings), functions=functions)


@pytest.fixture
def driver(make_driver: Callable[..., LocalDriver]) -> LocalDriver:
    """A driver with default settings."""
    return make_driver()


@pytest.fixture
def program() -> Callable[..., QiskitPrimitive]:
    """Makes a gate payload that takes the given steps."""
    return lambda *steps: QiskitPrimitive(
        json.dumps({"pubs": [["circuit"]], "probe": steps}), "sampler"
    )


@pytest.fixture
def job() -> Callable[..., AnalogJob]:
    """Makes a job of a batch that takes the given steps."""
    return lambda *steps: AnalogJob(runs=1, variables={"steps": list(steps)})


@pytest.fixture
def batch() -> Callable[..., PulserBatch]:
    """Makes a batch of the given jobs."""
    return lambda *jobs: PulserBatch(sequence="{}", jobs=jobs)


@pytest.fixture
def told() -> Callable[[LocalDriver, Any], dict[str, Any]]:
    """What a task's executor was told, from its result."""
    return lambda driver, task: json.loads(driver.task_result(task).value)["told"]


def _path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
