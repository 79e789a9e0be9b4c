"""openqrmi: one handle to any quantum resource, for Qiskit, CUDA-Q and Pulser.

>>> import qrmi
>>> resource = qrmi.open()  # a job's QPU, the configured default, or the embedded simulator

Names are loaded at first use: importing this package imports no SDK and no HTTP library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qrmi import _foreign

if TYPE_CHECKING:
    from qrmi import logger
    from qrmi.aio import AsyncQuantumResource
    from qrmi.config import Config, ResourceDef, get_job_qpu_resources_and_types
    from qrmi.discovery import ResourceProvider
    from qrmi.driver import Capabilities, Driver
    from qrmi.errors import (
        AccessDeniedError,
        AnswerLostError,
        AuthenticationFailedError,
        ConfigError,
        EnvVarNotSetError,
        InvalidInputError,
        IsaError,
        JournalError,
        MissingExtraError,
        Owner,
        QrmiError,
        ResourceNotFoundError,
        ResourceUnavailableError,
        TaskCancelledError,
        TaskFailedError,
        TaskNotFoundError,
        TaskNotReadyError,
        TaskStartUncertainError,
        UnexpectedAnswerError,
        UnsupportedFunctionError,
        UnsupportedPayloadError,
        UnsupportedResourceTypeError,
        WaitTimeoutError,
    )
    from qrmi.logger import set_log_callback
    from qrmi.payloads import AnalogJob, Payload
    from qrmi.registry import QRMIService, resource_of_task, resources
    from qrmi.registry import open as open  # noqa: A004
    from qrmi.resource import QuantumResource
    from qrmi.settings import Secret, Settings, setting
    from qrmi.tasks import (
        BatchJob,
        ResourceCapacity,
        ResourceStatus,
        ResourceStatusCode,
        ResourceType,
        SessionUse,
        Target,
        TaskId,
        TaskResult,
        TaskStatus,
    )

__version__ = "0.1.0"

_HOMES = {
    "aio": ("AsyncQuantumResource",),
    "config": ("Config", "ResourceDef", "get_job_qpu_resources_and_types"),
    "discovery": ("ResourceProvider",),
    "driver": ("Capabilities", "Driver"),
    "errors": (
        "AccessDeniedError",
        "AnswerLostError",
        "AuthenticationFailedError",
        "ConfigError",
        "EnvVarNotSetError",
        "InvalidInputError",
        "IsaError",
        "JournalError",
        "MissingExtraError",
        "Owner",
        "QrmiError",
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
    ),
    "logger": ("set_log_callback",),
    "payloads": ("AnalogJob", "Payload"),
    "registry": ("QRMIService", "open", "resource_of_task", "resources"),
    "resource": ("QuantumResource",),
    "settings": ("Secret", "Settings", "setting"),
    "tasks": (
        "BatchJob",
        "ResourceCapacity",
        "ResourceStatus",
        "ResourceStatusCode",
        "SessionUse",
        "ResourceType",
        "Target",
        "TaskId",
        "TaskResult",
        "TaskStatus",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # without `open`: an old script's `import *` keeps its own
    "AccessDeniedError",
    "AnalogJob",
    "AnswerLostError",
    "AsyncQuantumResource",
    "AuthenticationFailedError",
    "BatchJob",
    "Capabilities",
    "Config",
    "ConfigError",
    "Driver",
    "EnvVarNotSetError",
    "InvalidInputError",
    "IsaError",
    "JournalError",
    "MissingExtraError",
    "Owner",
    "Payload",
    "QRMIService",
    "QrmiError",
    "QuantumResource",
    "ResourceCapacity",
    "ResourceDef",
    "ResourceNotFoundError",
    "ResourceProvider",
    "ResourceStatus",
    "ResourceStatusCode",
    "ResourceType",
    "ResourceUnavailableError",
    "Secret",
    "SessionUse",
    "Settings",
    "Target",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskId",
    "TaskNotFoundError",
    "TaskNotReadyError",
    "TaskResult",
    "TaskStartUncertainError",
    "TaskStatus",
    "UnexpectedAnswerError",
    "UnsupportedFunctionError",
    "UnsupportedPayloadError",
    "UnsupportedResourceTypeError",
    "WaitTimeoutError",
    "get_job_qpu_resources_and_types",
    "logger",
    "resource_of_task",
    "resources",
    "set_log_callback",
    "setting",
]

if (_core := _foreign.find_foreign_core()) is not None:
    import warnings

    warnings.warn(
        f"the Rust package `qrmi` is installed over openqrmi ({_core.name} lies in our folder): "
        f"some modules may be its own. To repair: {_foreign.REPAIR}",
        RuntimeWarning,
        stacklevel=2,
    )


def __getattr__(name: str) -> Any:
    if name == "logger":
        return importlib.import_module("qrmi.logger")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'qrmi' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"qrmi.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
