"""What the demonstration's programs have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import attrs

from qrmi.errors import QrmiError
from qrmi.resource import QuantumResource

__all__ = ["Demo", "Outcome", "Report", "Run", "Steps"]


class Steps:
    """How long each step of a program took.

    Args:
        on_step: called with the name of each step as it begins.
    """

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block, under ``name``."""
        self._on_step(name)
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - begun


@attrs.frozen(kw_only=True)
class Outcome:
    """What a program gave.

    Attributes:
        counts: outcomes and how often each was seen, as the SDK's own result says.
        task_id: the task it ran as.
    """

    counts: Mapping[str, int]
    task_id: str


@attrs.frozen(kw_only=True)
class Demo:
    """One program of the demonstration.

    Attributes:
        sdk: the SDK's name, for people.
        title: what the program does.
        expectation: what its outcomes should show.
        order: which bit belongs to which qubit or atom.
        module: the module that has ``run(resource, shots, steps) -> Outcome``; imports the SDK.
        programs: what such programs are called, in the plural.
        needs: the module whose absence means that the SDK is not installed.
        install: the command that installs the SDK.
        takes: whether a resource with these payload formats takes such a program.
    """

    sdk: str
    title: str
    expectation: str
    order: str
    module: str
    programs: str
    needs: str
    install: str
    takes: Callable[[frozenset[str]], bool]


@attrs.frozen(kw_only=True)
class Report:
    """How one program of the demonstration went.

    Attributes:
        demo: the program.
        status: ``ok``, ``not installed``, ``not supported`` or ``failed``.
        outcome: what it gave, when ``ok``.
        error: why it failed, when ``failed``.
        seconds: how long each step took.
    """

    demo: Demo
    status: str
    outcome: Outcome | None = None
    error: QrmiError | None = None
    seconds: Mapping[str, float] = attrs.field(factory=dict)


Run = Callable[[QuantumResource, int, Steps], Outcome]
