"""Every start runs once, whatever happens on the way: counted in the servers of all vendors.

500 starts a vendor; ``QRMI_TEST_STARTS=20000`` for more, ``QRMI_TEST_SEED`` for others, and ``-s``
for the tables that docs/reliability.md has::

    QRMI_TEST_STARTS=20000 python -m pytest tests/exactly_once/test_exactly_once.py -s
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import VENDORS
from tables import by_mishap, by_vendor
from trial import Report, trial

from qrmi_sandbox.mishaps import KINDS

_STARTS = int(os.environ.get("QRMI_TEST_STARTS", "500"))
_SEED = int(os.environ.get("QRMI_TEST_SEED", "4"))
_TWICE = {"twice", "twice_first"}


@pytest.fixture(scope="module")
def reports() -> Iterator[list[Report]]:
    """All trials, whose tables are printed at the end."""
    made: list[Report] = []
    yield made
    print("\n" + by_vendor(made) + "\n\n" + by_mishap(made))


@pytest.mark.timeout(120 + _STARTS // 2)
@pytest.mark.parametrize("row", VENDORS)
def test_every_start_runs_once(row: str, reports: list[Report], private_state: Path) -> None:
    """At most one run for each key, one for each id that was returned, with its result.

    What returned no id was not run, or it ended in `TaskStartUncertainError`, which only vendors
    may that leave no other way.
    """
    report = trial(row, _STARTS, _SEED)
    reports.append(report)
    wrong = report.wrong()
    assert not wrong, f"{len(wrong)} of {_STARTS} starts:\n" + "\n".join(wrong[:20])
    happened = {kind for kind, times in report.counted["requests"].items() if times}
    wanted = set(KINDS) - (set() if VENDORS[row].refuses else _TWICE)
    assert happened >= wanted, "the trial has no teeth"
    assert report.outcomes()["started"] > _STARTS / 2
