"""Ctrl-C breaks off a request that may take long, over every transport."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import os, signal, socket, sys, threading, time
from qrmi.transport import Headers, Request, Timeout
if sys.argv[1] == "curl":
    from qrmi.transport.curl import CurlTransport as Transport
else:
    from qrmi.transport.sessions import RequestsTransport as Transport

silent = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
def trickle():
    connection, _ = silent.accept()
    connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 90000000\\r\\n\\r\\n")
    while True:
        connection.sendall(bytes(10_000))
        time.sleep(0.01)


if sys.argv[2] == "result":
    threading.Thread(target=trickle, daemon=True).start()
request = {
    "result": Request("GET", url, large=True),
    "held": Request("GET", url, hold_seconds=30.0),
    "start": Request("POST", url, body=b"{}"),
}[sys.argv[2]]
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
class Alarm(Exception):
    pass


def alarm(*_):
    raise Alarm


if sys.argv[3] == "alarm":
    signal.signal(signal.SIGINT, alarm)
begun = time.monotonic()
try:
    Transport().send(request, Headers(()), Timeout(5.0, 25.0))
except (KeyboardInterrupt, Alarm):
    print("interrupted", time.monotonic() - begun < 10.0)
"""


@pytest.mark.parametrize("what", ["held", "result", "start"])
@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_ctrl_c_does_not_wait_for_the_service(transport: str, what: str) -> None:
    """A server that never answers, or takes very long to, does not keep the interrupt."""
    _must_break_off(transport, what, "ctrl-c")


@pytest.mark.parametrize("what", ["held", "result", "start"])
@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_what_a_signals_handler_raises_reaches_the_program(transport: str, what: str) -> None:
    """A program's own alarm is no lost connection."""
    _must_break_off(transport, what, "alarm")


def _must_break_off(transport: str, what: str, signal: str) -> None:
    command = [sys.executable, "-c", _SCRIPT, transport, what, signal]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["interrupted", "True"], done.stderr
