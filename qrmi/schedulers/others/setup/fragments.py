"""What a setup writes: files, what each is for, and what is wrong with an installation."""

from __future__ import annotations

from pathlib import Path

import attrs

from qrmi.errors import Owner, QrmiError

__all__ = ["Finding", "Fragment", "written"]


@attrs.frozen(kw_only=True)
class Fragment:
    """A file of a setup.

    Attributes:
        name: its path in the folder that a setup is written to.
        about: where it belongs, in one sentence.
        text: its content.
        is_program: it is to be executed.
    """

    name: str
    about: str
    text: str
    is_program: bool = False


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that a check looked at.

    Attributes:
        what: it.
        problem: what is wrong with it; empty when it is well.
        hint: what to do then.
    """

    what: str
    problem: str = ""
    hint: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem


def written(fragments: tuple[Fragment, ...], folder: Path) -> list[Path]:
    """Write a setup's files below a folder, which is made; files of before are replaced.

    Raises:
        QrmiError: a file cannot be written.
    """
    paths = []
    for fragment in fragments:
        path = folder / fragment.name
        try:
            _make(path.parent)
            path.write_text(fragment.text, encoding="utf-8")
            path.chmod(0o755 if fragment.is_program else 0o644)
        except OSError as error:
            raise QrmiError(
                f"cannot write {path}: {error.strerror or error}",
                owner=Owner.USER,
                hint="choose another folder",
            ) from error
        paths.append(path)
    return paths


def _make(folder: Path) -> None:
    """Make a folder that everybody can look into: users' jobs start programs there."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)
