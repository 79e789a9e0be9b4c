"""Which folders are on a network, by the kernel's table of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrmi.journal import mounts

_TABLE = r"""
22 27 0:21 / / rw,relatime - ext4 /dev/vda rw
23 22 0:22 / /home rw,relatime shared:1 - autofs systemd-1 rw
24 23 0:23 /export /home/ann rw,relatime - nfs4 server:/export rw,vers=4.2
25 22 0:24 / /scratch\040space rw - lustre mgs@tcp:/scratch rw
26 22 0:25 / /data rw - ext4 /dev/vdb rw
27 22 0:26 / /data rw - fuse.sshfs ann@host:/data rw
28 22 0:27 / /tmp rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind", "is_network"),
    [
        ("/home/ann/.local/state/qrmi/journal", "nfs4", True),
        ("/home/annette/x", "autofs", True),
        ("/scratch space/ann", "lustre", True),
        ("/data/a", "fuse.sshfs", True),
        ("/tmp/x", "tmpfs", False),
        ("/var/lib", "ext4", False),
    ],
)
def test_the_mount_that_a_folder_is_below(folder: str, kind: str, is_network: bool) -> None:
    """The longest point counts; of two at one point, the later one."""
    assert mounts.kind_of(Path(folder), _TABLE) == kind
    assert mounts.is_network(kind) is is_network


def test_an_unknown_kind_is_flushed() -> None:
    """Right comes before quick."""
    assert mounts.kind_of(Path("/x"), "") == ""
    assert mounts.is_network("")
