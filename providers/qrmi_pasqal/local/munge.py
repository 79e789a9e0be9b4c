"""MUNGE credentials: proof of one's user id to services of the same cluster.

The daemon ``munged`` of this host makes them; it is asked through libmunge, or through the
``munge`` command where there is no library. A credential is good for minutes and for one decoding:
each request needs its own.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess

from qrmi.errors import Owner, QrmiError, ResourceUnavailableError
from qrmi.secrecy.scrubbing import Hidden, scrub
from qrmi.settings import Secret

__all__ = ["MungeCredentials"]

_NAMES = ("libmunge.so.2", "libmunge.so", "libmunge.2.dylib", "libmunge.dylib")
_OPT_SOCKET = 8  # MUNGE_OPT_SOCKET of munge.h
_EMUNGE_SOCKET, _EMUNGE_TIMEOUT = 6, 7
_COMMAND_SECONDS = 10.0


class MungeCredentials:
    """Makes credentials without a payload. Safe to use from several threads.

    Args:
        socket: where munged listens; ``None`` for the place that the library was built with.
        command: the ``munge`` command, used instead of the library; ``None`` for the library,
            and for ``munge`` on the search path where there is none.
    """

    def __init__(self, *, socket: str | None = None, command: str | None = None) -> None:
        self._socket = socket
        self._command = command

    def make(self) -> Secret:
        """A new credential.

        Raises:
            ResourceUnavailableError: munged does not answer, or MUNGE is not installed here.
        """
        library = None if self._command else _library()
        if library is not None:
            return Secret(library.encode(self._socket))
        return Secret(_by_command(self._found_command(), self._socket))

    def _found_command(self) -> str:
        wanted = self._command or "munge"
        found = shutil.which(wanted)
        if found is None:
            lacks = f"has no {wanted}" if self._command else "has neither libmunge nor `munge`"
            raise ResourceUnavailableError(
                f"this host {lacks}, so Warden cannot be told who asks",
                retryable=False,
                hint="run on a host of the cluster, or ask the site to install MUNGE here",
            )
        return found


class _Library:
    """libmunge's functions."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._encode = library.munge_encode
        self._encode.argtypes = (
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int,
        )
        self._strerror = library.munge_strerror
        self._strerror.restype = ctypes.c_char_p
        self._create = library.munge_ctx_create
        self._create.restype = ctypes.c_void_p
        self._set = library.munge_ctx_set  # variadic: only the fixed arguments are declared
        self._set.argtypes = (ctypes.c_void_p, ctypes.c_int)
        self._destroy = library.munge_ctx_destroy
        self._destroy.argtypes = (ctypes.c_void_p,)
        self._destroy.restype = None
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = (ctypes.c_void_p,)
        self._free.restype = None

    def encode(self, socket: str | None) -> str:
        """A credential; the interpreter runs other threads while munged works."""
        if socket is None:
            return self._encoded(None)
        context = self._create()  # not to be shared between threads, and cheap
        try:
            self._check(self._set(context, _OPT_SOCKET, ctypes.c_char_p(os.fsencode(socket))))
            return self._encoded(context)
        finally:
            self._destroy(context)

    def _encoded(self, context: int | None) -> str:
        text = ctypes.c_void_p()
        self._check(self._encode(ctypes.byref(text), context, None, 0))
        try:
            return ctypes.string_at(text.value or 0).decode("ascii")
        finally:
            self._free(text)

    def _check(self, code: int) -> None:
        if code:
            silent = code in (_EMUNGE_SOCKET, _EMUNGE_TIMEOUT)
            raise _failure(self._strerror(code).decode("ascii", "replace"), silent=silent)


@functools.cache
def _library() -> _Library | None:
    for name in _NAMES:
        try:
            return _Library(ctypes.CDLL(name))
        except (AttributeError, OSError):
            continue
    return None


def _by_command(command: str, socket: str | None) -> str:
    arguments = [command, "--no-input", *([] if socket is None else [f"--socket={socket}"])]
    try:
        done = subprocess.run(
            arguments,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=False,
            encoding="ascii",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise _failure(f"{command} did not end", silent=True) from error
    except OSError as error:
        raise _failure(f"{command}: {error.strerror}", silent=False) from error
    credential, reason = Hidden(done.stdout.strip()), scrub(done.stderr).strip().splitlines()[-1:]
    is_good = done.returncode == 0 and _is_credential(credential)
    del done  # it shows what the command wrote
    if not is_good:
        raise _failure((reason or [f"{command} gave no credential"])[0][:200], silent=True)
    return credential


def _is_credential(text: str) -> bool:
    return text.isascii() and text.isprintable() and text != ""


def _failure(reason: str, *, silent: bool) -> QrmiError:
    return ResourceUnavailableError(
        f"munge encode failed: {reason}",
        owner=Owner.SITE,
        retryable=silent,
        hint="munged must run on this host: ask the site; QRMI_MUNGE_SOCKET names another socket",
    )
