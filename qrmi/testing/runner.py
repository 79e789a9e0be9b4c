"""Runs the contract on a resource, outside of a test suite, and tells what came of each rule."""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from qrmi.errors import MissingExtraError
from qrmi.payloads import Payload
from qrmi.resource import QuantumResource
from qrmi.testing.inside import declared_secrets, driver_of
from qrmi.transport import HttpDriver

if TYPE_CHECKING:
    import pytest

__all__ = ["Outcome", "Subject", "current_subject", "run_contract"]

_GROUPS = (
    "description",
    "life",
    "stops",
    "waiting",
    "names",
    "payloads",
    "elsewhere",
    "leases",
    "secrets",
    "abilities",
    "machine",
    "http",
)
_OPTIONS = (
    "--pyargs",
    "qrmi.testing.live",
    "--capture=no",
    "--config-file=/dev/null",
    "--rootdir=/",
    "--import-mode=importlib",
    *(
        f"-pno:{name}"
        for name in ("cacheprovider", "terminal", "logging", "warnings", "xdist", "timeout")
    ),
)


@attrs.frozen(kw_only=True)
class Subject:
    """What the contract is run on; see `qrmi.testing.contract.ResourceContract`.

    Attributes:
        resource: the resource; it takes tasks now.
        program: a payload that completes soon.
        slow_program: one that takes some seconds, or ``None``.
        failing_program: one that is taken and then fails, or ``None``.
        secrets: texts that nothing may show, besides the settings declared as secrets.
        held_sessions: gives the tokens of the sessions that the service holds, or ``None``.
        tasks_made: gives how many tasks the service was ever given, or ``None``.
        patience_seconds: the longest that ``program`` may take.
        other_process: whether a pickled handle works in another process.
        threads: how many threads share a handle.
        orders: how many orders of calls are tried.
        calls: how many calls each order has.
        fault_seconds: the longest that a call may take under a fault.
        leaves_nothing: leaves out the rules that can leave a task on the service whose id nobody
            knows: those in which the answer to a start is lost.
    """

    resource: QuantumResource
    program: Payload
    slow_program: Payload | None = None
    failing_program: Payload | None = None
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    held_sessions: Callable[[], Collection[str]] | None = None
    tasks_made: Callable[[], int] | None = None
    patience_seconds: float = 60.0
    other_process: bool = True
    threads: int = 8
    orders: int = 12
    calls: int = 15
    fault_seconds: float = 30.0
    leaves_nothing: bool = False


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of one rule in one variant.

    Attributes:
        group: the group of rules, such as ``waiting``.
        rule: the rule's test, such as ``test_a_wait_ends_with_its_time``.
        variant: its parameters; empty when it has none.
        says: the rule in a sentence or two.
        result: ``passed``, ``failed`` or ``skipped``.
        seconds: how long it took.
        reason: why it failed or was skipped, in one line.
        details: the traceback of a rule that failed; secrets are ``***`` here and above.
    """

    group: str
    rule: str
    variant: str
    says: str
    result: str
    seconds: float
    reason: str = ""
    details: str = attrs.field(default="", repr=False)


_subject: contextvars.ContextVar[Subject] = contextvars.ContextVar("subject")


def current_subject() -> Subject:
    """The subject of the run under way."""
    return _subject.get()


def run_contract(
    subject: Subject,
    *,
    only: Collection[str] = (),
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Run the rules and return what came of each, in order.

    Args:
        subject: what to run them on.
        only: names of rules (``test_...``), with or without ``[variant]``; all when empty.
        on_outcome: called after each rule.

    Raises:
        MissingExtraError: pytest or hypothesis is not installed.
        KeyboardInterrupt: the run was interrupted.
    """
    try:
        import hypothesis  # noqa: F401
        import pytest
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed", hint="pip install 'openqrmi[test]'"
        ) from error
    collector = _Collector(subject, only, on_outcome)
    with _being(subject):
        code = pytest.main(list(_OPTIONS), plugins=[collector])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    ended = (
        pytest.ExitCode.OK,
        pytest.ExitCode.TESTS_FAILED,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    )
    if code not in ended:
        raise RuntimeError(f"pytest could not run the rules: {collector.trouble or code}")
    return collector.outcomes


@contextlib.contextmanager
def _being(subject: Subject) -> Iterator[None]:
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)


class _Collector:
    """A pytest plugin that keeps what came of each rule."""

    def __init__(
        self,
        subject: Subject,
        only: Collection[str],
        on_outcome: Callable[[Outcome], None] | None,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.trouble = ""
        self._subject = subject
        self._only = frozenset(only)
        self._on_outcome = on_outcome
        self._says: dict[str, tuple[str, str]] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        """Tracebacks without the values of arguments, which may have secrets in them."""
        config.option.tbstyle = "short"

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out what is not wanted."""
        items[:] = [item for item in items if self._is_wanted(item)]
        items.sort(key=lambda item: _GROUPS.index(_group(item)))
        for item in items:
            self._says[item.nodeid] = _group(item), re.sub(r"\s+", " ", item.function.__doc__ or "")

    def _is_wanted(self, item: Any) -> bool:
        subject = self._subject
        if _group(item) == "http":
            if not isinstance(driver_of(subject.resource), HttpDriver):
                return False
            is_start = item.originalname == "test_a_fault_at_a_start"
            if is_start and subject.leaves_nothing and item.callspec.params["case"].flaw.handled:
                return False
        return not self._only or bool({item.name, item.originalname} & self._only)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the reason of a collection that failed."""
        if report.failed:
            self.trouble = str(report.longrepr)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what came of a rule: of its call, or of what failed or skipped around it."""
        if report.when != "call" and report.outcome == "passed":
            return
        name = report.nodeid.rpartition("::")[2]
        rule, _, variant = name.partition("[")
        group, says = self._says[report.nodeid]
        outcome = Outcome(
            group=group,
            rule=rule,
            variant=variant.removesuffix("]"),
            says=says.strip(),
            result=report.outcome,
            seconds=report.duration,
            reason=self._redacted(_reason(report)),
            details=self._redacted(report.longreprtext) if report.failed else "",
        )
        self.outcomes.append(outcome)
        if self._on_outcome is not None:
            self._on_outcome(outcome)

    def _redacted(self, text: str) -> str:
        subject = self._subject
        for secret in (*subject.secrets, *declared_secrets(subject.resource)):
            text = text.replace(secret, "***") if secret else text
        return text


def _group(item: Any) -> str:
    group: str = item.function.__module__.rpartition(".")[2]
    return group


def _reason(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = "" if crash is None else str(crash.message)
    return text.partition("\n")[0].removeprefix("AssertionError: ")
