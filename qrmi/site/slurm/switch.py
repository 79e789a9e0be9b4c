"""Holding back jobs whose QPU is away: they stay pending, hold no node, and say why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import attrs

from qrmi.schedulers.slurm.licenses import POOL, license_of
from qrmi.site.running import CommandRefusedError
from qrmi.site.slurm.commands import SlurmCommands, records
from qrmi.site.slurm.remarks import Remarks

__all__ = ["SlurmSwitch"]

_FOREVER_SECONDS = 300 * 86400
"""What Slurm calls UNLIMITED is a year; a reservation is renewed when less than this is left."""

_FLAGS = "Flags=LICENSE_ONLY,OVERLAP"
_SHORTEST_SECONDS = 60.0


@attrs.frozen
class _Licenses:
    """One license: how many there are, and how many jobs hold."""

    total: int
    used: int


class SlurmSwitch:
    """Keeps a QPU's licenses from jobs by a reservation of nothing but them.

    Running jobs keep what they hold, other QPUs are not touched, and a job that was waiting starts
    within seconds of `on`. The reservation is Slurm's own, so that it outlives this daemon, and it
    is looked for before it is made or removed, so that either call may be repeated at will. Each
    `off` also writes its reason to the jobs that wait for the QPU (`qrmi.site.slurm.remarks`):
    repeat it to reach new ones.

    Args:
        commands: Slurm's.
        user: whom the reservations are for: root, whose jobs alone could use them.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        commands: SlurmCommands,
        *,
        user: str = "root",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._commands = commands
        self._user = user
        self._now = now
        self._remarks = Remarks(commands)
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The scheduler, for people."""
        return "slurm"

    def off(self, name: str, reason: str, until: float | None = None) -> None:
        """Let jobs that need a QPU wait, and tell them why.

        Args:
            name: the resource; one that Slurm has no license of is left alone.
            reason: in one line, for users.
            until: when it is expected back, epoch seconds; Slurm then plans with it.

        Raises:
            QrmiError: Slurm did not do it, or not all of it.
        """
        with self._lock:
            licenses = self._licenses()
            mine = licenses.get(license_of(name))
            if mine is None:
                return
            self._reasons[name] = reason
            present = self._reservations()
            wanted = f"{license_of(name)}:{mine.total}"
            self._reserve(_reservation(name), wanted, until, present)
            self._settle({*_away(present), name}, licenses, present)

    def on(self, name: str) -> None:
        """Let jobs have a QPU again. Raises `QrmiError` when Slurm did not do it."""
        with self._lock:
            self._reasons.pop(name, None)
            present = self._reservations()
            self._drop(_reservation(name), present)
            self._settle(_away(present) - {name}, self._licenses(), present)

    def _settle(
        self, away: set[str], licenses: dict[str, _Licenses], present: dict[str, dict[str, str]]
    ) -> None:
        """Bring the pool and the waiting jobs to what is away now."""
        self._reserve_pool(away, licenses, present)
        reasons = {name: self._reasons[name] for name in away if name in self._reasons}
        self._remarks.put(reasons, kept=away - reasons.keys())

    # --- what Slurm has -------------------------------------------------------------------------

    def _licenses(self) -> dict[str, _Licenses]:
        shown = records(self._commands.run("scontrol", "-o", "show", "licenses"))
        return {
            each["LicenseName"]: _Licenses(_whole(each.get("Total")), _whole(each.get("Used")))
            for each in shown
            if "LicenseName" in each
        }

    def _reservations(self) -> dict[str, dict[str, str]]:
        shown = records(self._commands.run("scontrol", "-o", "show", "reservations"))
        return {each["ReservationName"]: each for each in shown if "ReservationName" in each}

    # --- what it is told ------------------------------------------------------------------------

    def _reserve(
        self,
        reservation: str,
        licenses: str,
        until: float | None,
        present: dict[str, dict[str, str]],
    ) -> None:
        """Make a reservation, or make it what it should be."""
        end = _end(until, self._now())
        there = present.get(reservation)
        if there is None:
            until_when = f"EndTime={end}" if end else "Duration=UNLIMITED"
            self._tell(
                "create",
                "reservation",
                f"ReservationName={reservation}",
                "StartTime=now",
                until_when,
                f"Users={self._user}",
                f"Licenses={licenses}",
                _FLAGS,
            )
            return
        changes = [f"Licenses={licenses}"] if there.get("Licenses") != licenses else []
        changes += _new_end(end, there, self._now())
        if changes:
            self._tell("update", f"ReservationName={reservation}", *changes)

    def _reserve_pool(
        self, away: set[str], licenses: dict[str, _Licenses], present: dict[str, dict[str, str]]
    ) -> None:
        """Keep what is away from jobs that take any QPU: all its slots that no job holds."""
        if POOL not in licenses:
            return
        gone = [licenses[license_of(name)] for name in away if license_of(name) in licenses]
        idle = sum(max(each.total - each.used, 0) for each in gone)
        if idle:
            self._reserve(_reservation(""), f"{POOL}:{idle}", None, present)
        else:
            self._drop(_reservation(""), present)

    def _drop(self, reservation: str, present: dict[str, dict[str, str]]) -> None:
        if reservation not in present:
            return
        try:
            self._tell("delete", f"ReservationName={reservation}")
        except CommandRefusedError as error:
            if "invalid" not in error.message:  # somebody was faster
                raise

    def _tell(self, *words: str) -> None:
        self._commands.run("scontrol", *words)


def _reservation(name: str) -> str:
    """The reservation of a QPU; with an empty name, that of the pool."""
    return f"{license_of(name)}_down" if name else f"{POOL}_down"


def _away(present: dict[str, dict[str, str]]) -> set[str]:
    """The QPUs that are held back, by what Slurm has."""
    before, after = license_of(""), "_down"
    return {
        name.removeprefix(before).removesuffix(after)
        for name in present
        if name.startswith(before) and name.endswith(after) and len(name) > len(before + after)
    }


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _end(until: float | None, now: float) -> str:
    """Slurm's spelling of a time to come, relative to now; empty for none."""
    if until is None or until - now < _SHORTEST_SECONDS:
        return ""
    return f"now+{int(until - now)}seconds"


def _new_end(end: str, there: dict[str, str], now: float) -> list[str]:
    left = _whole(there.get("EndTime")) - now
    if end:
        wanted = int(end.removeprefix("now+").removesuffix("seconds"))
        return [f"EndTime={end}"] if abs(wanted - left) > _SHORTEST_SECONDS else []
    return ["EndTime=now+365days"] if left < _FOREVER_SECONDS else []
