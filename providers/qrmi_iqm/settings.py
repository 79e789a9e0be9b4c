"""Settings of IQM Server, and how a resource's name becomes a quantum computer's alias."""

from __future__ import annotations

import attrs

from qrmi.references import service_url
from qrmi.settings import Secret, setting
from qrmi.transport import HttpSettings

__all__ = ["DEFAULT_CALIBRATION", "IQMSettings", "alias_of", "calibration_of"]

DEFAULT_CALIBRATION = "default"
"""What IQM Server calls the calibration set in force."""

_SUFFIXES = ("mock", "timeslot")


@attrs.frozen(kw_only=True)
class IQMSettings(HttpSettings):
    """What a resource of type ``iqm-server`` can be told.

    Attributes:
        endpoint: base URL of the server; paths start with ``/api/v1``.
        token: the user's token.
        alias: the quantum computer's alias on the server; ``None`` to derive it from the
            resource's name.
        acquisition_token: what a scheduler's prolog passed on; IQM Server has no use for it.
    """

    endpoint: str = setting(
        "QRMI_IQM_ISA_ENDPOINT",
        convert=service_url,
        help="Base URL of IQM Server, such as https://resonance.iqm.tech.",
    )
    token: Secret = setting("QRMI_IQM_ISA_TOKEN", convert=Secret, help="Your IQM token.")
    alias: str | None = setting(
        "QRMI_IQM_QC_ALIAS",
        default=None,
        help="The quantum computer's alias, such as garnet:mock, when the resource is called "
        "something else.",
    )
    acquisition_token: str | None = setting(
        "QRMI_JOB_ACQUISITION_TOKEN",
        default=None,
        help="Set by the scheduler; shown in the resource's metadata.",
    )

    @classmethod
    def prefix(cls, resource_id: str) -> str:
        """The name before the comma: what follows it is a calibration set."""
        return resource_id.partition(",")[0]


def alias_of(resource_id: str, settings: IQMSettings) -> str:
    """The quantum computer's alias on the server.

    A shell cannot export names with a colon, so ``garnet_mock`` and ``garnet_timeslot`` stand for
    ``garnet:mock`` and ``garnet:timeslot``. Any other name is the alias as it is.
    """
    if settings.alias:
        return settings.alias
    name = resource_id.partition(",")[0]
    base, _, suffix = name.rpartition("_")
    return f"{base}:{suffix}" if base and suffix in _SUFFIXES else name


def calibration_of(resource_id: str) -> str:
    """The calibration set after the comma of a resource's name, else the default one."""
    return resource_id.partition(",")[2].strip() or DEFAULT_CALIBRATION
