"""``qrmi explain``: the story of a task, a start or a lease, from the journal."""

from __future__ import annotations

import argparse
import shutil
import textwrap
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import attrs

from qrmi import journal
from qrmi.cli import arguments, console, exits, hints
from qrmi.diagnosis import looking
from qrmi.diagnosis.story import Existence, Failure, Step, Story, failure_of, tell
from qrmi.errors import InvalidInputError, TaskNotFoundError

__all__ = ["add_commands"]

_LAST = "LASTERROR"
_LABEL = 12  # columns
_NARROWEST = 40
_MOST_NAMED = 5
_MOST_LINES = 2
_EXISTENCE = {
    Existence.YES: "yes, as far as the journal knows",
    Existence.PERHAPS: "perhaps: the journal cannot tell",
    Existence.NO: "no",
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "explain",
        "tell what happened to a task, a start or a lease",
        details="Times, states, requests by id, the step that failed, and what can be done now.\n"
        "Read from your journal alone; --look asks the service, too.",
        examples="  qrmi explain 3f2a\n  qrmi explain LASTERROR\n"
        "  qrmi explain my-key --look --json",
    )
    parser.add_argument(
        "id",
        metavar="ID",
        help="a task's id, a start's key or a lease's token, or how it begins; LASTERROR for the "
        "last error",
    )
    parser.add_argument(
        "--resource", metavar="NAME", help="which one, where several resources use the same ids"
    )
    parser.add_argument("--look", action="store_true", help="ask the service for its state, too")
    arguments.json_flag(parser)
    parser.set_defaults(run=_explain)


def _explain(args: argparse.Namespace) -> int:
    failure = _last_failure() if args.id == _LAST else None
    if args.id == _LAST and failure is None:
        if args.json:
            console.out_json({"story": None, "failure": None})
        else:
            console.notice("the journal has no error: nothing has failed")
        return exits.Exit.OK
    story = _story_of(failure) if failure else _story(args.id, args.resource)
    now = looking.look(story) if args.look and story else None
    if args.json:
        shown = failure or (story.failure if story else None)
        console.out_json(_as_json(story, shown, now))
        return exits.Exit.OK
    if failure is not None:
        _show_failure(failure)
        console.out()
    if story is not None:
        _show(story, now, with_failure=failure is None)
    return exits.Exit.OK


# --- which one --------------------------------------------------------------------------------


def _last_failure() -> Failure | None:
    event = journal.default().last_failure()
    return None if event is None else failure_of(event)


def _story_of(failure: Failure) -> Story | None:
    """The story that an error belongs to; ``None`` when it is about no task."""
    name = failure.task_id or failure.key
    events = _on(journal.default().story(name), failure.resource_id) if name else []
    return tell(events) if events else None


def _story(name: str, resource_id: str | None) -> Story:
    if not name:
        raise InvalidInputError("the id is empty", hint="`qrmi tasks` lists your tasks")
    events = journal.default().story(name) or journal.default().story(_whole(name))
    chosen = _on(events, resource_id)
    if not chosen:
        raise TaskNotFoundError(f"the journal has no {name} on {resource_id}", task_id=name)
    places = sorted({place for event in chosen if (place := event.fields.get("resource"))})
    if len(places) > 1:  # ids are unique on their service alone
        raise InvalidInputError(
            f"several resources have a task {name}: {', '.join(places)}",
            hint="name one: --resource NAME",
        )
    return tell(chosen)


def _on(events: Sequence[journal.Event], resource_id: str | None) -> list[journal.Event]:
    return [e for e in events if resource_id in (None, e.fields.get("resource", resource_id))]


def _whole(beginning: str) -> str:
    """The one id, key or token that begins so."""
    book = journal.default()
    tokens = {lease.token for lease in book.leases() if lease.token.startswith(beginning)}
    found = sorted({*book.ids(beginning), *tokens})
    if not found:
        found = sorted({r.key for r in book.tasks() if r.key.startswith(beginning)})
    if not found:
        raise TaskNotFoundError(
            f"the journal has no task, start or lease {beginning}",
            hint="`qrmi tasks` lists your tasks; another user's, or those of another state "
            "folder (QRMI_STATE_DIR), are not in your journal",
            task_id=beginning,
        )
    if len(found) > 1:
        listed = ", ".join(found[:_MOST_NAMED])
        raise InvalidInputError(
            f"{beginning} begins {len(found)} ids: {listed}", hint="give more of it"
        )
    return str(found[0])


