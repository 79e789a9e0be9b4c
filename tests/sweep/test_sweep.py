"""Jobs come and go while daemons, hooks and jobs are killed: nothing leaks, nothing is held twice.

``QRMI_TEST_KILLS=2000 python -m pytest tests/sweep -s`` does more of it (forty minutes for each
scheduler) and tells how far it is; ``QRMI_TEST_SEED`` does other ones.
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
_ROUND = 100
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
    """Blows in rounds; after each all has to be free, and the next job to run."""
    chance = random.Random(_SEED)
    struck: Counter[str] = Counter()
    looks = 0
    for begun in range(0, _KILLS, _ROUND):
        with History(site, _SLOTS) as history:
            for _ in range(min(_ROUND, _KILLS - begun)):
                struck[_blow(site, blows, wants, chance)] += 1
            site.settle()
        looks += history.looks
        wrongs = history.wrongs()
        assert not wrongs, f"seed {_SEED}, {dict(struck)}:\n" + "\n".join(wrongs)
        print(f"{struck.total()} blows {dict(struck)}, {looks} looks, nothing wrong", flush=True)
    assert looks > _KILLS, "the daemon was hardly ever there to be looked at"


def _blow(
    site: Any, blows: dict[str, Blow], wants: tuple[tuple[str, ...], ...], chance: random.Random
) -> str:
    """Some jobs, and something that happens to the last of them: what."""
    for _ in range(chance.choice([1, 1, 2])):
        length = chance.choice([0, 0.3, 1.0])
        job = site.submit(f"sleep {length}", *chance.choice(wants))
    time.sleep(chance.choice([0, 0.1, 0.3, 0.6, 1.0, 1.5]))
    name = chance.choice(sorted(blows))
    blows[name](site, job, chance)
    return name


@pytest.mark.slurm
@pytest.mark.timeout(300 + 10 * _KILLS)
def test_slurm(slurm: SlurmSite) -> None:
    """No leak and no double owner, whatever is killed; at the end all is up and the next runs."""
    _sweep(slurm, SLURM, _SLURM_WANTS)


@pytest.mark.gridengine
@pytest.mark.timeout(300 + 10 * _KILLS)
def test_grid_engine(gridengine: GESite) -> None:
    """No leak and no double owner, whatever is killed; at the end all is up and the next runs."""
    _sweep(gridengine, GRID_ENGINE, _GRID_ENGINE_WANTS)
