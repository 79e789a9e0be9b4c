"""Large results and many handles, beside the Rust library."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import attrs

from benchmarks.beside.answers import LARGE, VENDORS, Vendor
from benchmarks.beside.place import Place, server
from benchmarks.measure import Row

__all__ = ["run"]

_CHARACTERS = 50_000_000
_TURNS = 5


def run() -> list[Row]:
    """Time and peak memory of a 50 MB result; memory and threads of 1,000 handles."""
    with tempfile.TemporaryDirectory() as name:
        place = Place.made(Path(name))
        rows = [_result(place, vendor) for vendor in VENDORS]
        return rows + [_handles(place, vendor) for vendor in VENDORS]


def _body(vendor: Vendor) -> Any:
    if vendor.name == "pasqal-cloud":
        counter = {f"{number:0100b}": 1 for number in range(_CHARACTERS // 106)}
        return {"data": {"j-1": {"counter": counter}}}
    if vendor.name == "iqm-server":
        return json.dumps([{"m_1_0_0": [[1]] * (_CHARACTERS // 4)}], separators=(",", ":"))
    if vendor.name == "alice-bob-felis":
        return "memory,count\n" + "00000000,5\n" * (_CHARACTERS // 11)
    return json.dumps({"results": "0" * _CHARACTERS})


def _result(place: Place, vendor: Vendor) -> Row:
    rules = [*vendor.rules, attrs.evolve(vendor.large, body=_body(vendor))]
    told: dict[str, list[dict[str, float]]] = {"curl": [], "upstream": []}
    with server(rules, place.folder) as base:
        order = vendor.order(base, ended=LARGE)
        for _ in range(_TURNS):
            for kind, answers in told.items():
                with place.library(kind) as worker:  # a new process: its peak is this result's
                    answers.append(worker.ask("peak", order))
    ours, theirs = (
        {unit: statistics.median(t[unit] for t in told[kind]) for unit in ("seconds", "mb")}
        for kind in ("curl", "upstream")
    )
    limit = 0.1 if vendor.name == "iqm-server" else 1.0
    ratios = [ours[unit] / theirs[unit] for unit in ("seconds", "mb")]
    return Row(
        what=f"50 MB result, {vendor.name}",
        value=f"{ours['seconds'] * 1e3:.0f} ms, {ours['mb']:.0f} MB",
        baseline=f"upstream {theirs['seconds'] * 1e3:.0f} ms, {theirs['mb']:.0f} MB: "
        f"{ratios[0]:.2f}x, {ratios[1]:.2f}x",
        limit=f"{limit}x",
        holds=round(max(ratios), 2) <= limit,
    )


def _handles(place: Place, vendor: Vendor) -> Row:
    with (
        server(list(vendor.rules), place.folder) as base,
        place.all("curl", "upstream") as (ours, theirs),
    ):
        told = ours.ask("many", vendor.order(base), count=1000)
        beside = theirs.ask("many", vendor.order(base), count=100)
    return Row(
        what=f"a handle among 1,000, {vendor.name}",
        value=f"{told['kb']:.1f} kB, {told['threads']:g} threads",
        baseline=f"upstream {beside['kb']:.0f} kB, {beside['threads']:g} threads",
        limit="20 kB, no thread",
        holds=told["kb"] <= 20 and told["threads"] == 0,
    )
