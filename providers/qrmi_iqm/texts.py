"""Results and targets: texts that are put together from several answers, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrmi.errors import UnexpectedAnswerError
from qrmi.transport import Response, answer_field

__all__ = ["joined_result", "joined_target"]

_MISSING = 404
_BYTE_ORDER_MARK = "\ufeff"
_KINDS = {"static_quantum_architecture": list}


def joined_target(answers: Mapping[str, Response]) -> str:
    """One JSON object of the answers' own texts, by key; a part that is missing is ``null``.

    Raises:
        UnexpectedAnswerError: a part is no JSON of its kind, or the architecture has no gates.
    """
    parts = []
    for name, response in answers.items():
        text = "null"
        if response.status != _MISSING:
            _check_part(name, response.json())
            text = response.text.removeprefix(_BYTE_ORDER_MARK)
        parts.append(f'"{name}":{text}')
    return "{" + ",".join(parts) + "}"


def _check_part(name: str, data: Any) -> None:
    if not isinstance(data, _KINDS.get(name, dict)):
        raise UnexpectedAnswerError(f"malformed answer to GET {name.replace('_', ' ')}")
    if name == "dynamic_quantum_architecture":
        answer_field(data, "gates", dict)


def joined_result(answers: Mapping[str, Response]) -> str:
    """One JSON object of the artifacts' own bytes, by key; one that is missing is ``null``.

    Large ones are not parsed: that they are JSON lists is seen at both ends.
    """
    pieces: list[bytes | bytearray | memoryview] = []
    for name, response in answers.items():
        pieces += [b"," if pieces else b"{", b'"' + name.encode() + b'":', _listed(response, name)]
    joined = b"".join([*pieces, b"}"])
    del pieces
    try:
        return str(joined, "utf-8")
    except UnicodeDecodeError:
        raise UnexpectedAnswerError("the measurements are not UTF-8 text") from None


def _listed(response: Response, name: str) -> bytes | bytearray | memoryview:
    if response.status == _MISSING:
        return b"null"
    if not _is_list(response.body):
        raise UnexpectedAnswerError(f"the service's {name} are not a JSON list")
    return response.body


def _is_list(body: bytes | bytearray | memoryview) -> bool:
    return bytes(body[:64]).lstrip()[:1] + bytes(body[-64:]).rstrip()[-1:] == b"[]"
