"""The process that keeps the queues, one a store and host.

It is run as ``python -m qrmi_local.service.supervisor``.

It imports no SDK. Programs start it when there is none, and it outlives them; it leaves after
some time without work. It alone moves tasks of its host from queued to a final state. When it
dies, executors die with it, and the next one runs what had not ended again. It leaves at once when
a program of a newer edition comes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from qrmi.errors import QrmiError
from qrmi_local.service.held import Held
from qrmi_local.service.place import Place, locked
from qrmi_local.service.queues import Queues
from qrmi_local.service.retention import TIDY_SECONDS, remove_old
from qrmi_local.service.store import Store

__all__ = ["Supervisor", "main"]

_FOREIGN_LOOK_SECONDS = 0.2
_BACKLOG = 1024
_LOCK_SECONDS = 45

_log = logging.getLogger("qrmi.local.supervisor")

Tell = Callable[[dict[str, Any] | None], None]
Forget = Callable[[], None]


class Supervisor:
    """The requests of programs, in one event loop with the queues.

    Args:
        store: the tasks.
        idle_seconds: how long to stay without work and without requests.
        keep_days: how long to keep tasks that have ended.
        edition: what `qrmi_local.service.edition` gave the program that started it.
    """

    def __init__(
        self, store: Store, idle_seconds: float, keep_days: float, edition: Sequence[int]
    ) -> None:
        self._store = store
        self._queues = Queues(store)
        self._idle_seconds = idle_seconds
        self._keep_days = keep_days
        self._edition = list(edition)
        self._last_request = time.monotonic()
        self._held: set[Held] = set()
        self._stop_listening: Callable[[], None] = lambda: None
        self._leaving = asyncio.Event()
        self._verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "add": self._add,
            "close": self._close,
            "leave": self._leave,
            "start": self._start,
            "status": self._status,
            "stop": self._stop,
        }

    async def serve(self, socket_path: Path, on_ready: Callable[[], None]) -> None:
        """Answer requests until told to leave or idle for long enough."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._depart)
        socket_path.unlink(missing_ok=True)
        server = await loop.create_unix_server(
            lambda: _Conversation(self), socket_path, backlog=_BACKLOG
        )

        def stop_listening() -> None:
            server.close()
            socket_path.unlink(missing_ok=True)

        self._stop_listening = stop_listening
        on_ready()
        chores = [
            asyncio.create_task(self._queues.recover()),
            asyncio.create_task(self._leave_when_idle()),
            asyncio.create_task(self._tidy()),
        ]
        await self._leaving.wait()
        for chore in chores:
            chore.cancel()
        await self._queues.leave()

    def answer(self, line: bytes, tell: Tell) -> Forget:
        """Do what a request asks for, and tell the answer now or, of a wait, later.

        Args:
            line: the request.
            tell: takes the answer; ``None`` when the next supervisor is to do it.

        Returns:
            What to call when nobody is there any more to be told.
        """
        self._last_request = time.monotonic()
        try:
            request = json.loads(line)
            if request.get("edition", []) > self._edition:
                _log.info("a program of a newer edition came: leaving")
                self._depart()
            if self._leaving.is_set():
                tell(None)
            elif request["do"] == "wait":
                return self._wait(request, tell)
            else:
                tell(self._verbs[request["do"]](request))
        except Exception as error:
            tell(_failure(error))
        return _nothing

    # --- requests -----------------------------------------------------------------------------

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        self._queues.take(request["task"], request.get("meta"))
        return {}

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        entry = self._queues.take(request["task"])
        if entry is not None:
            self._queues.cancel(entry)
        return {}

    def _wait(self, request: dict[str, Any], tell: Tell) -> Forget:
        """Hold the answer back until the task ends or the time is over."""
        task_id = request["task"]
        entry = self._queues.take(task_id)

        def answer() -> None:
            try:
                status = self._store.state(task_id).status if entry is None else entry.status
            except QrmiError as error:  # its files are gone since
                tell(_failure(error))
            else:
                tell({"status": status.name})

        def release() -> None:
            self._held.discard(held)
            self._last_request = time.monotonic()
            if entry is not None:
                entry.ended.forget(held.finish)

        held = Held(request["seconds"], answer, release)
        self._held.add(held)
        if entry is None:
            self._look_abroad(task_id, held)
        else:
            entry.ended.listen(held.finish)
        return held.drop

    def _look_abroad(self, task_id: str, held: Held) -> None:
        """Answer at the end of a task that has ended or that another host runs: its files tell."""
        if self._store.has_ended(task_id):
            held.finish()
        elif held.is_open:
            loop = asyncio.get_running_loop()
            loop.call_later(_FOREIGN_LOOK_SECONDS, self._look_abroad, task_id, held)

    def _add(self, request: dict[str, Any]) -> dict[str, Any]:
        jobs = self._queues.add(request["task"], request["jobs"], request["token"])
        return {"jobs": jobs}

    def _close(self, request: dict[str, Any]) -> dict[str, Any]:
        self._queues.close(request["task"])
        return {}

    def _status(self, _request: dict[str, Any]) -> dict[str, Any]:
        queues = self._queues
        return {"pid": os.getpid(), "queued": queues.queued, "running": queues.running}

    def _leave(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._depart()
        return {}

    # --- inside -------------------------------------------------------------------------------

    def _depart(self) -> None:
        """Take no more requests; whoever comes from now on finds nobody and starts the next."""
        self._stop_listening()
        self._leaving.set()

    async def _tidy(self) -> None:
        while True:
            try:
                await asyncio.to_thread(remove_old, self._store, self._keep_days)
            except QrmiError:
                _log.exception("old tasks cannot be removed")
            await asyncio.sleep(TIDY_SECONDS)

    async def _leave_when_idle(self) -> None:
        while True:
            last_use = max(self._last_request, self._queues.last_end)
            spare = last_use + self._idle_seconds - time.monotonic()
            busy = self._held or self._queues.queued or self._queues.running
            if not busy and spare <= 0:
                _log.info("idle for %s s: leaving", self._idle_seconds)
                self._depart()
                return
            await asyncio.sleep(self._idle_seconds if busy else spare)


class _Conversation(asyncio.Protocol):
    """One connection: requests and answers, a line each, one after the other.

    A protocol rather than a stream: it costs a fraction, and each task takes two requests.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._received = bytearray()
        self._forget: Forget = _nothing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if data.endswith(b"\n"):
            line, self._received = bytes(self._received), bytearray()
            self._forget = self._supervisor.answer(line, self._tell)

    def connection_lost(self, _error: Exception | None) -> None:
        self._forget()

    def _tell(self, answer: dict[str, Any] | None) -> None:
        if answer is None:
            self._transport.close()
        else:
            self._transport.write(json.dumps(answer).encode() + b"\n")


def _failure(error: Exception) -> dict[str, Any]:
    """The answer to a request that failed; called where the error was caught."""
    if isinstance(error, QrmiError):
        return {"error": [type(error).__name__, error.message, error.hint]}
    _log.exception("request")
    text = f"request failed: {type(error).__name__}: {error}"
    return {"error": ["ResourceUnavailableError", text, ""]}


def _nothing() -> None:
    """Nobody waits for an answer that is still to come."""


def main() -> None:
    """Detach, take the place, tell the starter, and serve."""
    parser = argparse.ArgumentParser(prog="qrmi_local.service.supervisor")
    parser.add_argument("root", type=Path)
    parser.add_argument("--idle-seconds", type=float, required=True)
    parser.add_argument("--keep-days", type=float, required=True)
    parser.add_argument("--edition", type=json.loads, required=True)
    parser.add_argument("--ready", type=int, required=True, help="descriptor told when it listens")
    arguments = parser.parse_args()
    if os.fork():
        os._exit(0)  # nobody has to wait for the supervisor: it belongs to the init process
    os.umask(0o077)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"
    )
    place = Place(arguments.root)
    signal.alarm(_LOCK_SECONDS)  # one that hangs must not be waited for by ever more of us
    with locked(place.life_lock):
        signal.alarm(0)
        supervisor = Supervisor(
            Store(arguments.root), arguments.idle_seconds, arguments.keep_days, arguments.edition
        )
        asyncio.run(supervisor.serve(place.socket, lambda: _tell(arguments.ready)))


def _tell(descriptor: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, b"1")
    os.close(descriptor)


if __name__ == "__main__":
    main()
