"""Reading foreign text for the analog codecs: JSON objects, and Pulser's own readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from qrmi.errors import InvalidInputError, MissingExtraError

__all__ = ["guarded", "import_pulser", "json_object"]

_T = TypeVar("_T")

_LONGEST_REASON = 300
_LONGEST_VALUE = 40
_NAMING_KEYS = ("additionalProperties", "required")  # their messages name keys, not values


def json_object(text: str, what: str) -> dict[str, Any]:
    """The JSON object that ``text`` is; ``what`` names it in the `InvalidInputError`."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise InvalidInputError(f"{what} is not JSON") from error
    if not isinstance(data, dict):
        raise InvalidInputError(f"{what} is not a JSON object")
    return data


def guarded(what: str, function: Callable[..., _T], *arguments: Any) -> _T:
    """Call Pulser on foreign text; its readers raise whatever the junk makes them stumble on.

    Raises:
        InvalidInputError: anything went wrong; the message holds the first line of the reason.
    """
    try:
        return function(*arguments)
    except Exception as error:
        raise InvalidInputError(f"Pulser refuses {what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    if hasattr(error, "json_path"):  # jsonschema's, whose text is the whole program
        return _fault(error)
    if text := str(error).strip():
        return text.splitlines()[0][:_LONGEST_REASON]
    return type(error).__name__ if error.__cause__ is None else _reason(error.__cause__)


def _fault(error: Any) -> str:
    """Where and how a text breaks a JSON schema, without the text.

    Of the alternatives of an ``anyOf`` it follows the one with the fewest faults. One that fails
    at a constant (as ``"op": "pulse"``) is for another kind of thing.
    """
    alternatives: dict[Any, list[Any]] = {}
    for fault in error.context:
        alternatives.setdefault(fault.schema_path[0], []).append(fault)
    likely = [
        faults
        for faults in alternatives.values()
        if not any(fault.validator == "const" for fault in faults)
    ]
    if likely:
        return _fault(min(likely, key=len)[0])
    text = str(error.message)
    if alternatives:
        text = "none of the forms that are known"
    elif error.validator not in _NAMING_KEYS and len(repr(error.instance)) > _LONGEST_VALUE:
        text = f"not as the schema's {error.validator!r} demands"
    return f"{text} (at {error.json_path})"[:_LONGEST_REASON]


def import_pulser() -> Any:
    """The module `pulser`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pulser
    except ImportError as error:
        raise MissingExtraError(
            "pulse sequences need Pulser, which is not installed",
            hint="pip install 'openqrmi[pulser]'",
        ) from error
    return pulser
