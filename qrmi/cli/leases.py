"""``qrmi leases``: what your processes hold, and releasing what nobody gave back."""

from __future__ import annotations

import argparse
import time
from typing import Any

from qrmi import registry
from qrmi.cli import arguments, console, exits
from qrmi.errors import InvalidInputError
from qrmi.lifetime import reaping
from qrmi.lifetime.owners import OwnerState
from qrmi.lifetime.reaping import Fate, Held, Reaped

__all__ = ["add_commands"]

_DETAILS = """They are read from your journal: sessions that a process of yours acquired and has not
released. `owner` says who holds one, and `is` whether that process, or its scheduler's job, is
still there: alive, gone, or unknown from here (a process of another host, for example).
--reap releases those whose owner is gone. Tokens name leases that are released whoever holds
them; a token may be shortened as long as it is unique.
The exit code is 1 when a lease could not be released; it stays in the list."""
_EXAMPLES = """\
  qrmi leases
  qrmi leases --reap                        what nobody can give back any more
  qrmi leases --reap sess-3f2a              this one, whoever has it
  qrmi leases --reap TOKEN --resource NAME  one that your journal does not know"""
_SHOWN_OF_TOKEN = 13
_LEFT = {
    OwnerState.ALIVE: "its owner is there",
    OwnerState.UNKNOWN: "whether its owner is there cannot be told here; name it to release it",
    OwnerState.GONE: "",
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "leases",
        "list the sessions that your processes hold",
        details=_DETAILS,
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "tokens", metavar="TOKEN", nargs="*", help="with --reap: release these, whoever has them"
    )
    parser.add_argument(
        "--reap", action="store_true", help="release what was left behind, or the TOKENs"
    )
    parser.add_argument(
        "--resource", metavar="NAME", help="where the TOKENs are, if your journal does not know"
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if args.tokens and not args.reap:
        raise InvalidInputError("tokens are given to be released", hint="add --reap")
    if args.resource is not None:
        return _release_there(args)
    return _reap(args) if args.reap else _list(args)


def _list(args: argparse.Namespace) -> int:
    found = reaping.held()
    if args.json:
        console.out_json([_fields(lease) for lease in found])
    elif not found:
        console.notice("no process of yours holds a session")
    else:
        columns = ("resource", "session", "owner", "is", "since")
        console.table(columns, [_cells(lease) for lease in found], fold="owner")
        if any(lease.state is OwnerState.GONE for lease in found):
            console.notice("those whose owner is gone can be released: qrmi leases --reap")
    return exits.Exit.OK


def _reap(args: argparse.Namespace) -> int:
    found = reaping.held()
    chosen = [_named(token, found) for token in args.tokens] or found
    done = []
    for lease in chosen:
        done.append(reaping.reap(lease, named=bool(args.tokens)))
        if not args.json:
            _show(done[-1])
    if args.json:
        console.out_json([_outcome(each) for each in done])
    elif not done:
        console.notice("no process of yours holds a session")
    failed = any(each.fate is Fate.FAILED for each in done)
    return exits.Exit.ERROR if failed else exits.Exit.OK


def _release_there(args: argparse.Namespace) -> int:
    """Release tokens that the journal need not know."""
    if not args.tokens:
        raise InvalidInputError("--resource needs tokens", hint="give them with --reap")
    with registry.open(args.resource) as resource:
        for token in args.tokens:
            resource.release(token)
            if not args.json:
                console.out(f"released  {resource.resource_id()}  {_short(token)}")
    if args.json:
        ids = [{"resource": args.resource, "token": t, "fate": "released"} for t in args.tokens]
        console.out_json(ids)
    return exits.Exit.OK


def _named(token: str, found: list[Held]) -> Held:
    matching = [lease for lease in found if token and lease.record.token.startswith(token)]
    same = [lease for lease in matching if lease.record.token == token]
    if len(same or matching) == 1:
        return (same or matching)[0]
    if matching:
        raise InvalidInputError(f"{token} begins {len(matching)} tokens", hint="give more of it")
    raise InvalidInputError(
        f"no process of yours holds {token!r}",
        hint="`qrmi leases` lists what is held; --resource releases what it does not know",
    )


def _short(token: str) -> str:
    return token if len(token) <= _SHOWN_OF_TOKEN else token[:_SHOWN_OF_TOKEN] + "…"


def _ago(seconds: float) -> str:
    minutes = max(seconds, 0) / 60
    return f"{minutes:.0f} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"


def _cells(lease: Held) -> tuple[str, ...]:
    record = lease.record
    since = _ago(time.time() - record.acquired_at)
    return (
        record.resource_id,
        _short(record.token),
        str(lease.owner),
        lease.state.value,
        since,
    )


def _show(done: Reaped) -> None:
    record = done.held.record
    console.out(f"{done.fate:<8}  {record.resource_id}  {_short(record.token)}  {done.held.owner}")
    if done.error is not None:
        console.error(done.error, as_json=False)
    elif done.fate is Fate.LEFT:
        console.notice(f"  {_LEFT[done.held.state]}")


def _fields(lease: Held) -> dict[str, Any]:
    record = lease.record
    owner = {"host": lease.owner.host, "pid": lease.owner.pid, "job": lease.owner.job}
    return {
        "resource": record.resource_id,
        "type": record.resource_type,
        "token": record.token,
        "owner": owner,
        "owner_is": lease.state.value,
        "acquired_at": record.acquired_at,
    }


def _outcome(done: Reaped) -> dict[str, Any]:
    error = None if done.error is None else console.error_fields(done.error)
    return {**_fields(done.held), "fate": str(done.fate), "error": error}
