"""What a job's process sees of a real daemon: its environment, and a QPU whose key it never has."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from site_lab import Qrmid, eventually, free_port, job

from qrmi.errors import AuthenticationFailedError, QrmiError
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceStatusCode
from qrmi_sandbox import make_server
from qrmi_sandbox.munge import PrivateMunge

Started = Callable[..., Qrmid]


@pytest.fixture
def service() -> Iterator[Any]:
    """A vendor's service that wants a key."""
    server = make_server("iqm-server")
    server.start()
    yield server
    server.stop()


def _lent(daemon: Qrmid, name: str, uid: int) -> dict[str, str]:
    """A job of that user holds it; its environment."""
    body = {"job": job(uid=uid).as_json(), "want": {"names": [name], "limit_seconds": 600}}
    assert daemon.client().post("/v1/leases", body)["outcome"] == "granted"
    asked = {"scheduler": "slurm", "cluster": "lab", "id": "7"}
    told: dict[str, str] = daemon.client().post("/v1/environment", asked)["environment"]
    return told


def _looked(name: str, environment: dict[str, str]) -> ResourceStatusCode:
    """What a program sees in a job with that environment."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        return QuantumResource(name, "iqm-server").status().status


@pytest.mark.parametrize("way", ["socket", "tcp"])
def test_a_job_uses_a_qpu_without_its_key(
    qrmid: Started, service: Any, site_munge: PrivateMunge, way: str
) -> None:
    """On the daemon's host and on another, across a `kill -9`, until the lease ends."""
    entry = service.resource()
    port = free_port()
    daemon = qrmid(
        resources=[entry],
        listen=f"127.0.0.1:{port}",
        public_url=f"http://127.0.0.1:{port}",
        munge_socket=site_munge.socket,
    ).start()
    name, key = entry["name"], entry["environment"]["QRMI_IQM_ISA_TOKEN"]
    environment = _lent(daemon, name, os.getuid())
    assert key not in "\n".join(environment.values())
    assert environment[f"{name}_QRMI_SITE_GATEWAY"] == "1"
    assert environment["QRMI_SITE_URL"] == f"http://127.0.0.1:{port}"
    if way == "tcp":
        del environment["QRMI_SITE_SOCKET"]
        environment["QRMI_SITE_MUNGE_SOCKET"] = site_munge.socket
    assert _looked(name, environment) is ResourceStatusCode.ONLINE
    daemon.kill()
    daemon.start()
    assert _looked(name, environment) is ResourceStatusCode.ONLINE
    ended = daemon.client().post("/v1/leases/end", {"job": job(uid=os.getuid()).as_json()})
    assert ended["released"] == [name]
    with pytest.raises(AuthenticationFailedError) as caught:
        _looked(name, environment)
    assert key not in daemon.log() + str(caught.value)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a service that takes requests and never answers."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listening.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    for each in held:
        each.close()


def test_a_vendor_that_never_answers(qrmid: Started, silent: str, site_munge: PrivateMunge) -> None:
    """Its jobs are held up, others are not; an end fences at once; the daemon stops in seconds."""
    environment = {"QRMI_WARDEN_URL": silent, "QRMI_MUNGE_SOCKET": site_munge.socket}
    dead = {"name": "dead", "type": "pasqal-local", "slots": 50, "environment": environment}
    emu = {"name": "emu", "type": "local", "environment": {}}
    daemon = qrmid(resources=[dead, emu], poll_seconds=600).start()
    client = daemon.client(answer_seconds=30)
    answers: list[Any] = []

    def ask(number: int) -> None:
        body = {"job": job(number).as_json(), "want": {"names": ["dead"]}}
        with contextlib.suppress(QrmiError):
            answers.append(client.post("/v1/leases", body)["outcome"])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(client.get("/v1/leases")) >= 5)
    begun = time.monotonic()
    body = {"job": job(100).as_json(), "want": {"names": ["emu"]}}
    assert client.post("/v1/leases", body)["outcome"] == "granted"
    assert client.post("/v1/leases/end", {"job": job(100).as_json()})["released"] == ["emu"]
    key = client.get("/v1/leases")[0]["job"]
    assert client.post("/v1/leases/end", {"job": key})["pending"] == ["dead"]
    assert time.monotonic() - begun < 5
    begun = time.monotonic()
    assert daemon.stop(20) == 0
    assert time.monotonic() - begun < 15
    for thread in threads:
        thread.join(20)
    assert "granted" not in answers
    daemon.start()  # and what it had asked for is not forgotten
    assert {row["state"] for row in client.get("/v1/leases")} == {"ending"}


def test_a_stolen_token_is_worth_nothing(qrmid: Started, service: Any) -> None:
    """The system says who asks: another user's environment opens nothing, even for root."""
    entry = service.resource()
    daemon = qrmid(resources=[entry]).start()
    environment = _lent(daemon, entry["name"], os.getuid() + 4242)
    with pytest.raises(AuthenticationFailedError, match=f"user {os.getuid()}"):
        _looked(entry["name"], environment)
