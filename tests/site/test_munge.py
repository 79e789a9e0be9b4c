"""MUNGE in the core: payloads, decoding, and each way in which a credential is no good."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from site_lab import as_user

from qrmi import libmunge, munge
from qrmi.errors import AuthenticationFailedError, Owner, ResourceUnavailableError
from qrmi_sandbox.munge import PrivateMunge


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(payload=st.binary(max_size=3000))
def test_what_is_carried_comes_out(site_munge: PrivateMunge, payload: bytes) -> None:
    """Any payload, with who made it."""
    credential = munge.MungeCredentials(socket=site_munge.socket).make(payload)
    decoded = munge.decode(credential.reveal(), socket=site_munge.socket)
    assert decoded == munge.Decoded(uid=os.getuid(), gid=os.getgid(), payload=payload)


def test_the_command_carries_a_payload(site_munge: PrivateMunge) -> None:
    """Where there is no library the command does the same."""
    credentials = munge.MungeCredentials(socket=site_munge.socket, command="munge")
    decoded = munge.decode(credentials.make(b"v1 abc").reveal(), socket=site_munge.socket)
    assert decoded.payload == b"v1 abc"


def _refused(credential: str, socket: str) -> AuthenticationFailedError:
    with pytest.raises(AuthenticationFailedError) as caught:
        munge.decode(credential, socket=socket)
    assert not caught.value.retryable
    assert caught.value.hint
    return caught.value


def test_a_replay_is_told_from_others(site_munge: PrivateMunge) -> None:
    """The second decoding is refused as such."""
    credential = munge.MungeCredentials(socket=site_munge.socket).make().reveal()
    munge.decode(credential, socket=site_munge.socket)
    error = _refused(credential, site_munge.socket)
    assert "replayed" in error.message
    assert error.owner is Owner.USER


def test_an_expired_one_is_told_from_others(site_munge: PrivateMunge) -> None:
    """A credential that was good for a second; clocks are the site's."""
    library = libmunge.load()
    assert library is not None
    credential = library.encode(socket=site_munge.socket, ttl_seconds=1)
    time.sleep(2.2)
    error = _refused(credential, site_munge.socket)
    assert "expired" in error.message
    assert error.owner is Owner.SITE


@pytest.mark.parametrize("text", ["", "MUNGE:", "MUNGE:AAAA:", "nothing", "ü", "MUNGE:x" * 2000])
def test_a_forged_one_is_told_from_others(site_munge: PrivateMunge, text: str) -> None:
    """Junk, and what another cluster's munged made."""
    assert "no credential of this cluster" in _refused(text, site_munge.socket).message


def test_another_key_is_another_cluster(site_munge: PrivateMunge) -> None:
    """The same software with another key makes nothing that counts here."""
    other = PrivateMunge()
    other.start()
    try:
        credential = munge.MungeCredentials(socket=other.socket).make().reveal()
    finally:
        other.stop()
    assert "no credential of this cluster" in _refused(credential, site_munge.socket).message


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become others")
def test_a_restricted_one_is_for_one_user(site_munge: PrivateMunge) -> None:
    """Another user who gets hold of it can neither read it nor use it up."""
    credential = munge.MungeCredentials(socket=site_munge.socket, uid=0).make(b"x").reveal()
    told = as_user(4242, lambda: munge.decode(credential, socket=site_munge.socket).uid)
    assert "another user's service" in told["error"]["message"]
    assert munge.decode(credential, socket=site_munge.socket).payload == b"x"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become others")
def test_it_tells_other_users_apart(site_munge: PrivateMunge) -> None:
    """The uid is the system's word, not the caller's."""
    maker = munge.MungeCredentials(socket=site_munge.socket)
    credential = as_user(4242, lambda: str.__str__(maker.make().reveal()))["value"]
    assert munge.decode(credential, socket=site_munge.socket).uid == 4242


def test_munged_that_is_away_is_the_sites(tmp_path: object) -> None:
    """Not the asker's fault, and worth another try."""
    with pytest.raises(ResourceUnavailableError, match="munge decode failed") as caught:
        munge.decode("MUNGE:x:", socket=f"{tmp_path}/none")
    assert caught.value.owner is Owner.SITE
    assert caught.value.retryable


def test_hooks_can_import_the_bare_part() -> None:
    """It brings in neither attrs nor anything of ours."""
    code = "import sys, qrmi.libmunge, qrmi.site.doors.signing; print(*sys.modules)"
    command = [sys.executable, "-I", "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("qrmi")}
    assert ours == {
        "qrmi",
        "qrmi._foreign",
        "qrmi.libmunge",
        "qrmi.site",
        "qrmi.site.doors",
        "qrmi.site.doors.signing",
    }
    assert not {"attrs", "attr", "logging", "json", "http.client", "requests"} & set(loaded)
