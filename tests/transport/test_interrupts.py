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
request = {
    "held": Request("GET", url, hold_seconds=30.0),
    "start": Request("POST", url, body=b"{}"),
}[sys.argv[2]]
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    Transport().send(request, Headers(()), Timeout(5.0, 25.0))
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - begun < 10.0)
"""


@pytest.mark.parametrize("what", ["held", "start"])
@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_ctrl_c_does_not_wait_for_the_service(transport: str, what: str) -> None:
    """A server that never answers does not keep the interrupt."""
    command = [sys.executable, "-c", _SCRIPT, transport, what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["interrupted", "True"], done.stderr
