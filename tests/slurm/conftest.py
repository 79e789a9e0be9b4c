"""One real Slurm with a site around it for each process that runs these tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "schedulers")]

from cluster_site import marked  # noqa: E402 (found on the path above)
from lab import is_installed  # noqa: E402
from slurm_site import SlurmSite  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts Slurm needs it installed."""
    missing = "" if is_installed() else "Slurm and MUNGE are not installed"
    marked(items, HERE, {"slurm_site", "site", "own", "hasty"}, "slurm", missing)


@pytest.fixture(scope="session")
def slurm_site() -> Iterator[SlurmSite]:
    """The cluster."""
    site = SlurmSite()
    try:
        yield site.start()
    finally:
        site.stop()


@pytest.fixture
def site(slurm_site: SlurmSite) -> Iterator[SlurmSite]:
    """The cluster; after the test nothing is held anywhere, and the next job runs."""
    yield slurm_site
    slurm_site.settle()
