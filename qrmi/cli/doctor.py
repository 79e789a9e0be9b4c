"""``qrmi doctor``: what stands in the way, and what to do about it."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qrmi import config, registry
from qrmi.cli import arguments, console, exits, parallel
from qrmi.config import ResourceDef
from qrmi.diagnosis import installation, surroundings
from qrmi.diagnosis.findings import Finding, Verdict, of_error
from qrmi.errors import QrmiError, ResourceNotFoundError

if TYPE_CHECKING:
    from qrmi.diagnosis.resources import Examination

__all__ = ["add_commands"]

_PATIENCE_SECONDS = 40.0
_IMPORT_SECONDS = 30.0
_CHECK = 13  # columns
_NARROWEST = 40
_MARKS = {
    Verdict.OK: ("ok", "green"),
    Verdict.WARNING: ("warn", "yellow"),
    Verdict.PROBLEM: ("BAD", "red"),
}
_IN_ORDER = frozenset({"set", "default"})  # of what `qrmi config check` finds


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "doctor",
        "look for what stands in the way, and say what to do",
        details="Checks what is installed, the journal's folder, the settings, the scheduler's\n"
        "job; and of each resource its credentials, the way to it (name, connection, TLS,\n"
        "proxy), the clocks, its status. Nothing is started and no secret is shown.\n"
        "Exit code 1 when there is a problem.",
        examples="  qrmi doctor\n  qrmi doctor ibm_x\n  qrmi doctor --offline --json",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="only this resource")
    parser.add_argument("--offline", action="store_true", help="contact no resource")
    parser.add_argument(
        "--all", action="store_true", help="list the extras that are not installed, too"
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    with console.Progress(quiet=args.json, lines=False) as progress:
        progress.say("looking at this machine")
        definitions, found = _definitions(args.name)
        found = [*found, *_examined(definitions, args, progress)]
    problems = sum(finding.verdict is Verdict.PROBLEM for finding in found)
    warnings = sum(finding.verdict is Verdict.WARNING for finding in found)
    if args.json:
        rows = [attrs.asdict(finding) for finding in found]
        console.out_json({"problems": problems, "warnings": warnings, "findings": rows})
    else:
        _show(_without_absent(found) if not args.all else found)
        console.out(f"\n{problems} problem(s), {warnings} warning(s)")
    return exits.Exit.ERROR if problems else exits.Exit.OK


# --- what is looked at ------------------------------------------------------------------------


def _definitions(name: str | None) -> tuple[list[ResourceDef], list[Finding]]:
    """The resources to look at, and what is wrong with the list of them."""
    try:
        available = registry.resources()
    except QrmiError as error:
        return [], [of_error("configuration", "resources", error)]
    if name is None:
        return [entry.definition for entry in available], []
    chosen = [entry.definition for entry in available if entry.name == name]
    if not chosen:
        listed = ", ".join(entry.name for entry in available)
        raise ResourceNotFoundError(f"no resource {name!r}", hint=f"there is: {listed}")
    return chosen, []


def _examined(
    definitions: Sequence[ResourceDef], args: argparse.Namespace, progress: console.Progress
) -> list[Finding]:
    """All findings: the machine's while the resources are being asked."""
    from qrmi.diagnosis.resources import Examination  # which needs an HTTP library

    single = [each for each in definitions if not each.is_dynamic]
    accounts = [each for each in definitions if each.is_dynamic]
    examinations = [] if args.offline else [Examination(each) for each in single]
    general: list[Callable[[], list[Finding]]] = [
        lambda: list(_installed()),
        lambda: list(surroundings.state()),
        lambda: list(_configured(args.name)),
        lambda: list(surroundings.job()),
    ]
    questions: list[Callable[[], list[Finding]]] = [*general]
    questions += [_run(each) for each in examinations]
    if not args.offline:
        questions += [_account(each) for each in accounts]
    if examinations:
        progress.say(f"asking {', '.join(each.name for each in single)}")
    answers = parallel.ask_all(questions, _PATIENCE_SECONDS)
    names = ["installation", "state", "configuration", "job"]
    names += [each.name for each in single if examinations]
    names += [each.name for each in accounts]
    found: list[Finding] = []
    for index, (subject, answer) in enumerate(zip(names, answers, strict=False)):
        if isinstance(answer, QrmiError):
            partial = index - len(general)
            if 0 <= partial < len(examinations):
                found += examinations[partial].findings
            found.append(of_error(subject, "time", answer))
        else:
            found += answer
    return found


