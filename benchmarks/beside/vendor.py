"""A vendor as the canned server and the workers know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["ENDED", "LARGE", "LONG", "PADDING", "TASK", "Rule", "Vendor"]

TASK = "11111111-1111-4111-8111-111111111111"  # still runs
ENDED = "22222222-2222-4222-8222-222222222222"
LARGE = "33333333-3333-4333-8333-333333333333"  # has ended, with a large result
LONG = "44444444-4444-4444-8444-444444444444"  # still runs, and has a long input
PADDING = "x" * 900


@attrs.frozen
class Rule:
    """One answer: what it is for, and what it is."""

    method: str
    prefix: str
    body: Any = None
    status: int = 200
    content_type: str = "application/json"
    after_ms: float = 0.0  # since the last POST; before that it is as if it were not there


@attrs.frozen(kw_only=True)
class Vendor:
    """One resource type.

    Attributes:
        name: the type.
        member: the enum member's upstream name.
        id: the resource's name.
        settings: by unprefixed key; ``{base}`` stands for the server.
        payload: a payload class and its arguments, about 1 kB.
        rules: the server's answers.
        looks: the rules by which a started task is looked at.
        running: what they give as long as it runs.
        large: a task with a large result, and the rule that gives it, but for its body.
        upstream: whether the Rust wheel can run it.
    """

    name: str
    member: str
    id: str
    settings: Mapping[str, str]
    payload: tuple[str, Mapping[str, Any]]
    rules: tuple[Rule, ...]
    large: Rule
    looks: tuple[Rule, ...] = ()
    running: Any = None
    task: str = TASK
    ended: str = ENDED
    upstream: bool = True

    def path_of(self, verb: str) -> str:
        """The path of a look at a task, or of a start."""
        if verb == "status":
            return next(rule.prefix for rule in self.rules if self.task in rule.prefix)
        return next(
            rule.prefix
            for rule in self.rules
            if rule.method == "POST" and ("/jobs" in rule.prefix or "/batches" in rule.prefix)
        )

    def order(self, base: str, **changes: Any) -> dict[str, Any]:
        """As a worker is told of it."""
        config = {key: value.format(base=base) for key, value in self.settings.items()}
        made = {
            "id": self.id,
            "type": self.member,
            "config": config,
            "base": base,
            "payload": list(self.payload),
            "task": self.task,
            "ended": self.ended,
            "small": self.ended,
        }
        return {**made, **changes}
