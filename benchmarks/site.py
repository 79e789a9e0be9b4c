"""The site's daemon: pairs of acquire and end a second, and ten thousand leases held."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Row, seconds
from qrmi.config_file import ResourceDef
from qrmi.schedulers.speaking import Daemon
from qrmi.site.lending.lease_states import Device, SessionHabit
from qrmi.site.lending.leasing import Leasing
from qrmi.site.lending.store import Store
from qrmi.site.terms import Job, Outcome, Want

__all__ = ["run"]

_PAIRS_A_SECOND = 500
_HELD = 10_000
_CLIENTS = 16
_PROCESSES = 2
_SECONDS = 4.0
_TURNS = 3
_SLOTS = 20_000
_LEASE_BYTES = 4096
_EMU = Device(name="emu", entry="emu", type="memory")


def run() -> list[Row]:
    """The daemon over its socket, then its engine by itself."""
    with tempfile.TemporaryDirectory(prefix="qb") as name:
        folder = Path(name)
        return [*_over_the_socket(folder), *_engine(folder), *_held(folder)]


# --- the daemon -------------------------------------------------------------------------------


def _over_the_socket(folder: Path) -> list[Row]:
    flushes = _flushes(folder)
    rates: dict[bool, list[float]] = {True: [], False: []}
    failed = 0
    for turn, one_core in enumerate((True, False) * _TURNS):
        with _daemon(folder / f"d{turn}", one_core=one_core) as path:
            rate, wrong = _rate(path)
        rates[one_core].append(rate)
        failed += wrong
    rate, other = (statistics.median(rates[one_core]) for one_core in (True, False))
    return [
        Row(
            what=f"pairs over the socket, {_CLIENTS} hooks at a time, a connection each request",
            value=f"{rate:.0f}/s, {failed} failed",
            baseline=f"not on one core {other:.0f}/s; the disk flushes {flushes:.0f}/s",
            limit=f"{_PAIRS_A_SECOND}/s",
            holds=rate >= _PAIRS_A_SECOND and not failed,
        )
    ]


def _flushes(folder: Path) -> float:
    """How often a second this disk has what was written."""
    file = folder / "flushed"
    with file.open("wb", buffering=0) as stream:

        def one() -> None:
            stream.write(b"x" * 4096)
            os.fdatasync(stream.fileno())

        return 1.0 / statistics.median(seconds(one) for _ in range(100))


@contextlib.contextmanager
def _daemon(folder: Path, *, one_core: bool = True) -> Iterator[Path]:
    """`qrmi site serve` with the embedded simulator; the path of its socket."""
    folder.mkdir(exist_ok=True)
    config, toml, path = folder / "qrmi_config.json", folder / "qrmid.toml", folder / "s"
    entry = {"name": "emu", "type": "local", "environment": {}, "slots": _SLOTS}
    config.touch(mode=0o600)
    config.write_text(json.dumps({"resources": [entry]}))
    lines = [f'config = "{config}"', f'state = "{folder / "state"}"', f'socket = "{path}"']
    toml.write_text("\n".join([*lines, f"one_core = {str(one_core).lower()}"]))
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "qrmi", "site", "serve", "--config", toml], stdout=log, stderr=log
    )
    try:
        for _ in range(300):
            if path.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        if not path.exists():
            raise RuntimeError((folder / "log").read_text()[-2000:])
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        log.close()


def _rate(path: Path) -> tuple[float, int]:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[tuple[int, int]] = context.Queue()
    threads = _CLIENTS // _PROCESSES
    workers = [
        context.Process(target=_clients, args=(str(path), number, threads, results))
        for number in range(_PROCESSES)
    ]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    return sum(done for done, _ in told) / _SECONDS, sum(failed for _, failed in told)


def _clients(
    path: str, number: int, threads: int, results: multiprocessing.Queue[tuple[int, int]]
) -> None:
    """So many hooks at a time; what they did in `_SECONDS`."""
    done, failed = [0] * threads, [0] * threads
    end = time.monotonic() + _SECONDS

    daemon = Daemon(socket=path)

    def client(which: int) -> None:
        while time.monotonic() < end:
            job = _job(f"{number}.{which}.{done[which]}").as_json()
            answer = daemon.ask("POST", "/v1/leases", {"job": job, "want": {"names": ["emu"]}})
            ended = daemon.ask("POST", "/v1/leases/end", {"job": job})
            good = answer.get("outcome") == "granted" and ended.get("released") == ["emu"]
            done[which] += 1
            failed[which] += not good

    _in_threads(client, threads)
    results.put((sum(done), sum(failed)))


# --- the engine -------------------------------------------------------------------------------


class _Memory:
    """A vendor with sessions, in memory."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    def names(self) -> Sequence[str]:
        return ("emu",)

    def definition(self, name: str) -> ResourceDef:
        return ResourceDef(name, "memory", slots=_SLOTS)

    def devices(self, name: str, filters: str = "") -> Sequence[Device]:
        return (_EMU,)

    def capacity(self, name: str) -> int:
        return _SLOTS

    def away(self, name: str) -> str:
        return ""

    def habit(self, device: Device) -> SessionHabit:
        return SessionHabit(repeatable=True)

    def acquire(self, device: Device, job: Job, limit_seconds: float | None, slots: int) -> str:
        self.open.add(job.key)
        return job.key

    def release(self, device: Device, job: Job, token: str) -> None:
        self.open.discard(token)


