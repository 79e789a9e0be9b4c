"""Keeping Grid Engine's jobs from a QPU that is away: its consumable offers nothing meanwhile."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping

from qrmi.errors import QrmiError
from qrmi.schedulers.gridengine.request import ANY, PREFIX
from qrmi.site.gridengine.commands import Commands

__all__ = ["GridEngineSwitch", "complex_of", "pools"]

_log = logging.getLogger(__name__)

_KEY = "qrmi_reason"
_LONGEST_REASON = 300


def complex_of(name: str) -> str:
    """The consumable that counts a resource's slots: its name has fewer characters to use."""
    return PREFIX + re.sub(r"[^A-Za-z0-9_]", "_", name)


def pools(host: str) -> dict[str, int]:
    """The QPUs' consumables in what ``qconf -se HOST`` prints. Never raises."""
    text = host.replace("\\\n", " ")
    found = re.search(r"(?m)^complex_values\s+(.*)$", text)
    pairs = re.findall(r"(\w+)=(\d+)", re.sub(r",\s+", ",", found[1])) if found else []
    return {name: int(count) for name, count in pairs if name.startswith(PREFIX)}


class GridEngineSwitch:
    """Sets a QPU's consumable to nothing, and back to its slots; running jobs keep theirs.

    Jobs that wait are told why in their context, which ``qstat -j`` shows as ``qrmi_reason``.

    Args:
        commands: Grid Engine's.
        slots: how many slots each resource has, as it is now.
    """

    def __init__(self, commands: Commands, slots: Mapping[str, int]) -> None:
        self._commands = commands
        self._slots = slots

    @property
    def name(self) -> str:
        """The scheduler, for people."""
        return "gridengine"

    def off(self, name: str, reason: str, until: float | None) -> None:
        """Let jobs that need the resource wait; also when it is off already, for a new reason.

        Raises:
            QrmiError: Grid Engine did not do it.
        """
        if self._set(name, 0):
            self._tell(name, _reason(name, reason, until))

    def on(self, name: str) -> None:
        """Let jobs have the resource again; also when it is on already.

        Raises:
            QrmiError: Grid Engine did not do it.
        """
        if self._set(name, self._slots.get(name, 1)):
            self._tell(name, "")

    def _set(self, name: str, count: int) -> bool:
        """Set what the host offers; whether Grid Engine counts this resource at all."""
        host = self._commands.host
        present = pools(self._commands.run("qconf", "-se", host))
        counter = complex_of(name)
        if counter not in present:
            return False
        after = {**present, counter: count}
        if ANY in present:
            after[ANY] = sum(value for key, value in after.items() if key != ANY)
        changed = [f"{key}={value}" for key, value in after.items() if present[key] != value]
        if changed:
            self._commands.run(
                "qconf", "-mattr", "exechost", "complex_values", ",".join(changed), host
            )
        return True

    def _tell(self, name: str, reason: str) -> None:
        """Tell the jobs that wait; that this fails is no reason to fail."""
        try:
            waiting = self._waiting(complex_of(name), bool(reason))
            if waiting:
                change = ["-ac", f"{_KEY}={reason}"] if reason else ["-dc", _KEY]
                self._commands.run("qalter", *change, ",".join(waiting))
        except QrmiError as error:
            _log.info("jobs that wait for %s were not told why: %s", name, error.message)

    def _waiting(self, counter: str, is_away: bool) -> list[str]:
        """The jobs that wait and ask for it."""
        reply = self._commands.xml("qstat", "-r", "-u", "*", "-s", "p", "-xml")
        found: dict[str, None] = {}
        for job in reply.iter("job_list"):
            asked = {each.get("name"): each.text for each in job.iter("hard_request")}
            if counter in asked and job.get("state") == "pending":
                found[(job.findtext("JB_job_number") or "").strip()] = None
        return [number for number in found if number]


def _reason(name: str, reason: str, until: float | None) -> str:
    back = time.strftime(" until %Y-%m-%d %H:%M", time.localtime(until)) if until else ""
    text = f"waiting: {name} is away{back}: {reason}"
    return " ".join(text.replace(",", ";").split())[:_LONGEST_REASON]
