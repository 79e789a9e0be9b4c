"""libmunge, and nothing around it: what a program needs that must start at once.

Hooks of schedulers import this module, so it stays small and imports the standard library only.
Others use `qrmi.munge`, which speaks in the library's own errors.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

__all__ = ["NAMES", "Library", "MungeFailure", "load"]

NAMES = ("libmunge.so.2", "libmunge.so", "libmunge.2.dylib", "libmunge.dylib")
"""What the library is called, on the systems that have it."""

_OPT_TTL, _OPT_SOCKET, _OPT_UID_RESTRICTION = 4, 8, 9  # munge_opt of munge.h
_KINDS = {
    6: "silent",  # EMUNGE_SOCKET
    7: "silent",  # EMUNGE_TIMEOUT
    15: "expired",
    16: "rewound",
    17: "replayed",
    18: "unauthorized",
}


class MungeFailure(Exception):  # noqa: N818 (no error of ours: hooks make theirs of it)
    """munged, or its library, refused.

    Attributes:
        kind: ``silent`` (munged does not answer), ``expired``, ``rewound`` (made in the future:
            the hosts' clocks differ), ``replayed`` (decoded before), ``unauthorized`` (it is for
            another user), or ``forged`` for all that is no good credential of this cluster.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.kind = _KINDS.get(code, "forged")


class Library:
    """The functions of libmunge. Safe to use from several threads."""

    def __init__(self, library: ctypes.CDLL) -> None:
        place, number = ctypes.c_void_p, ctypes.c_int
        self._encode = library.munge_encode
        self._encode.argtypes = (place, place, ctypes.c_char_p, number)
        self._decode = library.munge_decode
        self._decode.argtypes = (ctypes.c_char_p, place, place, place, place, place)
        self._strerror = library.munge_strerror
        self._strerror.restype = ctypes.c_char_p
        self._create = library.munge_ctx_create
        self._create.restype = place
        self._set = library.munge_ctx_set  # variadic: only the fixed arguments are declared
        self._set.argtypes = (place, number)
        self._destroy = library.munge_ctx_destroy
        self._destroy.argtypes = (place,)
        self._destroy.restype = None
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = (place,)
        self._free.restype = None

    def encode(
        self,
        payload: bytes = b"",
        *,
        socket: str | None = None,
        uid: int | None = None,
        ttl_seconds: int | None = None,
    ) -> str:
        """A new credential; the interpreter runs other threads while munged works.

        Args:
            payload: what it carries.
            socket: where munged listens; ``None`` for the place the library was built with.
            uid: the only user who may decode it; ``None`` for anybody of the cluster.
            ttl_seconds: how long it is good; ``None`` for what munged gives.

        Raises:
            MungeFailure: there is none.
        """
        context = self._context(socket)  # not to be shared between threads, and cheap
        text = ctypes.c_void_p()
        try:
            if uid is not None:
                self._check(self._set(context, _OPT_UID_RESTRICTION, ctypes.c_int(uid)))
            if ttl_seconds is not None:
                self._check(self._set(context, _OPT_TTL, ctypes.c_int(ttl_seconds)))
            self._check(self._encode(ctypes.byref(text), context, payload, len(payload)))
            return ctypes.string_at(text.value or 0).decode("ascii")
        finally:
            self._free(text)
            self._destroy(context)

    def decode(self, credential: str, *, socket: str | None = None) -> tuple[int, int, bytes]:
        """Who made a credential, uid and gid, and what it carries; munged allows it once.

        Raises:
            MungeFailure: it is no good one, or not any more.
        """
        context = self._context(socket)
        payload, length = ctypes.c_void_p(), ctypes.c_int()
        uid, gid = ctypes.c_uint32(), ctypes.c_uint32()
        places = [ctypes.byref(place) for place in (payload, length, uid, gid)]
        try:
            self._check(self._decode(credential.encode("ascii", "replace"), context, *places))
            carried = ctypes.string_at(payload.value, length.value) if payload.value else b""
            return uid.value, gid.value, carried
        finally:
            self._free(payload)  # also of a credential that was refused
            self._destroy(context)

    def _context(self, socket: str | None) -> Any:
        context = self._create()
        if socket is not None:
            self._check(self._set(context, _OPT_SOCKET, ctypes.c_char_p(os.fsencode(socket))))
        return context

    def _check(self, code: int) -> None:
        if code:
            raise MungeFailure(code, self._strerror(code).decode("ascii", "replace"))


def load() -> Library | None:
    """Libmunge of this host, or ``None``."""
    for name in NAMES:
        try:
            return Library(ctypes.CDLL(name))
        except (AttributeError, OSError):
            continue
    return None
