"""A daemon is killed at every point: between commits, around each vendor's call, at each answer.

Then others start on what it left, of which one may be killed in turn. No lease that a job was told
of is lost, no resource is ever lent twice, and when all have ended nothing is left. By default some
points of each story are tried; with ``QRMI_SITE_KILLS=all`` every one is, and at each of them every
point of the daemon that comes next.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from lease_lives import HABITS, LONGEST_SECONDS, Nursery, Order

_ALL = os.environ.get("QRMI_SITE_KILLS") == "all"
_POINTS = 5
_WHOLE = ("one resource",)  # stories of which every point is always tried
_MOST_SECONDS = 60
_STORIES = {
    "one resource": (("a",), ("ask", "end")),
    "several": (("c", "a", "b"), ("ask", "end")),
    "no time of submission": (("a",), ("ask", "end_any_submission")),
    "ended while it asks": (("b", "a"), ("ask_and_be_ended",)),
    "the vendor is down at the end": (
        ("a", "b"),
        ("ask", "vendor_goes_down", "end", "vendor_comes_back", "must_be_empty"),
    ),
}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


class Story:
    """What happens around one job, through the lives of several daemons."""

    def __init__(self, nursery: Nursery, folder: Path, habit: str, story: str) -> None:
        self._nursery = nursery
        self._folder = folder
        self._habit = habit
        self._want, self._steps = _STORIES[story]
        self.points = 0
        folder.mkdir()

    def live(self, *steps: str, kill_at: int = 0, later: float = 0.0) -> bool:
        """One daemon; whether it was killed."""
        order = Order(
            folder=str(self._folder),
            habit=self._habit,
            steps=steps,
            want=self._want,
            kill_at=kill_at,
            later_seconds=later,
        )
        told = self._nursery.live(order)
        self.points = len(told.get("points", ()))
        assert "error" not in told, told["error"]
        wrong = self._folder / "wrong"
        assert not wrong.exists(), wrong.read_text()
        return bool(told["killed"])

    def begin(self, kill_at: int) -> bool:
        """The story as it is told, up to the kill."""
        return self.live(*self._steps, kill_at=kill_at)

    @property
    def said(self) -> list[str]:
        """Answers that left a daemon, and ends that it was told of."""
        file = self._folder / "said"
        return file.read_text().split("\n")[:-1] if file.exists() else []

    def go_on(self, *, hook_asks_again: bool, kill_at: int = 0) -> bool:
        """The next daemon, and what the scheduler's hooks do; whether it was killed."""
        if "end" in self.said:
            return self.live("must_be_ended", "other_asks", "end", "end_other", kill_at=kill_at)
        if "ending" in self.said:  # the hook heard no answer, and says it again
            return self.live("end", "must_be_ended", "other_asks", "end_other", kill_at=kill_at)
        if "granted" in self.said:
            return self.live("must_be_held", "other_asks", "end", "end_other", kill_at=kill_at)
        if hook_asks_again and self._habit != "forgets":
            first = ("end_other",) if "other asking" in self.said else ()
            steps = (*first, "ask_until_settled", "other_asks", "end", "end_other")
            return self.live(*steps, kill_at=kill_at)
        return self.live("other_asks", "end", "end_other", kill_at=kill_at)

    def finish(self) -> None:
        """In the end the resource is free for others, and nothing of the job is left."""
        later = 2 * LONGEST_SECONDS if self._habit == "forgets" else 0.0
        self.live("end", "end_other", "must_be_ended", "must_be_empty", later=later)


@pytest.mark.timeout(3600 if _ALL else 120)
@pytest.mark.parametrize("story", _STORIES)
@pytest.mark.parametrize("habit", HABITS)
def test_killed_anywhere(nursery: Nursery, tmp_path: Path, habit: str, story: str) -> None:
    """Whatever the point: what was granted is held, what was not is undone, nothing is left."""
    chance = random.Random(f"{habit}{story}")
    whole = Story(nursery, tmp_path / "whole", habit, story)
    assert not whole.begin(0)
    assert ("granted" in whole.said) == (story != "ended while it asks")
    points = range(1, whole.points + 1)
    whole.finish()
    assert len(points) >= 12
    chosen = points if _ALL or story in _WHOLE else chance.sample(points, _POINTS)
    for kill_at in chosen:
        tale = Story(nursery, tmp_path / f"{kill_at}", habit, story)
        if not tale.begin(kill_at):
            continue  # threads may take fewer steps than they did before
        tale.go_on(hook_asks_again=chance.random() < 0.5)
        tale.finish()
        for second in _seconds(chance):
            again = chance.random() < 0.5
            tale = Story(nursery, tmp_path / f"{kill_at}-{second}", habit, story)
            if not tale.begin(kill_at):
                break
            was_killed = tale.go_on(hook_asks_again=again, kill_at=second)
            tale.go_on(hook_asks_again=not again)
            tale.finish()
            if not was_killed:
                break


def _seconds(chance: random.Random) -> list[int]:
    """Points at which the next daemon is killed."""
    every = range(1, _MOST_SECONDS)
    return list(every) if _ALL else chance.sample(every[:20], 1 if chance.random() < 0.4 else 0)
