"""``qrmi config settings``: every setting that there is."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

from qrmi import plugins
from qrmi.cli import console, exits
from qrmi.settings import Declaration
from qrmi.transport import HttpSettings

__all__ = ["default_text", "settings_table", "show"]


def default_text(declaration: Declaration) -> str:
    """A setting's default, for people; ``***`` where it is a secret."""
    default = declaration.default
    return "none" if default is None else "***" if declaration.secret else str(default)


def settings_table(type_name: str | None = None) -> list[dict[str, Any]]:
    """Every setting of each installed resource type, from its declaration.

    Returns:
        One mapping a setting: ``type``, ``key``, ``kind``, ``required``, ``default`` (text, or
        ``None`` when required), ``secret``, ``shared`` (no prefix in the environment),
        ``fallback`` (older keys), ``sources`` (keys that say where a secret is), ``help``.

    Raises:
        UnsupportedResourceTypeError: no driver for ``type_name`` is installed.
    """
    types = [type_name] if type_name is not None else plugins.driver_types()
    return [
        {
            "type": name,
            "key": d.key,
            "kind": d.kind,
            "required": d.required,
            "default": None if d.required else default_text(d),
            "secret": d.secret,
            "shared": d.shared,
            "fallback": list(d.fallback),
            "sources": [d.key + form for form in d.forms if form],
            "help": d.help,
        }
        for name in types
        for d in plugins.driver_class(name).SETTINGS.declarations().values()
    ]


def show(args: argparse.Namespace) -> int:
    """``qrmi config settings``."""
    rows = settings_table(args.type)
    if args.json:
        console.out_json(rows)
        return exits.Exit.OK
    common = [d.key for d in HttpSettings.declarations().values()]
    over_http = [row for row in rows if row["key"] in common]
    for name, group in itertools.groupby(rows, lambda row: row["type"]):
        _show_type(name, [row for row in group if row["key"] not in common])
    if over_http:
        first = over_http[0]["type"]
        _show_type(
            "common to all types that are reached over HTTP",
            [row for row in over_http if row["type"] == first],
        )
    console.out("A secret KEY may come from elsewhere: KEY_FILE, KEY_COMMAND or KEY_KEYRING.")
    return exits.Exit.OK


def _show_type(title: str, rows: Sequence[dict[str, Any]]) -> None:
    console.out(console.styled(title, "bold"))
    console.table(
        ("  setting", "kind", "default", "what it is"),
        [
            (
                f"  {row['key']}",
                row["kind"],
                "required" if row["required"] else row["default"],
                row["help"],
            )
            for row in rows
        ],
    )
    console.out()
