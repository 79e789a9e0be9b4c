"""One process of many: threads that start, follow and fetch tasks on one handle for a while.

An order in JSON on standard input; on standard output, in JSON, how tasks ended, which errors there
were, and what the process held when it had warmed up and at the end.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from programs import VENDORS

from qrmi import QuantumResource
from qrmi.errors import QrmiError


def held() -> dict[str, float]:
    """What the process holds: threads, files, sockets, and resident memory in MB."""
    gc.collect()
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:  # the one that lists them
            continue
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "threads": threading.active_count(),
        "sockets": sum(link.startswith("socket:") for link in links),
        "files": sum(not link.startswith("socket:") for link in links),
        "memory": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
    }


class Work:
    """What the threads of this process do, and what they saw."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.vendor = VENDORS[order["row"]]
        self.name = order["name"]
        config = order["config"]
        made = QuantumResource.from_config(self.vendor.name, self.vendor.kind, config)
        self.handle = pickle.loads(pickle.dumps(made)) if order["pickled"] else made
        self.ended: list[tuple[str, str]] = []
        self.started: list[str] = []
        self.errors: Counter[str] = Counter()
        self.wrong = 0
        self._lock = threading.Lock()
        self._truth: Any = None

    def go_on(self, thread: int, ends: float) -> None:
        """Task after task until the time is over."""
        number = 0
        while time.monotonic() < ends:
            number += 1
            self._task(f"mark-{self.name}x{thread}x{number}")

    def _task(self, mark: str) -> None:
        task_id = self._tried("start", lambda: self.handle.task_start(self.vendor.make(mark)))
        if task_id is None:
            return
        with self._lock:
            self.started.append(task_id)
        for _ in range(20):
            status = self._tried("wait", lambda: self.handle.task_wait(task_id, 10.0))
            if status is None:
                continue
            result = self._tried("result", lambda: self.handle.task_result(task_id))
            if result is not None:
                self._compare(task_id, str(status), result.value)
                return

    def _compare(self, task_id: str, status: str, text: str) -> None:
        value = self.vendor.result(text)
        with self._lock:
            self._truth = value if self._truth is None else self._truth
            self.wrong += value != self._truth
            self.ended.append((task_id, status))

    def _tried(self, verb: str, call: Any) -> Any:
        try:
            return call()
        except QrmiError as error:
            words = f"{verb}: {type(error).__name__}, {error.owner}"
        except Exception as error:
            words = f"{verb}: not ours: {error!r}"
        with self._lock:
            self.errors[words] += 1
        return None

    def run(self, threads: int, seconds: float) -> None:
        """Work with so many threads for so long."""
        ends = time.monotonic() + seconds
        pool = [threading.Thread(target=self.go_on, args=(n, ends)) for n in range(threads)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()


def main() -> None:
    """Carry out the order."""
    order = json.load(sys.stdin)
    work = Work(order)
    work.run(order["threads"], order["warm_up"])
    begin = held()
    work.name += "b"
    work.run(order["threads"], order["seconds"])
    end = held()
    work.handle.close()
    said = {
        "started": work.started,
        "ended": [task_id for task_id, _ in work.ended],
        "errors": work.errors,
        "wrong": work.wrong,
        "begin": begin,
        "end": end,
        "closed": held(),
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
