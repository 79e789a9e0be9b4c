"""Every error that openqrmi raises, in one tree.

::

    QrmiError (RuntimeError)
    ├── ConfigError                    a setting, a file or a variable is missing or malformed
    │   ├── EnvVarNotSetError
    │   └── JobListsError              the scheduler gave more names than types, or fewer
    ├── InvalidInputError              the program or an argument is wrong; nothing was sent
    │   ├── UnsupportedPayloadError        this resource does not take that payload format
    │   └── IsaError                       a circuit or pulse sequence does not fit the device
    ├── UnsupportedResourceTypeError   no driver is installed for that resource type
    ├── UnsupportedFunctionError       the resource has no such function
    ├── MissingExtraError              an optional SDK is not installed
    ├── AuthenticationFailedError      the service refused the credentials
    │   └── AccessDeniedError              it knows them, and does not allow this
    ├── ResourceNotFoundError
    ├── ResourceUnavailableError       offline, paused, overloaded, or it cannot be reached
    │   └── AnswerLostError                a request was sent, its answer never came
    ├── UnexpectedAnswerError          the service answered what its protocol does not know
    ├── TaskNotFoundError
    ├── TaskNotReadyError              there is no result (yet)
    │   ├── TaskFailedError                the task ended without one
    │   └── TaskCancelledError             the task was stopped
    ├── TaskStartUncertainError        an answer was lost: a task may or may not exist
    ├── WaitTimeoutError               waiting ended, the task goes on
    ├── JournalError                   the record of tasks cannot be written or read
    └── RecordingError                 a recording cannot be written or read
        └── NotRecordedError               it has no such call
"""

from __future__ import annotations

import enum
from typing import ClassVar

from qrmi.secrecy.scrubbing import scrub

__all__ = [
    "AccessDeniedError",
    "AnswerLostError",
    "AuthenticationFailedError",
    "ConfigError",
    "EnvVarNotSetError",
    "InvalidInputError",
    "IsaError",
    "JobListsError",
    "JournalError",
    "MissingExtraError",
    "NotRecordedError",
    "Owner",
    "QrmiError",
    "RecordingError",
    "ResourceNotFoundError",
    "ResourceUnavailableError",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskNotReadyError",
    "TaskStartUncertainError",
    "UnexpectedAnswerError",
    "UnsupportedFunctionError",
    "UnsupportedPayloadError",
    "UnsupportedResourceTypeError",
    "WaitTimeoutError",
]


class Owner(enum.StrEnum):
    """Who can put an error right."""

    USER = "user"
    SITE = "site"
    VENDOR = "vendor"
    NETWORK = "network"


class QrmiError(RuntimeError):
    """Base of all errors of openqrmi.

    Attributes:
        owner: who can act on it.
        retryable: whether the same call may succeed later, unchanged.
        hint: the next thing to do, in one sentence; empty when there is none.
        resource_id: the resource concerned, when known.
        task_id: the task concerned, when known.
        key: the idempotency key of the start concerned, when known.
        request_ids: ids that the service gave to the requests concerned: what to quote to its
            support, newest first; empty when it gave none.

    The message holds ids and names, never payloads, response bodies or secrets: what a service
    wrote loses the secrets that it quotes (`qrmi.secrecy.scrubbing`). Errors can be pickled.
    """

    default_owner: ClassVar[Owner] = Owner.USER
    default_retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        owner: Owner | None = None,
        retryable: bool | None = None,
        hint: str | None = None,
        resource_id: str | None = None,
        task_id: str | None = None,
        key: str | None = None,
        request_ids: tuple[str, ...] = (),
    ) -> None:
        message = scrub(message)
        super().__init__(message)
        self.message = message
        self.owner = self.default_owner if owner is None else Owner(owner)
        self.retryable = self.default_retryable if retryable is None else retryable
        self.hint = self.default_hint if hint is None else scrub(hint)
        self.resource_id = resource_id
        self.task_id = task_id
        self.key = key
        self.request_ids = tuple(map(scrub, request_ids))

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(cls: type[QrmiError], message: str, state: dict[str, object]) -> QrmiError:
    error = cls(message)
    error.__dict__.update(state)
    return error


