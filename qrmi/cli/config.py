"""``qrmi config``: whether the settings are right, and what settings there are."""

from __future__ import annotations

import argparse
import difflib
import itertools
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from qrmi import config, plugins, registry
from qrmi.cli import arguments, console, exits
from qrmi.config import Config, ResourceDef
from qrmi.errors import QrmiError
from qrmi.settings import Declaration, EnvironmentSource, Settings
from qrmi.transport import HttpSettings

__all__ = ["Finding", "add_commands", "check", "settings_table"]

_BAD = frozenset({"missing", "malformed", "plug-in"})
_WARNINGS = frozenset({"unknown", "readable"})
_MARKS = {"set": "ok", "default": "ok", "unknown": "unknown", "readable": "readable"}


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that the check says of one resource.

    Attributes:
        resource: its name; empty when the finding is about the file.
        state: ``set``, ``default``, ``missing``, ``malformed``, ``plug-in`` (its driver cannot be
            used), ``unknown`` (no such key) or ``readable`` (others can read secrets).
        key: the setting, as it is to be given; empty when the finding is not about one.
        text: what there is, or what is wrong. Never a secret.
    """

    resource: str
    state: str
    key: str = ""
    text: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether the resource cannot be used so."""
        return self.state in _BAD


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    group = arguments.add_command(commands, "config", "check settings, and list them")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    parser = arguments.add_command(
        actions,
        "check",
        "check every resource's settings",
        details="Says what is set, missing or malformed, where a key is unknown, and whether\n"
        "others can read your secrets. Exit code 1 when something is missing or malformed.\n"
        "Secrets are never printed; no resource is contacted.",
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="default: the file in force"
    )
    parser.add_argument("--all", action="store_true", help="list defaults, too")
    arguments.json_flag(parser)
    parser.set_defaults(run=_check)
    parser = arguments.add_command(
        actions,
        "settings",
        "list every setting of each installed resource type",
        details="In the environment a key is prefixed by the resource's name and `_`;\n"
        "in qrmi_config.json it stands as it is.",
    )
    parser.add_argument("type", metavar="TYPE", nargs="?", help="only this resource type")
    arguments.json_flag(parser)
    parser.set_defaults(run=_settings)


# --- qrmi config check ------------------------------------------------------------------------


def _check(args: argparse.Namespace) -> int:
    path: Path | None = args.file or config.config_path()
    findings = check(path, with_job=args.file is None)
    problems = sum(finding.is_problem for finding in findings)
    if args.json:
        rows = [{**attrs.asdict(f), "problem": f.is_problem} for f in findings]
        console.out_json(
            {"file": str(path) if path else None, "problems": problems, "findings": rows}
        )
    else:
        _show(path, findings, with_defaults=args.all)
    return exits.Exit.ERROR if problems else exits.Exit.OK


def check(path: Path | None, *, with_job: bool = True) -> list[Finding]:
    """Check every resource of a file and, with ``with_job``, the job's and the embedded one.

    Raises:
        ConfigError: the file as a whole cannot be read.
    """
    settled = Config.load(path) if path else Config({})
    if with_job:
        definitions = [entry.definition for entry in registry.resources(configuration=settled)]
    else:
        definitions = list(settled.resource_map.values())
    findings = [finding for item in definitions for finding in _check_resource(item, settled)]
    return [*(_check_file(path, settled) if path else ()), *findings]


def _check_file(path: Path, settled: Config) -> Iterator[Finding]:
    """Whether others can read a file that holds secrets."""
    mode = path.stat().st_mode
    if mode & (stat.S_IRGRP | stat.S_IROTH) and any(
        map(_has_secret, settled.resource_map.values())
    ):
        yield Finding(
            resource="",
            state="readable",
            text=f"others can read {path}, which holds secrets: chmod 600 {path}",
        )


def _has_secret(definition: ResourceDef) -> bool:
    try:
        declarations = _settings_class(definition).declarations().values()
    except QrmiError:
        return False
    keys = {key for d in declarations if d.secret for key in (d.key, *d.fallback)}
    return any(definition.environment.get(key) for key in keys)


def _settings_class(definition: ResourceDef) -> type[Settings]:
    return plugins.driver_class(definition.type_name).SETTINGS


def _check_resource(definition: ResourceDef, settled: Config) -> Iterator[Finding]:
    try:
        settings_class = _settings_class(definition)
    except QrmiError as error:
        yield Finding(resource=definition.name, state="plug-in", text=str(error))
        return
    entry = settled.resource_map.get(definition.name, definition)
    source = EnvironmentSource(
        prefix=settings_class.prefix(definition.name),
        environ=config.environment(),
        defaults=entry.environment,
    )
    declarations = settings_class.declarations()
    found = [_check_setting(definition.name, d, source) for d in declarations.values()]
    yield from found
    yield from _unknown_keys(definition.name, entry, declarations.values())
    if not any(finding.is_problem for finding in found):
        yield from _check_together(definition.name, settings_class, source)


