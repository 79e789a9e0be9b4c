"""Names of journal files: which process wrote one, and which of its files it is."""

from __future__ import annotations

import re

import attrs

from qrmi.processes import Process

__all__ = ["Writer"]

_NAME = re.compile(
    r"(?P<host>[^@]+)@(?P<boot>[0-9a-f]+)-(?P<space>[0-9a-f]+)-(?P<pid>\d+)-(?P<started>\d+)"
    r"-(?P<mark>[0-9a-f]+)-(?P<sequence>\d+)"
)
_FIRST_NAME = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-\d{15,}-(?P<mark>[0-9a-f]{8})")


@attrs.frozen(kw_only=True)
class Writer:
    """The name of a writer's file, without the suffix.

    Attributes:
        process: whose it is.
        mark: a random part, the same for all files of one writer.
        sequence: which of the writer's files it is, from 1.
    """

    process: Process
    mark: str
    sequence: int = 1

    def __str__(self) -> str:
        p = self.process
        return f"{p.host}@{p.boot}-{p.space}-{p.pid}-{p.started}-{self.mark}-{self.sequence}"

    @staticmethod
    def read(name: str) -> Writer | None:
        """The writer that a name tells; ``None`` for a name that no release of ours made."""
        found = _NAME.fullmatch(name)
        if found is not None:
            fields = found.groupdict()
            mark, sequence, pid = fields.pop("mark"), fields.pop("sequence"), fields.pop("pid")
            process = Process(pid=int(pid), **fields)
            return Writer(process=process, mark=mark, sequence=int(sequence))
        found = _FIRST_NAME.fullmatch(name)
        if found is None:
            return None
        process = Process(host=found["host"], pid=int(found["pid"]))
        return Writer(process=process, mark=found["mark"])
