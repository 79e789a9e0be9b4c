"""Grid Engine's load sensor: how much of each QPU there is to have, as the daemon says.

It fails closed: a QPU that is away, or of which the daemon says nothing, has nothing to give, and
jobs that need it wait. Grid Engine takes the lesser of this and of what it counted itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

from qrmi.schedulers.gridengine.request import ANY
from qrmi.schedulers.speaking import Away, Daemon, Lost, Refusal

__all__ = ["main", "report", "serve"]

_ANSWER_SECONDS = 10.0


def report(resources: Iterable[Any], complexes: Mapping[str, str]) -> list[str]:
    """The lines of one report.

    Args:
        resources: what the daemon says of each, as ``GET /v1/resources`` gives it.
        complexes: consumables by resource.
    """
    free = dict.fromkeys(complexes.values(), 0)
    for each in resources:
        if isinstance(each, dict) and each.get("state") == "online":
            name = complexes.get(str(each.get("name")))
            slots = each.get("slots")
            if name and isinstance(slots, int) and slots > 0:
                free[name] = slots
    free[ANY] = sum(free.values())
    return ["begin", *(f"global:{name}:{count}" for name, count in sorted(free.items())), "end"]


def serve(site: Mapping[str, Any], source: IO[str], sink: IO[str]) -> None:
    """Report whenever Grid Engine sends a line, until it sends ``quit``."""
    for line in source:
        if line.strip() == "quit":
            return
        sink.write("\n".join(report(_resources(site), site["complexes"])) + "\n")
        sink.flush()


def _resources(site: Mapping[str, Any]) -> list[Any]:
    daemon = Daemon(
        socket=site.get("socket", ""),
        url=site.get("url", ""),
        munge_socket=site.get("munge_socket", ""),
    )
    try:
        told = daemon.ask("GET", "/v1/resources", seconds=_ANSWER_SECONDS)
    except (Away, Lost, Refusal):
        return []
    found = told.get("resources", []) if isinstance(told, dict) else told
    return found if isinstance(found, list) else []


def main(path: str) -> int:
    """Serve with the names that ``qrmi gridengine setup`` wrote down."""
    with open(path, encoding="utf-8") as stream:  # noqa: PTH123
        site: dict[str, Any] = json.load(stream)
    serve(site, sys.stdin, sys.stdout)
    return 0
