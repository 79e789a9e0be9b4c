"""Every test session has a state folder of its own, and leaves no worker behind.

Clients that none of us wrote (`peer`) have each an environment of its own. It is made at first use
below ``tests/servers/.peers`` with pip, and kept; the variable ``QRMI_TEST_PEERS`` names another
folder to keep them in.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

_FOREIGN_PREFIXES = ("QRMI_", "SLURM_", "PBS_", "LSB_", "FLUX_", "SGE_")


@pytest.fixture(scope="session", autouse=True)
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A private QRMI_STATE_DIR, no configuration, and no scheduler around the tests.

    Files are made for their user alone: many are configurations with secrets.
    """
    os.umask(0o077)
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_FOREIGN_PREFIXES):
                patch.delenv(name)
        patch.setenv("QRMI_STATE_DIR", str(folder))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "no-config"))
        yield folder
        from qrmi.lifetime import ending
        from qrmi_local.service import client

        client.shutdown(folder)
        for duty in ending.duties():  # the servers that could release it ended with their tests
            ending.lay_down(duty)


@pytest.fixture
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for one test alone."""
    folder = tmp_path / "state"
    monkeypatch.setenv("QRMI_STATE_DIR", str(folder))
    yield folder
    from qrmi_local.service import client

    client.shutdown(folder)


@pytest.fixture
def local() -> object:
    """A handle to the embedded simulator."""
    from qrmi import QuantumResource

    return QuantumResource("local", "local")


_PEERS = {
    "rust": ["qrmi==0.26.4"],
    "iqm": ["iqm-client[qiskit]==36.0.0"],
    "oqtopus": ["oqtopus-client==1.3.0"],
}
_FOLDER = Path(os.environ.get("QRMI_TEST_PEERS") or Path(__file__).parent / "servers" / ".peers")
_LONGEST_INSTALL_SECONDS = 600


@attrs.frozen
class Peer:
    """A Python with a foreign client."""

    python: Path

    def run(self, script: str, *, timeout: float = 90.0, **environment: str) -> Any:
        """Run a script there; the last line that it prints is JSON and is returned."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [self.python, "-P", "-c", script],
            env={**kept, "NO_PROXY": "127.0.0.1,localhost", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])


def _made(name: str) -> Path:
    folder = _FOLDER / name
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    _FOLDER.mkdir(parents=True, exist_ok=True)
    claim = _FOLDER / f"{name}.making"
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:  # another worker of this test run is at it
        for _ in range(_LONGEST_INSTALL_SECONDS):
            if ready.exists():
                return python
            time.sleep(1.0)
        pytest.fail(f"the environment of {name} was not ready in time; remove {claim}")
    try:
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", *_PEERS[name]]
        subprocess.run(install, check=True, timeout=_LONGEST_INSTALL_SECONDS)
        ready.touch()
    finally:
        claim.unlink()
    return python


@pytest.fixture(scope="session")
def peer() -> Callable[[str], Peer]:
    """``peer("rust")``: the environment of that client; ``peer("here")``: this very one."""

    def environment(name: str) -> Peer:
        return Peer(Path(sys.executable) if name == "here" else _made(name))

    return environment


_MUNGE_SOCKET = re.compile(rb"(?:/var)?/run/munge/munge\.socket\.2\0")


@pytest.fixture
def munge_library(tmp_path: Path) -> Callable[[str], Path]:
    """``munge_library(socket)``: a folder for ``LD_LIBRARY_PATH`` with a libmunge for that socket.

    The Rust client finds munged where its libmunge was built to look. This is a copy of the
    system's library in which that one path is another; everything else of it is as it was.
    """

    def folder(socket: str) -> Path:
        ctypes.CDLL("libmunge.so.2")
        maps = Path("/proc/self/maps").read_text()
        content = Path(re.findall(r"(/\S*libmunge\.so\.2\S*)", maps)[0]).read_bytes()

        def ours(found: re.Match[bytes]) -> bytes:
            path = socket.encode().ljust(len(found[0]), b"\0")
            assert len(path) == len(found[0]), "the test's socket has too long a path"
            return path

        patched, places = _MUNGE_SOCKET.subn(ours, content)
        assert places == 1, "the library has its socket's path in another place"
        made = tmp_path / "libmunge"
        made.mkdir(exist_ok=True)
        (made / "libmunge.so.2").write_bytes(patched)
        return made

    return folder
