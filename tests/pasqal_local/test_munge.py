"""MUNGE for real: a munged of our own, asked through libmunge and through the command."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qrmi import libmunge
from qrmi import munge as module
from qrmi.errors import AuthenticationFailedError, Owner, ResourceUnavailableError
from qrmi.munge import MungeCredentials
from qrmi.resource import QuantumResource
from qrmi_sandbox.munge import CredentialError, PrivateMunge, StandInMunge
from qrmi_sandbox.warden import WardenServer

Opened = Callable[..., QuantumResource]


def test_the_library_proves_who_asks(real_munge: PrivateMunge) -> None:
    """The daemon decodes the credential, once, to this process's user."""
    credential = MungeCredentials(socket=real_munge.socket).make().reveal()
    assert credential.startswith("MUNGE:")
    assert credential.endswith(":")
    assert real_munge.user_of(credential) == os.getuid()
    with pytest.raises(CredentialError, match="replayed"):
        real_munge.user_of(credential)


def test_the_command_does_the_same(real_munge: PrivateMunge) -> None:
    """Where it is named, the command is used, with the same socket."""
    command = shutil.which("munge")
    credentials = MungeCredentials(socket=real_munge.socket, command=command)
    assert real_munge.user_of(credentials.make().reveal()) == os.getuid()


def test_the_command_serves_without_the_library(
    real_munge: PrivateMunge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that has the command alone needs no setting."""
    monkeypatch.setattr(libmunge, "NAMES", ("libno-such-munge.so.2",))
    module._library.cache_clear()
    try:
        credential = MungeCredentials(socket=real_munge.socket).make().reveal()
    finally:
        monkeypatch.undo()
        module._library.cache_clear()
    assert real_munge.user_of(credential) == os.getuid()


def test_threads_get_credentials_of_their_own(real_munge: PrivateMunge) -> None:
    """No context of libmunge is shared: all calls succeed and all credentials differ."""
    credentials = MungeCredentials(socket=real_munge.socket)
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.extend(credentials.make().reveal() for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 160
    assert {real_munge.user_of(credential) for credential in made} == {os.getuid()}


def test_a_credential_is_not_shown(real_munge: PrivateMunge) -> None:
    """Neither `str` nor `repr` of what `make` gives shows it."""
    secret = MungeCredentials(socket=real_munge.socket).make()
    assert f"{secret} {secret!r}" == "*** ***"


@pytest.mark.parametrize("command", [None, "munge"])
def test_munged_is_not_there(tmp_path: Path, command: str | None) -> None:
    """The site is told to start it, in upstream's words and in ours."""
    if not PrivateMunge.is_installed():
        pytest.skip("MUNGE is not installed: apt-get install munge")
    credentials = MungeCredentials(socket=str(tmp_path / "none"), command=command)
    with pytest.raises(ResourceUnavailableError, match="munge encode failed") as caught:
        credentials.make()
    assert caught.value.owner is Owner.SITE
    assert caught.value.retryable
    assert "QRMI_MUNGE_SOCKET" in caught.value.hint


def test_munge_is_not_installed(tmp_path: Path) -> None:
    """Without a library and a command there is nothing to retry."""
    with pytest.raises(ResourceUnavailableError, match="this host has no /") as caught:
        MungeCredentials(command=str(tmp_path / "munge")).make()
    assert not caught.value.retryable


def test_neither_library_nor_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names both."""
    monkeypatch.setattr(module, "_library", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceUnavailableError, match="neither libmunge nor `munge`"):
        MungeCredentials().make()


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\nexit 0\n",
        "#!/bin/sh\necho 'munge: Error: out of tea' >&2; exit 1\n",
        "#!/bin/sh\nprintf '\\377\\376'\n",
        "#!/bin/sh\nprintf 'MUNGE:a\\nx-evil: b'\n",
        "not a script",
    ],
)
def test_a_command_that_fails(tmp_path: Path, script: str) -> None:
    """Whatever the command does, there is a typed error, and nothing is sent."""
    command = tmp_path / "munge"
    command.write_text(script)
    command.chmod(0o755)
    with pytest.raises(ResourceUnavailableError, match="munge encode failed"):
        MungeCredentials(command=str(command)).make()


def test_no_request_leaves_without_a_credential(
    newer: WardenServer, opened: Opened, tmp_path: Path
) -> None:
    """When none can be made the service is not asked."""
    handle = opened(newer, QRMI_MUNGE_COMMAND=str(tmp_path / "none"))
    with pytest.raises(ResourceUnavailableError):
        handle.list_tasks()
    assert newer.requests == []


@pytest.mark.parametrize("generation", ["0.1", "0.3.2"])
def test_a_credential_of_another_key(real_munge: PrivateMunge, generation: str) -> None:
    """Two hosts with different keys: Warden answers 500, and we say whose fault it is."""
    with WardenServer(generation=generation, munge=PrivateMunge()) as server:
        settings = {**server.settings(), "QRMI_MUNGE_SOCKET": real_munge.socket}
        handle = QuantumResource.from_config("qpu", "pasqal-local", settings)
        with pytest.raises(AuthenticationFailedError, match="MUNGE decode failed") as caught:
            handle.acquire()
    assert caught.value.owner is Owner.SITE
    assert "same MUNGE key" in caught.value.hint
    assert not caught.value.retryable


def test_the_sandbox_without_munge(opened: Opened) -> None:
    """Where MUNGE is not installed the sandbox brings a stand-in, and is as strict with it."""
    with WardenServer(munge=StandInMunge()) as server:
        handle = opened(server)
        assert handle.list_tasks() == handle.list_tasks() == []
        seen = server.requests[-1].headers["x-munge-cred"]
        for credential, word in {seen: "replayed", "MUNGE:x:": "failed", "": "failed"}.items():
            with pytest.raises(CredentialError, match=word):
                server.munge.user_of(credential)
