"""The daemon's life: one for each state folder, from its start to a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable

from qrmi import config
from qrmi.errors import QrmiError
from qrmi.site.assembly import Site
from qrmi.site.doors.peers import Peers
from qrmi.site.doors.server import Server
from qrmi.site.settings import SiteSettings

__all__ = ["serve"]

_log = logging.getLogger(__name__)

_CLOSE_SECONDS = 8.0


def serve(settings: SiteSettings) -> bool:
    """Serve until SIGTERM or SIGINT; SIGHUP reads `qrmi_config.json` again.

    Leases outlive the daemon: what it held when it was stopped, or killed, the next one holds.

    Args:
        settings: `qrmid.toml`.

    Returns:
        Whether nothing is left running: false when a call of a vendor did not end in time, which
        the next daemon settles; threads of this process may then keep it from ending by itself.

    Raises:
        ConfigError: the settings are wrong, or another daemon runs with them.
    """
    return _Daemon(settings).run()


class _Daemon:
    def __init__(self, settings: SiteSettings) -> None:
        self._settings = settings
        self._peers = Peers(settings.admin_uids(), munge_socket=settings.munge_socket)
        self._site = Site(settings, self._freed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None

    def run(self) -> bool:
        before = threading.active_count()
        asyncio.run(self._life())
        return threading.active_count() <= before

    async def _life(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            await self._open()
            await _ended(told)
            _log.info("stopping")
            _notify("STOPPING=1")
        finally:
            if self._server is not None:
                await self._server.stop()
            await _within(_CLOSE_SECONDS, self._site.close)

    async def _open(self) -> None:
        """Everything up to the moment when requests are answered."""
        settings = self._settings
        parts = await asyncio.to_thread(self._site.open)
        self._server = Server(
            parts,
            self._peers,
            socket_path=settings.socket,
            address=settings.address() if settings.listen else None,
            one_core=settings.one_core,
        )
        gc.collect()
        gc.freeze()  # what is loaded now stays: it need not be gone through again and again
        await self._server.start()
        _log.info("serving on %s", settings.socket)
        if settings.listen:
            _log.info("serving on port %d of %s", self._server.tcp_port, settings.address()[0])
        _notify("READY=1")

    def _freed(self) -> None:
        """Requests that wait ask once more. From any thread."""
        loop, server = self._loop, self._server
        if loop is not None and server is not None and server.anybody_waits:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(server.changed)

    def _reload(self) -> None:
        _notify("RELOADING=1")
        threading.Thread(target=self._reload_now, name="reload", daemon=True).start()

    def _reload_now(self) -> None:
        try:
            self._site.reload()
        except QrmiError as error:
            _log.error("the configuration stays as it was: %s", error)
        else:
            _log.info("the configuration has been read again")
            self._freed()
        _notify("READY=1")


async def _ended(told: asyncio.Event) -> None:
    """Wait for the end, and tell systemd meanwhile that requests are still answered."""
    pause = _watchdog_seconds()
    while not told.is_set():
        _notify("WATCHDOG=1")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), pause)


def _watchdog_seconds() -> float | None:
    """How often systemd wants to hear of us; ``None`` when it does not."""
    text = config.environment().get("WATCHDOG_USEC", "")
    return int(text) / 3e6 if text.isdecimal() and int(text) else None


async def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do it in a thread that this process need not wait for."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def run() -> None:
        try:
            work()
        finally:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="closing", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)


def _notify(text: str) -> None:
    """Tell systemd, where it listens."""
    address = config.environment().get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect("\0" + address[1:] if address.startswith("@") else address)
        notify.sendall(os.fsencode(text))
