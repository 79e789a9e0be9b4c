"""The connection under the name and defaults of the upstream library."""

from __future__ import annotations

from typing import Any

import pulser
from pulser.backend.remote import RemoteResults

from qrmi.pulser.connection import QRMIConnection
from qrmi.resource import QuantumResource

__all__ = ["PulserQRMIConnection"]


class PulserQRMIConnection(QRMIConnection):
    """`QRMIConnection` as upstream spells it: ``qrmi=``, and `submit` waits unless told not to."""

    def __init__(self, qrmi: QuantumResource | None = None) -> None:
        super().__init__(qrmi)

    def submit(
        self,
        sequence: pulser.Sequence,
        wait: bool = True,
        open: bool = False,  # noqa: A002 (Pulser's name)
        batch_id: str | None = None,
        **kwargs: Any,
    ) -> RemoteResults:
        """See `QRMIConnection.submit`."""
        return super().submit(sequence, wait, open, batch_id, **kwargs)
