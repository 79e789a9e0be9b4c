"""``qrmi conformance``: does a resource keep every rule of the interface?"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from qrmi import journal, registry
from qrmi.cli import arguments, console, exits, programs
from qrmi.errors import InvalidInputError, QrmiError
from qrmi.payloads import Payload
from qrmi.resource import QuantumResource
from qrmi.testing.programs import tiny_program
from qrmi.testing.runner import Outcome, Subject, run_contract

__all__ = ["add_commands"]

_SHOTS = 10
_PATIENCE_SECONDS = 300.0
_STYLES = {"passed": "green", "failed": "red", "skipped": "yellow"}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "conformance",
        "test whether a resource keeps every rule of the interface",
        details="Starts about a hundred tiny tasks on it, one after the other, and stops what has "
        "not ended.\nNeeds pytest and hypothesis: pip install 'openqrmi[test]'.",
        examples="  qrmi conformance local\n"
        "  qrmi conformance my-device --program tiny.json --json > report.json",
    )
    parser.add_argument("name", metavar="NAME", help="a name that `qrmi resources` lists")
    parser.add_argument(
        "--program",
        type=Path,
        metavar="FILE",
        help="a payload (JSON) that ends soon, instead of one made for the resource",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="RULE", help="only this rule; repeatable"
    )
    parser.add_argument(
        "--patience",
        type=arguments.seconds,
        default=_PATIENCE_SECONDS,
        metavar="SECONDS",
        help=f"the longest that one task may take, default: {_PATIENCE_SECONDS:.0f}",
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    with registry.open(args.name) as resource:
        program = _program(args.program, resource)
        subject = Subject(
            resource=resource,
            program=program,
            patience_seconds=args.patience,
            threads=4,
            orders=4,
            calls=10,
            leaves_nothing=True,
        )
        begun = time.time()
        try:
            outcomes = _outcomes(subject, args)
        finally:
            left = _cleaned(resource, begun)
    if args.json:
        console.out_json(_report(resource, outcomes, left))
    else:
        _show(resource, outcomes, left)
    is_sound = not left and all(outcome.result != "failed" for outcome in outcomes)
    return exits.Exit.OK if is_sound else exits.Exit.ERROR


def _program(path: Path | None, resource: QuantumResource) -> Payload:
    if path is None:
        return tiny_program(resource, _SHOTS)
    program = programs.load(path)
    if not isinstance(program, programs.PayloadProgram):
        raise InvalidInputError(f"{path} is no payload", hint="give a payload as JSON")
    return program.payload


def _outcomes(subject: Subject, args: argparse.Namespace) -> list[Outcome]:
    wanted = [name if name.startswith("test_") else _test_name(name) for name in args.only]
    if not args.verbose:  # warnings of faults that the rules plant are no news
        logging.getLogger("qrmi").setLevel(logging.ERROR)
    with console.Progress(quiet=args.json, lines=False) as progress:
        outcomes = run_contract(
            subject,
            only=wanted,
            on_outcome=lambda outcome: progress.say(_words(outcome.rule)),
        )
    if not outcomes:
        raise InvalidInputError(f"no rule is called {' or '.join(args.only)}")
    return outcomes


def _cleaned(resource: QuantumResource, begun: float) -> list[str]:
    """Stop what this run started and has not ended; the ids of what could not be stopped."""
    left = []
    for record in journal.default().tasks():
        is_ours = (
            record.started_at >= begun
            and record.resource_id == resource.resource_id()
            and record.context.get("sdk") == "conformance"
        )
        if not is_ours or record.id is None or (record.status and record.status.is_final):
            continue
        try:
            resource.task_stop(record.id)
        except QrmiError as error:
            console.notice(f"task {record.id} could not be stopped: {error}")
            left.append(str(record.id))
    return left


# --- what is shown ------------------------------------------------------------------------------


def _show(resource: QuantumResource, outcomes: Sequence[Outcome], left: Sequence[str]) -> None:
    rows = [_row(list(variants)) for _, variants in groupby(outcomes, key=_rule)]
    console.table(("about", "rule", "outcome", "remark"), rows)
    counts = _counts(outcomes)
    console.out()
    console.out(
        f"{resource.resource_id()} ({resource.type_name}): "
        + ", ".join(f"{number} {result}" for result, number in counts.items())
    )
    for task in left:
        console.out(f"still there: task {task}")


def _rule(outcome: Outcome) -> tuple[str, str]:
    return outcome.group, outcome.rule


def _row(variants: Sequence[Outcome]) -> tuple[str, str, str, str]:
    first = variants[0]
    counts = {result: n for result, n in _counts(variants).items() if n}
    text = next(iter(counts)) if len(variants) == 1 else _listed(counts)
    worst = next(word for word in ("failed", "skipped", "passed") if counts.get(word))
    told = [
        f"{outcome.variant}: {outcome.reason}" if outcome.variant else outcome.reason
        for outcome in variants
        if outcome.result == worst and outcome.reason
    ]
    remark = told[0] if told else ""
    more = f" (and {len(told) - 1} more)" if len(set(told)) > 1 else ""
    return first.group, _words(first.rule), console.styled(text, _STYLES[worst]), remark + more


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {result}" for result, number in counts.items())


def _counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    results = [outcome.result for outcome in outcomes]
    return {word: results.count(word) for word in ("passed", "failed", "skipped")}


def _words(rule: str) -> str:
    return rule.removeprefix("test_").replace("_", " ")


def _test_name(words: str) -> str:
    return "test_" + words.replace(" ", "_")


def _report(
    resource: QuantumResource, outcomes: Sequence[Outcome], left: Sequence[str]
) -> dict[str, Any]:
    return {
        "resource": resource.resource_id(),
        "type": resource.type_name,
        **_counts(outcomes),
        "left_behind": list(left),
        "rules": [attrs.asdict(outcome) for outcome in outcomes],
    }
