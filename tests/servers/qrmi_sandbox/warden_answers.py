"""Reading requests to Warden as strictly as FastAPI would, and its words."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from qrmi_sandbox.server import Call, Refusal

__all__ = ["fields", "now", "unprocessable", "uuid_of"]


def now() -> str:
    """The time as Warden writes it: without a zone."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


def fields(call: Call, optional: Collection[str] = (), **wanted: type) -> dict[str, Any]:
    """The body's fields: those wanted, of those types, and no others."""
    body = call.json()
    if not isinstance(body, dict):
        raise unprocessable("body", "Input should be a valid dictionary")
    for name in body.keys() - wanted.keys() - set(optional):
        raise unprocessable(name, "Extra inputs are not permitted")
    for name, kind in wanted.items():
        if name not in body:
            raise unprocessable(name, "Field required")
        if type(body[name]) is not kind:
            raise unprocessable(name, f"Input should be a valid {kind.__name__}")
    return body


def uuid_of(text: str, name: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise unprocessable(name, "Input should be a valid UUID") from None


def unprocessable(name: str, fault: str) -> Refusal:
    return Refusal(422, {"detail": [{"type": "value", "loc": ["body", name], "msg": fault}]})
