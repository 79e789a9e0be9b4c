"""Entry point of the ``qrmi`` command.

Only the standard library may be imported here at the top: when the Rust package ``qrmi`` has
overwritten this one, this file may be among the few that are left, and it has to say so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from qrmi._foreign import REPAIR, is_overwritten

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `qrmi.cli.exits`).

    Args:
        argv: the arguments after the command's name; ``None`` takes those of the process.
    """
    if is_overwritten():
        print(
            "qrmi: error: another package with the import name `qrmi` has overwritten openqrmi\n"
            "  (the Rust package `qrmi` on PyPI); this command cannot work.\n"
            f"  To repair it:  {REPAIR}",
            file=sys.stderr,
        )
        return 1
    from qrmi.cli.app import run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
