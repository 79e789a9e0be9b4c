"""``qrmi site``: the daemon that lends a site's resources to jobs, and what its staff ask of it."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qrmi import config
from qrmi.cli import arguments, console, exits, site_check, site_serve, site_unit
from qrmi.errors import InvalidInputError
from qrmi.site.settings import DEFAULT_FILE, SiteSettings

if TYPE_CHECKING:
    from qrmi.site.client import SiteClient

__all__ = ["add_commands"]

_Actions = argparse._SubParsersAction
_DETAILS = """qrmid owns the site's qrmi_config.json and lends its resources to jobs.
The commands find it by --socket or --url, else by --config, else by QRMI_SITE_SOCKET or
QRMI_SITE_URL, else in its usual place."""
_END = """KEY is as `qrmi site leases` shows it. What the job holds is given back, and whatever it
asks for later is refused: use it for a job that is over and whose lease is still there."""
_DRAIN = """New jobs wait in their scheduler; those that hold the resource go on. Users see the
reason. Without --until it lasts until `qrmi site resume`; a restart does not end it."""
_KEY_PARTS = 5


def add_commands(commands: _Actions[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    group = arguments.add_command(
        commands, "site", "lend a site's resources to jobs: qrmid", details=_DETAILS
    )
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    parser = arguments.add_command(actions, "serve", "run the daemon", details=site_serve.DETAILS)
    _config_flag(parser)
    parser.set_defaults(run=site_serve.run)
    _asking(actions, "status", "whether the daemon runs, and what it lends", _status)
    _asking(actions, "leases", "list what jobs hold; of other users, admins see it", _leases)
    parser = _asking(actions, "end", "end the lease of a job", _end, details=_END)
    parser.add_argument("key", metavar="KEY", help="SCHEDULER/CLUSTER/JOB/RESTART/SUBMITTED")
    parser.add_argument("--why", default="", metavar="TEXT", help="for the daemon's log")
    _add_drains(actions)
    _add_usage(actions)
    parser = arguments.add_command(
        actions, "check", "say what is wrong with the daemon's files", details=site_check.DETAILS
    )
    _config_flag(parser)
    arguments.json_flag(parser)
    parser.set_defaults(run=site_check.run)
    parser = arguments.add_command(actions, "unit", "print a unit for systemd, to be installed")
    site_unit.add_flags(parser)
    _config_flag(parser)
    arguments.json_flag(parser)
    parser.set_defaults(run=site_unit.run)


def _add_drains(actions: _Actions[argparse.ArgumentParser]) -> None:
    parser = _asking(
        actions,
        "drain",
        "keep new jobs from a resource",
        _drain,
        details=_DRAIN,
        examples="  qrmi site drain fresnel --reason 'laser service' --until 2026-11-30T18:00\n"
        "  qrmi site drain fresnel --reason 'calibration' --until 2h",
    )
    parser.add_argument("name", metavar="NAME", help="the resource")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="what users are told")
    parser.add_argument(
        "--until",
        type=_later,
        metavar="TIME",
        help="it ends by itself: 90min, 2h, 3d from now, or a date and time of this host",
    )
    parser = _asking(actions, "resume", "lend a resource again", _resume)
    parser.add_argument("name", metavar="NAME", help="the resource")


def _add_usage(actions: _Actions[argparse.ArgumentParser]) -> None:
    parser = _asking(actions, "usage", "sum up what jobs used, from the ledger", _usage)
    parser.add_argument(
        "--by", choices=("user", "account", "resource", "job"), default="user", help="one row each"
    )
    parser.add_argument(
        "--since",
        type=_earlier,
        metavar="TIME",
        help="jobs that ended since: 12h, 30d ago, or a date (and time) of this host",
    )


def _asking(
    actions: _Actions[argparse.ArgumentParser],
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], int],
    *,
    details: str = "",
    examples: str = "",
) -> argparse.ArgumentParser:
    """A command that asks the daemon."""
    parser = arguments.add_command(actions, name, summary, details=details, examples=examples)
    _config_flag(parser)
    parser.add_argument("--socket", type=Path, metavar="PATH", help="the daemon's socket")
    parser.add_argument("--url", default="", metavar="URL", help="of a daemon on another host")
    arguments.json_flag(parser)
    parser.set_defaults(run=run)
    return parser


def _config_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"the daemon's settings: {DEFAULT_FILE}"
    )


def _client(args: argparse.Namespace) -> SiteClient:
    from qrmi.site.client import SiteClient

    if args.socket or args.url:
        return SiteClient(socket_path=args.socket, url=args.url)
    path, url = config.site_address()
    if args.config is None and (path or url):
        return SiteClient(socket_path=path, url=url)
    if args.config is None and not os.access(DEFAULT_FILE, os.R_OK):
        return SiteClient()
    settings = SiteSettings.load(args.config or DEFAULT_FILE)
    return SiteClient(socket_path=settings.socket, munge_socket=settings.munge_socket)


def _status(args: argparse.Namespace) -> int:
    client = _client(args)
    health = client.get("/health")
    rows = client.get("/v1/resources")
    if args.json:
        console.out_json({"where": client.where, **health, "resources": rows})
        return exits.Exit.OK
    console.out(f"qrmid {health.get('version', '')} answers at {client.where}")
    console.table(
        ("resource", "type", "state", "slots", "until", "reason"),
        [
            (
                row["name"],
                row["type"],
                row["state"],
                f"{row['used']}/{row['slots']}",
                _moment(row.get("until")),
                row["reason"],
            )
            for row in rows
        ],
    )
    return exits.Exit.OK


def _leases(args: argparse.Namespace) -> int:
    rows = _client(args).get("/v1/leases")
    if args.json:
        console.out_json(rows)
    elif not rows:
        console.notice("no lease that you may see")
    else:
        cells = [
            (
                row["key"],
                row["job"]["user"] or row["job"]["uid"],
                _grants(row["grants"]),
                row["state"],
                _moment(row["since"]),
            )
            for row in rows
        ]
        console.table(("key", "user", "resources", "state", "since"), cells, fold="resources")
    return exits.Exit.OK


def _grants(grants: Sequence[dict[str, Any]]) -> str:
    return ", ".join(
        grant["resource"] + (f" ({grant['slots']} slots)" if grant["slots"] > 1 else "")
        for grant in grants
    )


def _end(args: argparse.Namespace) -> int:
    done = _client(args).post("/v1/leases/end", {"job": _job(args.key), "why": args.why})
    if args.json:
        console.out_json(done)
        return exits.Exit.OK
    for word in ("released", "pending"):
        for name in done[word]:
            console.out(f"{word:<8}  {name}")
    if done["pending"]:
        console.notice("the daemon goes on until the vendor has been told")
    elif not done["released"]:
        console.notice("it held nothing; a request of that job will be refused")
    return exits.Exit.OK


def _job(key: str) -> dict[str, Any]:
    parts = key.split("/")
    numbers = parts[3:]
    is_key = len(parts) == _KEY_PARTS and numbers[0].isdecimal()
    if not is_key or not (numbers[1] == "*" or numbers[1].isdecimal()):
        raise InvalidInputError(f"{key!r} is no key", hint="`qrmi site leases` shows keys")
    return {
        "scheduler": parts[0],
        "cluster": parts[1],
        "id": parts[2],
        "restart": int(numbers[0]),
        "submitted": None if numbers[1] == "*" else int(numbers[1]),
    }


def _drain(args: argparse.Namespace) -> int:
    body = {"reason": args.reason, "until": args.until}
    row = _client(args).post(f"/v1/resources/{quote(args.name, safe='')}/drain", body)
    return _changed(args, row, "is lent to no new job")


def _resume(args: argparse.Namespace) -> int:
    row = _client(args).post(f"/v1/resources/{quote(args.name, safe='')}/resume", {})
    return _changed(args, row, f"is {row.get('state', 'lent again')}")


def _changed(args: argparse.Namespace, row: dict[str, Any], what: str) -> int:
    if args.json:
        console.out_json(row)
    else:
        console.out(f"{args.name} {what}")
    return exits.Exit.OK


def _usage(args: argparse.Namespace) -> int:
    query = {"by": args.by, **({} if args.since is None else {"since": str(args.since)})}
    rows = _client(args).get("/v1/usage", query)
    if args.json:
        console.out_json(rows)
    elif not rows:
        console.notice("the ledger has no such job")
    else:
        from qrmi.site.books.summing import UsageRow, usage_table

        console.table(*usage_table([UsageRow.from_json(row) for row in rows], by=args.by))
    return exits.Exit.OK


def _moment(epoch: float | None) -> str:
    if epoch is None:
        return ""
    return datetime.fromtimestamp(epoch, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _later(text: str) -> float:
    moment = _time_of(text, sign=1)
    if moment <= time.time():
        raise argparse.ArgumentTypeError(f"{text} is over already")
    return moment


def _earlier(text: str) -> float:
    return _time_of(text, sign=-1)


def _time_of(text: str, *, sign: int) -> float:
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        return time.time() + sign * arguments.age(text)
