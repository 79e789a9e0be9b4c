"""Queues that Grid Engine stopped because a hook of ours was killed: they go on.

A prolog or epilog that ends with anything else than 0, 99 or 100 puts its queue into the state E.
Ours never does, but whoever kills it (an administrator, a host without memory) has Grid Engine see
137, and then every job of that queue would wait for a person.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from qrmi.site.gridengine.commands import Commands
from qrmi.site.running import CommandRefusedError
from qrmi.waiting import Clock, SystemClock

__all__ = ["QueueMender", "stopped"]

_log = logging.getLogger(__name__)

_JOB = re.compile(r"as result of job (\d+)'s failure")
_HOOK = re.compile(r"exit_status of (?:prolog|epilog) = (\d+)\s*$")
_KILLED, _OURS = "137", {"99", "100", "137"}
_ASKED = re.compile(r"(?m)^hard.resource_list:.*\bqpu")
_MOST, _WITHIN_SECONDS = 5, 3600.0  # what happens more often is a person's to look at


def stopped(reply: Element) -> Iterator[tuple[str, list[str]]]:
    """Queues in error in a reply to ``qstat -f -qs E -explain E -xml``, and why. Never raises."""
    for queue in reply.iter("Queue-List"):
        name = (queue.findtext("name") or "").strip()
        messages = [(each.text or "").strip() for each in queue.iter("message")]
        if name and messages and "E" in (queue.findtext("state") or ""):
            yield name, messages


class QueueMender:
    """Clears the error of queues that stopped for no other reason; what else stops one stays.

    Args:
        commands: Grid Engine's; the daemon's user has to be an operator or manager.
        clock: what it goes by.
    """

    def __init__(self, commands: Commands, clock: Clock | None = None) -> None:
        self._commands = commands
        self._clock = clock or SystemClock()
        self._cleared: dict[str, list[float]] = {}

    def step(self) -> list[str]:
        """Look once; the queues that were cleared.

        Raises:
            QrmiError: Grid Engine did not answer, or refused.
        """
        reply = self._commands.xml("qstat", "-f", "-qs", "E", "-explain", "E", "-xml")
        cleared = []
        for name, messages in stopped(reply):
            if all(map(self._is_a_killed_hook, messages)) and self._may(name):
                self._commands.run("qmod", "-cq", name)
                _log.warning("%s had stopped since a hook was killed; it goes on", name)
                cleared.append(name)
        return cleared

    def _is_a_killed_hook(self, message: str) -> bool:
        """Whether it is about a job with a QPU whose hook was killed, in Grid Engine's words."""
        job = _JOB.search(message)
        if job is None:
            return False
        try:
            told = self._commands.run("qstat", "-j", job[1])
        except CommandRefusedError:  # it is gone: nobody knows what it was
            return False
        reasons = [line for line in told.splitlines() if line.startswith("error reason")]
        codes = {found[1] if (found := _HOOK.search(line)) else "" for line in reasons}
        return bool(_ASKED.search(told)) and _KILLED in codes and codes <= _OURS

    def _may(self, name: str) -> bool:
        """Whether the queue was not cleared too often lately."""
        now = self._clock.monotonic()
        times = [at for at in self._cleared.get(name, []) if now - at < _WITHIN_SECONDS]
        if len(times) >= _MOST:
            return False
        self._cleared[name] = [*times, now]
        return True
