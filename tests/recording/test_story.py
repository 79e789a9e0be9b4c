"""The story that docs/recording.md tells: record on the resource, test with the recording."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_s_test_runs(bench):
    """The page's test passes on a recording of the example, and fails when the program changes."""
    page = (DOCS / "recording.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^:caption: test_ghz.py\n\n(.*?)^```$", page, re.M | re.S)
    folder = bench.folder / "suite"
    folder.mkdir()
    file, test = folder / "ghz.jsonl", folder / "test_ghz.py"
    program = [sys.executable, "-W", "ignore", str(DOCS / "examples" / "qiskit_ghz.py")]
    recorded = bench.qrmi("record", file, "--", *program)
    assert recorded.returncode == 0, recorded.stderr
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    for changed, code in ((text, 0), (text.replace("circuit.h(0)", "circuit.x(0)"), 1)):
        test.write_text(changed, encoding="utf-8")
        done = subprocess.run(
            run, cwd=folder, capture_output=True, text=True, env=bench.environment(), check=False
        )
        assert done.returncode == code, done.stdout
    assert "NotRecordedError: task_start (qiskit-primitive, SHA-256 " in done.stdout
