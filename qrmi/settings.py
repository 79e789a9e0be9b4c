"""Settings: declared once by each resource type, read from the environment, a file or a mapping.

A resource type declares its settings as a frozen attrs class::

    @attrs.frozen(kw_only=True)
    class FelisSettings(Settings):
        api_key: Secret = setting("QRMI_AB_FELIS_API_KEY", convert=Secret, help="…")

Errors, documentation, ``qrmi config check`` and the environment that a scheduler's prolog exports
all come from that declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import attrs

from qrmi.errors import ConfigError, EnvVarNotSetError

__all__ = [
    "REQUIRED",
    "Declaration",
    "EnvironmentSource",
    "MappingSource",
    "Secret",
    "Settings",
    "Source",
    "setting",
]

REQUIRED: Any = object()
"""Default of a setting that must be given."""

_METADATA_KEY = "qrmi"
_LONGEST_SHOWN = 200


class Secret:
    """A text that never shows itself: ``str``, ``repr`` and ``format`` give ``***``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the request that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


@attrs.frozen(kw_only=True)
class Declaration:
    """What a setting is.

    Attributes:
        key: its name in a file's ``environment``; in the process environment it is prefixed by
            the resource's name and ``_``, unless it is shared.
        fallback: older keys, tried in order when ``key`` is absent.
        shared: the key stands in the process environment without a prefix.
        bare: where neither the prefixed variable nor the file says anything, a variable without
            the prefix counts: one for all resources of a vendor.
        convert: text to value; raises ``ValueError`` for text that makes no sense.
        default: the value when it is absent; `REQUIRED` when it must be given.
        help: one sentence for a reader who sets it.
    """

    key: str
    fallback: tuple[str, ...] = ()
    shared: bool = False
    bare: bool = False
    convert: Callable[[str], Any] = str
    default: Any = REQUIRED
    help: str = ""

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED

    @property
    def secret(self) -> bool:
        """Whether the value is never shown, because `convert` is `Secret` or a kind of it."""
        return isinstance(self.convert, type) and issubclass(self.convert, Secret)

    @property
    def kind(self) -> str:
        """The value's type in a word, for people."""
        if self.secret:
            return "secret"
        name: str = getattr(self.convert, "__name__", "text")
        made = getattr(self.convert, "__annotations__", {}).get("return", name)
        name = made if isinstance(made, str) else getattr(made, "__name__", name)
        return _KINDS.get(name.removesuffix(" | None"), "text")

    def wanted(self, error: ValueError) -> str:
        """What was expected: in the words of ``convert`` where it has some, else the kind."""
        text = str(error)
        return text if text.startswith("expected ") else f"expected a {self.kind}"


_KINDS = {
    "bool": "true or false",
    "float": "number",
    "frozenset[int]": "list",
    "frozenset[str]": "list",
    "int": "whole number",
}
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("expected true or false") from None


def setting(
    key: str,
    *,
    default: Any = REQUIRED,
    convert: Callable[[str], Any] = str,
    fallback: tuple[str, ...] = (),
    shared: bool = False,
    bare: bool = False,
    help: str = "",  # noqa: A002 (the word people look for)
) -> Any:
    """Declare one setting as a field of a `Settings` class; see `Declaration` for the arguments.

    ``convert=bool`` takes true/false, yes/no, on/off, 1/0 in any case.
    """
    declaration = Declaration(
        key=key,
        default=default,
        convert=_boolean if convert is bool else convert,
        fallback=fallback,
        shared=shared,
        bare=bare,
        help=help,
    )
    field_default = attrs.NOTHING if default is REQUIRED else default
    return attrs.field(default=field_default, metadata={_METADATA_KEY: declaration})


class Source(Protocol):
    """Where the texts of settings come from."""

    def get(self, declaration: Declaration) -> str | None:
        """The text, or ``None`` when it is absent or blank."""

    def name(self, declaration: Declaration) -> str:
        """What a person has to set: a variable or a key."""

    def missing(self, declaration: Declaration) -> ConfigError:
        """The error for a required setting that is absent."""


