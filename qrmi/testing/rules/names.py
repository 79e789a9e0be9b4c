"""Ids that no task has."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from qrmi.errors import InvalidInputError, TaskNotFoundError
from qrmi.resource import QuantumResource
from qrmi.testing.rules.kit import Kit, unlike

__all__ = ["NameRules"]

_VERBS: dict[str, Callable[[QuantumResource, str], object]] = {
    "task_status": QuantumResource.task_status,
    "task_wait": lambda resource, task: resource.task_wait(task, 1.0),
    "task_result": QuantumResource.task_result,
    "task_stop": QuantumResource.task_stop,
    "task_logs": QuantumResource.task_logs,
}
_ODD = ["no-such-task", "..", "a/b", "a/../b", "a b", "a?b=c", "a#b", "%2e%2e", "é☃", "a\nb", "0"]
_DISGUISES = ["{}?x=1", "{}#x", "x/../{}", "./{}", "{}/", "{}%20", " {}"]


class NameRules:
    """No verb takes an id that is none of the resource's tasks."""

    @pytest.mark.parametrize("verb", sorted(_VERBS))
    def test_an_unknown_id_is_not_found(self, kit: Kit, verb: str) -> None:
        """An id of the right shape that no task has is a `TaskNotFoundError` in every verb."""
        if verb == "task_logs" and not kit.resource.capabilities.logs:
            pytest.skip("logs are not declared")
        unknown = unlike(kit.start())
        error = kit.refused(lambda: _VERBS[verb](kit.resource, unknown), TaskNotFoundError)
        assert error.task_id in (None, unknown)
        assert unknown in f"{error} {error.task_id}", "the error does not name the task"

    @pytest.mark.parametrize("odd", [*_ODD, "uuid", "long"])
    def test_an_odd_id_is_refused(self, kit: Kit, odd: str) -> None:
        """A text that is no id is refused in every verb."""
        made = {"uuid": str(uuid.uuid4()), "long": "a" * 300}
        _must_refuse(kit, made.get(odd, odd))

    @pytest.mark.parametrize("form", _DISGUISES)
    def test_a_disguised_id_is_refused(self, kit: Kit, form: str) -> None:
        """An id with more around it is another id, not another address of the same task."""
        _must_refuse(kit, form.format(kit.start()))


def _must_refuse(kit: Kit, task: str) -> None:
    for verb in ("task_status", "task_result", "task_stop"):
        kit.refused(
            lambda verb=verb: _VERBS[verb](kit.resource, task),  # type: ignore[misc]
            TaskNotFoundError,
            InvalidInputError,
        )
