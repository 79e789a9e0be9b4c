"""Settings of a QPU behind Warden."""

from __future__ import annotations

from typing import Any

import attrs

from qrmi.errors import EnvVarNotSetError
from qrmi.references import service_url
from qrmi.settings import Secret, setting
from qrmi.transport import HttpSettings

__all__ = ["PasqalLocalSettings"]


def _user_id(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**32:
        raise ValueError("expected a numeric user id")
    return value


def _slots(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError("expected a whole number, 1 or more")
    return value


@attrs.frozen(kw_only=True)
class PasqalLocalSettings(HttpSettings):
    """What a resource of type ``pasqal-local`` must or can be told.

    Attributes:
        url: where Warden is.
        user_id: whom a session is for; needed to acquire one.
        job_id: the scheduler's job that a session is for; needed to acquire one.
        session: the session that the scheduler's prolog opened for this job; ``None`` outside.
        slots: how much of the QPU a session takes; ``None`` for Warden's default, one slot.
        munge_socket: where munged listens; ``None`` for its usual place.
        munge_command: the ``munge`` command, instead of its library.
    """

    url: str = setting(
        "QRMI_WARDEN_URL",
        fallback=("QRMI_URL",),
        convert=service_url,
        help="Where Warden is, such as http://qpu-gateway:8006.",
    )
    user_id: int | None = setting(
        "QRMI_JOB_UID",
        shared=True,
        default=None,
        convert=_user_id,
        help="User that a session is for, as a number. A scheduler sets it.",
    )
    job_id: str | None = setting(
        "QRMI_JOB_ID",
        shared=True,
        default=None,
        help="Scheduler's job that a session is for. A scheduler sets it.",
    )
    session: Secret | None = setting(
        "QRMI_JOB_ACQUISITION_TOKEN",
        default=None,
        convert=Secret,
        help="Session that the scheduler's prolog opened for the job. A scheduler sets it.",
    )
    slots: int | None = setting(
        "QRMI_JOB_QPU_SLOTS",
        shared=True,
        default=None,
        convert=_slots,
        help="How many of the QPU's slots a session takes, where Warden shares it in slots.",
    )
    munge_socket: str | None = setting(
        "QRMI_MUNGE_SOCKET",
        default=None,
        help="Socket of munged, when it is not in its usual place.",
    )
    munge_command: str | None = setting(
        "QRMI_MUNGE_COMMAND",
        default=None,
        help="The munge command to use instead of libmunge.",
    )

    def needed(self, attribute: str, resource_id: str, remedy: str) -> Any:
        """The value of a setting that only some verbs need.

        Args:
            attribute: the field's name.
            resource_id: whose settings these are.
            remedy: what else a person can do than run inside a job.

        Raises:
            EnvVarNotSetError: it is absent.
        """
        value = getattr(self, attribute)
        if value is not None:
            return value
        declaration = self.declarations()[attribute]
        key = declaration.key
        variable = key if declaration.shared else f"{self.prefix(resource_id)}_{key}"
        raise EnvVarNotSetError(
            f"{variable} environment variable is not set",
            hint=f"run inside a job to which the scheduler gave this QPU, or {remedy}, or give "
            f"{key} in the resource's entry of qrmi_config.json; `qrmi config check` shows all "
            "settings",
            resource_id=resource_id,
        )