@attrs.frozen(kw_only=True)
class EnvironmentSource:
    """The process environment, and below it the ``environment`` of a configuration file.

    Attributes:
        prefix: the resource's name, verbatim; variables are ``<prefix>_<KEY>``.
        environ: the process environment.
        defaults: unprefixed keys of a file's entry; used where the environment says nothing.
    """

    prefix: str
    environ: Mapping[str, str]
    defaults: Mapping[str, str] = attrs.field(factory=dict)

    def get(self, declaration: Declaration) -> str | None:
        """The text of the variable, else of the file's key; blank counts as absent."""
        for key in (declaration.key, *declaration.fallback):
            text = self.environ.get(self._variable(key, declaration)) or self.defaults.get(key)
            if text:
                return text
        return self.environ.get(declaration.key) or None if declaration.bare else None

    def name(self, declaration: Declaration) -> str:
        """The variable; where only an older one, or its key, has a text: that one."""
        for key in (declaration.key, *declaration.fallback):
            variable = self._variable(key, declaration)
            if self.environ.get(variable) or self.defaults.get(key):
                return variable
        return self._variable(declaration.key, declaration)

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

    values: Mapping[str, str]

    def get(self, declaration: Declaration) -> str | None:
        """The text under the key or its lower-case form; blank counts as absent."""
        for key in (declaration.key, *declaration.fallback):
            text = self.values.get(key) or self.values.get(key.lower())
            if text:
                return _must_be_text(text, key)
        return None

    def name(self, declaration: Declaration) -> str:
        """The key; where only an older one has a text: that one."""
        for key in (declaration.key, *declaration.fallback):
            if self.values.get(key) or self.values.get(key.lower()):
                return key
        return declaration.key

    def missing(self, declaration: Declaration) -> ConfigError:
        """`ConfigError` with upstream's text."""
        return ConfigError(f"missing required config key: '{declaration.key}'")


def _must_be_text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"the value of {key} must be a text, not {type(value).__name__}")
    return value


@attrs.frozen(kw_only=True)
class Settings:
    """Base of all settings classes; a resource type without settings uses it as it is."""

    @classmethod
    def prefix(cls, resource_id: str) -> str:
        """The prefix of this resource's variables: its name, verbatim."""
        return resource_id

    @classmethod
    def declarations(cls) -> dict[str, Declaration]:
        """Every setting by its attribute's name."""
        return {
            field.name: field.metadata[_METADATA_KEY]
            for field in attrs.fields(cls)
            if _METADATA_KEY in field.metadata
        }

    @classmethod
    def load(cls, source: Source) -> Self:
        """Read and convert every setting.

        Raises:
            EnvVarNotSetError: a required variable is absent.
            ConfigError: a required key is absent, or a text cannot be converted. Secret texts
                are not shown.
        """
        values = {}
        for attribute, declaration in cls.declarations().items():
            text = source.get(declaration)
            if text is not None:
                values[attribute] = _converted(text, declaration, source)
            elif declaration.required:
                raise source.missing(declaration)
        return cls(**values)

    def export(self) -> dict[str, str]:
        """Texts, by key, of the settings that are neither secret nor at their default."""
        return {
            declaration.key: _as_text(value)
            for attribute, declaration in self.declarations().items()
            if not declaration.secret
            and (value := getattr(self, attribute)) is not None
            and value != declaration.default
        }


def _as_text(value: Any) -> str:
    """As a person would write it; lists are joined by commas."""
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    return str(value)


def _converted(text: str, declaration: Declaration, source: Source) -> Any:
    try:
        return declaration.convert(text)
    except ValueError as error:
        shown = "***" if declaration.secret else f'"{text[:_LONGEST_SHOWN]}"'
        raise ConfigError(
            f"failed to parse {source.name(declaration)} value {shown}: {declaration.wanted(error)}"
        ) from (None if declaration.secret else error)
