"""Reading the parts of an answer: what is missing or malformed is the service's error."""

from __future__ import annotations

from typing import Any, TypeVar

from qrmi.errors import QrmiError, UnexpectedAnswerError
from qrmi.secrecy.scrubbing import scrub

__all__ = ["answer_field", "reading"]

_T = TypeVar("_T")
_MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


def answer_field(data: Any, name: str, kind: type[_T]) -> _T:
    """A field of an answer, which must be there and of that type.

    Raises:
        UnexpectedAnswerError: it is not; the message names it.
    """
    value = data.get(name) if isinstance(data, dict) else None
    if type(value) is kind:
        return value
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        del value  # a traceback would show it
        raise UnexpectedAnswerError(f"the service's answer has no {kind.__name__} {name!r}")
    return value


class reading:  # noqa: N801 (used like a function: ``with reading("GET job"):``)
    """Turn the errors of reading an answer's parts into `UnexpectedAnswerError`.

    Args:
        what: what was asked, for the message.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if isinstance(error, _MALFORMED) and not isinstance(error, QrmiError):
            quotes_secrets = scrub(str(error)) != str(error)
            raise UnexpectedAnswerError(
                f"malformed answer to {self._what}: {type(error).__name__}"
            ) from (None if quotes_secrets else error)
