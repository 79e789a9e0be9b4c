"""The spool folder of a run: written by root, with whatever a job's user may have put there."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qrmi.schedulers.gridengine.spool import Spool, SpoolError

_USER = 4711


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "17.1"
    path.mkdir(mode=0o755)
    (path / "environment").write_text("HOME=/home/u\nA=b")
    return path


def test_variables_are_appended_and_count_last(folder: Path) -> None:
    """A variable of the user's own of that name comes before, so ours counts."""
    Spool(str(folder)).add_environment({"A": "c d=e", "B": ""})
    assert (folder / "environment").read_text() == "HOME=/home/u\nA=b\nA=c d=e\nB=\n"


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_is_a_variable(folder: Path, variables: dict[str, str]) -> None:
    """No value can smuggle in another variable: it is written whole, or nothing is."""
    path = folder / "environment"
    path.write_text("")
    try:
        Spool(str(folder)).add_environment(variables)
    except SpoolError:
        assert path.read_text() == ""
        return
    lines = [line for line in path.read_bytes().decode().split("\n") if line]
    assert dict(line.split("=", 1) for line in lines) == variables


@pytest.mark.parametrize("kind", ["link", "hard link", "folder", "pipe"])
def test_nothing_is_written_through_what_somebody_put_there(folder: Path, kind: str) -> None:
    """Root follows no link, and writes to plain files only."""
    victim = folder.parent / "victim"
    victim.write_text("root's\n")
    path = folder / "environment"
    path.unlink()
    make = {
        "link": lambda: path.symlink_to(victim),
        "hard link": lambda: path.hardlink_to(victim),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    if kind == "pipe":
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(SpoolError):
        Spool(str(folder)).add_environment({"A": "b"})
    if kind == "pipe":
        os.close(reader)
    assert victim.read_text() == "root's\n"


def test_a_folder_behind_a_link_is_refused(folder: Path) -> None:
    """The folder itself is opened, not what its name leads to."""
    link = folder.parent / "link"
    link.symlink_to(folder)
    with pytest.raises(SpoolError):
        Spool(str(link))


def test_what_others_may_write_is_refused(folder: Path) -> None:
    """A folder or a file that others can write to proves nothing."""
    (folder / "environment").chmod(0o666)
    with pytest.raises(SpoolError):
        Spool(str(folder)).add_environment({"A": "b"})
    folder.chmod(0o777)
    with pytest.raises(SpoolError):
        Spool(str(folder))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_the_jobs_user_owns_is_refused(folder: Path) -> None:
    """Some files there are the user's: a lease is never read from one."""
    spool = Spool(str(folder))
    (folder / "qrmi_lease").write_text('{"id": "99.1"}\n')
    os.chown(folder / "qrmi_lease", _USER, _USER)
    spool.distrust(_USER)
    with pytest.raises(SpoolError):
        spool.kept()
    with pytest.raises(SpoolError):
        spool.keep({"id": "17.1"})
    os.chown(folder, _USER, _USER)
    with pytest.raises(SpoolError):
        spool.distrust(_USER)


def test_the_lease_is_kept(folder: Path) -> None:
    """The epilog reads what the prolog wrote last; nothing when there was nothing, or half."""
    spool = Spool(str(folder))
    assert spool.kept() is None
    spool.keep({"id": "17.1", "restart": 1})
    spool.keep({"id": "17.1", "restart": 2})
    assert Spool(str(folder)).kept() == {"id": "17.1", "restart": 2}
    assert (folder / "qrmi_lease").stat().st_mode & 0o077 == 0
    (folder / "qrmi_lease").write_text('{"id": "17')
    assert spool.kept() is None


def test_a_full_disk_leaves_the_file_as_it_was(folder: Path) -> None:
    """Half a variable would be a wrong one."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
        try:
            Spool(str(folder)).add_environment({"LONG": "x" * 100})
        except SpoolError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (folder / "environment").read_text() == "HOME=/home/u\nA=b"
