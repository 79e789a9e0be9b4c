"""Answers that are what they were are not read again."""

from __future__ import annotations

import pytest

from qrmi.errors import UnexpectedAnswerError
from qrmi.transport import Response, Unchanged


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(status, {}, body)


def test_the_same_answers_are_read_once() -> None:
    read: list[bytes] = []

    def joined(*answers: Response) -> str:
        read.append(answers[0].body)
        return "+".join(f"{answer.status}:{answer.text}" for answer in answers)

    made = Unchanged(joined)
    assert made(_answer(b"a"), _answer(b"b")) == "200:a+200:b"
    assert made(_answer(b"a"), _answer(b"b")) == "200:a+200:b"
    assert len(read) == 1
    assert made(_answer(b"a"), _answer(b"b", 404)) == "200:a+404:b"
    assert made(_answer(b"b"), _answer(b"b", 404)) == "200:b+404:b"
    assert len(read) == 3


def test_an_answer_that_cannot_be_read_is_read_again() -> None:
    made = Unchanged(lambda answer: str(answer.json()["x"]))
    assert made(_answer(b'{"x": 1}')) == "1"
    for _ in range(2):
        with pytest.raises(UnexpectedAnswerError):
            made(_answer(b"junk"))
    assert made(_answer(b'{"x": 1}')) == "1"


def test_large_answers_are_not_kept() -> None:
    texts = iter(("first", "second"))
    made = Unchanged(lambda _answer: next(texts))
    large = _answer(b"x" * 1_000_001)
    assert (made(large), made(large)) == ("first", "second")
