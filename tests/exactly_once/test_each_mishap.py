"""One mishap to the one request that makes a task run, on every vendor: what becomes of the start.

``-s`` shows the table that docs/reliability.md has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from place import Place
from programs import VENDORS
from tables import table
from trial import IMPATIENT

from qrmi import QuantumResource
from qrmi.errors import QrmiError
from qrmi_sandbox.mishaps import KINDS

pytestmark = pytest.mark.timeout(300)  # the first test waits for all vendors

_HASTY = {
    **IMPATIENT,
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": "0.5",
    "QRMI_START_SETTLE_SECONDS": "1.5",
}
_LATE_SECONDS = 0.8  # later than a read, and earlier than the start settles
_MISHAPS = {
    **{kind: {"kind": kind, "seconds": _LATE_SECONDS} for kind in KINDS},
    "trickle": {"kind": "trickle", "seconds": 0.2},
    "silent_before": {"kind": "silent_before", "seconds": 2.0},
    "silent_after": {"kind": "silent_after", "seconds": 2.0},
    "503 before": {"kind": "status_before", "status": 503},
}
_HARMLESS = {"close_after", "trickle"}
_NEVER_ARRIVES = {"cut_before", "cut_request", "silent_before", "status_before"}
_TWICE = {"twice", "twice_first"}
_SENT_AGAIN = {"ibm-quantum-system", "oqtopus"}  # services that take one such request


@attrs.frozen
class End:
    """How a start ended, and how often its program was run."""

    word: str
    runs: int


def expected(row: str, name: str) -> str:
    """How it must end."""
    if name == "503 before" and row not in _SENT_AGAIN:  # which says that nothing was done
        return "ResourceUnavailableError"
    if not VENDORS[row].uncertain or name in _HARMLESS:
        return "started"
    if row == "pasqal-local" and name in _NEVER_ARRIVES:
        return "started"  # the list of jobs shows that there is none
    return "TaskStartUncertainError"


def names_for(row: str) -> list[str]:
    """The mishaps that are tried on a vendor; first those after which no job is left over.

    A job on the service that the journal does not know makes Warden's list useless for a while.
    """
    fitting = [name for name in _MISHAPS if VENDORS[row].refuses or name not in _TWICE]
    return sorted(fitting, key=lambda name: name not in _NEVER_ARRIVES)


def ends(row: str, place: Place) -> dict[str, End]:
    """What becomes of one start for each mishap."""
    vendor = VENDORS[row]
    words: dict[str, str] = {}
    config = {**place.entry["environment"], **_HASTY}
    handle = QuantumResource.from_config(vendor.name, vendor.kind, config)
    handle.task_start(vendor.make("mark-first"))  # a token is fetched, what is lazy is made
    for name in names_for(row):
        place.once(**_MISHAPS[name])
        try:
            handle.task_start(vendor.make(_mark(name)))
            words[name] = "started"
        except QrmiError as error:
            words[name] = type(error).__name__
    marks = place.counts()["marks"]
    handle.close()
    return {name: End(word, marks.get(_mark(name), 0)) for name, word in words.items()}


def _mark(name: str) -> str:
    return f"mark-{name.replace(' ', '_')}"


@pytest.fixture(scope="module")
def all_ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, End]]]:
    """Of all vendors at once, because most of it is waiting."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("QRMI_STATE_DIR", str(tmp_path_factory.mktemp("each")))
        pool = stack.enter_context(ThreadPoolExecutor(len(VENDORS)))
        places = list(pool.map(Place, VENDORS))
        for place in places:
            stack.enter_context(place)
        yield (found := dict(zip(VENDORS, pool.map(ends, VENDORS, places), strict=True)))
    lines = [
        [name, *(_shown(found[row].get(name)) for row in VENDORS)] for name in sorted(_MISHAPS)
    ]
    print("\n" + table(["mishap", *VENDORS], lines))


def _shown(end: End | None) -> str:
    if end is None:
        return ""
    word = {"TaskStartUncertainError": "uncertain", "ResourceUnavailableError": "error"}
    return f"{word.get(end.word, end.word)}, run {end.runs}x"


@pytest.mark.parametrize("row", VENDORS)
def test_each_mishap(row: str, all_ends: dict[str, dict[str, End]], private_state: Path) -> None:
    """A start ends as the table says, and was run once if it returned, or if it says perhaps."""
    found = all_ends[row]
    assert {name: end.word for name, end in found.items()} == {
        name: expected(row, name) for name in names_for(row)
    }
    for name, end in found.items():
        runs = {"started": {1}, "ResourceUnavailableError": {0}}
        perhaps = {0} if name in _NEVER_ARRIVES else {1}
        if name == "late_request":  # on a busy machine the proxy drops it, as one that is too late
            perhaps = {0, 1}
        assert end.runs in runs.get(end.word, perhaps), name


def test_a_settle_time_that_is_too_short_is_noticed(private_state: Path) -> None:
    """The trials can fail: what is sent again before the first request arrives runs twice."""
    row = "ibm-quantum-compute-service"
    vendor = VENDORS[row]
    with Place(row) as place:
        config = {**place.entry["environment"], **_HASTY, "QRMI_START_SETTLE_SECONDS": "0.01"}
        handle = QuantumResource.from_config(vendor.name, vendor.kind, config)
        handle.task_start(vendor.make("mark-first"))
        for number in range(3):
            place.once("late_request", seconds=_LATE_SECONDS)
            handle.task_start(vendor.make(f"mark-{number}"))
        marks = place.counts()["marks"]
        handle.close()
    assert max(marks.values()) == 2
