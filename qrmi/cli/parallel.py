"""Several slow questions at once, with a limit on how long anybody waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from qrmi.errors import Owner, QrmiError, WaitTimeoutError
from qrmi.waiting import Deadline, SystemClock

__all__ = ["ask_all"]

_T = TypeVar("_T")


def ask_all(questions: Sequence[Callable[[], _T]], timeout_seconds: float) -> list[_T | QrmiError]:
    """The answer to each question in order, or the error that it ended with.

    A question that has no answer within ``timeout_seconds`` gives `WaitTimeoutError`; its thread
    is left behind and does not keep the process alive. Errors other than `QrmiError` are wrapped
    in one, because a table with a broken row is more use than no table.
    """
    answers: list[_T | QrmiError] = [
        WaitTimeoutError(
            f"no answer within {timeout_seconds:g} s", owner=Owner.NETWORK, hint="try again later"
        )
        for _ in questions
    ]

    def ask(index: int) -> None:
        try:
            answers[index] = questions[index]()
        except QrmiError as error:
            answers[index] = error
        except Exception as error:
            answers[index] = QrmiError(
                f"{type(error).__name__}: {error}",
                owner=Owner.VENDOR,
                hint="this is a defect: please report it",
            )

    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(len(questions))]
    for thread in threads:
        thread.start()
    deadline = Deadline.after(timeout_seconds, SystemClock())
    for thread in threads:
        thread.join(deadline.shorten(timeout_seconds))
    return list(answers)
