"""The same faults on the Rust package, side by side: what there is to gain.

A few dozen starts on one vendor; with ``QRMI_TEST_STARTS=200`` that many on all that the package
can run. ``-s`` shows the table that docs/reliability.md has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from place import Place
from programs import VENDORS, Vendor
from trial import IMPATIENT, PATIENCE_SECONDS

from qrmi_sandbox.munge import PrivateMunge

_STARTS = int(os.environ.get("QRMI_TEST_STARTS", "30"))
_SEED = int(os.environ.get("QRMI_TEST_SEED", "4"))
_IS_LARGE = "QRMI_TEST_STARTS" in os.environ
_THREADS = 16
_WATCHDOG_SECONDS = 12.0
_SILENCE_SECONDS = 60.0
_MEMBERS = {  # what both packages call the types that the wheel can run
    "alice-bob-felis": "AliceBobFelis",
    "ibm-quantum-compute-service": "IBMQuantumComputeService",
    "ibm-quantum-system": "IBMQuantumSystem",
    "iqm-server": "IQMServer",
    "pasqal-cloud": "PasqalCloud",
    "pasqal-local": "PasqalLocal",
    "qiskit-runtime-service": "IBMQiskitRuntimeService",
}
_CHOSEN = sorted(_MEMBERS) if _IS_LARGE else ["pasqal-cloud"]


@attrs.frozen(kw_only=True)
class Figures:
    """What became of the starts of one library on one vendor."""

    starts: int
    returned: int
    doubled: int
    lost: int
    unsaid: int
    hung: int
    wrong: int
    slowest: float

    HEADER = (
        "| vendor | library | starts | id returned | run twice or more | run, no id returned "
        "| … and not said to be uncertain | hung | wrong result | slowest |\n" + "|---" * 10 + "|"
    )

    def line(self, row: str, library: str) -> str:
        """A line of the table."""
        numbers = (self.starts, self.returned, self.doubled, self.lost, self.unsaid)
        numbers += (self.hung, self.wrong)
        return f"| {row} | {library} | {' | '.join(map(str, numbers))} | {self.slowest:.1f} s |"


def order(vendor: Vendor, entry: dict[str, Any], starts: int) -> dict[str, Any]:
    """What `beside` is told."""
    programs = []
    for number in range(starts):
        payload = vendor.make(f"mark-{number:05}")
        told = [type(payload).__name__, attrs.asdict(payload)]
        programs.append({"mark": f"mark-{number:05}", "payload": told})
    return {
        "name": vendor.name,
        "type": _MEMBERS[vendor.kind],
        "config": {**entry["environment"], **IMPATIENT},
        "threads": _THREADS,
        "patience": _WATCHDOG_SECONDS,
        "programs": programs,
    }


def figures(row: str, python: Path, environment: dict[str, str], library: Any) -> Figures:
    """Let one library start programs while the faults of the seed happen."""
    vendor = VENDORS[row]
    with Place(row) as place:
        variables = dict(environment)
        socket = place.entry["environment"].get("QRMI_MUNGE_SOCKET")
        if socket:
            variables["LD_LIBRARY_PATH"] = str(library(socket))
        told = order(vendor, place.entry, _STARTS)
        place.faults(
            _SEED, patience=PATIENCE_SECONDS, rate=0.35, others=0.08, silence=_SILENCE_SECONDS
        )
        done = subprocess.run(
            [python, "-P", Path(__file__).with_name("beside.py")],
            input=json.dumps(told),
            env=variables,
            capture_output=True,
            text=True,
            timeout=_WATCHDOG_SECONDS * (_STARTS / _THREADS + 4) + 30,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        counted = place.counts()
    return _counted(vendor, json.loads(done.stdout.splitlines()[-1]), counted["marks"])


def _counted(vendor: Vendor, said: list[dict[str, Any]], marks: dict[str, int]) -> Figures:
    results = [_result(vendor, each["result"]) for each in said if each["result"] is not None]
    truth = max(results, key=results.count, default=None)
    lost = [each for each in said if each["id"] is None and marks.get(each["mark"], 0) > 0]
    return Figures(
        starts=len(said),
        returned=sum(each["id"] is not None for each in said),
        doubled=sum(marks.get(each["mark"], 0) > 1 for each in said),
        lost=len(lost),
        unsaid=sum(each["error"] != "TaskStartUncertainError" for each in lost),
        hung=sum(each["hung"] for each in said),
        wrong=sum(result != truth for result in results),
        slowest=max(each["seconds"] for each in said),
    )


def _result(vendor: Vendor, text: str) -> Any:
    try:
        return vendor.result(text)
    except (ValueError, KeyError):
        return f"no result: {text[:40]}"


@pytest.fixture(scope="module")
def table() -> Any:
    """Lines of the table, printed at the end."""
    lines = [Figures.HEADER]
    yield lines
    print("\n" + "\n".join(lines))


@pytest.mark.timeout(1800 if _IS_LARGE else 180)
@pytest.mark.parametrize("row", _CHOSEN)
def test_the_same_faults_on_both(
    row: str,
    table: list[str],
    peer: Callable[[str], Any],
    munge_library: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """Here nothing runs twice, hangs, comes wrong, or is lost without being said to be."""
    if row == "pasqal-local" and not PrivateMunge.is_installed():
        pytest.skip("MUNGE is not installed: apt-get install munge")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    environment |= {"NO_PROXY": "127.0.0.1,localhost", "QRMI_STATE_DIR": str(tmp_path / "state")}
    ours = figures(row, Path(sys.executable), environment, munge_library)
    theirs = figures(row, peer("rust").python, environment, munge_library)
    table.append(theirs.line(row, "qrmi 0.26.4"))
    table.append(ours.line(row, "openqrmi"))
    assert (ours.doubled, ours.unsaid, ours.hung, ours.wrong) == (0, 0, 0, 0), ours
    assert VENDORS[row].uncertain or not ours.lost, ours
    assert theirs.unsaid + theirs.hung > 0, "these faults do nothing to anybody"
