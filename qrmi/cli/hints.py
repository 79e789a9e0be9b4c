"""An error's hint and owner in the words of the command line."""

from __future__ import annotations

from qrmi.errors import QrmiError, TaskNotReadyError, UnsupportedFunctionError, WaitTimeoutError

__all__ = ["command_hint", "is_nobodys", "who_can_act"]

_OWNERS = {
    "user": "you can put this right",
    "site": "your site's administrators can put this right",
    "vendor": "the vendor of the resource can put this right",
    "network": "the network or the service did not answer",
}


_NOBODYS = (UnsupportedFunctionError, TaskNotReadyError, WaitTimeoutError)
"""Errors that there is nothing to put right about."""

_COMMAND_HINTS = {
    "TaskNotReadyError": "wait for it with `qrmi result {id} --wait`",
    "TaskFailedError": "`qrmi logs {id}` may tell more",
    "TaskCancelledError": "run the program again if you still want the result",
    "WaitTimeoutError": "the task goes on; come back with `qrmi result {id} --wait`, "
    "or stop it with `qrmi stop {id}`",
}


def who_can_act(owner: str) -> str:
    """The sentence for an error's owner; empty for a word that is none."""
    return _OWNERS.get(owner, "")


def is_nobodys(problem: QrmiError) -> bool:
    """Whether there is nothing to put right about an error."""
    return type(problem) in _NOBODYS


def command_hint(error: str, hint: str, task_id: str | None) -> str:
    """The hint of an error of that class, in commands where it speaks of Python calls."""
    known = _COMMAND_HINTS.get(error)
    return known.format(id=task_id) if known and task_id else hint
