"""Forms of the kind ``multipart/form-data``, read as strictly as storage services do."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

import attrs

__all__ = ["Field", "read_form"]


@attrs.frozen(kw_only=True)
class Field:
    """One part of a form; ``filename`` is ``None`` for a plain value."""

    name: str
    content: bytes
    filename: str | None
    content_type: str


def read_form(content_type: str, body: bytes) -> list[Field]:
    """The parts of a form, in order; empty when the body is no form."""
    if not content_type.startswith("multipart/form-data"):
        return []
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        return []
    found = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if part.get_content_disposition() == "form-data" and isinstance(content, bytes):
            found.append(
                Field(
                    name=str(name or ""),
                    content=content,
                    filename=part.get_filename(),
                    content_type=part.get_content_type(),
                )
            )
    return found
