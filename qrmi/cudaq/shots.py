"""How many shots are asked for, and whether that many come back."""

from __future__ import annotations

from typing import Any, SupportsIndex

from qrmi.errors import InvalidInputError, Owner, TaskFailedError

__all__ = ["check_returned", "check_wanted"]


def check_wanted(shots: Any) -> None:
    """Refuse a number of shots that is no positive integer.

    Raises:
        InvalidInputError: it is none.
    """
    if isinstance(shots, bool) or not isinstance(shots, SupportsIndex) or int(shots) < 1:
        raise InvalidInputError(f"shots_count must be at least 1, not {shots!r}")


def check_returned(found: int, shots: int, task_id: str) -> None:
    """Refuse a result with another number of shots than was asked for.

    CUDA-Q would launch the kernel again for those that are missing, and somebody would pay twice.

    Raises:
        TaskFailedError: it has another number.
    """
    if found != shots:
        raise TaskFailedError(
            f"the resource returned {found} of {shots} shots",
            owner=Owner.VENDOR,
            task_id=task_id,
            hint=f"look at what came back: `qrmi result {task_id}`",
        )