class ConfigError(QrmiError):
    """A setting is missing or malformed; the message names the variable, key or file and line."""

    default_hint = "run `qrmi config check`"


class EnvVarNotSetError(ConfigError):
    """A required setting is not in the environment."""


class JobListsError(ConfigError, ValueError):
    """The scheduler gave the job more names of QPUs than types, or fewer."""

    default_owner = Owner.SITE
    default_hint = "ask the site, quoting the job's id: its plug-in sets these variables"


class InvalidInputError(QrmiError):
    """The program or an argument is wrong; nothing was sent."""


class UnsupportedPayloadError(InvalidInputError):
    """The resource does not take this payload format or kind of program; nothing was sent."""


class IsaError(InvalidInputError):
    """A program does not fit the device; nothing was sent."""


class UnsupportedResourceTypeError(QrmiError):
    """No driver for the resource type, or the type lacks what was asked of it."""


class UnsupportedFunctionError(QrmiError):
    """The resource does not offer this function."""


class MissingExtraError(QrmiError, ImportError):
    """An optional dependency is not installed; the hint is the command that installs it."""


class AuthenticationFailedError(QrmiError):
    """The service refused the credentials."""

    default_hint = "check the credentials of this resource; `qrmi config check` names them"


class AccessDeniedError(AuthenticationFailedError):
    """The service knows the credentials and does not allow this."""

    default_owner = Owner.SITE
    default_hint = "ask whoever manages the account for this permission"


class ResourceNotFoundError(QrmiError):
    """No such resource."""

    default_hint = "run `qrmi resources` to see what there is"


class ResourceUnavailableError(QrmiError):
    """The resource exists but cannot serve now."""

    default_owner = Owner.SITE
    default_retryable = True
    default_hint = "try again later; `qrmi doctor` looks for the cause"


class AnswerLostError(ResourceUnavailableError):
    """A request that must not be sent twice was sent, and its answer never came.

    The service may have carried it out.
    """

    default_owner = Owner.NETWORK
    default_retryable = False
    default_hint = "look on the service what came of it"


class UnexpectedAnswerError(QrmiError):
    """The service answered something that its protocol does not know."""

    default_owner = Owner.VENDOR
    default_hint = "if it happens again, tell the vendor: quote the time and the ids"


class TaskNotFoundError(QrmiError):
    """No such task on this resource."""

    default_hint = "run `qrmi tasks` to see your tasks"


class TaskNotReadyError(QrmiError):
    """The task has no result."""

    default_retryable = True
    default_hint = "wait for the task to end: `task_wait(task_id)`"


class TaskFailedError(TaskNotReadyError):
    """The task ended without a result; the message gives the resource's reason."""

    default_retryable = False
    default_hint = "`task_logs(task_id)` may tell more"


class TaskCancelledError(TaskNotReadyError):
    """The task was stopped before it had a result."""

    default_retryable = False
    default_hint = "start it again if you still want the result"


class TaskStartUncertainError(QrmiError):
    """The answer to a start was lost; a task may exist and was not sent again."""

    default_owner = Owner.NETWORK
    default_hint = "look for the task on the service before you start it again"


class WaitTimeoutError(QrmiError, TimeoutError):
    """Waiting ended before the task did; the task goes on."""

    default_retryable = True
    default_hint = "the task goes on: wait again, or come back to it by its id"


class JournalError(QrmiError):
    """The journal, in the user's own state folder, cannot be written or read."""

    default_hint = "check the folder that QRMI_STATE_DIR names: space, permissions"


class RecordingError(QrmiError):
    """A recording cannot be written, or read: the message names the file and the line."""

    default_hint = "record it anew: `qrmi record FILE -- COMMAND`"


class NotRecordedError(RecordingError):
    """A program that runs on a recording asked for something that the recording does not have."""

    default_hint = "`qrmi replay FILE` shows what it has; record the program anew if it changed"
