"""Starting a job: the program as it was given, inside the service's request; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from qrmi import references
from qrmi.errors import InvalidInputError
from qrmi.payloads import QiskitPrimitive
from qrmi.references import tag_of
from qrmi.tasks import TaskId
from qrmi.transport import Request, answer_field, join, json_body
from qrmi_ibm.compute_service.wire import Site

__all__ = ["check_params", "create_job", "created_id", "tag_of"]

_REQUIRED = {  # what the params of a program must have at least, with its type
    "sampler": (("pubs", list), ("version", int)),
    "estimator": (("pubs", list), ("version", int)),
    "noiselearner": (("circuits", list), ("version", int)),
}


def check_params(payload: QiskitPrimitive, programs: Iterable[str]) -> None:
    """Refuse what the service could only refuse: the program's name, and the params' outline.

    Raises:
        InvalidInputError: the program is none of ``programs``; or the input is not one JSON
            object, or lacks what its program needs at least.
    """
    known = sorted(programs)
    if payload.program_id not in known:
        raise InvalidInputError(
            f'unknown program ID: "{payload.program_id}"', hint=f"known: {', '.join(known)}"
        )
    params = _parsed(payload.input)
    for name, kind in _REQUIRED.get(payload.program_id, ()):
        if not isinstance(params.get(name), kind):
            raise InvalidInputError(
                f"the input of {payload.program_id} needs {name!r}, a {kind.__name__}"
            )


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = _strict.decode(text)
        text.encode()
    except (ValueError, RecursionError) as error:
        # a UnicodeError shows the text, a JSONDecodeError only a place in it
        told = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInputError(f"the input is not JSON{told}") from None
    if not isinstance(value, dict):
        raise InvalidInputError("the input is not a JSON object")
    return value


def _not_json(constant: str) -> None:
    raise ValueError(constant)


_strict = json.JSONDecoder(parse_constant=_not_json)


def create_job(
    site: Site, payload: QiskitPrimitive, key: str, *, cost: int | None, session_id: str | None
) -> Request:
    """Start a job (POST /jobs). The payload's input is sent as it is, checked already.

    Args:
        site: where.
        payload: what to run.
        key: names this start.
        cost: the longest run in seconds; ``None`` for the service's own limit.
        session_id: the session that it belongs to; ``None`` for none.
    """
    head = {
        "program_id": payload.program_id,
        "backend": site.backend,
        "log_level": "debug",
        "tags": [tag_of(key)],
        **({} if cost is None else {"cost": cost}),
        **({} if session_id is None else {"session_id": session_id}),
    }
    opening = json_body(head)[:-1]
    body = b'%s,"params":%s,"private":false}' % (opening, payload.input.encode())
    return Request("POST", join(site.endpoint, "jobs"), headers=site.post_headers, body=body)


def created_id(answer: Any) -> TaskId:
    """The id of the job that was created."""
    return references.created_id(answer_field(answer, "id", str))
