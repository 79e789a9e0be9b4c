"""Writing a setup's files, without touching what is the site's own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import attrs

from qrmi.errors import InvalidInputError, Owner, QrmiError
from qrmi.schedulers.slurm.setup.fragments import MARK, Fragment

__all__ = ["Written", "write"]


@attrs.frozen(kw_only=True)
class Written:
    """A file and what became of it.

    Attributes:
        path: where it is.
        state: ``new``, ``changed``, ``unchanged``, or ``kept``: the site's own was left alone.
    """

    path: Path
    state: str


def write(files: Sequence[Fragment], folder: Path, *, force: bool = False) -> list[Written]:
    """Write the files; all of them, or none when one of the site's own is in the way.

    Args:
        files: what to write.
        folder: where; it is made.
        force: replace files of the site's own, too, all but those that are to be kept.

    Raises:
        InvalidInputError: a file of that name is not ours.
        QrmiError: the system refused.
    """
    states = {each.name: _state(folder / each.name, each) for each in files}
    foreign = [name for name, state in states.items() if state == "foreign"]
    if foreign and not force:
        raise InvalidInputError(
            f"{folder / foreign[0]} is there already, and not from `qrmi slurm setup`",
            owner=Owner.SITE,
            hint="move it away, or replace it with --force",
        )
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(0o755)  # whatever the umask: users' tasks start what is in it
        for each in files:
            if states[each.name] in ("new", "changed", "foreign"):
                _replace(folder / each.name, each)
    except OSError as error:
        raise QrmiError(
            f"cannot write to {folder}: {error.strerror or error}",
            owner=Owner.SITE,
            hint="run it as a user who may",
        ) from error
    words = {name: "changed" if state == "foreign" else state for name, state in states.items()}
    return [Written(path=folder / each.name, state=words[each.name]) for each in files]


def _state(path: Path, file: Fragment) -> str:
    try:
        present = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "new"
    except OSError as error:
        raise QrmiError(
            f"cannot read {path}: {error.strerror or error}", owner=Owner.SITE, hint=""
        ) from error
    if MARK not in present:
        return "kept" if file.keep else "foreign"
    is_program = bool(path.stat().st_mode & 0o100)
    same = present == file.content and is_program == file.executable
    return "unchanged" if same else "changed"


def _replace(path: Path, file: Fragment) -> None:
    """Slurm sees the old file or the new one."""
    new = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with new.open("x", encoding="utf-8") as stream:
        stream.write(file.content)
    new.chmod(0o755 if file.executable else 0o644)
    new.replace(path)
