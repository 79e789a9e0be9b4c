"""Writing a recording: JSON lines, one file per process, each line in one piece.

The first process takes the recording's own file; others, which find it taken, write parts beside
it (``FILE.<pid>-<random>.part``), so that no lock is needed, on network file systems neither.
`qrmi.recording.files.merge` makes one file of them.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qrmi.errors import RecordingError
from qrmi.interchange.values import Encoder
from qrmi.recording.header import header
from qrmi.recording.hiding import Scrubber

__all__ = ["Sink", "shared_sink"]

_log = logging.getLogger(__name__)
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


class Sink:
    """Where recorders write; one for all resources of a process.

    Threads may share it; a forked child writes a part of its own, and so does a process that it
    is pickled to. Making it opens nothing. A recording that cannot be written any more ends with
    one warning; the program goes on.

    Args:
        path: the recording's file.

    Attributes:
        scrubber: what takes secrets out of everything that is written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.scrubber = Scrubber()
        self._start_anew()
        _sinks.add(self)

    def __reduce__(self) -> tuple[object, ...]:
        return shared_sink, (self.path,)

    def __repr__(self) -> str:
        return f"Sink({str(self.path)!r})"

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._pid = os.getpid()
        self._is_over = False
        self._written: set[str] = set()
        self._number = 0
        self._begun = time.monotonic()
        self._id = uuid.uuid4().hex[:8]

    def begin(self) -> tuple[int, float]:
        """The number of a call that begins now, and the time since this process began to record."""
        with self._lock:
            self._number += 1
            return self._number, time.monotonic() - self._begun

    def write(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Write one entry, after the long texts in it that are not there yet; secrets left out.

        It has reached the operating system when this returns.
        """
        if self._is_over:
            return
        encoder = Encoder(self.scrubber.clean)
        try:
            entry = encoder.encode(fields)
            with self._lock:
                self._append(kind, entry, encoder.texts)
        except (TypeError, ValueError) as error:  # a driver's own odd value
            _log.warning("the recording %s lacks a %s: %s", self.path, kind, error)
        except OSError as error:
            self._is_over = True
            reason = error.strerror or error
            _log.warning("the recording %s is incomplete from here on: %s", self.path, reason)

    def _append(self, kind: str, entry: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        if self._is_over:
            return
        if self._descriptor is None:
            self._open_own()
        new = {digest: text for digest, text in texts.items() if digest not in self._written}
        lines = [_text_line(digest, text) for digest, text in new.items()]
        line = _line({"kind": kind, "process": self._id, **entry})
        self._put(b"".join([*lines, line]))
        self._written.update(new)

    def start(self) -> None:
        """Make the file now, and no part beside another's.

        Raises:
            RecordingError: there is such a file, or it cannot be made.
        """
        try:
            with self._lock:
                self._open(self.path)
        except FileExistsError as error:
            raise RecordingError(
                f"{self.path} is there already", hint="choose another file, or --force"
            ) from error
        except OSError as error:
            raise RecordingError(
                f"cannot write {self.path}: {error.strerror or error}",
                hint="choose another file",
            ) from error

    def close(self) -> None:
        """Write no more, and let go of the file."""
        with self._lock:
            self._is_over = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _put(self, data: bytes) -> None:
        assert self._descriptor is not None  # it is open
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _open_own(self) -> None:
        try:
            self._open(self.path)
        except FileExistsError:
            name = f"{self.path.name}.{os.getpid()}-{self._id}.part"
            self._open(self.path.with_name(name))

    def _open(self, path: Path) -> None:
        self._descriptor = os.open(path, _FLAGS, 0o600)
        self._put(_line(header(self._id)))


def _line(entry: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(entry, ensure_ascii=False, separators=(", ", ": ")).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(entry, separators=(", ", ": ")).encode() + b"\n"


def _text_line(digest: str, text: str) -> bytes:
    return _line({"kind": "text", "digest": digest, "text": text})


_sinks: weakref.WeakSet[Sink] = weakref.WeakSet()
_shared: dict[Path, Sink] = {}
_shared_lock = threading.Lock()


def shared_sink(path: Path) -> Sink:
    """This process's sink of a recording, made at first use."""
    with _shared_lock:
        sink = _shared.get(path)
        if sink is None or sink._is_over:
            sink = _shared[path] = Sink(path)
        return sink


def _after_fork() -> None:
    """In a forked child: the parent's files and locks are not its own."""
    global _shared_lock
    _shared_lock = threading.Lock()
    for sink in list(_sinks):
        if sink._descriptor is not None:
            os.close(sink._descriptor)
        over = sink._is_over
        sink._start_anew()
        sink._is_over = over


os.register_at_fork(after_in_child=_after_fork)
