"""Settings: declared once by each resource type, read from the environment, a file or a mapping.

A resource type declares its settings as a frozen attrs class::

    @attrs.frozen(kw_only=True)
    class FelisSettings(Settings):
        api_key: Secret = setting("QRMI_AB_FELIS_API_KEY", convert=Secret, help="…")

Errors, documentation, ``qrmi config check`` and the environment that a scheduler's prolog exports
all come from that declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import attrs

from qrmi.errors import ConfigError
from qrmi.secrecy.origins import FORMS, Origin
from qrmi.secrecy.secrets import Secret, SourcedSecret
from qrmi.sources import EnvironmentSource, Given, MappingSource, Source

__all__ = [
    "REQUIRED",
    "Declaration",
    "EnvironmentSource",
    "Given",
    "MappingSource",
    "Secret",
    "Settings",
    "Source",
    "setting",
    "value_of",
]

REQUIRED: Any = object()
"""Default of a setting that must be given."""

_METADATA_KEY = "qrmi"
_LONGEST_SHOWN = 200


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
    def keys(self) -> tuple[str, ...]:
        """The key and the older ones, in the order in which they count."""
        return (self.key, *self.fallback)

    @property
    def forms(self) -> tuple[str, ...]:
        """The endings that a key may have; those of `qrmi.secrecy.origins.FORMS` for secrets."""
        return ("", *FORMS) if self.secret else ("",)

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
        """Read and convert every setting; files and commands that secrets come from are not asked.

        Raises:
            EnvVarNotSetError: a required variable is absent.
            ConfigError: a required key is absent, a text cannot be converted, or a secret is given
                in two ways. Secret texts are not shown.
        """
        values = {}
        for attribute, declaration in cls.declarations().items():
            given = source.find(declaration)
            if given is not None:
                values[attribute] = value_of(given, declaration)
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


def value_of(given: Given, declaration: Declaration) -> Any:
    """What a source has, as the setting's value; no file is opened and no command is run.

    Raises:
        ConfigError: it makes no sense. A secret is not shown.
    """
    if given.form:
        origin = Origin(name=given.name, form=given.form, text=given.text)
        return SourcedSecret(origin, declaration.convert)
    try:
        return declaration.convert(given.text)
    except ValueError as error:
        wanted, cause = declaration.wanted(error), None if declaration.secret else error
    shown = "***" if declaration.secret else f'"{given.text[:_LONGEST_SHOWN]}"'
    raise ConfigError(f"failed to parse {given.name} value {shown}: {wanted}") from cause
