"""Both schedulers' sites, each with its own real daemons."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    *(str(HERE.parent / each) for each in ("slurm", "gridengine", "schedulers")),
]

from ge_lab import is_possible  # noqa: E402 (found on the path above)
from ge_site import GESite  # noqa: E402
from lab import is_installed  # noqa: E402
from slurm_site import SlurmSite  # noqa: E402


@pytest.fixture
def slurm() -> Iterator[SlurmSite]:
    """A Slurm with QPUs."""
    if not is_installed():
        pytest.skip("Slurm and MUNGE are not installed")
    site = SlurmSite()
    try:
        yield site.start()
    finally:
        site.stop()


@pytest.fixture
def gridengine() -> Iterator[GESite]:
    """A Grid Engine with QPUs."""
    if not is_possible():
        pytest.skip("needs root and Grid Engine's packages")
    site = GESite()
    try:
        yield site.start()
    finally:
        site.stop()
