"""Tokens with which a job proves to the daemon that it holds a resource.

A token names a run of a job, a user and a resource, and bears a seal that only this daemon can
make. It is worth nothing by itself: `qrmi.site.gateway.dispatch` asks whether the lease that it
names is held, by that user, and has not expired. So the same lease always has the same token, and
none is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

import attrs

from qrmi.errors import ConfigError, Owner
from qrmi.secrecy.scrubbing import Hidden

__all__ = ["Claim", "Tokens", "site_secret"]

_FILE_NAME = "gateway.key"
_BYTES = 32
_PREFIX = "qrmid1"
_LONGEST = 4000


@attrs.frozen(kw_only=True)
class Claim:
    """What a token with a good seal says.

    Attributes:
        key: the run of the job (`qrmi.site.terms.Job.key`).
        uid: the user who may use it.
        resource: the resource that it is for.
    """

    key: str
    uid: int
    resource: str


class Tokens:
    """Makes tokens and reads them.

    Args:
        secret: what seals are made with; the daemon's alone.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, claim: Claim) -> str:
        """The token of a claim; the same for the same claim. Its ``repr`` is ``***``."""
        text = json.dumps([claim.key, claim.uid, claim.resource], separators=(",", ":"))
        told = _encoded(text.encode())
        return Hidden(f"{_PREFIX}.{told}.{self._seal(told)}")

    def read(self, token: str) -> Claim | None:
        """The claim of a token; ``None`` when this daemon did not make it."""
        prefix, _, rest = token[:_LONGEST].partition(".")
        told, _, seal = rest.partition(".")
        if prefix != _PREFIX or not rest.isascii():
            return None
        if not hmac.compare_digest(seal.encode(), self._seal(told).encode()):
            return None
        key, uid, resource = json.loads(_decoded(told))
        return Claim(key=key, uid=uid, resource=resource)

    def name_of(self, uid: int) -> str:
        """A short name for a user that means nothing outside of this site."""
        seal = hmac.new(self._secret, f"user {uid}".encode(), hashlib.sha256)
        return seal.hexdigest()[:12]

    def _seal(self, told: str) -> str:
        seal = hmac.new(self._secret, f"token {told}".encode(), hashlib.sha256)
        return _encoded(seal.digest())


def site_secret(folder: Path) -> bytes:
    """The secret in the daemon's state folder; made at first use, for its user alone.

    Raises:
        ConfigError: it cannot be read or made, or others can read it.
    """
    path = folder / _FILE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path)
        if path.stat().st_mode & 0o077:
            raise _unusable(path, "others can read it", "remove it: running jobs lose their QPUs")
        secret = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "check the state folder") from error
    if len(secret) != _BYTES:
        raise _unusable(path, "it was damaged", "remove it: running jobs lose their QPUs")
    return secret


def _make(path: Path) -> None:
    """Make the file whole or not at all, unless it is there."""
    if path.exists():
        return
    new = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


def _unusable(path: Path, why: str, hint: str) -> ConfigError:
    return ConfigError(f"the secret {path} cannot be used: {why}", owner=Owner.SITE, hint=hint)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