def _check_setting(name: str, declaration: Declaration, source: EnvironmentSource) -> Finding:
    key = source.name(declaration)
    text = source.get(declaration)
    if text is None and declaration.required:
        return Finding(resource=name, state="missing", key=key, text=declaration.help)
    if text is None:
        return Finding(resource=name, state="default", key=key, text=_default(declaration))
    try:
        declaration.convert(text)
    except ValueError as error:
        shown = "" if declaration.secret else f", not {text!r}"
        wanted = f"{declaration.wanted(error)}{shown}"
        return Finding(resource=name, state="malformed", key=key, text=wanted)
    shown = "***" if declaration.secret else text
    return Finding(resource=name, state="set", key=key, text=shown)


def _check_together(
    name: str, settings_class: type[Settings], source: EnvironmentSource
) -> Iterator[Finding]:
    """What only shows when all settings are taken together."""
    try:
        settings_class.load(source)
    except QrmiError as error:
        yield Finding(resource=name, state="malformed", text=error.message)
    except (TypeError, ValueError) as error:
        yield Finding(resource=name, state="malformed", text=str(error))


def _unknown_keys(
    name: str, entry: ResourceDef, declarations: Sequence[Declaration] | Any
) -> Iterator[Finding]:
    known = {key for d in declarations for key in (d.key, *d.fallback)}
    for key in entry.environment.keys() - known:
        near = difflib.get_close_matches(key, known, n=1)
        text = f"no such key; did you mean {near[0]}?" if near else "no such key; it is ignored"
        yield Finding(resource=name, state="unknown", key=key, text=text)


def _show(path: Path | None, findings: Sequence[Finding], *, with_defaults: bool) -> None:
    console.out(f"file: {path}" if path else "no qrmi_config.json; `local` needs none")
    for resource, group in itertools.groupby(findings, lambda finding: finding.resource):
        _show_resource(resource, list(group), with_defaults=with_defaults)
    problems = sum(finding.is_problem for finding in findings)
    warnings = sum(finding.state in _WARNINGS for finding in findings)
    console.out(f"\n{problems} problem(s), {warnings} warning(s)")


def _show_resource(name: str, findings: Sequence[Finding], *, with_defaults: bool) -> None:
    shown = [f for f in findings if with_defaults or f.state != "default"]
    rows = [(_shown_key(f), _MARKS.get(f.state, f.state.upper()), _remark(f)) for f in shown]
    console.out()
    console.out(console.styled(name or "the file itself", "bold"))
    if rows:
        console.table(("  setting", "state", "value or remark"), rows)
    if hidden := len(findings) - len(shown):
        console.out(f"  {'the other ' if rows else ''}{hidden} have their defaults")


def _shown_key(finding: Finding) -> str:
    """As it stands in the file; where it has to be set or mended, the whole variable."""
    whole = finding.is_problem or not finding.key
    return "  " + (finding.key if whole else finding.key.removeprefix(f"{finding.resource}_"))


def _remark(finding: Finding) -> str:
    return f"{finding.text} (default)" if finding.state == "default" else finding.text


def _default(declaration: Declaration) -> str:
    default = declaration.default
    return "none" if default is None else "***" if declaration.secret else str(default)


# --- qrmi config settings ---------------------------------------------------------------------


def settings_table(type_name: str | None = None) -> list[dict[str, Any]]:
    """Every setting of each installed resource type, from its declaration.

    Returns:
        One mapping a setting: ``type``, ``key``, ``kind``, ``required``, ``default`` (text, or
        ``None`` when required), ``secret``, ``shared`` (no prefix in the environment),
        ``fallback`` (older keys), ``help``.

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
            "default": None if d.required else _default(d),
            "secret": d.secret,
            "shared": d.shared,
            "fallback": list(d.fallback),
            "help": d.help,
        }
        for name in types
        for d in plugins.driver_class(name).SETTINGS.declarations().values()
    ]


def _settings(args: argparse.Namespace) -> int:
    rows = settings_table(args.type)
    if args.json:
        console.out_json(rows)
        return exits.Exit.OK
    common = [d.key for d in HttpSettings.declarations().values()]
    over_http = [row for row in rows if row["key"] in common]
    for name, group in itertools.groupby(rows, lambda row: row["type"]):
        _show_settings(name, [row for row in group if row["key"] not in common])
    if over_http:
        first = over_http[0]["type"]
        _show_settings(
            "common to all types that are reached over HTTP",
            [row for row in over_http if row["type"] == first],
        )
    return exits.Exit.OK


def _show_settings(title: str, rows: Sequence[dict[str, Any]]) -> None:
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
