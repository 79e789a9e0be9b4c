"""The ``task_runner`` command.

When the Rust package ``qrmi`` has been installed over this one, ``main`` is its own but this file
is still ours (it has none of this name), so this is the place that can say so.
"""

from __future__ import annotations

import sys

from qrmi._foreign import REPAIR, is_overwritten

if is_overwritten():
    print(
        "task_runner: another package with the import name `qrmi` (the Rust package on PyPI) has\n"
        f"  overwritten openqrmi; this is its task_runner. To get ours back:  {REPAIR}",
        file=sys.stderr,
    )
