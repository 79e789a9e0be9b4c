"""Settings of ``pasqal-cloud``, and what ``~/.pasqal/config`` adds to them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self

import attrs

from qrmi import config
from qrmi.errors import ConfigError
from qrmi.references import is_link, service_url
from qrmi.secrecy import keyfiles, privacy
from qrmi.secrecy.scrubbing import hidden
from qrmi.settings import EnvironmentSource, Secret, Source, setting
from qrmi.transport import HttpSettings

__all__ = ["AUDIENCE", "REGIONS", "AccessToken", "PasqalCloudSettings", "Region", "is_device_type"]

_CONFIG_FILE = Path(".pasqal", "config")


@attrs.frozen(kw_only=True)
class Region:
    """Where a region's services are, and how a person logs in there.

    Source: pasqal-cloud 0.24 (``endpoints``), and for the token endpoint of ``eu`` QRMI 0.26.

    Attributes:
        base_url: of the API.
        auth_endpoint: of the token service.
        login: the fields of a login with user name and password, without these two.
    """

    base_url: str
    auth_endpoint: str
    login: tuple[tuple[str, str], ...]


AUDIENCE = "https://apis.pasqal.cloud/account/api/v1"
"""The audience of all tokens."""

REGIONS = {
    "eu": Region(
        base_url="https://apis.pasqal.cloud",
        auth_endpoint="https://authenticate.pasqal.cloud/oauth/token",
        login=(
            ("grant_type", "http://auth0.com/oauth/grant-type/password-realm"),
            ("realm", "pcs-users"),
            ("client_id", "PeZvo7Atx7IVv3iel59asJSb4Ig7vuSB"),
            ("audience", AUDIENCE),
        ),
    ),
    "sa": Region(
        base_url="https://apis.sa.pasqal.cloud",
        auth_endpoint=(
            "https://auth.sa.pasqal.cloud/realms/pasqal-cloud/protocol/openid-connect/token"
        ),
        login=(
            ("grant_type", "password"),
            ("realm", "pasqal-cloud"),
            ("client_id", "cloud-sdk"),
            ("audience", AUDIENCE),
        ),
    ),
}
_REGION_NAMES = {"eu": "eu", "fr": "eu", "sa": "sa"}  # Pasqal's own library says `fr`


def _region(text: str) -> str:
    try:
        return _REGION_NAMES[text.lower()]
    except KeyError:
        raise ValueError("expected eu or sa") from None


def _url(text: str) -> str:
    return service_url(_with_scheme(text))


def _endpoint(text: str) -> str:
    url = _with_scheme(text)
    if not is_link(url):
        raise ValueError("expected a URL")
    return url


def _with_scheme(text: str) -> str:
    return text if "://" in text else f"https://{text}"


class AccessToken(Secret):
    """A token that goes into a header; blanks around it are dropped.

    Raises:
        ValueError: a header cannot hold it. It is not shown.
    """

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(value.strip())
        if not _VISIBLE(self.reveal()):
            raise ValueError("expected a token of visible ASCII characters")


def is_device_type(name: str) -> bool:
    """Whether a name can be a device type; the service writes them in capital letters."""
    return bool(_DEVICE_TYPE(name.upper()))


_VISIBLE = re.compile(r"[!-~]+").fullmatch
_DEVICE_TYPE = re.compile(r"[A-Z0-9_]+").fullmatch


@attrs.frozen(kw_only=True)
class PasqalCloudSettings(HttpSettings):
    """What a Pasqal Cloud resource needs to know.

    `load` notes the user's home folder where the environment is consulted; `completed` reads the
    file. Each setting that the environment does not give is taken from the file by itself.
    """

    project_id: str | None = setting(
        "QRMI_PASQAL_CLOUD_PROJECT_ID", default=None, help="The project that tasks are charged to."
    )
    auth_token: AccessToken | None = setting(
        "QRMI_PASQAL_CLOUD_AUTH_TOKEN",
        default=None,
        convert=AccessToken,
        help="A token, used for as long as it is good.",
    )
    client_id: str | None = setting(
        "QRMI_PASQAL_CLOUD_CLIENT_ID", default=None, help="A service account's id."
    )
    client_secret: Secret | None = setting(
        "QRMI_PASQAL_CLOUD_CLIENT_SECRET",
        default=None,
        convert=Secret,
        help="The service account's secret.",
    )
    auth_endpoint: str | None = setting(
        "QRMI_PASQAL_CLOUD_AUTH_ENDPOINT",
        default=None,
        convert=_endpoint,
        help="The token service, instead of the region's.",
    )
    base_url: str | None = setting(
        "QRMI_PASQAL_CLOUD_BASE_URL",
        default=None,
        convert=_url,
        help="The service, instead of the region's.",
    )
    region: str | None = setting(
        "QRMI_PASQAL_CLOUD_REGION", default=None, convert=_region, help="eu (the default) or sa."
    )
    device_type: str | None = setting(
        "QRMI_PASQAL_CLOUD_DEVICE_TYPE",
        default=None,
        help="The device or emulator, when it is not the resource's name.",
    )
    username: str | None = setting(
        "PASQAL_USERNAME", default=None, shared=True, help="A person's user name."
    )
    password: Secret | None = setting(
        "PASQAL_PASSWORD", default=None, shared=True, convert=Secret, help="The password."
    )
    config_root: str | None = setting(
        "PASQAL_CONFIG_ROOT",
        default=None,
        shared=True,
        help="The folder that holds .pasqal/config, instead of the home folder; for this resource "
        "alone with its name before it.",
    )
    home: str | None = attrs.field(default=None)

    @classmethod
    def load(cls, source: Source) -> Self:
        """Read the settings; from the environment also the home folder, and a root of its own."""
        loaded = super().load(source)
        if not isinstance(source, EnvironmentSource):
            return loaded
        own_root = source.environ.get(f"{source.prefix}_PASQAL_CONFIG_ROOT")
        return attrs.evolve(
            loaded,
            config_root=loaded.config_root or own_root or None,
            home=source.environ.get("HOME") or None,
        )

    def export(self) -> dict[str, str]:
        """As for all settings, and the file's folder: another process needs the credentials."""
        root = self.config_root or self.home
        return {**super().export(), **({"PASQAL_CONFIG_ROOT": root} if root else {})}

    @property
    def place(self) -> Region:
        """The region's services, with what the settings say instead."""
        region = REGIONS[self.region or "eu"]
        return attrs.evolve(
            region,
            base_url=self.base_url or region.base_url,
            auth_endpoint=self.auth_endpoint or region.auth_endpoint,
        )

    def completed(self) -> Self:
        """The same with what is missing taken from ``.pasqal/config``, if there is one.

        Raises:
            ConfigError: the file has a value that makes no sense.
        """
        path, found = self._file()
        changes: dict[str, Any] = {}
        for attribute, key in _FILE_KEYS.items():
            text = hidden(found.get(key))
            if text and getattr(self, attribute) is None:
                changes[attribute] = self._converted(attribute, text, path)
        if path and any(isinstance(value, Secret) for value in changes.values()):
            privacy.warn_of_secret(path)
        return attrs.evolve(self, **changes)

    def _file(self) -> tuple[Path | None, dict[str, str]]:
        """The first file that has something, of the root that is set and of the home folder."""
        for root in (self.config_root, self.home):
            path = config.expanded(root) / _CONFIG_FILE if root else None
            if path is not None and (found := keyfiles.assignments(path)):
                return path, found
        return None, {}

    def _converted(self, attribute: str, text: str, path: Path | None) -> Any:
        declaration = self.declarations()[attribute]
        try:
            return declaration.convert(text)
        except ValueError as error:
            wanted = declaration.wanted(error)
        raise ConfigError(f"{path}: {_FILE_KEYS[attribute]}: {wanted}")


_FILE_KEYS = {
    "project_id": "project_id",
    "auth_token": "token",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "auth_endpoint": "auth_endpoint",
    "username": "username",
    "password": "password",
    "region": "region",
}
