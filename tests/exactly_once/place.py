"""A vendor's server behind the fault proxy, in a process of its own: told what to do by lines.

``python place.py ROW`` writes one line of JSON for each line of JSON that it reads.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self

from programs import VENDORS, Vendor, mark_in, unmarked

from qrmi_sandbox import make_server
from qrmi_sandbox.mishaps import Heard, Lottery, Mishap, Plan
from qrmi_sandbox.proxy import Proxy
from qrmi_sandbox.server import Server

__all__ = ["LATEST_SECONDS", "Place"]

LATEST_SECONDS = 1.0
"""No request arrives later than this after it was sent, as far as the proxy is concerned."""

_QUIET_SECONDS = 0.3
_TOKEN_SECONDS = 3.0  # so that tokens are fetched while faults happen
_LONGEST_WAIT_SECONDS = 20.0
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|job-\d+-\w+")


class Place:
    """The other process, as a trial sees it.

    Attributes:
        entry: the server's entry of a configuration file, which leads through the proxy.
    """

    def __init__(self, row: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, row],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.entry: dict[str, Any] = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def faults(self, seed: int, **more: Any) -> None:
        """Let things happen to requests from now on."""
        self._ask(do="faults", seed=seed, **more)

    def once(self, kind: str, **more: Any) -> None:
        """Let this happen to the next request that makes a task run, and nothing else."""
        self._ask(do="once", kind=kind, **more)

    def calm(self) -> None:
        """Nothing happens to requests that come from now on."""
        self._ask(do="calm")

    def counts(self) -> dict[str, Any]:
        """What the server and the proxy counted, once nothing is under way any more.

        ``marks``: runs by the program's mark; ``ids``: runs by id (and tag, where there are
        some); ``requests``: requests by what happened to them; ``stories``: what happened to the
        requests of each program, by mark.
        """
        return self._ask(do="count")

    def _ask(self, **words: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server's process has ended: status {self._process.wait(10)}")
        told: dict[str, Any] = json.loads(line)
        return told


# --- the process itself -----------------------------------------------------------------------


def remembering(run: Callable[[Any], str]) -> Callable[[Any], str]:
    """Emulate equal programs once: what is counted here is how often, not what comes of it."""
    known: dict[str, str] = {}

    def emulate(payload: Any) -> str:
        key = unmarked(repr(payload))
        if key not in known:
            known[key] = run(payload)
        return known[key]

    return emulate


def _made(vendor: Vendor) -> Server:
    server = make_server(vendor.kind)
    if hasattr(server, "lanes"):
        server.lanes = 1 << 30
    if hasattr(server, "token_seconds"):
        server.token_seconds = _TOKEN_SECONDS
    for holder in (getattr(server, "runner", None), getattr(server, "qpu", None)):
        if holder is not None:
            holder.emulate = remembering(holder.emulate)
    return server


def _lottery(
    vendor: Vendor,
    seed: int,
    *,
    patience: float,
    rate: float,
    others: float,
    silence: float | None = None,
) -> Lottery:
    is_start = re.compile(vendor.starts).fullmatch
    decides = re.compile(vendor.decides).fullmatch
    return Lottery(
        seed,
        rate=lambda heard: rate if is_start(_words(heard)) else others,
        patience_seconds=patience,
        latest_seconds=LATEST_SECONDS,
        silence_seconds=silence,
        twice=lambda heard: vendor.refuses and bool(decides(_words(heard))),
    )


def _once(vendor: Vendor, mishap: Mishap) -> Plan:
    """This to the next request that decides, and nothing to all others."""
    left = [mishap]
    decides = re.compile(vendor.decides).fullmatch
    return lambda heard: left.pop() if left and decides(_words(heard)) else None


def _words(heard: Heard) -> str:
    return f"{heard.method} {heard.path}"


def _settled(server: Any) -> None:
    """Wait until no late request can come any more and all jobs have run."""
    time.sleep(LATEST_SECONDS + _QUIET_SECONDS)
    ends = time.monotonic() + _LONGEST_WAIT_SECONDS
    before = -1
    while before != sum(server.executions.values()) and time.monotonic() < ends:
        before = sum(server.executions.values())
        time.sleep(_QUIET_SECONDS)


def _counts(server: Any, proxy: Proxy) -> dict[str, Any]:
    _settled(server)
    programs: Mapping[str, str] = server.program_texts()
    marks: Counter[str] = Counter()
    for task_id, program in programs.items():
        marks[mark_in(program)] += server.executions[task_id]
    mark_of = {task_id: mark_in(program) for task_id, program in programs.items()}
    stories: dict[str, list[str]] = {}
    for passage in list(proxy.passages):
        told = f"{passage.method} {passage.path}: {passage.kind}, {passage.status}"
        mark = passage.label if mark_in(passage.label) else mark_of.get(passage.label, "")
        stories.setdefault(mark, []).append(told)
    return {
        "marks": marks,
        "ids": server.executions,
        "requests": Counter(passage.kind for passage in proxy.passages),
        "stories": stories,
    }


def _label(request: bytes) -> str:
    """The mark in a request, else the first id in it."""
    text = request.decode("latin-1")
    found = _ID.search(text)
    return mark_in(text) or (found[0] if found else "")


def _obeyed(words: dict[str, Any], vendor: Vendor, server: Server, proxy: Proxy) -> dict[str, Any]:
    task = words.pop("do")
    if task == "faults":
        proxy.plan = _lottery(vendor, **words)
    elif task == "once":
        proxy.plan = _once(vendor, Mishap(**words))
    elif task == "calm":
        proxy.plan = lambda heard: None
    else:
        return _counts(server, proxy)
    return {}


def main() -> None:
    """Serve until the input ends."""
    vendor = VENDORS[sys.argv[1]]
    threading.stack_size(512 * 1024)
    with _made(vendor) as server, Proxy(server, latest_seconds=LATEST_SECONDS) as proxy:
        proxy.label = _label
        print(json.dumps(server.resource(vendor.name)), flush=True)
        for line in sys.stdin:
            print(json.dumps(_obeyed(json.loads(line), vendor, server, proxy)), flush=True)


if __name__ == "__main__":
    main()
