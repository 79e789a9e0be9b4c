"""``qrmi tasks``, ``status``, ``result``, ``logs`` and ``stop``: tasks that were started."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from qrmi import journal, registry
from qrmi.cli import arguments, console, exits, output, parallel, waiting
from qrmi.codecs.group import TaskGroup
from qrmi.errors import InvalidInputError, QrmiError
from qrmi.journal import TaskRecord
from qrmi.starts import recovery
from qrmi.tasks import TaskStatus

__all__ = ["add_commands"]

_SHOWN = 20
_PATIENCE_SECONDS = 5.0


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    _add_tasks(commands)
    parser = _add_one(
        commands,
        "status",
        "say where a task is",
        "The exit code says it too: 0 completed, 3 failed, 4 stopped, 5 not ended yet.",
        _status,
    )
    parser = _add_one(
        commands,
        "result",
        "show a task's result",
        "Counts are drawn as bars; --out writes what the resource sent, unchanged.",
        _result,
        "  qrmi result 3f2a --wait\n  qrmi result 3f2a --out result.json",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the raw result here")
    parser.add_argument(
        "--top",
        type=arguments.positive_int,
        default=10,
        metavar="N",
        help="outcomes to show, default: 10",
    )
    parser.add_argument("--wait", action="store_true", help="wait until the task has ended")
    arguments.timeout_flag(parser)
    _add_one(commands, "logs", "print what a task's resource logged", "", _logs)
    _add_one(commands, "stop", "stop a task", "One that has ended already keeps its result.", _stop)


def _add_tasks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = arguments.add_command(
        commands,
        "tasks",
        "list the tasks that you started, newest first",
        details="They are read from your journal; those that had not ended are looked up again.",
    )
    parser.add_argument("--all", action="store_true", help=f"all, not only the newest {_SHOWN}")
    parser.add_argument(
        "--limit", type=arguments.positive_int, default=_SHOWN, metavar="N", help="how many"
    )
    parser.add_argument(
        "--since",
        type=arguments.age,
        metavar="AGE",
        help="all that were started since then: 90min, 12h, 7d",
    )
    parser.add_argument(
        "--no-refresh", action="store_true", help="do not ask the resources; last known status"
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_tasks)


def _add_one(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    details: str,
    run: Any,
    examples: str = "",
) -> argparse.ArgumentParser:
    parser = arguments.add_command(commands, name, summary, details=details, examples=examples)
    parser.add_argument("id", metavar="ID", help="the task's id, or how it begins")
    parser.add_argument(
        "--resource", metavar="NAME", help="where it is, when your journal does not know it"
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=run)
    return parser


# --- qrmi tasks -------------------------------------------------------------------------------


def _tasks(args: argparse.Namespace) -> int:
    since = None if args.since is None else time.time() - args.since
    shown = journal.default().tasks(None if args.all or since is not None else args.limit)
    if since is not None:
        shown = [record for record in shown if record.started_at >= since]
    if not args.no_refresh:
        shown = _refreshed(_recovered(shown))
    if args.json:
        console.out_json([_fields(record) for record in shown])
        return exits.Exit.OK
    if not shown and since is None:
        console.notice("no tasks yet: start one with `qrmi run` or `qrmi demo`")
        return exits.Exit.OK
    columns = ("id", "resource", "status", "started", "by")
    console.table(columns, [_cells(r) for r in shown], fold="resource")
    if older := 0 if args.all else journal.default().count() - len(shown):
        console.notice(f"{older:,} older ones: qrmi tasks --all")
    return exits.Exit.OK


def _recovered(records: Sequence[TaskRecord]) -> list[TaskRecord]:
    """The records, after services were asked for the starts that killed processes left."""
    lost = [record for record in records if recovery.is_unsettled(record)]
    parallel.ask_all([functools.partial(registry.recover, r) for r in lost], _PATIENCE_SECONDS)
    keys = {record.key for record in lost}
    return [(journal.default().find(r.key) or r) if r.key in keys else r for r in records]


def _refreshed(records: Sequence[TaskRecord]) -> list[TaskRecord]:
    """The records with the present status of those tasks that had not ended."""
    open_ids = [str(r.id) for r in records if r.id and not (r.status and r.status.is_final)]
    answers = parallel.ask_all(
        [functools.partial(_look_again, i) for i in open_ids], _PATIENCE_SECONDS
    )
    known = {i: a for i, a in zip(open_ids, answers, strict=True) if not isinstance(a, QrmiError)}
    return [attrs.evolve(r, status=known.get(str(r.id), r.status)) for r in records]


def _look_again(task_id: str) -> TaskStatus:
    resource = registry.resource_of_task(task_id)
    status = resource.task_status(task_id)
    if status.is_final:  # this process did not start it, so its handle leaves the end to us
        journal.default().append(
            "ended", resource=resource.resource_id(), task=task_id, status=status.name
        )
    return status


def _state(record: TaskRecord) -> str:
    if record.status is not None:
        return record.status.name.lower()
    return "refused" if record.reason else "uncertain"


def _cells(record: TaskRecord) -> tuple[str, ...]:
    by = record.reason or record.context.get("file") or record.context.get("sdk", "")
    age = _age(time.time() - record.started_at)
    return record.id or "-", record.resource_id, _state(record), age, str(by)


def _age(seconds: float) -> str:
    """A time that has passed, in its largest unit."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _fields(record: TaskRecord) -> dict[str, Any]:
    return {
        "task_id": record.id,
        "resource": record.resource_id,
        "type": record.resource_type,
        "status": _state(record),
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "payload_format": record.payload_format,
        "context": dict(record.context),
        "reason": record.reason,
        "key": record.key,
    }


