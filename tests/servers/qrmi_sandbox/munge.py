"""MUNGE for a server: a munged of its own, or a stand-in where MUNGE is not installed."""

from __future__ import annotations

import base64
import binascii
import contextlib
import ctypes
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Protocol

__all__ = ["CredentialError", "Munge", "PrivateMunge", "StandInMunge", "usual_munge"]

_OPT_SOCKET = 8
_EXPIRED, _REPLAYED = 15, 17
_MOST_SIGNALS = 10
_SIGNAL_SECONDS = 1.0
_SHAPE = re.compile(r"MUNGE:([A-Za-z0-9+/]+={0,2}):").fullmatch
_STAND_IN = """#!/bin/sh
# Prints what has the shape of a MUNGE credential; it proves nothing.
printf 'MUNGE:%s:\\n' "$(head -c 96 /dev/urandom | base64 | tr -d '\\n')"
"""


class CredentialError(Exception):
    """A credential is not good: ``status`` and the words of Warden's answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Munge(Protocol):
    """Where a server gets users' ids from."""

    def start(self) -> None:
        """Get ready; again after `stop` too."""

    def stop(self) -> None:
        """Let go."""

    def settings(self) -> dict[str, str]:
        """What a client has to be told, by key."""

    def user_of(self, credential: str) -> int:
        """The id of the user who made it. Raises `CredentialError`."""


class PrivateMunge:
    """A munged with its own key, on a socket in a short temporary folder.

    Credentials are decoded by the daemon, which refuses those that are forged, old, or seen before.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mg", dir="/tmp")  # sockets: 107 bytes
        root = Path(self._folder.name)
        root.chmod(0o711)  # munged wants others to be able to reach its socket
        self.key = root / "key"
        self.key.touch(mode=0o600)
        self.key.write_bytes(secrets.token_bytes(64))
        self.socket = str(root / "s")
        self._process: subprocess.Popen[str] | None = None

    @staticmethod
    def is_installed() -> bool:
        """Whether there are a munged and a libmunge on this machine."""
        return _daemon() is not None and _library() is not None

    def start(self) -> None:
        """Start the daemon; it listens when this returns."""
        daemon = _daemon()
        if daemon is None:
            raise RuntimeError("munged is not installed (Debian: apt-get install munge)")
        root = self.key.parent
        self._process = subprocess.Popen(
            [
                daemon,
                "--foreground",
                f"--key-file={self.key}",
                f"--socket={self.socket}",
                f"--pid-file={root / 'pid'}",
                f"--seed-file={root / 'seed'}",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:  # the little that follows fits the pipe
            if "Created socket" in line:
                return
        raise RuntimeError(f"munged did not start: status {self._process.wait()}")

    def stop(self) -> None:
        """Stop the daemon; its key stays."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def settings(self) -> dict[str, str]:
        """The socket."""
        return {"QRMI_MUNGE_SOCKET": self.socket}

    def user_of(self, credential: str) -> int:
        """As munged says."""
        library = _library()
        assert library is not None
        return library.decode(credential, self.socket)


def _end(munged: subprocess.Popen[str]) -> None:
    """Have it end in order; it misses a signal that comes just before it waits for its clients."""
    for _ in range(_MOST_SIGNALS):
        munged.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            munged.communicate(timeout=_SIGNAL_SECONDS)
            return
    munged.kill()
    munged.communicate()


class StandInMunge:
    """Looks at the shape of a credential, and that each is used once. Everyone is this user.

    Its ``munge`` command makes such credentials.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mg")
        self.command = Path(self._folder.name) / "munge"
        self.command.write_text(_STAND_IN)
        self.command.chmod(0o755)
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Nothing is needed."""

    def stop(self) -> None:
        """Nothing is held."""

    def settings(self) -> dict[str, str]:
        """The command."""
        return {"QRMI_MUNGE_COMMAND": str(self.command)}

    def user_of(self, credential: str) -> int:
        """This process's user."""
        match = _SHAPE(credential)
        try:
            good = bool(match) and len(base64.b64decode(match[1], validate=True)) >= 64
        except binascii.Error:
            good = False
        if not good:
            raise CredentialError(500, "MUNGE decode failed")
        with self._lock:
            if credential in self._seen:
                raise CredentialError(401, "MUNGE credential replayed")
            self._seen.add(credential)
        return os.getuid()


def usual_munge() -> Munge:
    """A daemon of our own where MUNGE is installed, else the stand-in."""
    return PrivateMunge() if PrivateMunge.is_installed() else StandInMunge()


def _daemon() -> str | None:
    return shutil.which("munged") or shutil.which("munged", path="/usr/sbin:/usr/local/sbin")


def _library() -> _Library | None:
    try:
        return _Library(ctypes.CDLL("libmunge.so.2"))
    except OSError:
        return None


class _Library:
    """The half of libmunge that a service needs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.munge_ctx_create.restype = ctypes.c_void_p
        library.munge_ctx_destroy.argtypes = (ctypes.c_void_p,)
        library.munge_ctx_set.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.munge_decode.argtypes = (ctypes.c_char_p, *[ctypes.c_void_p] * 5)

    def decode(self, credential: str, socket: str) -> int:
        library = self._library
        context = library.munge_ctx_create()
        user, group = ctypes.c_uint(), ctypes.c_uint()
        try:
            library.munge_ctx_set(context, _OPT_SOCKET, ctypes.c_char_p(socket.encode()))
            places = (ctypes.byref(user), ctypes.byref(group))
            code = library.munge_decode(credential.encode(), context, None, None, *places)
        finally:
            library.munge_ctx_destroy(context)
        if code == _EXPIRED:
            raise CredentialError(401, "MUNGE credential expired")
        if code == _REPLAYED:
            raise CredentialError(401, "MUNGE credential replayed")
        if code:
            raise CredentialError(500, "MUNGE decode failed")
        return user.value
