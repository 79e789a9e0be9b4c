"""Programs that are not for this resource, or for none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qrmi.errors import QrmiError, TaskFailedError, UnsupportedPayloadError
from qrmi.payloads import AliceBobFelis, IQMServer, Oqtopus, PasqalCloud, Payload, QiskitPrimitive
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi.testing.rules.kit import Kit

__all__ = ["PayloadRules", "listed_tasks"]

_OF_EVERY_FORMAT: tuple[Payload, ...] = (
    QiskitPrimitive("{}", "sampler"),
    PasqalCloud("{}", 1),
    AliceBobFelis("", "{}"),
    IQMServer("{}", "circuit"),
    Oqtopus("{}"),
)
_JUNK: dict[str, tuple[Payload, ...]] = {
    "qiskit-primitive": (
        QiskitPrimitive("no JSON", "sampler"),
        QiskitPrimitive("[]", "sampler"),
        QiskitPrimitive('{"pubs": 5}', "sampler"),
    ),
    "pulser-sequence": (PasqalCloud("no JSON", 1), PasqalCloud("[]", 1), PasqalCloud("{}", 1)),
    "alice-bob-felis": (AliceBobFelis("no QIR", "{}"),),
    "iqm-server": (IQMServer("{}", "circuit"), IQMServer('{"circuits": 5}', "circuit")),
    "oqtopus": (Oqtopus("{}"), Oqtopus('{"job_type": 5}')),
}


class PayloadRules:
    """What cannot run is refused before it is sent, or fails with a reason."""

    @pytest.fixture
    def tasks_made(self, kit: Kit) -> Callable[[], int] | None:
        """How many tasks the service was ever given; vendors who can look inside override it."""
        return listed_tasks(kit.resource)

    def test_a_start_makes_one_task(self, kit: Kit, tasks_made: Callable[[], int] | None) -> None:
        """One start gives the service one task."""
        if tasks_made is None:
            pytest.skip("the service does not list tasks, and no tasks_made is given")
        before = tasks_made()
        kit.start()
        assert tasks_made() - before == 1, f"one start, {tasks_made() - before} tasks"

    @pytest.mark.parametrize("payload", _OF_EVERY_FORMAT, ids=lambda each: each.FORMAT)
    def test_other_formats_are_refused(
        self, kit: Kit, payload: Payload, tasks_made: Callable[[], int] | None
    ) -> None:
        """A format that is not declared is refused by name, and nothing is sent."""
        if payload.FORMAT in kit.resource.payloads:
            pytest.skip("the resource takes this format")
        before = tasks_made() if tasks_made else 0
        error = kit.refused(lambda: kit.start(payload), UnsupportedPayloadError)
        assert payload.FORMAT in str(error), "the error does not name the format"
        assert (tasks_made() if tasks_made else 0) == before, "something was sent"

    @pytest.mark.parametrize("wrong", [None, "{}", b"{}", {}, 5, Payload], ids=repr)
    def test_what_is_no_payload_is_refused(self, kit: Kit, wrong: Any) -> None:
        """Only payloads are taken."""
        with pytest.raises(TypeError):
            kit.resource.task_start(wrong)

    def test_junk_is_refused_or_fails(self, kit: Kit) -> None:
        """A payload of the right format that is no program: an error, or a task that fails."""
        junk = [each for name in kit.resource.payloads for each in _JUNK.get(name, ())]
        if not junk:
            pytest.skip("no junk is known for its payload formats")
        for payload in junk:
            try:
                task = kit.start(payload)
            except QrmiError as error:
                kit.check_error(error)
                continue
            status = kit.resource.task_wait(task, kit.patience_seconds)
            assert status is not TaskStatus.COMPLETED, f"junk completed: {payload!r}"
            if status is TaskStatus.FAILED:
                kit.refused(lambda task=task: kit.resource.task_result(task), TaskFailedError)  # type: ignore[misc]


def listed_tasks(resource: QuantumResource) -> Callable[[], int] | None:
    """Counts the tasks that the service lists; ``None`` where it lists none."""
    try:
        resource.list_tasks()
    except QrmiError:
        return None
    return lambda: len(resource.list_tasks())
