"""Errors carry who must act and survive pickling."""

from __future__ import annotations

import inspect
import pickle

import pytest

import qrmi.errors
from qrmi.errors import (
    ConfigError,
    Owner,
    QrmiError,
    TaskFailedError,
    TaskNotReadyError,
    WaitTimeoutError,
)

ALL = sorted(
    (
        cls
        for _, cls in inspect.getmembers(qrmi.errors, inspect.isclass)
        if issubclass(cls, QrmiError)
    ),
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_error_is_typed_picklable_and_documented(cls: type[QrmiError]) -> None:
    """A pickled error keeps class, message, owner, retryable, hint and ids."""
    error = cls(
        "it broke", owner=Owner.SITE, retryable=True, hint="mend it", resource_id="r", task_id="t"
    )
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == str(error) == "it broke (mend it)"
    assert (again.owner, again.retryable, again.hint) == (Owner.SITE, True, "mend it")
    assert (again.resource_id, again.task_id) == ("r", "t")
    assert cls.__name__ in (qrmi.errors.__doc__ or "")
    assert isinstance(error, RuntimeError)


def test_upstream_catches_still_catch() -> None:
    """A failed task is a TaskNotReadyError, a missing variable a ConfigError, as scripts expect."""
    assert issubclass(TaskFailedError, TaskNotReadyError)
    assert issubclass(qrmi.errors.EnvVarNotSetError, ConfigError)
    assert issubclass(WaitTimeoutError, TimeoutError)
    assert not TaskFailedError("x").retryable
    assert TaskNotReadyError("x").retryable
