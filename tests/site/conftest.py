"""A daemon's parts on loopback, with a munged of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qrmi_sandbox.munge import PrivateMunge

sys.path.insert(0, str(Path(__file__).parent))

from site_lab import Doors, Qrmid


@pytest.fixture(scope="session")
def site_munge() -> Iterator[PrivateMunge]:
    """A munged for all tests of this folder."""
    if not PrivateMunge.is_installed():
        pytest.skip("MUNGE is not installed: apt-get install munge")
    munge = PrivateMunge()
    munge.start()
    yield munge
    munge.stop()


@pytest.fixture
def qrmid(tmp_path: Path) -> Iterator[Callable[..., Qrmid]]:
    """Make daemons in real processes: ``qrmid(listen="127.0.0.1:0")``; they end with the test."""
    made: list[Qrmid] = []

    def make(folder: Path | None = None, **settings: object) -> Qrmid:
        made.append(Qrmid(folder or tmp_path / f"q{len(made)}", **settings))
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Callable[..., Doors]]:
    """Open doors in this process on parts of a test's own."""
    made: list[Doors] = []

    def make(**given: object) -> Doors:
        made.append(Doors(tmp_path / f"d{len(made)}.sock", **given))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.stop()
