"""Results of Pasqal Cloud in the form of `qrmi.codecs.analog`; pure functions.

A job's result has ``counter``, ``serialised_results`` (Pulser's, as text; absent on older
services) and ``raw``, the shots one by one, which is dropped. Bit strings have the first atom
leftmost.

Results may be large. Their counts and texts are cut out of the service's answer as they are, and
only what remains is parsed.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

from qrmi.errors import UnexpectedAnswerError
from qrmi.secrecy.scrubbing import hidden
from qrmi.transport import Response, answer_field

__all__ = ["cudaq_result", "read_full_results", "read_stored_result"]

# In valid JSON, `"counter":` is a key wherever it stands. A value in another form than these stays
# where it is, is parsed, and is checked then.
_LARGE = re.compile(
    rb'"(counter|raw|serialised_results)"\s*:\s*'
    rb'(\{\s*(?:"[01]*"\s*:\s*(?:0|[1-9][0-9]{0,17})\s*(?:,\s*(?=")|(?=\})))*+\}|\[[^]]*\]'
    rb'|"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")'
)
_NO_TEXTS = (b'""', b'"{}"')
_UNREAD = object()


def read_full_results(response: Response) -> dict[str, str]:
    """The results in an answer to ``full_results``, by job; jobs without one are left out.

    Raises:
        UnexpectedAnswerError: no such answer, or counts that are no whole numbers.
    """
    cut = _Cut(response)
    data = answer_field(cut.rest, "data", dict)
    texts = {job_id: cut.result(entry) for job_id, entry in data.items()}
    return {job_id: text for job_id, text in texts.items() if text is not None}


def read_stored_result(response: Response) -> str | None:
    """A job's result as the storage has it; ``None`` when the object holds none.

    Raises:
        UnexpectedAnswerError: it is no JSON, or has counts that are no whole numbers.
    """
    cut = _Cut(response)
    return cut.result(cut.rest)


class _Cut:
    """An answer in two parts.

    Attributes:
        rest: the answer as parsed, where ``"@counter": 3`` stands for the piece of that number.
    """

    def __init__(self, response: Response) -> None:
        self._body = memoryview(response.body)
        self._pieces: list[tuple[int, int]] = []
        self.rest: Any = _UNREAD
        with contextlib.suppress(RecursionError, ValueError):
            self.rest = hidden(json.loads(_LARGE.sub(self._held, self._body)))
        if self.rest is _UNREAD:  # as with a list in a list, which no result has
            self._pieces = []
            self.rest = response.json()

    def _held(self, match: re.Match[bytes]) -> bytes:
        self._pieces.append(match.span(2))
        return b'"@%s":%d' % (match[1], len(self._pieces) - 1)

    def result(self, entry: Any) -> str | None:
        """The result that an entry holds, or ``None``."""
        if not isinstance(entry, dict):
            return None
        numbers = {name[1:]: entry[name] for name in entry if name.startswith("@")}
        counter = self._piece(numbers.get("counter"), b"{")
        serialised = self._piece(numbers.get("serialised_results"), b'"')
        if counter is None and "counter" in entry:
            counter = json.dumps(_checked(entry["counter"])) if entry["counter"] else None
        if counter is None and serialised is None:
            return None
        tail = "" if serialised is None else f', "serialised_results": {serialised}'
        return f'{{"counter": {counter or "{}"}{tail}}}'

    def _piece(self, number: Any, begins: bytes) -> str | None:
        if not isinstance(number, int) or not 0 <= number < len(self._pieces):
            return None
        start, end = self._pieces[number]
        piece = self._body[start:end]
        if piece[:1] != begins or piece in _NO_TEXTS:
            return None
        try:
            return str(piece, "utf-8")
        except UnicodeDecodeError:
            raise UnexpectedAnswerError("a job's result is not UTF-8 text") from None


def cudaq_result(result: Any) -> str | None:
    """The result of a CUDA-Q job, or ``None`` when there is none (yet).

    The counts come bare, in a ``counter``, and either of them by the id of a job.

    Raises:
        UnexpectedAnswerError: none of these forms, or several jobs.
    """
    if result is None or result == {}:
        return None
    counts = result
    for _ in range(3):
        if not isinstance(counts, dict):
            break
        if "counter" in counts:
            counts = counts["counter"]
        elif len(counts) == 1 and isinstance(next(iter(counts.values())), dict):
            counts = next(iter(counts.values()))
    return json.dumps({"counter": _checked(counts)})


def _checked(counter: Any) -> Mapping[str, int]:
    if isinstance(counter, dict) and all(map(_is_count, counter.values())):
        return counter
    raise UnexpectedAnswerError("the result's counts are not whole numbers by bit string")


def _is_count(count: Any) -> bool:
    return type(count) is int and count >= 0
