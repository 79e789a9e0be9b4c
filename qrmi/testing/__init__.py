"""Stand-ins for tests: a clock that a test moves, a driver that a test scripts."""

from __future__ import annotations

from qrmi.testing.clock import FakeClock
from qrmi.testing.scripted import ScriptedDriver

__all__ = ["FakeClock", "ScriptedDriver"]
