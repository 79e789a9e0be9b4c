"""The library's logger, and a hook for programs that collect log lines by callback.

``from qrmi import logger`` gives this module; it has the logger's own methods (``logger.info``),
so it serves programs that expect the logger under that name.

The variable ``RUST_LOG``, which schedulers' plug-ins set, gives the logger its level, unless the
program has given it one: ``error``, ``warn``, ``info``, ``debug``, ``trace``, ``off``, or
``qrmi=LEVEL`` among other targets, joined by commas. Targets below ``qrmi`` are not told apart.
"""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Callable
from typing import Any

from qrmi import config

__all__ = ["heed_rust_log", "logger", "set_log_callback"]

logger = logging.getLogger("qrmi")

_LEVELS = {
    logging.CRITICAL: "ERROR",
    logging.ERROR: "ERROR",
    logging.WARNING: "WARN",
    logging.INFO: "INFO",
    logging.DEBUG: "DEBUG",
}

_RUST_LEVELS = {
    "off": logging.CRITICAL + 10,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}


def _rust_level(text: str) -> int:
    """The level that a value of ``RUST_LOG`` gives to the target ``qrmi``; as upstream reads it."""
    levels = {"": _RUST_LEVELS["off" if text.strip() else "error"]}
    for directive in filter(None, (part.strip().lower() for part in text.split(","))):
        target, separator, level = directive.partition("=")
        if not separator and target in _RUST_LEVELS:
            target, level = "", target
        levels[target.strip()] = _RUST_LEVELS.get(level.strip(), _RUST_LEVELS["trace"])
    return levels.get("qrmi", levels[""])


def heed_rust_log() -> None:
    """Give the logger the level that ``RUST_LOG`` asks for, unless it has one."""
    text = config.environment().get("RUST_LOG")
    if text is not None and logger.level == logging.NOTSET:
        logger.setLevel(_rust_level(text))


class _CallbackHandler(logging.Handler):
    def __init__(self, callback: Callable[[str, str, str], None]) -> None:
        super().__init__()
        self._callback = callback

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = _LEVELS.get(record.levelno, "TRACE")
            self._callback(level, record.name, record.getMessage())
        except Exception:
            self.handleError(record)


def _to_stderr(level: str, target: str, message: str) -> None:
    moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(f"[{moment} {level} {target}] {message}\n")


def set_log_callback(callback: Callable[[str, str, str], None] | None) -> None:
    """Hand the library's log records to ``callback(level, target, message)``.

    Those of WARNING and above, as upstream; ``RUST_LOG``, or
    ``logging.getLogger("qrmi").setLevel(...)``, gives more or less.
    ``level`` is one of ERROR, WARN, INFO, DEBUG, TRACE. ``None`` writes lines to standard error
    instead. A later call replaces an earlier one.

    Raises:
        TypeError: ``callback`` is neither callable nor ``None``.
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable or None, not {type(callback).__name__}")
    heed_rust_log()
    for handler in [h for h in logger.handlers if isinstance(h, _CallbackHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(_CallbackHandler(callback or _to_stderr))


def __getattr__(name: str) -> Any:
    return getattr(logger, name)
