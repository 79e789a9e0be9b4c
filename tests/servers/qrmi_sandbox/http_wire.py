"""Just enough of HTTP/1.1 to know where a message begins and ends, for what stands in between."""

from __future__ import annotations

import contextlib
import socket
import struct

import attrs

__all__ = ["Message", "Wire", "reset"]

_END = b"\r\n\r\n"
_PIECE = 65536
_LONGEST_HEAD = 1 << 20
_BODILESS = frozenset({204, 304})


@attrs.frozen
class Message:
    """A request or an answer, byte for byte."""

    head: bytes = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False, default=b"")

    @property
    def whole(self) -> bytes:
        """All of it."""
        return self.head + self.body

    @property
    def first_line(self) -> list[str]:
        """Its three words: method, target, version; or version, status, reason."""
        words = self.head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
        return [*words, "", ""][:3]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first_line[1])

    def header(self, name: str) -> str:
        """The value of a header, in lower case; empty when there is none."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.decode("latin-1").partition(":")
            if key.strip().lower() == name:
                return value.strip().lower()
        return ""


class Wire:
    """A connection with what was read from it and not yet taken."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._read = b""

    def request_head(self) -> Message | None:
        """The head of the next request; ``None`` when the peer is gone."""
        head = self._until(_END)
        return None if head is None else Message(head)

    def request_body(self, request: Message) -> bytes | None:
        """The body that belongs to a head; ``None`` when the peer left in the middle of it."""
        if request.header("transfer-encoding") == "chunked":
            return self._chunks()
        return self._exactly(int(request.header("content-length") or 0))

    def answer(self, method: str) -> Message | None:
        """The next answer, provisional ones (``1xx``) left out; ``None`` when there is none."""
        while (head := self._until(_END)) is not None:
            message = Message(head)
            if message.status >= 200:
                body = self._answer_body(message, method)
                return None if body is None else Message(head, body)
        return None

    def _answer_body(self, answer: Message, method: str) -> bytes | None:
        if method == "HEAD" or answer.status in _BODILESS:
            return b""
        if answer.header("transfer-encoding") == "chunked":
            return self._chunks()
        length = answer.header("content-length")
        return self._exactly(int(length)) if length else self._rest()

    def send(self, content: bytes) -> None:
        """Send all of it; raises `OSError` when the peer is gone."""
        self.connection.sendall(content)

    def close(self) -> None:
        """End the connection in good order."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    # --- inside -------------------------------------------------------------------------------

    def _more(self) -> bool:
        try:
            piece = self.connection.recv(_PIECE)
        except OSError:
            return False
        self._read += piece
        return bool(piece)

    def _until(self, end: bytes) -> bytes | None:
        while (place := self._read.find(end)) < 0:
            if len(self._read) > _LONGEST_HEAD or not self._more():
                return None
        return self._taken(place + len(end))

    def _exactly(self, length: int) -> bytes | None:
        while len(self._read) < length:
            if not self._more():
                return None
        return self._taken(length)

    def _chunks(self) -> bytes | None:
        """A chunked body as it is on the wire."""
        whole = b""
        while (line := self._until(b"\r\n")) is not None:
            size = int(line.split(b";")[0], 16)
            chunk = self._exactly(size + 2)
            if chunk is None:
                return None
            whole += line + chunk
            if not size:
                return whole
        return None

    def _rest(self) -> bytes:
        while self._more():
            pass
        return self._taken(len(self._read))

    def _taken(self, length: int) -> bytes:
        taken, self._read = self._read[:length], self._read[length:]
        return taken


def reset(connection: socket.socket) -> None:
    """Close at once: the peer sees a reset, not an end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        connection.close()
