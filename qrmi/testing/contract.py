"""The rules of the interface, as tests that a vendor inherits.

A vendor writes a subclass with two fixtures and runs pytest on it::

    class TestFelis(ResourceContract):
        @pytest.fixture
        def resource(self, server):
            return QuantumResource.from_config("felis", "alice-bob-felis", server.settings())

        @pytest.fixture
        def program(self):
            return Payload.AliceBobFelis(qir, '{"nbShots": 10}')

This module needs pytest and hypothesis (extra ``test``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

pytest.register_assert_rewrite("qrmi.testing.rules")

from qrmi.payloads import Payload  # noqa: E402 (assertions of what follows are rewritten)
from qrmi.resource import QuantumResource  # noqa: E402
from qrmi.testing.inside import declared_secrets  # noqa: E402
from qrmi.testing.rules.abilities import AbilityRules  # noqa: E402
from qrmi.testing.rules.description import DescriptionRules  # noqa: E402
from qrmi.testing.rules.elsewhere import ElsewhereRules  # noqa: E402
from qrmi.testing.rules.http import HttpRules  # noqa: E402
from qrmi.testing.rules.kit import Kit  # noqa: E402
from qrmi.testing.rules.leases import LeaseRules  # noqa: E402
from qrmi.testing.rules.life import LifeRules  # noqa: E402
from qrmi.testing.rules.machine import MachineRules  # noqa: E402
from qrmi.testing.rules.names import NameRules  # noqa: E402
from qrmi.testing.rules.payloads import PayloadRules  # noqa: E402
from qrmi.testing.rules.secrets import SecretRules  # noqa: E402
from qrmi.testing.rules.stops import StopRules  # noqa: E402
from qrmi.testing.rules.waiting import WaitingRules  # noqa: E402

__all__ = ["Kit", "ResourceContract"]


class ResourceContract(
    DescriptionRules,
    LifeRules,
    StopRules,
    WaitingRules,
    NameRules,
    PayloadRules,
    ElsewhereRules,
    LeaseRules,
    SecretRules,
    AbilityRules,
    MachineRules,
    HttpRules,
):
    """Every rule of the interface. A subclass gives the fixtures ``resource`` and ``program``.

    What a vendor can also offer makes more rules apply; without it they are skipped and say so:

    * ``failing_program``: a payload that is taken and then fails;
    * ``slow_program``: a payload that takes some seconds;
    * ``secrets``: texts that nothing may show (by default the settings declared as secrets);
    * ``held_sessions``: a function that gives the tokens of the sessions that the service holds;
    * ``tasks_made``: a function that gives how many tasks the service was ever given.

    Attributes:
        speaks_http: false leaves out the rules about HTTP, for drivers that are no `HttpDriver`.
        patience_seconds: the longest that `program` may take.
        fault_seconds: the longest that a call may take under a fault of HTTP.
        other_process: whether a pickled handle works in another process.
        threads: how many threads share a handle.
        orders: how many orders of calls the state machine tries.
        calls: how many calls each order has.
    """

    speaks_http: ClassVar[bool] = True
    patience_seconds: float = 60.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.speaks_http:
            for name in vars(HttpRules):
                if name.startswith("test_"):
                    setattr(cls, name, None)  # what is None is no test

    @pytest.fixture
    def resource(self) -> QuantumResource:
        """The resource under test; it takes tasks now."""
        raise NotImplementedError("give the fixture `resource`: a QuantumResource")

    @pytest.fixture
    def program(self) -> Payload:
        """A payload that completes soon."""
        raise NotImplementedError("give the fixture `program`: a Payload that completes soon")

    @pytest.fixture
    def failing_program(self) -> Payload | None:
        """A payload that is taken and then fails, where the vendor has one."""
        return None

    @pytest.fixture
    def slow_program(self) -> Payload | None:
        """A payload that takes some seconds, where the vendor has one."""
        return None

    @pytest.fixture
    def secrets(self, resource: QuantumResource) -> tuple[str, ...]:
        """Texts that nothing may show."""
        return declared_secrets(resource)

    @pytest.fixture
    def kit(
        self, resource: QuantumResource, program: Payload, secrets: tuple[str, ...]
    ) -> Iterator[Kit]:
        """The resource under test; tasks started through it are stopped after each test."""
        kit = Kit(
            resource=resource,
            program=program,
            patience_seconds=self.patience_seconds,
            secrets=tuple(secrets),
        )
        yield kit
        kit.clean_up()
