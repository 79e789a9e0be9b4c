"""Real processes start the task of one key at the same time, and some are killed on the way.

``QRMI_TEST_ROUNDS=200`` for more than the few of the continuous integration.
"""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import VENDORS
from sweep import Site, site_of, zygotes
from zygote import Zygote

_ROUNDS = int(os.environ.get("QRMI_TEST_ROUNDS", "4"))
_SEED = int(os.environ.get("QRMI_TEST_SEED", "4"))
_PROCESSES = 5
_ROWS = ("alice-bob-felis", "ibm-quantum-system", "pasqal-cloud", "pasqal-local", "local")


@pytest.mark.timeout(60 + 10 * _ROUNDS)
@pytest.mark.parametrize("row", _ROWS)
def test_one_task_for_all(row: str, tmp_path: Path) -> None:
    """All that are not killed get the same id; one run, counted at the server.

    Where the vendor leaves no way to tell, they may get `TaskStartUncertainError` instead.
    """
    chance = random.Random(f"{row} {_SEED}")
    returned = 0
    with site_of(row, tmp_path) as site, zygotes(_PROCESSES) as ready:
        for number in range(_ROUNDS):
            returned += _round(site, ready, number, chance)
    assert returned > _ROUNDS, "the test has no teeth"


def _round(site: Site, ready: list[Zygote], number: int, chance: random.Random) -> int:
    """How many processes got an id."""
    mark = f"mark-{number:04}"
    place = site.place(number, [mark, mark])
    lasts = [chance.choice((0, 0, chance.randint(1, 20))) for _ in ready]
    with ThreadPoolExecutor(len(ready)) as pool:
        runs = [
            pool.submit(zygote.run, "one_key", place=place, last=last)
            for zygote, last in zip(ready, lasts, strict=True)
        ]
        ended = [run.result() for run in runs]
    ended.append(ready[0].run("after", place=place, marks=[mark, mark], again_first=True))
    told = [each.told["again"] for each in ended if "again" in each.told]
    ids = {again[0] for again in told if len(again) == 1}
    errors = [again for again in told if len(again) > 1]
    counted, _ = site.counted()
    assert len(ids) <= 1, told
    assert counted[mark] == 1 if ids else counted[mark] <= 1, (counted[mark], told)
    may_be_uncertain = site.row != "local" and VENDORS[site.row].uncertain
    assert all(again[0] == "TaskStartUncertainError" for again in errors), errors
    assert may_be_uncertain or not errors, errors
    return sum(len(again) == 1 for again in told)
