"""A process is killed with SIGKILL at every point of its life; what it started is found again.

The points are numbered: before, in the middle of and after each line of the journal and each claim;
and before, in the middle of and after each request, and before its answer is read. Every third of
the processes that recover is killed too. 20 points a vendor; all of them, and the table that
docs/reliability.md has, with::

    QRMI_TEST_KILLS=1000 python -m pytest tests/killed/test_sweep.py -s
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep import ROWS, Sweep, sweep
from tables_of_kills import by_vendor

_MOST = int(os.environ.get("QRMI_TEST_KILLS", "20"))
_SEED = int(os.environ.get("QRMI_TEST_SEED", "4"))


@pytest.fixture(scope="module")
def sweeps() -> Iterator[list[Sweep]]:
    """All sweeps, whose table is printed at the end."""
    made: list[Sweep] = []
    yield made
    print("\n" + by_vendor(made))


@pytest.mark.timeout(120 + 2 * _MOST)
@pytest.mark.parametrize("row", ROWS)
def test_a_process_may_be_killed_at_any_point(
    row: str, sweeps: list[Sweep], tmp_path: Path
) -> None:
    """Nothing is run twice; what was run is found by the next process, with context and result.

    Where the documentation says that a vendor leaves no way to find it, it is said to be uncertain.
    A session that a killed process held is listed, and ended by `reap`.
    """
    done = sweep(row, tmp_path, most=_MOST, seed=_SEED)
    sweeps.append(done)
    wrong = done.wrong()
    assert not wrong, f"{len(wrong)} of {len(done.trips)} lives:\n" + "\n".join(wrong[:12])
    kills = sum(trip.life.signal == 9 for trip in done.trips)
    assert kills >= 0.7 * min(_MOST, done.points), "the sweep has no teeth"
