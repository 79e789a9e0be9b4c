"""Jobs come and go while daemons, hooks and jobs are killed: nothing leaks, nothing is held twice.

``QRMI_TEST_KILLS=2000 python -m pytest tests/sweep --timeout 0`` does more of it;
``QRMI_TEST_SEED`` does other ones.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import Any

import pytest
from ge_site import GESite
from history import History
from slurm_site import SlurmSite
from victims import GRID_ENGINE, SLURM, Blow

_KILLS = int(os.environ.get("QRMI_TEST_KILLS", "30"))
_SEED = int(os.environ.get("QRMI_TEST_SEED", "5"))
_SLOTS = {"emu": 1, "many": 4, "fresnel": 1, "test_heron": 1}
_SLURM_WANTS = (
    ("-L", "qpu_fresnel"),
    ("-L", "qpu_test_heron"),
    ("-L", "qpu_fresnel,qpu_test_heron"),
    ("-L", "qpu_many:3,qpu_fresnel"),
    ("--gres=qpu:fresnel:1",),
    ("--gres=qpu:1",),
)
_GRID_ENGINE_WANTS = (
    ("-l", "qpu=fresnel"),
    ("-l", "qpu=test_heron"),
    ("-l", "qpu=fresnel+test_heron"),
    ("-l", "qpu=fresnel,qpu_many=3"),
    ("-l", "qpu=auto"),
)


def _sweep(site: Any, blows: dict[str, Blow], wants: tuple[tuple[str, ...], ...]) -> None:
    chance = random.Random(_SEED)
    struck: Counter[str] = Counter()
    with History(site, _SLOTS) as history:
        for _ in range(_KILLS):
            for _ in range(chance.choice([1, 1, 2])):
                length = chance.choice([0, 0.3, 1.0])
                job = site.submit(f"sleep {length}", *chance.choice(wants))
            time.sleep(chance.choice([0, 0.1, 0.3, 0.6, 1.0, 1.5]))
            name = chance.choice(sorted(blows))
            blows[name](site, job, chance)
            struck[name] += 1
        site.settle()
    wrongs = history.wrongs()
    assert not wrongs, f"seed {_SEED}, {dict(struck)}:\n" + "\n".join(wrongs)
    assert history.looks > _KILLS, "the daemon was hardly ever there to be looked at"
    print(f"{sum(struck.values())} blows {dict(struck)}, {history.looks} looks, nothing wrong")


@pytest.mark.slurm
@pytest.mark.timeout(600)
def test_slurm(slurm: SlurmSite) -> None:
    """No leak and no double owner, whatever is killed; at the end all is up and the next runs."""
    _sweep(slurm, SLURM, _SLURM_WANTS)


@pytest.mark.gridengine
@pytest.mark.timeout(600)
def test_grid_engine(gridengine: GESite) -> None:
    """No leak and no double owner, whatever is killed; at the end all is up and the next runs."""
    _sweep(gridengine, GRID_ENGINE, _GRID_ENGINE_WANTS)
