"""What kind of file system a folder is on."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["is_network", "kind_of"]

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    [
        "nfs",
        "nfs4",
        "lustre",
        "gpfs",
        "beegfs",
        "beegfs_nodev",
        "fhgfs",
        "ceph",
        "cephfs",
        "cifs",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "9p",
        "afs",
        "kafs",
        "openafs",
        "yfs",
        "auristorfs",
        "coda",
        "orangefs",
        "pvfs2",
        "panfs",
        "wekafs",
        "glusterfs",
        "gfs",
        "gfs2",
        "ocfs2",
        "dvs",
        "virtiofs",
        "vboxsf",
        "prl_fs",
        "acfs",
        "exfs",
        "daos",
        "juicefs",
        "quobyte",
        "datawarp",
        "bgpfs",
        "mmfs",
        "stnfs",
        "sharefs",
        "autofs",
    ]
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def kind_of(folder: Path, table: str | None = None) -> str:
    """The kind of file system that a folder is on, ``ext4`` for example; empty when unknown.

    Args:
        folder: it need not exist yet.
        table: the text of ``/proc/self/mountinfo``; ``None`` reads it.
    """
    place = os.path.realpath(folder)
    if table is None:
        try:
            table = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    longest, kind = -1, ""
    for line in table.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not source:
            continue
        point = _ESCAPED.sub(lambda m: chr(int(m[1], 8)), fields[4])
        if len(point) >= longest and _is_below(place, point):  # a later mount hides an earlier
            longest, kind = len(point), source.split(" ")[0]
    return kind


def is_network(kind: str) -> bool:
    """Whether other machines may see such a file system, so that each write is to be flushed.

    One that is unknown, or that a process serves (FUSE), counts as such.
    """
    return not kind or kind in _NETWORK or kind.startswith("fuse")


def _is_below(place: str, point: str) -> bool:
    return point == "/" or place == point or place.startswith(point + "/")