def _run(examination: Examination) -> Callable[[], list[Finding]]:
    def run() -> list[Finding]:
        examination.run()
        return examination.findings

    return run


def _account(definition: ResourceDef) -> Callable[[], list[Finding]]:
    """An account whose devices are listed by its service."""

    def run() -> list[Finding]:
        entry = registry.Available(origin="file", definition=definition)
        try:
            devices = registry.expanded([entry])
        except QrmiError as error:
            return [of_error(definition.name, "account", error)]
        if devices == [entry]:
            text = "its devices cannot be listed"
            advice = f"`qrmi resources` and `qrmi -v show {definition.name}` tell why"
            return [
                Finding(
                    subject=definition.name,
                    check="account",
                    verdict=Verdict.PROBLEM,
                    text=text,
                    advice=advice,
                )
            ]
        names = ", ".join(each.name for each in devices)
        return [Finding(subject=definition.name, check="account", text=f"devices: {names}")]

    return run


def _installed() -> Iterator[Finding]:
    yield from installation.findings()
    parts = installation.parts_of_extras()
    modules = [
        part.module for group in parts.values() for part in group if part.version is not None
    ]
    yield from installation.extras(parts, installation.import_failures(modules, _IMPORT_SECONDS))


def _configured(name: str | None) -> Iterator[Finding]:
    """What `qrmi config check` says, without what is in order."""
    from qrmi.cli.config import check

    try:
        path = config.config_path()
        found = check(path)
    except QrmiError as error:
        yield of_error("configuration", "file", error)
        return
    text = str(path) if path else "no qrmi_config.json; `local` needs none"
    yield Finding(subject="configuration", check="file", text=text)
    for each in found:
        wanted = name is None or each.resource in ("", name)
        if wanted and each.state not in _IN_ORDER:
            yield Finding(
                subject="configuration",
                check=each.state,
                verdict=Verdict.PROBLEM if each.is_problem else Verdict.WARNING,
                text=": ".join(filter(None, (each.resource, each.key, each.text))),
                advice="`qrmi config check` shows all settings",
            )


# --- how it is shown --------------------------------------------------------------------------


def _without_absent(found: Iterable[Finding]) -> list[Finding]:
    """Without the extras that nobody has asked for."""
    return [
        each
        for each in found
        if not (each.subject == "installation" and each.text.startswith("not installed"))
    ]


def _show(found: Sequence[Finding]) -> None:
    shown = ""
    for finding in found:
        if finding.subject != shown:
            console.out(("\n" if shown else "") + console.styled(finding.subject, "bold"))
            shown = finding.subject
        _show_one(finding)


def _show_one(finding: Finding) -> None:
    word, colour = _MARKS[finding.verdict]
    mark = console.styled(f"{word:<4}", colour)
    left = 2 + 4 + 2 + _CHECK + 1
    width = max(shutil.get_terminal_size((80, 24)).columns - 1 - left, _NARROWEST)
    lines = [(text, "") for text in _wrapped(finding.text, width)]
    lines += [(text, "dim") for text in _wrapped(finding.advice, width, "-> ")]
    for number, (text, style) in enumerate(lines):
        body = console.styled(text, style) if style else text
        console.out(
            f"  {mark}  {finding.check:<{_CHECK}} {body}" if number == 0 else " " * left + body
        )


def _wrapped(text: str, width: int, first: str = "") -> list[str]:
    options: dict[str, Any] = {"break_on_hyphens": False, "break_long_words": False}
    if not text and first:
        return []
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=" " * len(first), **options
    ) or [""]
