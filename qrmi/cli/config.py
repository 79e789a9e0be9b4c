"""``qrmi config``: whether the settings are right, and what settings there are."""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from qrmi import config, plugins, registry
from qrmi.cli import arguments, console, exits, settings_list
from qrmi.cli.settings_list import default_text
from qrmi.config import Config, ResourceDef
from qrmi.errors import QrmiError
from qrmi.secrecy import privacy
from qrmi.secrecy.secrets import SourcedSecret
from qrmi.settings import Declaration, EnvironmentSource, Given, Settings, value_of

__all__ = ["Finding", "add_commands", "check", "is_insecure"]

_BAD = frozenset({"missing", "malformed", "plug-in", "readable"})
_WARNINGS = frozenset({"unknown", "allowed", "insecure", "export"})
_MARKS = {"set": "ok", "default": "ok", "unknown": "unknown", "allowed": "allowed"}
_INSECURE = "certificates of TLS connections are NOT verified: others can read your credentials"
_EXPORT = "qrmid puts this site's secrets into the environment of every job that holds it"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that the check says of one resource.

    Attributes:
        resource: its name; empty when the finding is about the file.
        state: ``set``, ``default``, ``missing``, ``malformed``, ``plug-in`` (its driver cannot be
            used), ``unknown`` (no such key), ``insecure`` (TLS is not verified), ``readable``
            (others can read or write a file with secrets, which is therefore refused),
            ``allowed`` (the same, and a variable names the file) or ``export`` (a site puts its
            secrets into the environment of jobs).
        key: the setting, as it is to be given; empty when the finding is not about one.
        text: what there is, or what is wrong. Never a secret.
        place: of a secret: where it, or what says where it is, stands.
    """

    resource: str
    state: str
    key: str = ""
    text: str = ""
    place: str = ""

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
        details="Says what is set, missing or malformed, where a key is unknown, where secrets\n"
        "come from, and whether others can read them. Exit code 1 when something is missing or\n"
        "malformed. Secrets are never printed; no resource is contacted.",
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="default: the file in force"
    )
    parser.add_argument("--all", action="store_true", help="list defaults, too")
    parser.add_argument(
        "--try-secrets",
        action="store_true",
        help="open the files, run the commands and ask the keyring that secrets come from",
    )
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
    parser.set_defaults(run=settings_list.show)


# --- qrmi config check ------------------------------------------------------------------------


def _check(args: argparse.Namespace) -> int:
    path: Path | None = args.file or config.config_path()
    findings = check(path, with_job=args.file is None, try_secrets=args.try_secrets)
    problems = sum(finding.is_problem for finding in findings)
    if args.json:
        rows = [{**attrs.asdict(f), "problem": f.is_problem} for f in findings]
        console.out_json(
            {"file": str(path) if path else None, "problems": problems, "findings": rows}
        )
    else:
        _show(path, findings, with_defaults=args.all)
    return exits.Exit.ERROR if problems else exits.Exit.OK


def check(path: Path | None, *, with_job: bool = True, try_secrets: bool = False) -> list[Finding]:
    """Check every resource of a file and, with ``with_job``, the job's and the embedded one.

    Secrets that come from files, commands or the keyring are asked for with ``try_secrets`` only.

    Raises:
        ConfigError: the file as a whole cannot be read.
    """
    settled, about = Config.read(path) if path else (Config({}), None)
    if with_job:
        definitions = [entry.definition for entry in registry.resources(configuration=settled)]
    else:
        definitions = list(settled.resource_map.values())
    findings = [
        finding for item in definitions for finding in _check_resource(item, settled, try_secrets)
    ]
    return [*(_check_file(path, about, settled) if path and about else ()), *findings]


def _check_file(path: Path, about: os.stat_result, settled: Config) -> Iterator[Finding]:
    """Whether others can read or change what is for its user alone."""
    wrong = privacy.complaint(path, about, settled)
    if wrong and privacy.is_allowed(path):
        text = f"{path} {wrong}; {privacy.VARIABLE} names it"
        yield Finding(resource="", state="allowed", text=text)
    elif wrong:
        yield Finding(resource="", state="readable", text=f"{path} {wrong}: chmod 600 {path}")


def is_insecure(definition: ResourceDef) -> bool:
    """Whether the settings of a resource switch the check of TLS certificates off."""
    try:
        settings_class = _settings_class(definition)
        declaration = settings_class.declarations().get("http_insecure")
        given = declaration and _source_of(definition, settings_class, definition).find(declaration)
        return bool(declaration and given and declaration.convert(given.text))
    except (QrmiError, ValueError):
        return False


def _source_of(
    definition: ResourceDef, settings_class: type[Settings], entry: ResourceDef
) -> EnvironmentSource:
    return EnvironmentSource(
        prefix=settings_class.prefix(definition.name),
        environ=config.environment(),
        defaults=entry.environment,
    )


def _settings_class(definition: ResourceDef) -> type[Settings]:
    return plugins.driver_class(definition.type_name).SETTINGS


def _check_resource(
    definition: ResourceDef, settled: Config, try_secrets: bool
) -> Iterator[Finding]:
    try:
        settings_class = _settings_class(definition)
    except QrmiError as error:
        yield Finding(resource=definition.name, state="plug-in", text=str(error))
        return
    entry = settled.resource_map.get(definition.name, definition)
    source = _source_of(definition, settings_class, entry)
    if plugins.is_at_site(source):  # the vendor's settings are the site's
        settings_class = plugins.site_class(definition.type_name).SETTINGS
    declarations = settings_class.declarations()
    found = [_check_setting(definition.name, d, source, try_secrets) for d in declarations.values()]
    yield from found
    yield from _unknown_keys(definition.name, entry, declarations.values())
    if entry.export_secrets:
        yield Finding(resource=definition.name, state="export", key="export_secrets", text=_EXPORT)
    if not any(finding.is_problem for finding in found):
        yield from _check_together(definition.name, settings_class, source)


def _check_setting(
    name: str, declaration: Declaration, source: EnvironmentSource, try_secrets: bool
) -> Finding:
    try:
        given = source.find(declaration)
    except QrmiError as error:  # a secret that is given twice
        return Finding(resource=name, state="malformed", key=declaration.key, text=str(error))
    if given is None and declaration.required:
        key = source.name(declaration)
        return Finding(resource=name, state="missing", key=key, text=declaration.help)
    if given is None:
        key = source.name(declaration)
        return Finding(resource=name, state="default", key=key, text=default_text(declaration))
    if declaration.secret:
        return _check_secret(name, declaration, given, try_secrets)
    try:
        value = declaration.convert(given.text)
    except ValueError as error:
        wanted = f"{declaration.wanted(error)}, not {given.text!r}"
        return Finding(resource=name, state="malformed", key=given.name, text=wanted)
    if declaration.key == "QRMI_HTTP_INSECURE" and value:
        return Finding(resource=name, state="insecure", key=given.name, text=_INSECURE)
    return Finding(resource=name, state="set", key=given.name, text=given.text)


def _check_secret(name: str, declaration: Declaration, given: Given, try_secrets: bool) -> Finding:
    """Where it comes from; with ``try_secrets`` also whether it is to be had there."""
    try:
        secret = value_of(given, declaration)
        if try_secrets:
            secret.reveal()
    except QrmiError as error:
        return Finding(resource=name, state="malformed", key=given.name, text=str(error))
    text = f"from {secret.origin}" if isinstance(secret, SourcedSecret) else "***"
    if try_secrets and isinstance(secret, SourcedSecret):
        text += ": it is there"
    return Finding(resource=name, state="set", key=given.name, text=text, place=given.place)


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
    known = {key + form for d in declarations for key in d.keys for form in d.forms}
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
    note = "default" if finding.state == "default" else finding.place and f"in {finding.place}"
    return f"{finding.text} ({note})" if note else finding.text
