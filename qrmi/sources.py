"""Where the texts of settings come from: the environment and a file, or a mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

from qrmi.errors import ConfigError, EnvVarNotSetError

if TYPE_CHECKING:
    from qrmi.settings import Declaration

__all__ = ["EnvironmentSource", "Given", "MappingSource", "Source"]


@attrs.frozen(kw_only=True)
class Given:
    """What a source has for a setting.

    Attributes:
        name: the variable or key that it was found under.
        text: the value, or where the secret is.
        form: empty for the value; else one of `qrmi.secrecy.origins.FORMS`.
        place: where it stands, for people.
    """

    name: str
    text: str = attrs.field(repr=False)
    form: str = ""
    place: str = ""


_ENVIRONMENT, _FILE = "the environment", "the configuration file"


class Source(Protocol):
    """Where the texts of settings come from."""

    def find(self, declaration: Declaration) -> Given | None:
        """What there is; ``None`` when it is absent or blank.

        Raises:
            ConfigError: a secret is given in two ways at the same place.
        """

    def name(self, declaration: Declaration) -> str:
        """What a person has to set: a variable or a key."""

    def missing(self, declaration: Declaration) -> ConfigError:
        """The error for a required setting that is absent."""


def _at_one_place(
    declaration: Declaration,
    key: str,
    look: Callable[[str], object],
    spelled: Callable[[str], str] = str,
    place: str = "",
) -> Given | None:
    """What stands under one key, in one of the forms that it may have."""
    found = {form: text for form in declaration.forms if (text := look(key + form))}
    if len(found) > 1:
        names = " and ".join(spelled(key + form) for form in found)
        raise ConfigError(f"{names} are both set", hint="give the secret in one way")
    for form, text in found.items():
        name = spelled(key + form)
        if not isinstance(text, str):
            raise ConfigError(f"the value of {name} must be a text, not {type(text).__name__}")
        return Given(name=name, text=text, form=form, place=place)
    return None


@attrs.frozen(kw_only=True)
class EnvironmentSource:
    """The process environment, and below it the ``environment`` of a configuration file.

    Attributes:
        prefix: the resource's name, verbatim; variables are ``<prefix>_<KEY>``.
        environ: the process environment.
        defaults: unprefixed keys of a file's entry; used where the environment says nothing.
    """

    prefix: str
    environ: Mapping[str, str] = attrs.field(repr=False)
    defaults: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def find(self, declaration: Declaration) -> Given | None:
        """What the variable says, else the file's key; blank counts as absent."""

        def variable(key: str) -> str:
            return self._variable(key, declaration)

        def at_prefix(key: str) -> str | None:
            return self.environ.get(variable(key))

        for key in declaration.keys:
            given = _at_one_place(
                declaration, key, at_prefix, variable, _ENVIRONMENT
            ) or _at_one_place(declaration, key, self.defaults.get, variable, _FILE)
            if given:
                return given
        if not declaration.bare:
            return None
        return _at_one_place(declaration, declaration.key, self.environ.get, place=_ENVIRONMENT)

    def name(self, declaration: Declaration) -> str:
        """The variable; where only another one, or its key, has a text: that one."""
        given = self.find(declaration)
        return given.name if given else self._variable(declaration.key, declaration)

    def _variable(self, key: str, declaration: Declaration) -> str:
        return key if declaration.shared else f"{self.prefix}_{key}"

    def missing(self, declaration: Declaration) -> ConfigError:
        """`EnvVarNotSetError` with upstream's text."""
        return EnvVarNotSetError(
            f"{self.name(declaration)} environment variable is not set",
            hint=f"set it, or give {declaration.key} in the resource's entry of qrmi_config.json; "
            "`qrmi config check` shows all settings",
        )


@attrs.frozen
class MappingSource:
    """A mapping of unprefixed keys, upper-case or fully lower-case; nothing else is consulted."""

    values: Mapping[str, str] = attrs.field(repr=False)

    def find(self, declaration: Declaration) -> Given | None:
        """What stands under the key or its lower-case form; blank counts as absent."""
        values = self.values
        for key in declaration.keys:
            given = _at_one_place(
                declaration, key, lambda name: values.get(name) or values.get(name.lower())
            )
            if given:
                return given
        return None

    def name(self, declaration: Declaration) -> str:
        """The key; where only another one has a text: that one."""
        given = self.find(declaration)
        return given.name if given else declaration.key

    def missing(self, declaration: Declaration) -> ConfigError:
        """`ConfigError` with upstream's text."""
        return ConfigError(f"missing required config key: '{declaration.key}'")
