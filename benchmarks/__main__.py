"""Run the benchmarks and print one table: ``python -m benchmarks [NAME …]``.

Ratios come from one interleaved run, because machines are noisy; an absolute limit stands beside
the baseline that it is compared with. How long another core takes to wake up differs more than
what is measured, above all on virtual machines: ``--one-core`` leaves that out.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile

from benchmarks.measure import table

NAMES = (
    "handles",
    "decoding",
    "simulator",
    "verbs",
    "threads",
    "results",
    "waiting",
    "encoding",
    "journal",
    "site",
    "hooks",
)


def main() -> None:
    """Run those asked for, all by default, in a state folder of their own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument(
        "--one-core",
        action="store_true",
        help="keep every process on one core: steadier, since nobody waits for another core to "
        "wake up; limits are about all cores",
    )
    arguments = parser.parse_args()
    if arguments.one_core:  # the processes that are started inherit it
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chosen = arguments.names or NAMES
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QRMI_STATE_DIR"] = folder
        rows = [
            row for name in chosen for row in importlib.import_module(f"benchmarks.{name}").run()
        ]
        _stop_worker(folder)
    print(table(rows))


def _stop_worker(folder: str) -> None:
    from pathlib import Path

    from qrmi_local.service import client

    client.shutdown(Path(folder))


if __name__ == "__main__":
    main()
