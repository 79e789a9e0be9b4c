"""Servers for planted failures; each test has a state folder and an environment of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planting import Planting, Servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Every vendor's server, started when it is first asked for."""
    made = Servers()
    yield made
    made.stop()


@pytest.fixture
def planting(
    servers: Servers, tmp_path: Path, private_state: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Planting]:
    """What plants failures, and takes them back."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with Planting(servers, tmp_path, monkeypatch) as made:
        yield made
