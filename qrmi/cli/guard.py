"""What happens to everything that a command may raise: a message, an exit code, no traceback."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from qrmi.cli import console, exits
from qrmi.errors import Owner, QrmiError

__all__ = ["guarded"]

_log = logging.getLogger(__name__)

_TRACEBACK = "`qrmi -vv ...` shows the traceback (task_runner: SRUN_DEBUG=4)"


def guarded(command: Callable[[], int], *, as_json: bool, interrupted: str) -> int:
    """Run a command and return its exit code; errors go to stderr.

    Args:
        command: returns an exit code.
        as_json: write errors as JSON.
        interrupted: what to say after Ctrl-C where the command itself says nothing.
    """
    try:
        code = int(command())
        sys.stdout.flush()
    except QrmiError as error:
        console.error(error, as_json=as_json)
        return exits.of_error(error)
    except KeyboardInterrupt as interrupt:
        console.notice(str(interrupt) or interrupted)
        return exits.of_error(interrupt)
    except BrokenPipeError:  # the reader, `head` for one, has what it wants
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.Exit.OK
    except BaseException as error:
        # SDKs in Rust panic with this one, which is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        _log.debug("unexpected", exc_info=True)
        console.error(_explained(error), as_json=as_json)
        return exits.Exit.ERROR
    return code


def _explained(error: BaseException) -> QrmiError:
    if isinstance(error, OSError):  # a full disk behind stdout, say
        return QrmiError(f"the system refused: {error}", hint=_TRACEBACK)
    return QrmiError(  # a defect, ours or an SDK's: the traceback is for its report
        f"unexpected {type(error).__name__}: {error}",
        owner=Owner.VENDOR,
        hint=f"please report it; {_TRACEBACK}",
    )
