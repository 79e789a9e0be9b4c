"""Files of ``key=value`` lines, in which users keep credentials."""

from __future__ import annotations

import logging
from pathlib import Path

from qrmi.secrecy.scrubbing import HiddenObject

__all__ = ["assignments"]

_log = logging.getLogger(__name__)


def assignments(path: Path) -> dict[str, str]:
    """The ``key=value`` lines of a file; empty when there is none, or it cannot be read.

    Keys are in lower case; blanks, and quotes around a value, are dropped. Lines that begin with
    ``#`` or ``;`` and lines without ``=`` are passed over.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        _log.warning("%s cannot be read: %s", path, type(error).__name__)
        return {}
    pairs = [line.split("=", 1) for line in lines if "=" in line]
    found = {key.strip().lower(): value.strip() for key, value in pairs}
    return HiddenObject(
        (key, _unquoted(text)) for key, text in found.items() if not key.startswith(("#", ";"))
    )


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text
