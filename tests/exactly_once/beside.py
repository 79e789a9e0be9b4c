"""Starts under faults with nothing but what both libraries have, so that they can be compared.

Runs under either interpreter, this library's or the one with the Rust package: an order in JSON on
standard input, what became of each start in JSON on standard output. Every start has a thread of
its own which is given up after a while: the Rust package has no time-outs.
"""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import qrmi


def opened(order):
    """A handle; the Rust package's are for one thread at a time."""
    kind = getattr(qrmi.ResourceType, order["type"])
    return qrmi.QuantumResource.from_config(order["name"], kind, order["config"])


def started(order, program, said):
    """Start a program, wait for its end and take its result."""
    try:
        handle = opened(order)
        name, arguments = program["payload"]
        task_id = handle.task_start(getattr(qrmi.Payload, name)(**arguments))
        said["id"] = str(task_id)
        said["result"] = result_of(handle, task_id)
    except Exception as error:
        said["error"] = type(error).__name__


def result_of(handle, task_id):
    """The result, asked for as often as a patient program would."""
    going = (qrmi.TaskStatus.Running, qrmi.TaskStatus.Queued)
    for attempt in range(20):
        try:
            while handle.task_status(task_id) in going:
                time.sleep(0.05)
            return handle.task_result(task_id).value
        except Exception:
            if attempt == 19:
                raise
            time.sleep(0.1)
    return None


def watched(order, program):
    """One start, given up after `patience` seconds."""
    said = {"mark": program["mark"], "id": None, "error": None, "result": None}
    begun = time.monotonic()
    thread = threading.Thread(target=started, args=(order, program, said), daemon=True)
    thread.start()
    thread.join(order["patience"])
    said = dict(said)
    return {**said, "hung": thread.is_alive(), "seconds": time.monotonic() - begun}


def main():
    """Carry out the order."""
    order = json.load(sys.stdin)
    with ThreadPoolExecutor(order["threads"]) as pool:
        said = list(pool.map(lambda program: watched(order, program), order["programs"]))
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    __import__("os")._exit(0)  # threads that hang would keep it
