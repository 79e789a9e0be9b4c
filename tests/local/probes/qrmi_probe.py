"""What the simulator's processes run in the tests of the machinery around them.

A payload's ``probe`` is a list of steps, each a list of a word and its arguments.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from qrmi.errors import InvalidInputError


def _crash(_code=9):
    os._exit(_code)


def _crash_until(path, count):
    """Count calls in a file; crash in all but the last of ``count``."""
    file = Path(path)
    with file.open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    if len(file.read_text().split()) < count:
        os._exit(9)


def _tick(path):
    with Path(path).open("a") as lines:
        lines.write(f"{os.getpid()}\n")


def _say(text):
    print(text)
    sys.stderr.write(f"{text} on stderr\n")
    os.write(1, f"{text} from native code\n".encode())
    warnings.warn(f"{text} as a warning", stacklevel=1)
    logging.getLogger("some.library").warning("%s as a record", text)


def _fail(text):
    raise ValueError(text)


def _refuse(text):
    raise InvalidInputError(text, hint="do otherwise")


def _leave():
    sys.exit("leaving")


def _await(path):
    while not Path(path).exists():
        time.sleep(0.005)


_STEPS = {
    "await": _await,
    "crash": _crash,
    "crash-until": _crash_until,
    "fail": _fail,
    "leave": _leave,
    "refuse": _refuse,
    "say": _say,
    "sleep": time.sleep,
    "tick": _tick,
}


def run(payload, *, device, seed, noise, log):
    """Do the steps; the result is what the executor was told, and its threads' limit."""
    text = payload.input if hasattr(payload, "input") else payload.sequence
    data = json.loads(text)
    jobs = [[job.runs, dict(job.variables)] for job in getattr(payload, "jobs", ())]
    steps = data.get("probe", [])
    if jobs and jobs[0][1].get("steps"):
        steps = jobs[0][1]["steps"]
    for word, *arguments in steps:
        _STEPS[word](*arguments)
    log("done")
    told = {"device": device, "seed": seed, "noise": noise, "pid": os.getpid(), "jobs": jobs}
    return json.dumps({"told": told, "threads": os.environ["OMP_NUM_THREADS"], "counter": {"0": 1}})
