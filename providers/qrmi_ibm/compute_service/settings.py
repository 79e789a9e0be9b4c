"""Settings of IBM's compute service, and of its deprecated alias."""

from __future__ import annotations

import enum

import attrs

from qrmi.config import UNLIMITED_SECONDS
from qrmi.references import service_url
from qrmi.settings import Declaration, Secret, setting
from qrmi.transport import HttpSettings

__all__ = ["ComputeServiceSettings", "RuntimeServiceSettings", "SessionMode"]

_LARGEST = 2**31 - 1  # the service's fields are 32-bit integers
_FAMILY, _ALIAS_FAMILY = "QRMI_IBM_QCS_", "QRMI_IBM_QRS_"


class SessionMode(enum.StrEnum):
    """How the service runs the jobs of a session."""

    DEDICATED = "dedicated"
    BATCH = "batch"


def _mode(text: str) -> SessionMode:
    try:
        return SessionMode(text.strip().lower())
    except ValueError:
        raise ValueError("expected dedicated or batch") from None


def _seconds(text: str) -> int:
    if not text.strip().isdecimal() or not 0 < int(text) <= _LARGEST:
        raise ValueError("expected a whole number of seconds greater than 0")
    return int(text)


def _limit(text: str) -> int | None:
    """Seconds; ``None`` for no limit, which schedulers write as 4294967295."""
    unlimited = text.strip() == str(UNLIMITED_SECONDS)
    return None if unlimited else _seconds(text)


@attrs.frozen(kw_only=True)
class ComputeServiceSettings(HttpSettings):
    """Settings of a resource of type ``ibm-quantum-compute-service``.

    Attributes:
        endpoint: base address of the API, with its version, with or without a trailing slash.
        iam_endpoint: base address of IBM Cloud's identity service.
        iam_apikey: the API key.
        service_crn: names the service instance that pays.
        session_mode: the mode of sessions that are acquired.
        session_seconds: the longest life of such a session.
        timeout_seconds: the longest that a task may run on the service; ``None`` for its own limit.
        session_id: a session that exists: `acquire` keeps it while it is good, tasks go to it.
    """

    endpoint: str = setting(
        "QRMI_IBM_QCS_ENDPOINT",
        convert=service_url,
        help="Address of the API, for example https://quantum.cloud.ibm.com/api/v1.",
    )
    iam_endpoint: str = setting(
        "QRMI_IBM_QCS_IAM_ENDPOINT",
        convert=service_url,
        help="Address of IBM Cloud IAM, usually https://iam.cloud.ibm.com.",
    )
    iam_apikey: Secret = setting(
        "QRMI_IBM_QCS_IAM_APIKEY", convert=Secret, help="API key of IBM Cloud IAM."
    )
    service_crn: str = setting(
        "QRMI_IBM_QCS_SERVICE_CRN", help="Cloud Resource Name of the service instance."
    )
    session_mode: SessionMode = setting(
        "QRMI_IBM_QCS_SESSION_MODE",
        default=SessionMode.DEDICATED,
        convert=_mode,
        help="Mode of acquired sessions: dedicated or batch.",
    )
    session_seconds: int = setting(
        "QRMI_IBM_QCS_SESSION_MAX_TTL",
        default=28800,
        convert=_seconds,
        help="Longest life of an acquired session, in seconds.",
    )
    timeout_seconds: int | None = setting(
        "QRMI_IBM_QCS_TIMEOUT_SECONDS",
        default=None,
        convert=_limit,
        fallback=("QRMI_JOB_TIMEOUT_SECONDS",),
        help="Longest run of a task on the service, in seconds; 4294967295 for no limit.",
    )
    session_id: str | None = setting(
        "QRMI_IBM_QCS_SESSION_ID",
        default=None,
        fallback=("QRMI_JOB_ACQUISITION_TOKEN",),
        help="Id of a session that exists, for tasks to go to.",
    )


def _as_alias(_cls: type, fields: list[attrs.Attribute[object]]) -> list[attrs.Attribute[object]]:
    """The same fields with the alias's keys."""
    return [field.evolve(metadata=_renamed(field.metadata)) for field in fields]


def _renamed(metadata: object) -> dict[str, object]:
    return {
        name: attrs.evolve(value, key=value.key.replace(_FAMILY, _ALIAS_FAMILY))
        if isinstance(value, Declaration)
        else value
        for name, value in dict(metadata).items()  # type: ignore[call-overload]
    }


@attrs.frozen(kw_only=True, field_transformer=_as_alias)
class RuntimeServiceSettings(ComputeServiceSettings):
    """The same for the deprecated type ``qiskit-runtime-service``; keys ``QRMI_IBM_QRS_*``."""
