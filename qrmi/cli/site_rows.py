"""What the site's daemon says of its resources, for users who look at what there is."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from qrmi import config
from qrmi.errors import QrmiError

__all__ = ["SiteRow", "ask", "remarks_of"]

_log = logging.getLogger(__name__)

SiteRow = dict[str, Any]
"""One resource as ``GET /v1/resources`` tells it."""

_USUAL_SOCKET = Path("/run/qrmid/qrmid.sock")  # `qrmi.site.settings.DEFAULT_SOCKET`, unimported
_PATIENCE_SECONDS = 3.0
_AWAY = ("offline", "paused", "drained")
_WAIT = "jobs that ask for it wait"


def ask() -> dict[str, SiteRow]:
    """The site's resources by name; none where there is no daemon, or it does not answer.

    It is found by ``QRMI_SITE_SOCKET`` or ``QRMI_SITE_URL``, else at its usual place. A program
    that runs on a recording asks nobody.
    """
    path, url = config.site_address()
    socket = path or (None if url else _USUAL_SOCKET)
    if config.replay_file() is not None or not (url or (socket is not None and socket.exists())):
        return {}
    from qrmi.site.client import SiteClient

    try:
        client = SiteClient(socket_path=socket, url=url, answer_seconds=_PATIENCE_SECONDS)
        return _named(client.get("/v1/resources"))
    except QrmiError as error:
        _log.debug("the site's daemon does not answer: %s", error)
        return {}


def _named(rows: object) -> dict[str, SiteRow]:
    if not isinstance(rows, list):
        return {}
    known = (row for row in rows if isinstance(row, dict))
    return {row["name"]: row for row in known if {"name", "type", "state"} <= row.keys()}


def remarks_of(row: SiteRow) -> str:
    """Why jobs have to wait for a resource, and until when; empty when they need not."""
    used, slots = _number(row.get("used"), 0), _number(row.get("slots"), 1)
    if row["state"] in _AWAY:
        return _joined([row.get("reason"), _until(row.get("until")), _WAIT])
    if used >= slots > 0:
        held = "it is held by a job" if slots == 1 else f"all its {slots} slots are held"
        return _joined([row.get("reason"), held, _WAIT])
    some = f"{used} of {slots} slots held" if slots > 1 else ""
    return _joined([row.get("reason"), some])


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _joined(parts: Iterable[object]) -> str:
    return "; ".join(str(part) for part in parts if part)


def _until(epoch: object) -> str:
    if not isinstance(epoch, int | float):
        return ""
    try:
        return f"until {datetime.fromtimestamp(epoch).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return ""
