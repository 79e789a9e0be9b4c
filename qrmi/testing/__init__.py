"""For tests: a clock that a test moves, a scripted driver, a transport that goes wrong on cue.

`qrmi.testing.contract` has the rules of the interface as tests that a vendor inherits;
`qrmi.testing.runner` runs them on any resource. Those need pytest and hypothesis.
"""

from __future__ import annotations

from qrmi.testing.clock import FakeClock
from qrmi.testing.faulty import FaultyTransport, Flaw
from qrmi.testing.scripted import ScriptedDriver

__all__ = ["FakeClock", "FaultyTransport", "Flaw", "ScriptedDriver"]
