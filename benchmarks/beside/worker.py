"""One library under measurement: a process that is told what to do in JSON lines.

It runs under either interpreter, ours or the one with the Rust package, and uses only what both
have. That it does is part of what is shown.
"""

import hashlib
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import qrmi

HANDLES = {}


def opened(vendor):
    """A new handle."""
    kind = getattr(qrmi.ResourceType, vendor["type"])
    return qrmi.QuantumResource.from_config(vendor["id"], kind, vendor["config"])


def payload(vendor):
    """A payload of about 1 kB, or of the size that is asked for."""
    name, arguments = vendor["payload"]
    return getattr(qrmi.Payload, name)(**arguments)


def cycle(handle, vendor, made):
    """One whole task."""
    token = handle.acquire()
    task = handle.task_start(made)
    handle.task_status(task)
    handle.task_result(task)
    handle.release(token)


def verbs(vendor):
    """What can be called, by name."""
    handle = HANDLES.setdefault(vendor["id"] + vendor["type"], opened(vendor))
    made = payload(vendor)
    return {
        "status": lambda: handle.task_status(vendor["task"]),
        "start": lambda: handle.task_start(made),
        "target": handle.target,
        "cycle": lambda: cycle(handle, vendor, made),
        "result": lambda: handle.task_result(vendor["ended"]),
        "stop": lambda: handle.task_stop(vendor["ended"]),
        "available": handle.status,
    }


def timed(vendor, verb, rounds):
    """Median microseconds of a call, and processor microseconds per call."""
    return measured(verbs(vendor)[verb], rounds)


def measured(call, rounds):
    """The same for any call."""
    times = []
    begun = time.process_time()
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    spent = (time.process_time() - begun) / rounds
    return {"us": statistics.median(times) * 1e6, "cpu": spent * 1e6}


def bare(vendor, path, body, pieces):
    """A handle of libcurl's own; a POST with a body."""
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, vendor["base"] + path)
    curl.setopt(pycurl.WRITEFUNCTION, pieces.append)
    curl.setopt(pycurl.NOSIGNAL, 1)
    if body:
        curl.setopt(pycurl.POSTFIELDS, body)
        curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json"])
    if "QRMI_HTTP_CA_BUNDLE" in vendor["config"]:
        curl.setopt(pycurl.CAINFO, vendor["config"]["QRMI_HTTP_CA_BUNDLE"])
    curl.perform()
    return curl


def floor(vendor, path, rounds, body=""):
    """The same for one request of libcurl's own, with nothing around it; a POST with a body."""
    return measured(bare(vendor, path, body, []).perform, rounds)


def journalled(vendor, path, rounds, body, requests):
    """The same for so many requests between two lines of a journal, in one flat function.

    A start that is exactly once writes that it is about to be sent, with a digest of what is, and
    which task came of it. Answers are read as JSON; nothing is checked, escaped or locked.
    """
    pieces, numbers = [], itertools.count()
    curl = bare(vendor, path, body, pieces)
    with tempfile.TemporaryFile("ab", buffering=0) as journal:

        def start():
            key = f"some-host-{next(numbers)}"
            digest = hashlib.sha256(body.encode()).hexdigest()
            intent = f'{{"at":{time.time()},"event":"intent","key":"{key}","digest":"{digest}"}}\n'
            journal.write(intent.encode())
            for _ in range(requests):
                pieces.clear()
                curl.perform()
                answer = json.loads(pieces[0]) if pieces else {}  # one service answers nothing
            task = answer.get("id")
            started = f'{{"at":{time.time()},"event":"started","key":"{key}","task":"{task}"}}\n'
            journal.write(started.encode())

        return measured(start, rounds)


def threaded(vendor, count, seconds, separate):
    """Calls that succeeded and failed in so many threads: one handle, or one each."""
    shared = opened(vendor)
    handles = [opened(vendor) if separate else shared for _ in range(count)]
    done, failed = [0] * count, [0] * count
    ready = threading.Barrier(count + 1)
    end = [0.0]

    def work(number):
        handle = handles[number]
        ready.wait()
        while time.perf_counter() < end[0]:
            try:
                handle.task_status(vendor["task"])
                done[number] += 1
            except RuntimeError:
                failed[number] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    handles[0].task_status(vendor["task"])
    end[0] = time.perf_counter() + seconds
    begun = time.perf_counter()
    ready.wait()
    for thread in threads:
        thread.join()
    return {"rate": sum(done) / (time.perf_counter() - begun), "failed": sum(failed)}


def peak(vendor):
    """Seconds and the growth of the peak memory, in MB, of one large result."""
    handle = opened(vendor)
    handle.task_result(vendor["small"])  # imports, token and connection are there then
    # the peak is what it is now: that of the process before counts no more
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_kb("VmRSS")
    begun = time.perf_counter()
    value = handle.task_result(vendor["ended"]).value
    spent = time.perf_counter() - begun
    grown = memory_kb("VmHWM") - before
    return {"seconds": spent, "mb": grown / 1024, "characters": len(value)}


def waited(vendor, count, seconds):
    """Milliseconds between each task's end on the server and its result."""
    handle = HANDLES.setdefault(vendor["id"] + vendor["type"], opened(vendor))
    made = payload(vendor)
    lost = []
    for _ in range(count):
        task = handle.task_start(made)
        started = time.perf_counter()
        if hasattr(handle, "task_wait"):
            handle.task_wait(task)
        else:  # as the Rust library's primitives and its task runner wait
            while handle.task_status(task) in UNENDED:
                time.sleep(1.0)
        handle.task_result(task)
        lost.append((time.perf_counter() - started - seconds) * 1e3)
    return {"lost": lost}


def memory_kb(name):
    """A figure of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def many(vendor, count):
    """Memory, in kB, and threads of each handle that has been used for a request."""

    def state():
        return memory_kb("VmRSS"), len(list(Path("/proc/self/task").iterdir()))

    def used():
        handle = opened(vendor)
        handle.task_status(vendor["task"])
        return handle

    kept = [used()]
    before = state()
    kept += [used() for _ in range(count)]
    after = state()
    return {"kb": (after[0] - before[0]) / count, "threads": (after[1] - before[1]) / count}


UNENDED = (qrmi.TaskStatus.Queued, qrmi.TaskStatus.Running)
ACTIONS = {
    action.__name__: action for action in (timed, floor, journalled, threaded, peak, many, waited)
}


def main():
    """Answer each line with a line."""
    print(json.dumps({"library": qrmi.__file__}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = ACTIONS[order.pop("do")](**order)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
