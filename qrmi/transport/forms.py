"""Bodies of the kind ``multipart/form-data``: uploads."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

__all__ = ["Part", "form_body"]

_BOUNDARY = "openqrmi-9f1c6e0a5b7d4c38a2e4"


@attrs.frozen(kw_only=True)
class Part:
    """One part of a form.

    Attributes:
        name: of the field.
        content: its bytes.
        filename: makes it a file; ``None`` for a plain value.
        content_type: of the content; ``None`` to say nothing.
    """

    name: str
    content: bytes = attrs.field(repr=False)
    filename: str | None = None
    content_type: str | None = None


def form_body(parts: Iterable[Part]) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """The headers and the body of a form, its parts in order; the same parts give the same body."""
    listed = list(parts)
    boundary = _BOUNDARY
    while any(boundary.encode() in part.content for part in listed):
        boundary += "x"
    body, content_type = encode_multipart_formdata([_field(part) for part in listed], boundary)
    return (("content-type", content_type),), body


def _field(part: Part) -> RequestField:
    field = RequestField(part.name, part.content, filename=part.filename)
    field.make_multipart(content_type=part.content_type)
    return field
