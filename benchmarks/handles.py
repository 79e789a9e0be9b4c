"""Importing the package and making handles."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

from benchmarks.measure import Row, seconds

__all__ = ["run"]


def run() -> list[Row]:
    """Import time over a bare interpreter, time and memory of handles."""
    return [_import_time(), _construct(), _memory()]


def _import_time() -> Row:
    def start(code: str) -> float:
        command = [sys.executable, "-c", code]
        return seconds(lambda: subprocess.run(command, check=True)) * 1e3

    pairs = [(start("import qrmi"), start("pass")) for _ in range(21)]
    over = statistics.median(ours - bare for ours, bare in pairs)
    bare = statistics.median(pair[1] for pair in pairs)
    return Row(
        what="import qrmi, over a bare interpreter",
        value=f"{over:.1f} ms",
        baseline=f"python -c pass {bare:.1f} ms",
        limit="40 ms",
        holds=over <= 40,
    )


def _construct() -> Row:
    from qrmi import QuantumResource

    QuantumResource("local", "local")
    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    times = [seconds(lambda: QuantumResource("local", "local")) * 1e3 for _ in range(200)]
    after = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    median = statistics.median(times)
    return Row(
        what="make a handle, after the first of its type",
        value=f"{median:.3f} ms",
        baseline=f"threads {after[0] - before[0]:+d}, open files {after[1] - before[1]:+d}",
        limit="1 ms, no thread, no socket",
        holds=median < 1 and after == before,
    )


def _memory() -> Row:
    from qrmi import QuantumResource

    tracemalloc.start()
    begun = tracemalloc.get_traced_memory()[0]
    handles = [QuantumResource("local", "local") for _ in range(1000)]
    grown = (tracemalloc.get_traced_memory()[0] - begun) / 1e6
    tracemalloc.stop()
    return Row(
        what=f"{len(handles)} handles",
        value=f"{grown:.2f} MB",
        limit="50 MB",
        holds=grown < 50,
    )
