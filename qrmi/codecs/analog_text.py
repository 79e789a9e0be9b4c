"""Reading foreign text for the analog codecs: JSON objects, and Pulser's own readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from qrmi.errors import InvalidInputError, MissingExtraError

__all__ = ["guarded", "import_pulser", "json_object"]

_T = TypeVar("_T")


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
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise InvalidInputError(f"Pulser refuses {what}: {first}") from error


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
