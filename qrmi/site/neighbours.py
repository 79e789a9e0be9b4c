"""The schedulers that a daemon serves: who tells it that jobs are over, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from qrmi.site.books.bookkeeping import Reporter
from qrmi.site.gridengine.commands import Commands
from qrmi.site.gridengine.mending import QueueMender
from qrmi.site.gridengine.switch import GridEngineSwitch
from qrmi.site.gridengine.watch import GridEngineWatch
from qrmi.site.settings import SiteSettings
from qrmi.site.slurm.accounting import SlurmAccounting
from qrmi.site.slurm.commands import SlurmCommands
from qrmi.site.slurm.switch import SlurmSwitch
from qrmi.site.slurm.watch import SlurmWatch
from qrmi.site.terms import Job
from qrmi.site.watching.other_watch import OtherWatch
from qrmi.site.watching.repeating import Repeated
from qrmi.site.watching.switching import Publisher

__all__ = ["Neighbours", "neighbours"]

_REMIND_SECONDS = 30.0


@attrs.frozen(kw_only=True)
class Neighbours:
    """What the enabled schedulers bring.

    Attributes:
        watches: tell whether a run of a job is over; ``None`` of jobs that are not theirs.
        publishers: are told which resources are away.
        reporters: are told what jobs used.
        begin: start what runs in the background.
        end: stop it.
    """

    watches: tuple[Callable[[Job], bool | None], ...] = ()
    publishers: tuple[Publisher, ...] = ()
    reporters: tuple[Reporter, ...] = ()
    begin: tuple[Callable[[], None], ...] = ()
    end: tuple[Callable[[], None], ...] = ()

    def is_over(self, job: Job) -> bool | None:
        """Whether a run of a job is over; ``None`` when nobody can tell."""
        verdicts = (watch(job) for watch in self.watches)
        return next((verdict for verdict in verdicts if verdict is not None), None)


def neighbours(settings: SiteSettings, slots: Mapping[str, int]) -> Neighbours:
    """Those that `qrmid.toml` enables.

    Args:
        settings: its sections.
        slots: how many slots each resource has.
    """
    found = [_slurm(settings)] if settings.slurm.enabled else []
    if settings.gridengine.enabled:
        found.append(_gridengine(settings, slots))
    return Neighbours(
        watches=(
            *(each for one in found for each in one.watches),
            OtherWatch(settings.cluster).is_over,
        ),
        publishers=tuple(each for one in found for each in one.publishers),
        reporters=tuple(each for one in found for each in one.reporters),
        begin=tuple(each for one in found for each in one.begin),
        end=tuple(each for one in found for each in one.end),
    )


def _slurm(settings: SiteSettings) -> Neighbours:
    section = settings.slurm
    commands = SlurmCommands(
        scontrol=section.scontrol,
        squeue=section.squeue,
        sacctmgr=section.sacctmgr,
        conf=section.conf,
    )
    watch = SlurmWatch(commands)
    # repeated often: each time, jobs that came to wait meanwhile are told why
    switch = Publisher(SlurmSwitch(commands), repeat_seconds=_REMIND_SECONDS)
    if not section.admin_comment:
        return Neighbours(watches=(watch.is_over,), publishers=(switch,))
    return Neighbours(
        watches=(watch.is_over,),
        publishers=(switch,),
        reporters=(SlurmAccounting(commands),),
    )


def _gridengine(settings: SiteSettings, slots: Mapping[str, int]) -> Neighbours:
    section = settings.gridengine
    commands = Commands(
        root=section.root,
        cell=section.cell,
        qconf=section.qconf,
        qstat=section.qstat,
        host=section.host,
        environment=section.environment,
    )
    watch = GridEngineWatch(
        commands,
        lost_seconds=settings.lost_seconds,
        fresh_seconds=min(5.0, settings.reap_seconds),
    )
    mending = Repeated("queues", QueueMender(commands).step, settings.reap_seconds)
    return Neighbours(
        watches=(watch.is_over,),
        publishers=(Publisher(GridEngineSwitch(commands, slots)),),
        begin=(mending.start,),
        end=(mending.close,),
    )
