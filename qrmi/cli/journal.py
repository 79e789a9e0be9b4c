"""``qrmi journal``: looking after the journal's files."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from qrmi import journal
from qrmi.cli import arguments, console, exits, output
from qrmi.errors import JournalError
from qrmi.journal import FORMAT_VERSION, Forgotten, Health

__all__ = ["add_commands"]

_DAY = 86400.0
_LISTED = 20


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    group = arguments.add_command(
        commands,
        "journal",
        "look after the record of your tasks",
        details="The journal is a folder of small files; `qrmi tasks` reads it.",
    )
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_check(actions)
    _add_compact(actions)
    _add_prune(actions)
    _add_export(actions)


def _add_check(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = arguments.add_command(
        actions,
        "check",
        "say what state the journal is in",
        details="Reads every file. Exit code 1 when a part is damaged; a line that a killed\n"
        "process left half written is no damage.",
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_check)


def _add_compact(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = arguments.add_command(
        actions,
        "compact",
        "bring the files of ended processes together",
        details="Each process writes a file of its own. Those of processes of this machine that\n"
        "have ended are copied into one file with an index; they are removed by a\n"
        "compaction at least ten minutes later. Nothing is forgotten.",
    )
    parser.add_argument(
        "--abandoned",
        action="store_true",
        help="also files of other machines that nobody has written to for 30 days",
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_compact)


def _add_prune(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = arguments.add_command(
        actions,
        "prune",
        "forget tasks that ended long ago",
        details="A task that has not ended is never forgotten, nor is an open session. Results of\n"
        "forgotten tasks stay where they are, on the resource.",
        examples="  qrmi journal prune --older-than 90d --dry-run\n"
        "  qrmi journal prune --older-than 90d",
    )
    parser.add_argument(
        "--older-than",
        type=arguments.age,
        required=True,
        metavar="AGE",
        help="those that ended before: 12h, 90d, 52w",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be forgotten")
    arguments.json_flag(parser)
    parser.set_defaults(run=_prune)


def _add_export(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = arguments.add_command(
        actions,
        "export",
        "write all events as JSON lines",
        details="One JSON object a line, in order of time. No program, result or secret is in\n"
        "there; tokens of sessions are shortened to a digest.",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write here, not to stdout")
    parser.set_defaults(run=_export)


# --- what they do -------------------------------------------------------------------------------


def _check(args: argparse.Namespace) -> int:
    health = journal.default().check()
    if args.json:
        console.out_json({**attrs.asdict(health), "format": FORMAT_VERSION})
    else:
        console.labelled(_words(health))
    return exits.Exit.ERROR if health.damaged else exits.Exit.OK


def _words(health: Health) -> Iterator[tuple[str, str]]:
    kind = health.file_system or "unknown file system"
    shared = "each line is flushed to its server" if health.is_shared else "a disk of this machine"
    yield "folder", health.folder
    yield "file system", f"{kind}: {shared}"
    yield "tasks", f"{health.tasks:,} in {health.events:,} events, {health.bytes / 1e6:.1f} MB"
    yield "files", f"{health.files:,} of single processes, {health.segments:,} compacted"
    if health.waiting:
        yield "", f"{health.waiting:,} more are compacted, and removed by a later `compact`"
    yield "machines", ", ".join(health.hosts) or "none but in compacted files"
    yield "claims", f"{health.claims:,} of keys that programs chose"
    later = " (of a later release: this one passes over it)"
    newest = health.newest_format
    yield "format", f"{newest}{later if newest > FORMAT_VERSION else ''}"
    yield from (("torn", f"{name} ends in half a line") for name in health.torn[:_LISTED])
    yield from (("damaged", f"{name}; the rest is read") for name in health.damaged[:_LISTED])


def _compact(args: argparse.Namespace) -> int:
    report = journal.default().compact(abandoned=args.abandoned)
    if args.json:
        console.out_json(attrs.asdict(report))
        return exits.Exit.OK
    if report.segment:
        console.out(f"{report.files:,} files with {report.events:,} events are one now")
    else:
        console.out("nothing to bring together")
    if report.removed:
        console.out(f"{report.removed:,} files that were compacted before are removed")
    if report.waiting:
        console.notice(f"{report.waiting:,} files can go in ten minutes: run it again, or leave it")
    if report.left:
        console.notice(f"{report.left:,} files are still written to, or are another machine's")
    return exits.Exit.OK


def _prune(args: argparse.Namespace) -> int:
    before = time.time() - args.older_than
    forgotten = journal.default().forget(before, dry_run=args.dry_run)
    if args.json:
        console.out_json(_forgotten_fields(forgotten, dry_run=args.dry_run))
        return exits.Exit.OK
    columns = ("id", "resource", "ended")
    rows = [(r.id or "-", r.resource_id, _age(r.ended_at)) for r in forgotten.tasks]
    if rows:
        console.table(columns, rows[:_LISTED])
    if len(rows) > _LISTED:
        console.notice(f"and {len(rows) - _LISTED:,} more")
    verb = "would be forgotten" if args.dry_run else "forgotten"
    console.out(f"{len(rows):,} tasks and {forgotten.sessions:,} sessions {verb}")
    return exits.Exit.OK


def _forgotten_fields(forgotten: Forgotten, *, dry_run: bool) -> dict[str, object]:
    tasks = [
        {"task_id": r.id, "resource": r.resource_id, "ended_at": r.ended_at, "key": r.key}
        for r in forgotten.tasks
    ]
    return {"dry_run": dry_run, "tasks": tasks, "sessions": forgotten.sessions}


def _age(at: float | None) -> str:
    return "" if at is None else f"{(time.time() - at) / _DAY:.0f} days ago"


def _export(args: argparse.Namespace) -> int:
    lines = journal.default().export()
    if args.out is None:
        for line in lines:
            console.out(line)
        return exits.Exit.OK
    output.check_writable(args.out)
    count = 0
    try:
        with args.out.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
    except OSError as error:
        raise JournalError(
            f"cannot write {args.out}: {error.strerror or error}", hint="choose another file"
        ) from error
    console.notice(f"{count:,} events are in {args.out}")
    return exits.Exit.OK