@contextlib.contextmanager
def _leasing(folder: Path) -> Iterator[Leasing]:
    store = Store(folder)
    store.open()
    leasing = Leasing(store, _Memory())
    try:
        leasing.recover()
        yield leasing
    finally:
        leasing.close()
        store.close()


def _engine(folder: Path) -> list[Row]:
    with _leasing(folder / "engine") as leasing:
        rows = []
        for threads in (1, _CLIENTS):
            each = 1000 // threads

            def pairs(number: int, threads: int = threads, each: int = each) -> None:
                for turn in range(each):
                    job = _job(f"{threads}.{number}.{turn}")
                    leasing.acquire(job, Want(names=("emu",)))
                    leasing.end(job)

            taken = seconds(lambda run=pairs, n=threads: _in_threads(run, n))  # type: ignore[misc]
            rows.append(
                Row(what=f"pairs of the engine, {threads} threads", value=f"{1000 / taken:.0f}/s")
            )
    return rows


def _held(folder: Path) -> list[Row]:
    """What it costs to hold many, and what another one costs then."""
    place = folder / "held"
    with _leasing(place) as leasing:
        before = _one_more(leasing, "first")
        memory = _resident()
        _in_threads(lambda number: _fill(leasing, number), _CLIENTS)
        grown = (_resident() - memory) / _HELD
        after = _one_more(leasing, "last")
        used = leasing.used()["emu"]
        reaping = seconds(lambda: leasing.reap(lambda job: False))
    begun = time.perf_counter()
    with _leasing(place) as leasing:
        starting = time.perf_counter() - begun
        again = leasing.used()["emu"]
    return [
        Row(
            what=f"one more pair beside {_HELD} leases",
            value=f"{after * 1e3:.2f} ms",
            baseline=f"beside none {before * 1e3:.2f} ms",
            limit="2x, or 1 ms more",
            holds=after <= max(2 * before, before + 1e-3) and used == again == _HELD,
        ),
        Row(
            what="memory of one lease that is held",
            value=f"{grown:.0f} bytes",
            limit=f"{_LEASE_BYTES} bytes",
            holds=grown <= _LEASE_BYTES,
        ),
        Row(what=f"starting beside {_HELD} leases", value=f"{starting:.2f} s"),
        Row(what=f"looking at {_HELD} leases for the reaper", value=f"{reaping:.2f} s"),
    ]


def _fill(leasing: Leasing, number: int) -> None:
    for turn in range(_HELD // _CLIENTS):
        answer = leasing.acquire(_job(f"h{number}.{turn}"), Want(names=("emu",)))
        assert answer.outcome is Outcome.GRANTED


def _one_more(leasing: Leasing, name: str) -> float:
    def pair(turn: int) -> None:
        job = _job(f"{name}.{turn}")
        leasing.acquire(job, Want(names=("emu",)))
        leasing.end(job)

    return statistics.median(seconds(lambda n=n: pair(n)) for n in range(50))  # type: ignore[misc]


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _job(number: str) -> Job:
    return Job(scheduler="slurm", cluster="bench", id=number, submitted=1000, uid=1000)


def _in_threads(work: object, count: int) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