# --- one task ---------------------------------------------------------------------------------


def _found(args: argparse.Namespace) -> TaskGroup:
    """The task that ``args.id`` names or begins; all tasks of a program that it belongs to."""
    if args.resource is not None:
        return TaskGroup(registry.open(args.resource), args.id)
    if not args.id:
        raise InvalidInputError("the task id is empty", hint="`qrmi tasks` lists your tasks")
    matching = sorted(journal.default().ids(args.id))
    if args.id in matching or not matching:
        task_id = args.id
    elif len(matching) == 1:
        task_id = matching[0]
    else:
        raise InvalidInputError(
            f"{args.id} begins {len(matching)} ids: {', '.join(matching[:5])}",
            hint="give more of it",
        )
    return TaskGroup.find(task_id)


def _head(tasks: TaskGroup, status: TaskStatus) -> dict[str, Any]:
    return {
        "task_id": tasks.id,
        "resource": tasks.resource.resource_id(),
        "status": status.name.lower(),
    }


def _status(args: argparse.Namespace) -> int:
    tasks = _found(args)
    status = tasks.status()
    if args.json:
        console.out_json(_head(tasks, status))
    else:
        console.out(f"{status.name.lower()}  ({tasks.id} on {tasks.resource.resource_id()})")
    return exits.of_status(status)


def _result(args: argparse.Namespace) -> int:
    output.check_writable(args.out)
    tasks = _found(args)
    if args.wait or args.timeout is not None:
        waiting.wait(tasks, args.timeout, quiet=args.json)
    texts = tasks.texts()
    head = _head(tasks, TaskStatus.COMPLETED)
    output.emit(tasks, texts, head=head, out=args.out, as_json=args.json, top=args.top)
    return exits.Exit.OK


def _logs(args: argparse.Namespace) -> int:
    tasks = _found(args)
    text = tasks.logs()
    if args.json:
        ids = {"task_id": tasks.id, "resource": tasks.resource.resource_id()}
        console.out_json({**ids, "logs": text})
    elif text.strip():
        console.out(text.rstrip("\n"))
    else:
        console.notice("the log is empty")
    return exits.Exit.OK


def _stop(args: argparse.Namespace) -> int:
    tasks = _found(args)
    before = tasks.status()
    tasks.stop()
    after = before if before.is_final else tasks.status()
    if args.json:
        console.out_json({**_head(tasks, after), "had_ended": before.is_final})
    elif before.is_final:
        console.notice(f"task {tasks.id} had ended already: {before.name.lower()}")
    else:
        word = (
            after.name.lower() if after.is_final else f"asked to stop, still {after.name.lower()}"
        )
        console.out(f"task {tasks.id} on {tasks.resource.resource_id()}: {word}")
    return exits.Exit.OK
