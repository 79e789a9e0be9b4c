"""Whether the Rust package ``qrmi``, which has the same import name, lies in our folder.

This module imports the standard library only and nothing of this package: it has to work when
half of the package has been overwritten.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["REPAIR", "find_foreign_core", "is_overwritten"]

REPAIR = "pip uninstall -y qrmi; pip install --force-reinstall openqrmi"
"""The command that puts openqrmi right again."""


def find_foreign_core() -> Path | None:
    """The compiled core of the Rust package in our folder; ``None`` when there is none.

    Looks at file names in one folder; reads no metadata.
    """
    return next(iter(sorted(Path(__file__).parent.glob("_core*.so"))), None)


def is_overwritten() -> bool:
    """Whether the package that is imported as ``qrmi`` is no longer ours.

    True when the Rust package's ``__init__`` has replaced ours (it loads ``qrmi._core``), and when
    there is no ``__init__`` at all, as after ``pip uninstall qrmi``.
    """
    package = sys.modules.get("qrmi")
    return "qrmi._core" in sys.modules or getattr(package, "__file__", None) is None
