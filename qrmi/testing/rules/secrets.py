"""Secrets are shown nowhere."""

from __future__ import annotations

import contextlib
import logging
import pickle
from collections.abc import Iterator

from qrmi import config
from qrmi.errors import QrmiError
from qrmi.testing.rules.kit import Kit, unlike

__all__ = ["SecretRules"]


class SecretRules:
    """No repr, log line, error or journal entry shows a secret or a program.

    Secrets are the settings declared as such and what the fixture ``secrets`` adds.
    """

    def test_no_repr_shows_a_secret(self, kit: Kit) -> None:
        """Handle, driver, settings, payload and tracebacks print without them."""
        things = (kit.resource, kit.driver, kit.driver.settings, kit.driver.__dict__, kit.program)
        for thing in things:
            for text in (repr(thing), str(thing), f"{thing}"):
                kit.check_text(text, f"the repr of {type(thing).__name__}")

    def test_settings_export_shows_no_secret(self, kit: Kit) -> None:
        """What is journalled of the settings has no secret in it."""
        kit.check_text(repr(kit.driver.settings.export()), "the settings' export")

    def test_no_log_shows_a_secret(self, kit: Kit) -> None:
        """A whole cycle, an error included, logged at DEBUG by every library: ids, no contents."""
        with _all_logs() as records:
            token = kit.resource.acquire()
            task = kit.completed()
            result = kit.resource.task_result(task).value
            with contextlib.suppress(QrmiError):
                kit.resource.task_status(unlike(task))
            kit.resource.target()
            kit.resource.release(token)
        for text in records:
            kit.check_text(text, "a log line")
            assert len(result) < 24 or result not in text, "a log line shows the result"

    def test_no_journal_shows_a_secret(self, kit: Kit) -> None:
        """What is kept of a start on disk has neither secrets nor the program in it."""
        kit.completed()
        for path in (config.state_dir() / "journal").rglob("*"):
            if path.is_file():
                kit.check_text(path.read_text(encoding="utf-8", errors="replace"), "the journal")

    def test_no_pickled_error_shows_a_secret(self, kit: Kit) -> None:
        """Errors that a wrong id leads to are free of them, in their pickles too."""
        unknown = unlike(kit.start())
        for verb in (kit.resource.task_status, kit.resource.task_result, kit.resource.task_stop):
            error = kit.refused(lambda verb=verb: verb(unknown), QrmiError)  # type: ignore[misc]
            kit.check_text(pickle.dumps(error).decode("latin-1"), "a pickled error")


@contextlib.contextmanager
def _all_logs() -> Iterator[list[str]]:
    """Everything that is logged meanwhile, at any level, by any logger, tracebacks included."""
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in ("", "qrmi", "urllib3")]
    before = [(logger, logger.level, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.handlers = [collector]
        logger.setLevel(logging.DEBUG)
    try:
        yield collector.texts
    finally:
        for logger, level, handlers in before:
            logger.handlers = handlers
            logger.setLevel(level)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{self.format(record)} {record.args!r}")
