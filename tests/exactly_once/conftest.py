"""The folder's helper modules are importable, here and in the processes that are started."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
