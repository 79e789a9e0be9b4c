"""Settings of Alice & Bob's Felis."""

from __future__ import annotations

import base64

import attrs

from qrmi.references import service_url
from qrmi.settings import Secret, setting
from qrmi.transport import HttpSettings

__all__ = ["ApiKey", "FelisSettings"]


class ApiKey(Secret):
    """An API key of Felis: base64 of ``user:password``.

    Raises:
        ValueError: it is something else. The key is not shown.
    """

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(value.strip())
        try:
            user, colon, _ = base64.b64decode(self.reveal(), validate=True).decode().partition(":")
        except ValueError:
            user, colon = "", ""
        if not user or not colon:
            raise ValueError("expected base64 of user:password") from None


@attrs.frozen(kw_only=True)
class FelisSettings(HttpSettings):
    """Where Felis is, and who asks.

    Attributes:
        api_key: sent as it is, as HTTP's basic credentials.
        base_endpoint: without a trailing slash; the API's paths begin with ``/v1``.
    """

    api_key: ApiKey = setting(
        "QRMI_AB_FELIS_API_KEY",
        convert=ApiKey,
        bare=True,
        help="API key of Felis: base64 of user:password.",
    )
    base_endpoint: str = setting(
        "QRMI_AB_FELIS_BASE_ENDPOINT",
        convert=service_url,
        bare=True,
        help="URL of the API, for example https://api.alice-bob.com.",
    )
