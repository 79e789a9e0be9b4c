"""The whole daemon in a process of its own: its start, its end, and every rude way to end it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from site_lab import Qrmid, eventually, free_port, job

from qrmi.errors import QrmiError
from qrmi.site.client import SiteClient
from qrmi_sandbox.munge import PrivateMunge

Started = Callable[..., Qrmid]
CANARY = "canary-5f1d9e0c7b"
EMU = {"name": "emu", "type": "local", "environment": {}}


def ask(number: int = 7, name: str = "emu", **more: Any) -> dict[str, Any]:
    """A request for a resource."""
    return {"job": job(number).as_json(), "want": {"names": [name]}, **more}


def test_it_starts_answers_and_stops(qrmid: Started) -> None:
    """Within seconds; the state is its own, the socket is everybody's, and gone at the end."""
    daemon = qrmid().start()
    assert stat.S_IMODE((daemon.folder / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o666
    assert daemon.client().get("/health")["ok"]
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 5
    assert not daemon.socket.exists()
    assert "stopping" in daemon.log()


def test_ctrl_c_is_a_clean_end(qrmid: Started) -> None:
    """As SIGTERM."""
    daemon = qrmid().start()
    daemon.signal(signal.SIGINT)
    assert daemon.process is not None
    assert daemon.process.wait(10) == 0
    assert "Traceback" not in daemon.log()


def _documented() -> list[tuple[str, str]]:
    """The commands of docs/qrmid.md with their answers; empty where the page shows none."""
    page = (Path(__file__).parents[2] / "docs" / "qrmid.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n[#$] (.*?)\n```", page, re.DOTALL)
    shown = []
    for block in blocks:
        command, _, answer = block.partition("'\n{")
        shown.append((f"{command}'", f"{{{answer}") if answer else (block, ""))
    return shown


def test_curl_is_a_client(qrmid: Started) -> None:
    """Every command of the page, in its order, gives the answer that the page shows."""
    daemon = qrmid(resources=[{**EMU, "name": "emulator"}]).start()
    commands = _documented()
    assert len(commands) == 4
    for command, answer in commands:
        here = command.replace("/run/qrmid/qrmid.sock", str(daemon.socket))
        done = subprocess.run(["bash", "-c", here], capture_output=True, check=True, timeout=20)
        told = json.loads(done.stdout)
        assert "error" not in told
        if answer:
            assert told == json.loads(answer), command
    assert [row["name"] for row in told] == ["emulator"]


def test_kill_9_loses_no_lease(qrmid: Started) -> None:
    """The next daemon takes the dead one's socket, holds its leases, and ends them."""
    daemon = qrmid(resources=[EMU, {**EMU, "name": "two"}]).start()
    first = daemon.client().post("/v1/leases", ask())
    assert first["outcome"] == "granted"
    (row,) = daemon.client().get("/v1/leases")
    assert set(row) >= {"key", "job", "state", "grants", "since", "limit_seconds"}
    assert "token" not in json.dumps(row)
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()
    assert [row["key"] for row in daemon.client().get("/v1/leases")] == [job().key]
    assert daemon.client().post("/v1/leases", ask()) == first
    assert daemon.client().post("/v1/leases", ask(8))["outcome"] == "later"
    ended = daemon.client().post("/v1/leases/end", {"job": job().as_json()})
    assert ended["released"] == ["emu"] or ended["pending"] == ["emu"]
    eventually(lambda: daemon.client().post("/v1/leases", ask(8))["outcome"] == "granted")


def test_kill_9_keeps_the_fence(qrmid: Started) -> None:
    """A job that was ended before the crash gets nothing after it."""
    daemon = qrmid().start()
    daemon.client().post("/v1/leases/end", {"job": job().as_json()})
    daemon.kill()
    daemon.start()
    assert daemon.client().post("/v1/leases", ask())["outcome"] == "ended"


def test_a_stop_loses_no_lease(qrmid: Started) -> None:
    """A restart for an update is no end of jobs."""
    daemon = qrmid().start()
    daemon.client().post("/v1/leases", ask())
    assert daemon.stop() == 0
    daemon.start()
    assert len(daemon.client().get("/v1/leases")) == 1


def test_two_daemons_on_one_state(qrmid: Started) -> None:
    """The second refuses, says why, and harms nothing."""
    first = qrmid().start()
    second = qrmid(state=str(first.folder / "state"))
    second.start(wait=False)
    assert second.process is not None
    assert second.process.wait(20) == 1
    assert f"another qrmid (process {first.process.pid}) uses" in second.log()
    assert "Traceback" not in second.log()
    assert first.client().get("/health")["ok"]


def test_two_daemons_on_one_socket(qrmid: Started) -> None:
    """With states of their own, too."""
    first = qrmid().start()
    second = qrmid(socket=str(first.socket))
    second.start(wait=False)
    assert second.process is not None
    assert second.process.wait(20) == 1
    assert "another daemon listens there" in second.log()
    assert first.client().get("/health")["ok"]


def test_a_stop_with_requests_under_way(qrmid: Started) -> None:
    """Those that wait are told what there is; the stop takes seconds."""
    daemon = qrmid().start()
    daemon.client().post("/v1/leases", ask(1))
    got: list[Any] = []

    def wait() -> None:
        try:
            got.append(daemon.client().post("/v1/leases", ask(2, wait_seconds=60))["outcome"])
        except QrmiError as error:
            got.append(error)

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    half = socket.socket(socket.AF_UNIX)  # and one that sends half a request
    half.connect(str(daemon.socket))
    half.sendall(b"POST /v1/leases HTTP/1.1\r\nHost: q\r\nContent-Length: 9\r\n\r\n{")
    time.sleep(1.0)
    begun = time.monotonic()
    assert daemon.stop(20) == 0
    assert time.monotonic() - begun < 10
    for thread in threads:
        thread.join(20)
    assert got == ["later"] * 5
    half.close()


def test_sighup_reads_the_resources_again(qrmid: Started) -> None:
    """New ones are lent; a file that is wrong changes nothing and is told in the log."""
    daemon = qrmid().start()
    assert daemon.client().post("/v1/leases", ask(1, "new"))["outcome"] == "refused"
    daemon.write_config([EMU, {**EMU, "name": "new"}])
    daemon.signal(signal.SIGHUP)
    eventually(lambda: "read again" in daemon.log())
    names = [row["name"] for row in daemon.client().get("/v1/resources")]
    assert names == ["emu", "new"]
    assert daemon.client().post("/v1/leases", ask(2, "new"))["outcome"] == "granted"
    daemon.config.write_text("{")
    daemon.signal(signal.SIGHUP)
    eventually(lambda: "stays as it was" in daemon.log())
    assert len(daemon.client().get("/v1/resources")) == 2


def test_systemd_is_told(qrmid: Started, tmp_path: Path) -> None:
    """READY=1 when requests are answered, that it lives, and STOPPING=1 at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = tmp_path / "notify"
        notify.bind(str(path))
        notify.settimeout(20)
        told = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "600000"}
        daemon = qrmid().start(wait=False, **told)
        assert notify.recv(100) == b"READY=1"
        assert daemon.answers()
        assert [notify.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4
        daemon.stop()
        assert set(iter(lambda: notify.recv(100), b"STOPPING=1")) <= {b"WATCHDOG=1"}


def test_the_journal_reads_its_levels(qrmid: Started) -> None:
    """Each line begins with its priority, where systemd reads it; elsewhere with the time."""
    daemon = qrmid().start(JOURNAL_STREAM="8:1")
    daemon.stop()
    assert "<6>qrmi.site.daemon: stopping\n" in daemon.log()
    daemon.log_file.unlink()
    daemon.start()
    daemon.stop()
    assert re.search(r"(?m)^\d{4}-\d\d-\d\d \S+ INFO qrmi.site.daemon: stopping$", daemon.log())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_secrets_that_others_can_read_are_refused(qrmid: Started, mode: int) -> None:
    """It does not start; the error says chmod 600, and not the secret."""
    daemon = qrmid(resources=[_iqm()])
    daemon.config.chmod(mode)
    daemon.start(wait=False)
    assert daemon.process is not None
    assert daemon.process.wait(30) == 1
    assert "chmod 600" in daemon.log()
    assert CANARY not in daemon.log()


def _iqm() -> dict[str, Any]:
    environment = {
        "QRMI_IQM_ISA_ENDPOINT": "http://127.0.0.1:9",
        "QRMI_IQM_ISA_TOKEN": CANARY,
    }
    return {"name": "iqm1", "type": "iqm-server", "environment": environment}


def test_no_secret_anywhere(qrmid: Started) -> None:
    """Not in an answer, not in the log, not in the state, whatever is asked."""
    daemon = qrmid(resources=[_iqm(), EMU], poll_seconds=0.2).start()
    client = daemon.client()
    texts = [json.dumps(client.post("/v1/leases", ask(1, "iqm1")))]
    texts.append(json.dumps(client.post("/v1/leases", ask(2, "emu"))))
    body = {"scheduler": "slurm", "cluster": "lab", "id": "2"}
    paths = ("/v1/leases", "/v1/resources", "/health", "/v1/usage?by=user")
    texts.extend(json.dumps(client.get(path)) for path in paths)
    texts.append(json.dumps(client.post("/v1/environment", body)))
    time.sleep(1.0)
    daemon.stop()
    texts.append(daemon.log())
    files = [file for file in (daemon.folder / "state").rglob("*") if file.is_file()]
    texts.extend(file.read_bytes().decode("latin-1") for file in files)
    assert not [text for text in texts if CANARY in text]
    command = Path(f"/proc/{os.getpid()}/cmdline").read_bytes()
    assert CANARY.encode() not in command


def test_other_hosts_ask_with_munge(qrmid: Started, site_munge: PrivateMunge) -> None:
    """The same daemon, by its port."""
    port = free_port()
    daemon = qrmid(listen=f"127.0.0.1:{port}", munge_socket=site_munge.socket).start()
    client = SiteClient(url=f"http://127.0.0.1:{port}", munge_socket=site_munge.socket)
    assert client.post("/v1/leases", ask())["outcome"] == "granted"
    assert daemon.client().get("/v1/leases") == client.get("/v1/leases")


@pytest.mark.parametrize(
    ("text", "word"),
    [("sokcet = 's'", "did you mean socket?"), ("admins = ['nobody-at-all']", "knows no user")],
)
def test_wrong_settings_are_told(qrmid: Started, text: str, word: str) -> None:
    """Exit code 1 and a sentence; no traceback."""
    daemon = qrmid()
    daemon.toml.write_text(daemon.toml.read_text() + text + "\n")
    daemon.start(wait=False)
    assert daemon.process is not None
    assert daemon.process.wait(20) == 1
    assert word in daemon.log()
    assert "Traceback" not in daemon.log()
