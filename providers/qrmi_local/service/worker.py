"""An executor: ``python -m qrmi_local.service.worker module:function STORE``.

The function is imported, with the SDK that it needs, on the main thread, which then runs one task
after the other. A JSON line ``{"task": id, "end": state}`` comes in on stdin; ``{"end": name,
"reason": null, "leaves": false}`` goes out on stdout: ``end`` names what `Store.offer_end` wrote,
``reason`` says why the task failed, ``leaves`` that this process takes no other task, which is so
when the function could not be imported: the next process may find what was not installed.
Standard output as Python and native code know it is stderr from then on, which the supervisor gave
us as a file, the spool: what a task left there becomes part of its log.

The function is called as ``function(payload, device=…, seed=…, noise=…, log=…)`` and returns the
result's JSON text. ``device`` is the imitated device's description, JSON text, or ``None``; ``log``
takes a line for the task's log.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from qrmi.errors import QrmiError
from qrmi.payload_files import from_json
from qrmi.payloads import Payload
from qrmi_local.checks import missing_extra
from qrmi_local.service.state import State
from qrmi_local.service.store import Store

__all__ = ["main"]

_LONGEST_REASON = 4000
_SPOOL = 2

Function = Callable[..., str]


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="qrmi_local.service.worker")
    parser.add_argument("function", help="module:function")
    parser.add_argument("root", type=Path)
    arguments = parser.parse_args()
    _die_with_parent()
    requests, answers = _take_pipes()
    _listen_to_everyone()
    function, is_there = _load(arguments.function)
    gc.freeze()  # the SDK's objects stay: looking through them now and then takes long
    store = Store(arguments.root)
    for line in requests:
        request = json.loads(line)
        end, reason = _serve(function, store, request["task"], request["end"])
        answer = {"end": end, "reason": reason, "leaves": not is_there}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if not is_there:
            return


def _take_pipes() -> tuple[Any, Any]:
    """Keep the protocol's pipes for ourselves; stdin is empty from then on, stdout the spool."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(_SPOOL, 1)
    return requests, answers


def _die_with_parent() -> None:
    """Have the kernel kill us with the supervisor, even amid a task.

    Only Linux can; elsewhere we leave at the end of the task, when stdin ends.
    """
    if sys.platform != "linux":
        return
    import ctypes
    import signal

    parent = os.getppid()
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG in <linux/prctl.h>
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit()


def _listen_to_everyone() -> None:
    """Let warnings and log records of all libraries go to stderr, each time they occur."""
    warnings.simplefilter("always")
    for for_developers in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", for_developers)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")


def _load(name: str) -> tuple[Function, bool]:
    """The function and true, or one that fails a task with the reason why there is none."""
    module, _, attribute = name.partition(":")
    try:
        function: Function = getattr(importlib.import_module(module), attribute)
    except BaseException as error:
        failure = missing_extra(error) or error

        def refuse(_payload: Payload, **_settings: object) -> str:
            raise failure

        return refuse, False
    return function, True


def _serve(function: Function, store: Store, task_id: str, end: str) -> tuple[str, str | None]:
    """Run a task, offer its result, move the spool to its log; return the offer or why it failed.

    Args:
        function: what runs it.
        store: the tasks.
        task_id: the task.
        end: its state when it is completed, JSON text without the time of its end.
    """
    offer, reason = "", None
    try:
        meta, text = store.task(task_id)
        settings = {name: meta[name] for name in ("seed", "noise")}
        device = _device(store, meta["device"]) if meta["device"] else None
        result = function(
            _payload(store, text, meta.get("batch")), device=device, log=_note, **settings
        )
        state = attrs.evolve(State.from_json(end), ended_at=time.time())
        offer = store.offer_end(state, result)
    except QrmiError as error:
        reason = str(error)
    except BaseException as error:  # whatever native code raises, and attempts to leave
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    _empty_spool(store, task_id)
    return offer, reason[:_LONGEST_REASON] if reason is not None else None


@lru_cache(maxsize=16)
def _device(store: Store, digest: str) -> str:
    return store.device(digest)


def _payload(store: Store, text: str, batch_id: str | None) -> Payload:
    if batch_id is not None:
        job = json.loads(text)["job"]
        text = json.dumps({**json.loads(store.payload(batch_id)), "jobs": [job]})
    return from_json(text)


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _empty_spool(store: Store, task_id: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    size = os.fstat(_SPOOL).st_size
    if size:
        with contextlib.suppress(QrmiError):  # the task counts, even where its log has no room
            store.append_log(task_id, os.pread(_SPOOL, size, 0))
        os.ftruncate(_SPOOL, 0)
        os.lseek(_SPOOL, 0, os.SEEK_SET)


if __name__ == "__main__":
    main()
