"""What a hook asks Grid Engine, and tells it, with Grid Engine's own commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from qrmi.schedulers.gridengine import request
from qrmi.schedulers.speaking import pause

__all__ = ["NotNowError", "described", "output", "show"]

_TURNS = 3
_TURN_SECONDS = 1.5


class NotNowError(Exception):
    """The job has to wait; the text says why."""


def described(site: Mapping[str, Any], job: str) -> dict[str, Any]:
    """What Grid Engine says of a job, as `request.parse_job` reads it.

    Raises:
        NotNowError: it does not answer, also when asked again.
    """
    for turn in range(_TURNS):
        try:
            return request.parse_job(output(site, [site["qstat"], "-xml", "-j", job]), job)
        except (OSError, request.WrongReplyError) as error:
            if turn + 1 == _TURNS:
                raise NotNowError(f"Grid Engine does not say what it asks for: {error}") from None
        pause(_TURN_SECONDS)
    raise AssertionError


def show(site: Mapping[str, Any], job: Mapping[str, Any], text: str) -> None:
    """Show a reason in ``qstat -j``; a host that may not do this is no error.

    A reason is taken away again only where the job was put back before.
    """
    if not text and os.environ.get("RESTARTED", "0") == "0":
        return
    change = ["-ac", f"qrmi_reason={text[:300].replace(',', ';')}"] if text else ["-dc"]
    if not text:
        change.append("qrmi_reason")
    try:
        output(site, [site["qalter"], *change, str(job["id"]).split(".")[0]])
    except OSError:
        return


def output(site: Mapping[str, Any], command: list[str]) -> str:
    """What a command prints, under nothing but the site's own environment. Raises `OSError`."""
    read, write = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, write, 1),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
    ]
    environment = {"PATH": "/usr/bin:/bin", **site.get("environment", {})}
    try:
        pid = os.posix_spawn(command[0], command, environment, file_actions=actions)
    finally:
        os.close(write)
    with open(read, "rb") as stream:  # noqa: PTH123 (a pipe)
        printed = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(f"{os.path.basename(command[0])} failed")  # noqa: PTH119
    return printed.decode("utf-8", "replace")
