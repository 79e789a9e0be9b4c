"""pycurl, loaded so that it uses the libcurl it was built with.

Other packages bring a libcurl of their own and show it to the whole process (CUDA-Q 0.16 does), and
one that is loaded first would take the place of pycurl's: pycurl then refuses to load.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

__all__ = ["pycurl"]


def _loaded() -> ModuleType:
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | getattr(os, "RTLD_DEEPBIND", 0))  # its own libraries come first
    try:
        import pycurl as loaded
    finally:
        sys.setdlopenflags(flags)
    module: ModuleType = loaded
    return module


pycurl = _loaded()
"""The module."""
