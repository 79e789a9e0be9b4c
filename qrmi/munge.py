"""MUNGE credentials: proof of one's user id to services of the same cluster.

The daemon ``munged`` of this host makes them; it is asked through libmunge, or through the
``munge`` command where there is no library. A credential is good for minutes and for one decoding:
each request needs its own.
"""

from __future__ import annotations

import functools
import shutil
import subprocess

import attrs

from qrmi import libmunge
from qrmi.errors import AuthenticationFailedError, Owner, QrmiError, ResourceUnavailableError
from qrmi.libmunge import Library, MungeFailure
from qrmi.secrecy.scrubbing import Hidden, scrub
from qrmi.settings import Secret

__all__ = ["Decoded", "MungeCredentials", "decode"]

_COMMAND_SECONDS = 10.0
_CLOCKS = "the clocks of the cluster's hosts must agree: ask the site"
_REFUSED = {
    "expired": ("it has expired", _CLOCKS),
    "rewound": ("it was made in the future", _CLOCKS),
    "replayed": ("it was used before: replayed", "make a new credential for each request"),
    "unauthorized": ("it was made for another user's service", "ask the site which user runs it"),
}
_FORGED = ("it is no credential of this cluster", "both hosts must have the same MUNGE key")


@attrs.frozen(kw_only=True)
class Decoded:
    """What a good credential says.

    Attributes:
        uid, gid: who made it.
        payload: what it carries.
    """

    uid: int
    gid: int
    payload: bytes


class MungeCredentials:
    """Makes credentials. Safe to use from several threads.

    Args:
        socket: where munged listens; ``None`` for the place that the library was built with.
        command: the ``munge`` command, used instead of the library; ``None`` for the library,
            and for ``munge`` on the search path where there is none.
        uid: the only user who may decode them; ``None`` for anybody of the cluster.
    """

    def __init__(
        self, *, socket: str | None = None, command: str | None = None, uid: int | None = None
    ) -> None:
        self._socket = socket
        self._command = command
        self._uid = uid

    def make(self, payload: bytes = b"") -> Secret:
        """A new credential.

        Raises:
            ResourceUnavailableError: munged does not answer, or MUNGE is not installed here.
        """
        library = None if self._command else _library()
        if library is None:
            return Secret(_by_command(self._arguments(), payload))
        try:
            return Secret(library.encode(payload, socket=self._socket, uid=self._uid))
        except MungeFailure as failure:
            raise _failure("encode", str(failure), silent=failure.kind == "silent") from failure

    def _arguments(self) -> list[str]:
        options = [] if self._socket is None else [f"--socket={self._socket}"]
        if self._uid is not None:
            options.append(f"--restrict-uid={self._uid}")
        return [self._found_command(), *options]

    def _found_command(self) -> str:
        wanted = self._command or "munge"
        found = shutil.which(wanted)
        if found is None:
            lacks = f"has no {wanted}" if self._command else "has neither libmunge nor `munge`"
            raise ResourceUnavailableError(
                f"this host {lacks}, so no service can be told who asks",
                retryable=False,
                hint="run on a host of the cluster, or ask the site to install MUNGE here",
            )
        return found


def decode(credential: str, *, socket: str | None = None) -> Decoded:
    """Who made a credential, and what it carries; munged allows it once.

    Raises:
        AuthenticationFailedError: it is expired, was used before, is for another user, or is none
            of this cluster; the message says which.
        ResourceUnavailableError: munged does not answer, or libmunge is not installed here.
    """
    library = _library()
    if library is None:
        raise ResourceUnavailableError(
            "this host has no libmunge, so nobody can be told who asks",
            retryable=False,
            hint="install MUNGE here: apt-get install munge",
        )
    try:
        uid, gid, payload = library.decode(credential, socket=socket)
    except MungeFailure as failure:
        if failure.kind == "silent":
            raise _failure("decode", str(failure), silent=True) from failure
        reason, hint = _REFUSED.get(failure.kind, _FORGED)
        owner = Owner.USER if failure.kind == "replayed" else Owner.SITE
        raise AuthenticationFailedError(
            f"the MUNGE credential is refused: {reason}", owner=owner, hint=hint
        ) from failure
    return Decoded(uid=uid, gid=gid, payload=payload)


@functools.cache
def _library() -> Library | None:
    return libmunge.load()


def _by_command(arguments: list[str], payload: bytes) -> str:
    command = arguments[0]
    try:
        done = subprocess.run(
            [*arguments, *([] if payload else ["--no-input"])],
            input=payload,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failure("encode", f"{command} did not end", silent=True) from error
    except OSError as error:
        raise _failure("encode", f"{command}: {error.strerror}", silent=False) from error
    credential = Hidden(done.stdout.decode("ascii", "replace").strip())
    reason = scrub(done.stderr.decode("ascii", "replace")).strip().splitlines()[-1:]
    is_good = done.returncode == 0 and _is_credential(credential)
    del done  # it shows what the command wrote
    if not is_good:
        told = (reason or [f"{command} gave no credential"])[0][:200]
        raise _failure("encode", told, silent=True)
    return credential


def _is_credential(text: str) -> bool:
    return text.isascii() and text.isprintable() and text != ""


def _failure(what: str, reason: str, *, silent: bool) -> QrmiError:
    return ResourceUnavailableError(
        f"munge {what} failed: {reason}",
        owner=Owner.SITE,
        retryable=silent,
        hint="munged must run on this host: ask the site; QRMI_MUNGE_SOCKET names another socket",
    )
