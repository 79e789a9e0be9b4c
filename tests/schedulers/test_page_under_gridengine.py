"""docs/schedulers.md followed on a real Grid Engine: its configuration, setup and first jobs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "gridengine"))

from ge_lab import is_possible
from ge_site import GESite, python_of_user

from qrmi_sandbox import make_server

pytestmark = [
    pytest.mark.gridengine,
    pytest.mark.slow,
    pytest.mark.skipif(not is_possible(), reason="Grid Engine is not installed"),
]
DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS = ["qiskit_ghz.py", "pulser_rydberg.py", "cudaq_ghz.py"]


class PageSite(GESite):
    """The page's resources: the embedded simulator, and a sandbox of IQM's service."""

    def __init__(self) -> None:
        super().__init__()
        self.iqm: Any = make_server("iqm-server").start()

    def configuration(self) -> dict[str, Any]:
        """The page's file, with the sandbox's port."""
        page = (DOCS / "schedulers.md").read_text(encoding="utf-8")
        (text,) = re.findall(r"^```json\n(.*?)^```$", page, re.M | re.S)
        found: dict[str, Any] = json.loads(text.replace("http://127.0.0.1:8100", self.iqm.url))
        return found

    def stop(self) -> None:
        """Stop all of it."""
        super().stop()
        self.iqm.stop()


@pytest.fixture(scope="module")
def page() -> Iterator[PageSite]:
    site = PageSite()
    try:
        yield site.start()
    finally:
        site.stop()


def qsub(page: PageSite, *options: str, program: str) -> str:
    """Submit the page's script as a user, wait, and return what the job printed."""
    jobs = page.lab.folder / "jobs"
    for path in (DOCS / "examples").iterdir():
        shutil.copy(path, jobs)
        (jobs / path.name).chmod(0o755)
    home = jobs / "home"
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    python = jobs / "python"
    python.write_text(
        f"#!/bin/sh\nexport HOME={home} QRMI_STATE_DIR={home}\n"
        f'cd {jobs}\nexec {shlex.join(python_of_user())} "$@"\n'
    )
    python.chmod(0o755)
    script = (DOCS / "examples" / "job.sh").read_text()
    around = ["-v", f"PYTHON={python},PROGRAM={program}"]
    job = page.submit(script, *around, *options)
    page.lab.wait_gone(job, seconds=90)
    return page.lab.output(job)


@pytest.mark.parametrize("program", PROGRAMS)
def test_first_quantum_job(page: PageSite, program: str) -> None:
    """The same files as on a laptop run as a user's batch job, on a QPU of the site."""
    if program.startswith("cudaq"):
        pytest.importorskip("cudaq")
    output = qsub(page, "-l", "qpu=emulator", program=program)
    assert re.search(r"\b[01]{3,}\b", output), output + page.log()
    page.until_free()


def test_job_on_the_sandbox(page: PageSite) -> None:
    """A QPU whose key the site keeps: the job's tasks arrive at the service."""
    before = len(page.iqm.job_ids())
    output = qsub(page, "-l", "qpu=garnet", program="qiskit_ghz.py")
    assert " on garnet\n" in output, output + page.log()
    assert len(page.iqm.job_ids()) == before + 1
    page.until_free()


def test_checks_are_well(page: PageSite) -> None:
    """What the page says that the checks end with; the books have the users' jobs."""
    assert "0 problem(s)" in page.qrmi("site", "check").stdout
    told = page.qrmi(
        "gridengine", "check", "--folder", str(page.hooks), "--root", str(page.lab.root)
    )
    assert "0 problem(s)" in told.stdout
    assert "qpu_garnet=1" in page.lab.run("qstat", "-F", "qpu_garnet").stdout.replace(".000000", "")
