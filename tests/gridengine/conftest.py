"""One real Grid Engine with a site around it for each process that runs these tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "schedulers")]

from cluster_site import marked  # noqa: E402 (found on the path above)
from ge_lab import is_possible  # noqa: E402
from ge_site import GESite  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts Grid Engine needs it installed, and root."""
    missing = "" if is_possible() else "needs root and Grid Engine's packages"
    marked(items, HERE, {"ge_site", "site"}, "gridengine", missing)


@pytest.fixture(scope="session")
def ge_site() -> Iterator[GESite]:
    """The cluster."""
    site = GESite()
    try:
        yield site.start()
    finally:
        site.stop()


@pytest.fixture
def site(ge_site: GESite) -> Iterator[GESite]:
    """The cluster; after the test nothing is held anywhere, and the next job runs."""
    yield ge_site
    ge_site.settle()