# --- how it is shown --------------------------------------------------------------------------


def _as_json(
    story: Story | None, failure: Failure | None, now: looking.Look | None
) -> dict[str, Any]:
    return {
        "story": None if story is None else attrs.asdict(story, filter=_but_failure),
        "failure": None if failure is None else attrs.asdict(failure),
        "look": None if now is None else attrs.asdict(now),
    }


def _but_failure(attribute: attrs.Attribute[Any], _value: Any) -> bool:
    return attribute.name != "failure"


def _show(story: Story, now: looking.Look | None, *, with_failure: bool) -> None:
    where = story.resource_id or "an unknown resource"
    kind = f" ({story.resource_type})" if story.resource_type else ""
    head = f"{story.kind} {story.name} on {where}{kind}"
    for line in textwrap.wrap(head, _width(), subsequent_indent="  ") or [head]:
        console.out(console.styled(line, "bold"))
    _lines(_summary(story, now))
    console.out()
    for step in story.steps:
        _show_step(step, story.steps[0].at)
    if with_failure and story.failure is not None:
        console.out()
        _show_failure(story.failure)
    console.out()
    _lines([("next", story.advice)])


def _summary(story: Story, now: looking.Look | None) -> Iterator[tuple[str, str]]:
    yield "state", story.state
    if now is not None:
        yield "asked now", now.text
    if story.steps:
        yield "began", f"{_moment(story.steps[0].at)} ({_ago(story.steps[0].at)})"
    if story.key and story.key != story.name:
        yield "key", story.key
    if now is None or not now.answered:
        yield "active", _EXISTENCE[story.existence]


def _show_step(step: Step, begun: float) -> None:
    day, first = (datetime.fromtimestamp(at).date() for at in (step.at, begun))
    clock = datetime.fromtimestamp(step.at).strftime("%H:%M:%S")
    when = clock if day == first else f"{day} {clock}"
    left = f"  {when}  {_elapsed(step.elapsed_seconds):>10}  "
    text = step.text
    if step.request_ids:
        text += f" [{', '.join(step.request_ids)}]"
    most = _MOST_LINES if step.event == "failed" else None  # the last one is shown below
    width = max(_width() - len(left), _NARROWEST)
    parts = textwrap.wrap(text, width, max_lines=most, placeholder=" …") or [""]
    for number, part in enumerate(parts):
        shown = console.styled(part, "red") if step.bad else part
        console.out((left if number == 0 else " " * len(left)) + shown)


def _show_failure(failure: Failure) -> None:
    title = f"{failure.step or 'a call'} ended in {failure.error}"
    console.out(console.styled(f"{title}, {_moment(failure.at)} ({_ago(failure.at)})", "red"))
    _lines(
        [
            ("message", failure.message),
            ("hint", hints.command_hint(failure.error, failure.hint, failure.task_id)),
            ("resource", failure.resource_id or ""),
            ("task", failure.task_id or ""),
            ("key", "" if failure.task_id else failure.key or ""),
            ("who", hints.who_can_act(failure.owner)),
            ("again", "the same call may succeed later" if failure.retryable else ""),
            ("quote", ", ".join(failure.request_ids)),
        ]
    )


def _lines(pairs: Any) -> None:
    for label, text in pairs:
        if not text:
            continue
        width = max(_width() - _LABEL - 3, _NARROWEST)
        parts = textwrap.wrap(text, width, break_on_hyphens=False)
        for number, part in enumerate(parts):
            shown = console.styled(f"{'' if number else label:<{_LABEL}}", "dim")
            console.out(f"  {shown} {part}")


def _width() -> int:
    return max(shutil.get_terminal_size((80, 24)).columns, _NARROWEST) - 1


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _ago(at: float) -> str:
    return f"{_span(max(time.time() - at, 0.0))} ago"


def _elapsed(seconds: float) -> str:
    return "" if seconds == 0 else f"+{_span(seconds)}"


def _span(seconds: float) -> str:
    """A time in its two largest units: ``3.2 s``, ``4 min 5 s``, ``2 days 3 h``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for large, small, high, low in (
        (86400, 3600, "days", "h"),
        (3600, 60, "h", "min"),
        (60, 1, "min", "s"),
    ):
        if seconds >= large:
            whole, rest = divmod(int(seconds), large)
            unit = "day" if high == "days" and whole == 1 else high
            return f"{whole} {unit} {rest // small} {low}"
    return ""
