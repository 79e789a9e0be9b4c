"""The kit on resources with one planted fault each: the rule that is meant for it notices."""

from __future__ import annotations

import attrs
import pytest
from animals import FAULTS, ClaimsBatches, GoesBack, Pulses
from barn import Barn, BarnDriver, BarnSettings
from meadow import Meadow, MeadowSettings, Program

from qrmi.resource import QuantumResource
from qrmi.settings import MappingSource, Secret
from qrmi.testing.runner import Subject, run_contract

PROGRAMS = {ClaimsBatches: Pulses(), GoesBack: Program(seconds=0.3)}


@pytest.fixture
def subject_of(tmp_path, private_state):
    """Makes a subject of a driver class, sound or not."""
    with Barn() as barn:

        def subject(kind, **values):
            if issubclass(kind, BarnDriver):
                settings = BarnSettings.load(MappingSource(barn.resource()["environment"]))
                driver = kind("barn", settings)
                values = {"tasks_made": lambda: len(barn.tasks), **values}
            else:
                folder = str(tmp_path / "meadow")
                settings = MeadowSettings(folder=folder, password=Secret("s3cret-gate"))
                driver = kind("meadow", settings)
                sessions = driver.sessions
                held = lambda: [path.name for path in sessions.glob("*")]  # noqa: E731
                values = {"held_sessions": held, **values}
            return Subject(
                resource=QuantumResource.from_driver(driver, resource_type="zoo"),
                program=PROGRAMS.get(kind, Program()),
                slow_program=Program(seconds=2.0),
                failing_program=Program(fails=True),
                patience_seconds=8.0,
                fault_seconds=1.5,
                **values,
            )

        yield subject


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_the_kit_notices(kind, subject_of):
    """Each rule that is meant for a fault fails on it; and it was run at all."""
    for rule in FAULTS[kind]:
        outcomes = run_contract(subject_of(kind), only=[rule])
        assert "s3cret" not in repr([attrs.asdict(outcome) for outcome in outcomes])
        assert outcomes, f"{rule} is no rule"
        assert "failed" in {outcome.result for outcome in outcomes}, outcomes
        assert all(outcome.reason for outcome in outcomes if outcome.result == "failed")


def test_sound_animals_pass_what_the_faulty_ones_fail(subject_of):
    """The same rules hold for the drivers that the faulty ones derive from."""
    rules = {rule for rules in FAULTS.values() for rule in rules}
    for kind in (Meadow, BarnDriver):
        outcomes = run_contract(subject_of(kind), only=rules)
        assert [each for each in outcomes if each.result == "failed"] == []
        assert len(outcomes) > len(rules) / 2
