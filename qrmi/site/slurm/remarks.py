"""The reason why a job waits, where its user looks: its AdminComment, and its empty Comment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set

import attrs

from qrmi.schedulers.slurm.licenses import POOL, parse, wanted
from qrmi.site.running import CommandRefusedError
from qrmi.site.slurm.commands import SlurmCommands, records

__all__ = ["Remarks"]

_MARK = "qrmi: "
_MOST_JOBS = 200
_AT_ONCE = 50
_FEW_JOBS = 20  # are asked for one by one, more all together


@attrs.frozen
class _Waiting:
    """A pending job: its id, its licenses, and what is written on it."""

    id: str
    licenses: str
    remark: str
    comment: str


class Remarks:
    """Writes reasons to waiting jobs, and takes them back.

    ``scontrol show job`` shows them as AdminComment; where the user left Comment empty they are
    there, too, since ``squeue -o "%i %T %r %k"`` shows that one. What is there already is not
    written again; at most 200 jobs are written to at a time.

    Args:
        commands: Slurm's.
    """

    def __init__(self, commands: SlurmCommands) -> None:
        self._commands = commands

    def put(self, reasons: Mapping[str, str], *, kept: Set[str] = frozenset()) -> None:
        """Write the reasons, by QPU, to the jobs that wait for it; remove those of others.

        Args:
            reasons: why it is away.
            kept: QPUs that are away, too, for reasons not known here: jobs keep what they say.

        Raises:
            QrmiError: Slurm did not answer.
        """
        by_text: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        jobs = [job for job in self._waiting() if _concerns(job, kept)]
        changed = [(job, *_texts(job, reasons)) for job in jobs]
        for job, remark, comment in [each for each in changed if _differs(*each)][:_MOST_JOBS]:
            by_text[(remark, comment, "" if comment == job.comment else "comment")].append(job.id)
        for (remark, comment, with_comment), ids in by_text.items():
            values = [f"AdminComment={remark}"]
            values += [f"Comment={comment}"] if with_comment else []
            for start in range(0, len(ids), _AT_ONCE):
                self._write(ids[start : start + _AT_ONCE], values)

    def _waiting(self) -> list[_Waiting]:
        """Pending jobs with a license of ours; those without cost next to nothing."""
        listed = self._commands.run("squeue", "-h", "-t", "PD", "-O", "JobID:20,Licenses:200")
        rows = [line.split() for line in listed.splitlines()]
        ids = [row[0] for row in rows if len(row) == 2 and POOL in row[1]]
        texts = map(self._shown, ids if len(ids) <= _FEW_JOBS else [""])
        return [
            _Waiting(
                each["JobId"],
                each.get("Licenses", ""),
                _value(each, "AdminComment"),
                _value(each, "Comment"),
            )
            for text in texts
            for each in records(text)
            if each.get("JobState") == "PENDING" and each.get("JobId", "").isdecimal()
        ]

    def _shown(self, job: str) -> str:
        """One job, or all; of one that is gone meanwhile nothing."""
        try:
            return self._commands.run("scontrol", "-o", "show", "job", *filter(None, [job]))
        except CommandRefusedError:
            return ""

    def _write(self, ids: list[str], values: list[str]) -> None:
        try:
            self._commands.run("scontrol", "update", f"JobId={','.join(ids)}", *values)
        except CommandRefusedError:  # one of them has begun or ended meanwhile
            return


def _value(record: Mapping[str, str], key: str) -> str:
    value = record.get(key, "")
    return "" if value == "(null)" else value


def _concerns(job: _Waiting, kept: Set[str]) -> bool:
    named, _ = wanted(job.licenses)
    return bool(named or POOL in parse(job.licenses)) and not kept & named.keys()


def _texts(job: _Waiting, reasons: Mapping[str, str]) -> tuple[str, str]:
    """AdminComment and Comment as they should be; what others wrote there stays."""
    named, _ = wanted(job.licenses)
    told = [f"{name} is {reasons[name]}" for name in named if name in reasons]
    remark = _plain(_MARK + "; ".join(told)) if told else ""
    return (
        remark if _is_ours(job.remark) else job.remark,
        remark if _is_ours(job.comment) else job.comment,
    )


def _is_ours(text: str) -> bool:
    return not text or text.startswith(_MARK)


def _differs(job: _Waiting, remark: str, comment: str) -> bool:
    return (remark, comment) != (job.remark, job.comment)


def _plain(text: str) -> str:
    """Without what would be read as another key, or not be shown."""
    shown = "".join(c if c.isprintable() else " " for c in text.replace("=", ":"))
    return " ".join(shown.split())[:400]
