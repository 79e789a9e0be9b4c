"""A Warden on loopback with a munged of its own, and sequences for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource
from qrmi_sandbox.munge import Munge, PrivateMunge, usual_munge
from qrmi_sandbox.warden import WardenServer

Opened = Callable[..., QuantumResource]


@pytest.fixture(autouse=True)
def own_journal(private_state: Path) -> None:
    """Each Warden here counts its jobs from 1: a journal of several would know them already."""


@pytest.fixture(scope="session")
def munge() -> Iterator[Munge]:
    """Credentials for all Wardens of these tests; real ones where MUNGE is installed."""
    munge = usual_munge()
    munge.start()
    yield munge
    munge.stop()


@pytest.fixture
def real_munge() -> Iterator[PrivateMunge]:
    """A munged of a test's own."""
    if not PrivateMunge.is_installed():
        pytest.skip("MUNGE is not installed: apt-get install munge")
    munge = PrivateMunge()
    munge.start()
    yield munge
    munge.stop()


class Shared:
    """Credentials that outlive a server."""

    def __init__(self, munge: Munge) -> None:
        self.settings = munge.settings
        self.user_of = munge.user_of

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        """It runs on."""


@pytest.fixture(params=["0.3.2", "0.1"])
def warden(request: pytest.FixtureRequest, munge: Munge) -> Iterator[WardenServer]:
    """Each generation in turn."""
    with WardenServer(generation=request.param, munge=Shared(munge)) as server:
        yield server


@pytest.fixture
def newer(munge: Munge) -> Iterator[WardenServer]:
    """A Warden 0.3.2."""
    with WardenServer(munge=Shared(munge)) as server:
        yield server


@pytest.fixture
def older(munge: Munge) -> Iterator[WardenServer]:
    """A Warden 0.1."""
    with WardenServer(generation="0.1", munge=Shared(munge)) as server:
        yield server


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Make handles on a Warden: ``opened(server, QRMI_JOB_QPU_SLOTS="2")``."""
    made = []

    def make(server: WardenServer, **settings: str) -> QuantumResource:
        config = {**server.settings(), **settings}
        made.append(QuantumResource.from_config("qpu", "pasqal-local", config))
        return made[-1]

    yield make
    for handle in made:
        handle._driver.close()


@pytest.fixture(scope="session")
def sequence() -> str:
    """Two atoms that blockade each other, under a pulse after which one of them is excited."""
    return sequence_text()


def sequence_text(duration: int = 400) -> str:
    """An abstract representation for Pulser's AnalogDevice."""
    import pulser
    from pulser.register.special_layouts import TriangularLatticeLayout

    register = TriangularLatticeLayout(61, 5.0).define_register(30, 34)
    sequence = pulser.Sequence(register, pulser.AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    area = pulser.Pulse.ConstantPulse(duration, 2.2214e3 / duration, 0.0, 0.0)
    sequence.add(area, "ising")
    sequence.measure("ground-rydberg")
    return str(sequence.to_abstract_repr())


@pytest.fixture
def program(sequence: str) -> PasqalCloud:
    """A payload that completes soon."""
    return PasqalCloud(sequence, 50)
