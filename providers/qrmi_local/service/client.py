"""How a program speaks to the supervisor: one request, one line of JSON, one line back.

A client holds nothing open itself (the module `lines` does), so it can be shared by threads,
pickled and forked. Every request is safe to repeat: after a lost answer it is simply sent again,
if need be to a new supervisor, which is started here. Each says of which edition its sender is: an
older supervisor leaves unanswered, and its tasks go on under the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from qrmi import config, errors
from qrmi.errors import Owner, QrmiError, ResourceUnavailableError
from qrmi_local.service import lines
from qrmi_local.service.edition import edition, executor_edition
from qrmi_local.service.place import Place, locked

__all__ = ["Client", "runner", "shutdown"]

_ANSWER_SECONDS = 60.0
_START_SECONDS = 60.0
_TRIES = 3
_LARGEST_LOG_BYTES = 1_000_000


class _NobodyThereError(Exception):
    """There is no supervisor, or it left before it answered."""


@attrs.frozen
class Client:
    """The supervisor of one store, as seen by a program. Making one opens nothing.

    Attributes:
        place: where the supervisor is met.
        idle_seconds: told to a supervisor that has to be started.
        keep_days: likewise.
    """

    place: Place
    idle_seconds: float = 600.0
    keep_days: float = 30.0

    def ask(self, request: dict[str, Any], *, hold_seconds: float = 0.0) -> dict[str, Any]:
        """Send a request, to a new supervisor if there is none, and return the answer.

        Args:
            request: JSON values; ``do`` names what to do.
            hold_seconds: how long the supervisor was asked to hold its answer back.

        Raises:
            ResourceUnavailableError: there is no supervisor and none can be started.
            QrmiError: what the supervisor answered.
        """
        for _ in range(_TRIES):
            try:
                return self._exchange(request, _ANSWER_SECONDS + hold_seconds)
            except _NobodyThereError:
                self._start()
        raise self._unavailable("leaves before it answers")

    def ask_if_there(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Send a request; ``None`` when there is no supervisor."""
        try:
            return self._exchange(request, _ANSWER_SECONDS)
        except _NobodyThereError:
            return None

    def ensure_running(self) -> None:
        """Start a supervisor unless there is one. Raises `ResourceUnavailableError`."""
        if not self._is_there():
            self._start()

    def _exchange(self, request: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        message = json.dumps({**request, "edition": edition()}).encode() + b"\n"
        path = self.place.address
        line = lines.kept(path)
        if line is not None:
            with contextlib.suppress(_NobodyThereError):  # that one left since, or was killed
                return self._converse(line, message, timeout_seconds)
            lines.close_all(path)
        try:
            line = lines.opened(path)
        except OSError as error:
            raise _NobodyThereError from error
        return self._converse(line, message, timeout_seconds)

    def _converse(
        self, line: socket.socket, message: bytes, timeout_seconds: float
    ) -> dict[str, Any]:
        try:
            line.settimeout(timeout_seconds)
            line.sendall(message)
            answer = _read_line(line)
        except BaseException as error:  # an interrupt too: an answer may still be due on it
            line.close()
            if isinstance(error, TimeoutError):
                raise self._unavailable("does not answer") from error
            if isinstance(error, OSError):
                raise _NobodyThereError from error
            raise
        lines.keep(self.place.address, line)
        if "error" in answer:
            raise _error(answer["error"])
        return answer

    def _is_there(self) -> bool:
        try:
            lines.opened(self.place.address).close()
        except OSError:
            return False
        return True

    def _start(self) -> None:
        self.place.prepare()
        with locked(self.place.start_lock):
            if not self._is_there():
                self._spawn()

    def _spawn(self) -> None:
        """Run ``python -m qrmi_local.service.supervisor`` and wait until it listens."""
        readable, writable = os.pipe()
        try:
            try:
                self._run_supervisor(writable)
            finally:
                os.close(writable)
            with selectors.DefaultSelector() as waiting:  # select() fails beyond 1024 open files
                waiting.register(readable, selectors.EVENT_READ)
                arrived = waiting.select(_START_SECONDS)
            if not arrived or os.read(readable, 1) != b"1":
                raise self._unavailable("does not start")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._unavailable("cannot be started") from error
        finally:
            os.close(readable)

    def _run_supervisor(self, ready: int) -> None:
        """Start it as a process that is no child of ours once this returns."""
        with _open_log(self.place.log) as log:
            starter = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-P",
                        "-m",
                        "qrmi_local.service.supervisor",
                        str(self.place.root),
                    ),
                    *(f"--idle-seconds={self.idle_seconds}", f"--keep-days={self.keep_days}"),
                    *(f"--edition={json.dumps(edition())}", f"--ready={ready}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=config.child_environment(PYTHONPATH=_python_path()),
                pass_fds=(ready,),
                start_new_session=True,
            )
        starter.wait(_START_SECONDS)  # it forks at once

    def _unavailable(self, what: str) -> ResourceUnavailableError:
        return ResourceUnavailableError(
            f"the embedded simulator's process {what}",
            owner=Owner.USER,
            hint=f"look into {self.place.log}, and start the task again",
        )


def runner(function: str) -> dict[str, str]:
    """The fields of a `Runner` (module `process`) that run a function as this program would."""
    return {
        "function": function,
        "python": sys.executable,
        "path": _python_path(),
        "edition": executor_edition(),
    }


def _python_path() -> str:
    """``PYTHONPATH`` with absolute folders, for a process that starts in another one."""
    text = config.environment().get("PYTHONPATH")
    return _absolute(text, Path.cwd()) if text else ""


@lru_cache(maxsize=4)
def _absolute(text: str, _working_folder: Path) -> str:
    entries = text.split(os.pathsep)
    return os.pathsep.join(str(Path(entry).absolute()) for entry in entries if entry)


def shutdown(state_dir: Path) -> None:
    """Stop the supervisor of a state folder, if there is one, and wait until it is gone.

    Tasks that have not ended are run again by the next one.
    """
    place = Place(state_dir / "local")
    Client(place).ask_if_there({"do": "leave"})
    lines.close_all(place.address)
    if not place.life_lock.exists():
        place.start_lock.unlink(missing_ok=True)
        return
    with locked(place.life_lock):
        for path in (place.socket, place.start_lock, place.life_lock):
            path.unlink(missing_ok=True)


def _read_line(line: socket.socket) -> dict[str, Any]:
    parts: list[bytes] = []
    while not parts or not parts[-1].endswith(b"\n"):
        part = line.recv(65536)
        if not part:
            raise _NobodyThereError
        parts.append(part)
    answer: dict[str, Any] = json.loads(b"".join(parts))
    return answer


def _error(told: list[str]) -> QrmiError:
    kind, message, hint = told
    error: QrmiError = getattr(errors, kind, ResourceUnavailableError)(message, hint=hint)
    return error


def _open_log(path: Path) -> Any:
    with contextlib.suppress(OSError):
        if path.stat().st_size > _LARGEST_LOG_BYTES:
            path.unlink()
    return path.open("ab")
