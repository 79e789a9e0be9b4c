"""A call of each verb beside the Rust library's: time, processor time, requests; HTTP and TLS."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.beside.answers import VENDORS, Vendor
from benchmarks.beside.place import Library, Place, requests_so_far, server
from benchmarks.measure import Row

__all__ = ["run"]

_VERBS = ("status", "start", "target")
_FLOORS = ("status", "start")
_TURNS = 12
_ROUNDS = 40
_Figures = dict[tuple[str, str], list[dict[str, float]]]


def run() -> list[Row]:
    """Per verb the geometric mean over the vendors of the ratios of medians."""
    with tempfile.TemporaryDirectory() as name:
        place = Place.made(Path(name))
        rows = _over(
            place, "HTTP", {"curl": 0.4, "requests": 3.0}, ("upstream", "curl", "requests")
        )
        rows += _over(place, "TLS", {"curl": 0.5}, ("upstream", "curl"))
        return rows + _requests(place)


def _over(place: Place, protocol: str, limits: dict[str, float], kinds: Sequence[str]) -> list[Row]:
    tls, environment = None, {}
    if protocol == "TLS":
        tls, authority = _certificates(place.folder)
        environment = {"SSL_CERT_FILE": str(authority)}
    ratios: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    shown: dict[tuple[str, str], list[str]] = defaultdict(list)
    floors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for vendor in VENDORS:
        with (
            server(list(vendor.rules), place.folder, tls=tls) as base,
            place.all(*kinds, **environment) as workers,
        ):
            for verb in (*_VERBS, "cycle"):
                told = _measured(vendor, base, verb, workers)
                for what, floor in _floors(vendor, base, workers, verb).items():
                    floors[what].append((floor, told["upstream"]["us"]))
                for kind in limits:
                    for unit in ("us", "cpu"):
                        ratios[(kind, verb, unit)].append(told[kind][unit] / told["upstream"][unit])
                    shown[(kind, verb)].append(
                        f"{told[kind]['us']:.0f}/{told['upstream']['us']:.0f}"
                    )
    return [
        _row(protocol, kind, verb, limit, ratios, shown)
        for kind, limit in limits.items()
        for verb in (*_VERBS, "cycle")
    ] + [_floor_row(f"{what} over {protocol}", pairs) for what, pairs in floors.items()]


def _measured(
    vendor: Vendor, base: str, verb: str, workers: Sequence[Library]
) -> dict[str, dict[str, float]]:
    """The median of a library's quietest turn; the libraries take turns, one after the other.

    Whatever else the machine does makes turns slower, never quicker.
    """
    figures: dict[str, list[dict[str, float]]] = defaultdict(list)
    order = vendor.order(base)
    for turn in range(_TURNS + 1):
        for worker in workers:
            answer = worker.ask("timed", order, verb=verb, rounds=_ROUNDS)
            if turn:  # the first one warms up
                figures[worker.name].append(answer)
    return {
        name: {unit: min(f[unit] for f in told) for unit in ("us", "cpu")}
        for name, told in figures.items()
    }


def _floors(vendor: Vendor, base: str, workers: Sequence[Library], verb: str) -> dict[str, float]:
    """What libcurl needs for as many requests as the verb has, with nothing around them.

    Of a start they are all taken for POSTs of 1 kB, and tried between two journal lines too.
    """
    if verb not in _FLOORS:
        return {}
    curl = next(worker for worker in workers if worker.name == "curl")
    order, path, count = vendor.order(base), vendor.path_of(verb), _count(curl, vendor, base, verb)
    body = "x" * 1000 if verb == "start" else ""

    def least(do: str, **more: Any) -> float:
        told = [curl.ask(do, order, path=path, body=body, rounds=_ROUNDS, **more) for _ in turns]
        return min(answer["us"] for answer in told)

    turns = range(_TURNS)
    found = {f"the requests of {verb} with bare libcurl": least("floor") * count}
    if verb == "start":
        found["the same between two journal lines"] = least("journalled", requests=count)
    return found


def _floor_row(what: str, floors: Sequence[tuple[float, float]]) -> Row:
    ratio = statistics.geometric_mean(raw / theirs for raw, theirs in floors)
    return Row(
        what=f"floor: {what}",
        value=f"{ratio:.2f}x of upstream's",
        baseline="us bare/upstream: " + " ".join(f"{raw:.0f}/{b:.0f}" for raw, b in floors),
    )


def _row(
    protocol: str,
    kind: str,
    verb: str,
    limit: float,
    ratios: dict[tuple[str, str, str], list[float]],
    shown: dict[tuple[str, str], list[str]],
) -> Row:
    time = statistics.geometric_mean(ratios[(kind, verb, "us")])
    processor = statistics.geometric_mean(ratios[(kind, verb, "cpu")])
    return Row(
        what=f"{verb} over {protocol}, {kind}",
        value=f"{time:.2f}x, CPU {processor:.2f}x",
        baseline="us ours/upstream: " + " ".join(shown[(kind, verb)]),
        limit=f"{limit}x",
        holds=time <= limit and (processor <= limit or kind == "requests"),
    )


def _certificates(folder: Path) -> tuple[tuple[Path, Path], Path]:
    import trustme

    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
    (folder / "cert.pem").write_bytes(chain)
    return (folder / "cert.pem", folder / "key.pem"), folder / "ca.pem"


def _requests(place: Place) -> list[Row]:
    """HTTP requests of each verb, beside upstream's."""
    verbs = ("status", "start", "target", "result", "available", "cycle")
    return [_counted(place, vendor, verbs) for vendor in VENDORS]


def _counted(place: Place, vendor: Vendor, verbs: Sequence[str]) -> Row:
    with (
        server(list(vendor.rules), place.folder) as base,
        place.all("upstream", "curl") as workers,
    ):
        told = {w.name: [_count(w, vendor, base, verb) for verb in verbs] for w in workers}
    pairs = list(zip(told["curl"], told["upstream"], strict=True))
    words = [f"{verb} {a}/{b}" for verb, (a, b) in zip(verbs, pairs, strict=True)]
    return Row(
        what=f"HTTP requests, {vendor.name}",
        value=", ".join(words),
        baseline="ours/upstream",
        limit="no more",
        holds=all(ours <= theirs for ours, theirs in pairs if theirs),  # some it makes up
    )


def _count(worker: Library, vendor: Vendor, base: str, verb: str) -> int:
    order = vendor.order(base)
    worker.ask("timed", order, verb=verb, rounds=3)  # tokens and what is kept are there now
    before = requests_so_far(base)
    worker.ask("timed", order, verb=verb, rounds=4)
    return round((requests_so_far(base) - before) / 4)
