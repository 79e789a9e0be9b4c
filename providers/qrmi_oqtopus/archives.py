"""OQTOPUS's files: zip archives with one member."""

from __future__ import annotations

import io
import json
import lzma
import zipfile
import zlib
from typing import Any

from qrmi.errors import UnexpectedAnswerError

__all__ = ["pack", "unpack"]

_MOST_BYTES = 2**30  # unpacked: more than the counts of the most shots of one job
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # an unknown compression
    OSError,  # what bz2 says of junk
    RuntimeError,  # it is encrypted
    ValueError,
)
_MOMENT = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes


def pack(member: str, value: Any) -> bytes:
    """An archive that holds a value as JSON."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(member, _MOMENT)
        archive.writestr(info, json.dumps(value), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpack(content: bytes) -> Any:
    """What an archive's one member holds: JSON, or else its text.

    Raises:
        UnexpectedAnswerError: it is no archive, has another number of members, or is a bomb.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (member,) = archive.infolist()
            if member.file_size > _MOST_BYTES:  # no more than that is unpacked
                raise UnexpectedAnswerError(f"a file of the job has {member.file_size} bytes")
            text = archive.read(member).decode()
    except UnexpectedAnswerError:
        raise
    except _BROKEN as error:
        raise UnexpectedAnswerError(
            f"a file of the job is no archive with one member: {type(error).__name__}"
        ) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
