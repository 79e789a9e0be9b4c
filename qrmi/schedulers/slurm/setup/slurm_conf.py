"""What a slurm.conf says, as far as a setup has to fit in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["OURS", "SlurmConf", "read"]

OURS = "qrmi.conf"
"""The file of ours that slurm.conf includes; what it says is no choice of the site's."""

_MOST_INCLUDES = 50
_LINE = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*(.*?)\s*")
_MANY = ("nodename", "partitionname", "downnodes", "frontendname", "nodeset", "nodes")


@attrs.frozen(kw_only=True)
class SlurmConf:
    """A slurm.conf.

    Attributes:
        path: where it is; ``None`` when there is none.
        values: by lower-case key, the last one where a key stands twice.
        nodes: the values of its NodeName lines: what follows ``NodeName=``.
        includes_ours: whether it includes our file.
    """

    path: Path | None = None
    values: dict[str, str] = attrs.field(factory=dict)
    nodes: tuple[str, ...] = ()
    includes_ours: bool = False

    def get(self, key: str) -> str:
        """A value; empty when it is not set or ``(null)``."""
        value = self.values.get(key.lower(), "")
        return "" if value in ("(null)", "N/A") else value

    def items(self, key: str) -> list[str]:
        """The items of a list."""
        return [item.strip() for item in self.get(key).split(",") if item.strip()]


def read(path: Path) -> SlurmConf:
    """Read a file with what it includes, all but our own; an absent one has nothing to say."""
    if not path.is_file():
        return SlurmConf()
    values: dict[str, str] = {}
    nodes: list[str] = []
    ours = False
    for key, value in _entries(path, path.parent, [_MOST_INCLUDES]):
        if key == "include":
            ours = True
        elif key == "nodename":
            nodes.append(value)
        elif key not in _MANY:
            values[key] = value
    return SlurmConf(path=path, values=values, nodes=tuple(nodes), includes_ours=ours)


def _entries(path: Path, base: Path, left: list[int]) -> Iterator[tuple[str, str]]:
    """Keys and values; ``include`` for the one of our file."""
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in content.replace("\\\n", " ").splitlines():
        line = re.split(r"(?<!\\)#", line, maxsplit=1)[0].strip()
        words = line.split(None, 1)
        if len(words) == 2 and words[0].lower() == "include":
            included = base / words[1].strip()
            if included.name == OURS:
                yield "include", str(included)
            elif left[0] > 0:
                left[0] -= 1
                yield from _entries(included, base, left)
        elif match := _LINE.fullmatch(line):
            yield match[1].lower(), match[2]
