"""The contract as a module that pytest collects: `qrmi.testing.runner` runs it on any subject."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from qrmi.payloads import Payload
from qrmi.resource import QuantumResource
from qrmi.testing.contract import ResourceContract
from qrmi.testing.inside import declared_secrets
from qrmi.testing.rules.payloads import listed_tasks
from qrmi.testing.runner import Subject, current_subject

__all__ = ["TestResource"]

_ATTRIBUTES = (
    "patience_seconds",
    "other_process",
    "threads",
    "orders",
    "calls",
    "fault_seconds",
)


class TestResource(ResourceContract):
    """The rules on the subject that the runner was given."""

    @pytest.fixture(autouse=True)
    def subject(self) -> Subject:
        """What is tested."""
        subject = current_subject()
        for name in _ATTRIBUTES:
            setattr(self, name, getattr(subject, name))
        return subject

    @pytest.fixture
    def resource(self, subject: Subject) -> QuantumResource:
        """The handle."""
        return subject.resource

    @pytest.fixture
    def program(self, subject: Subject) -> Payload:
        """A payload that completes soon."""
        return subject.program

    @pytest.fixture
    def slow_program(self, subject: Subject) -> Payload | None:
        """One that takes some seconds, or ``None``."""
        return subject.slow_program

    @pytest.fixture
    def failing_program(self, subject: Subject) -> Payload | None:
        """One that fails, or ``None``."""
        return subject.failing_program

    @pytest.fixture
    def secrets(self, subject: Subject) -> tuple[str, ...]:
        """Texts that nothing may show."""
        return (*declared_secrets(subject.resource), *subject.secrets)

    @pytest.fixture
    def held_sessions(self, subject: Subject) -> Callable[[], Collection[str]] | None:
        """What tells the sessions that the service holds, or ``None``."""
        return subject.held_sessions

    @pytest.fixture
    def tasks_made(self, subject: Subject) -> Callable[[], int] | None:
        """What counts the service's tasks; by its list where nothing was given."""
        return subject.tasks_made or listed_tasks(subject.resource)
