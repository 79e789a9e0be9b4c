"""``qrmi site serve``: the daemon in the foreground, as systemd or a terminal starts it."""

from __future__ import annotations

import argparse
import logging
import os

from qrmi import config
from qrmi.cli import exits
from qrmi.site.settings import DEFAULT_FILE, SiteSettings

__all__ = ["DETAILS", "run"]

DETAILS = """It answers on a UNIX socket and, with `listen`, to other hosts with MUNGE. SIGTERM and
Ctrl-C stop it, SIGHUP has it read qrmi_config.json again. Leases outlive it: what it held, the
next one holds. It logs to stderr."""
_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    from qrmi.site import daemon

    _log_for_good()
    if not daemon.serve(SiteSettings.load(args.config or DEFAULT_FILE)):
        logging.shutdown()
        os._exit(exits.Exit.OK)  # a vendor that does not answer is not waited for
    return exits.Exit.OK


def _log_for_good() -> None:
    """INFO and above, with levels as the journal reads them, or with times for other readers."""
    logger = logging.getLogger("qrmi")
    logger.setLevel(min(logger.level, logging.INFO))
    is_journal = "JOURNAL_STREAM" in config.environment()
    for handler in logger.handlers:
        handler.setFormatter(_JournalFormatter() if is_journal else logging.Formatter(_LINE))


class _JournalFormatter(logging.Formatter):
    """`systemd` takes the level from ``<N>`` at the begin of a line."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record, each line with its level."""
        level = next(n for least, n in _PRIORITIES if record.levelno >= least)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())
