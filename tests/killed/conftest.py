"""The folder's helper modules are importable, here and in the processes that are started."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "exactly_once")]
