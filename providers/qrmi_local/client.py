"""How a program speaks to the supervisor: one request, one line of JSON, one short connection.

Nothing stays open between requests, so a client can be shared by threads, pickled and forked.
Every request is safe to repeat: after a lost answer it is simply sent again, if need be to a new
supervisor, which is started here.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs

from qrmi import config, errors
from qrmi.errors import QrmiError, ResourceUnavailableError
from qrmi_local.place import Place, locked

__all__ = ["Client", "python_path", "shutdown"]

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
    """

    place: Place
    idle_seconds: float = 600.0

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
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.connect(str(self.place.socket))  # without a time limit: waits in the queue
                line.settimeout(timeout_seconds)
                line.sendall(json.dumps(request).encode() + b"\n")
                answer = _read_line(line)
        except TimeoutError as error:
            raise self._unavailable("does not answer") from error
        except OSError as error:
            raise _NobodyThereError from error
        if "error" in answer:
            raise _error(answer["error"])
        return answer

    def _is_there(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.connect(str(self.place.socket))
        except OSError:
            return False
        return True

    def _start(self) -> None:
        self.place.prepare()
        with locked(self.place.start_lock):
            if not self._is_there():
                self._spawn()

    def _spawn(self) -> None:
        """Run ``python -m qrmi_local.supervisor`` and wait until it listens."""
        readable, writable = os.pipe()
        try:
            try:
                self._run_supervisor(writable)
            finally:
                os.close(writable)
            arrived, _, _ = select.select([readable], [], [], _START_SECONDS)
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
                    *(sys.executable, "-P", "-m", "qrmi_local.supervisor", str(self.place.root)),
                    *(f"--idle-seconds={self.idle_seconds}", f"--ready={ready}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=config.child_environment(PYTHONPATH=python_path()),
                pass_fds=(ready,),
                start_new_session=True,
            )
        starter.wait(_START_SECONDS)  # it forks at once

    def _unavailable(self, what: str) -> ResourceUnavailableError:
        return ResourceUnavailableError(
            f"the embedded simulator's process {what}", hint=f"look into {self.place.log}"
        )


def python_path() -> str:
    """``PYTHONPATH`` with absolute folders, for a process that starts in another one."""
    entries = config.environment().get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(str(Path(entry).absolute()) for entry in entries if entry)


def shutdown(state_dir: Path) -> None:
    """Stop the supervisor of a state folder, if there is one, and wait until it is gone.

    Tasks that have not ended are run again by the next one.
    """
    place = Place(state_dir / "local")
    Client(place).ask_if_there({"do": "leave"})
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
