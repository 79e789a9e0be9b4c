"""docs/schedulers.md followed on a real Slurm: its configuration, its setup, its first jobs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "slurm"))

from lab import User, is_installed, python_of, until
from setup_lab import SetUpLab

from qrmi.schedulers.calling import Site as Caller
from qrmi.schedulers.calling import SiteProblem
from qrmi_sandbox import make_server

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason="Slurm and MUNGE are not installed"),
]
DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS = ["qiskit_ghz.py", "pulser_rydberg.py", "cudaq_ghz.py"]


class PageLab(SetUpLab):
    """A lab with the page's resources: the embedded simulator, and a sandbox of IQM's service."""

    def __init__(self) -> None:
        super().__init__({"emulator": 2, "garnet": 1}, hooked=True)
        self.sandbox: Any = make_server("iqm-server").start()
        self.qrmid: subprocess.Popen[bytes] | None = None

    def write_site(self) -> None:
        """The page's file, with the sandbox's port; then the daemon, before Slurm starts."""
        super().write_site()
        page = (DOCS / "schedulers.md").read_text(encoding="utf-8")
        (text,) = re.findall(r"^```json\n(.*?)^```$", page, re.M | re.S)
        assert "http://127.0.0.1:8100" in text
        file = self.folder / "qrmi_config.json"
        file.write_text(text.replace("http://127.0.0.1:8100", self.sandbox.url))
        file.chmod(0o600)
        command = [sys.executable, "-m", "qrmi", "site", "serve", "--config", str(self.settings)]
        log = (self.folder / "log" / "qrmid.out").open("ab")
        self.qrmid = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        until(self.is_served, seconds=30, told=self.told)

    def told(self) -> str:
        """What the daemon logged."""
        return (self.folder / "log" / "qrmid.out").read_text()

    def is_served(self) -> bool:
        """Whether the daemon lends both."""
        try:
            rows = Caller({"socket": str(self.socket)}).ask("GET", "/v1/resources")
        except SiteProblem:
            return False
        return [row["state"] for row in rows] == ["online", "online"]

    def stop(self) -> None:
        """Stop all of it."""
        if self.qrmid is not None:
            self.qrmid.terminate()
            self.qrmid.wait(20)
        super().stop()
        self.sandbox.stop()


@pytest.fixture(scope="module")
def page() -> Iterator[PageLab]:
    lab = PageLab()
    with lab:
        jobs = lab.folder / "jobs"
        for path in (DOCS / "examples").iterdir():
            shutil.copy(path, jobs)
            (jobs / path.name).chmod(0o755)
        python = jobs / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.join(python_of(lab.users[0]))} "$@"\n')
        python.chmod(0o755)
        yield lab


def sbatch(lab: PageLab, *words: str, user: User) -> str:
    """Submit as that user, from the folder with the examples; wait, and return the job's output."""
    jobs = lab.folder / "jobs"
    home = jobs / f"home-{user.name}"
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    env = {"PYTHON": str(jobs / "python"), "HOME": str(home), "QRMI_STATE_DIR": str(home)}
    command = ["sbatch", "--parsable", f"--output={home}/%j.out", *words]
    job = lab.run(*command, user=user, env=env).stdout.strip()
    state = lab.until_over(job, seconds=150)
    output = (home / f"{job}.out").read_text()
    assert state == "COMPLETED", f"{output}\n{lab.told()}"
    return output


@pytest.mark.parametrize("program", PROGRAMS)
def test_first_quantum_job(page: PageLab, program: str) -> None:
    """The same files as on a laptop run as a user's batch job, on a QPU of the site."""
    if program.startswith("cudaq"):
        pytest.importorskip("cudaq")
    words = ["--comment=qpu=emulator"] if program.startswith("pulser") else []
    output = sbatch(page, *words, "job.sh", program, user=page.users[0])
    assert re.search(r"\b[01]{3,}\b", output), output
    if program.startswith("qiskit"):
        assert " on emulator\n" in output


def test_job_on_the_sandbox(page: PageLab) -> None:
    """A QPU whose key the site keeps: the job has no key, and its tasks arrive at the service."""
    before = len(page.sandbox.job_ids())
    output = sbatch(page, "--comment=qpu=garnet", "job.sh", "qiskit_ghz.py", user=page.users[0])
    assert " on garnet\n" in output
    assert len(page.sandbox.job_ids()) == before + 1
    probe = page.folder / "jobs" / "probe.py"
    probe.write_text("import json, os\nprint(json.dumps(dict(os.environ)))\n")
    probe.chmod(0o755)
    output = sbatch(page, "--comment=qpu=garnet", "job.sh", "probe.py", user=page.users[0])
    environment = json.loads(output)
    assert environment["QRMI_JOB_QPU_RESOURCES"] == "garnet"
    assert "sandbox-iqm-token" not in output


def test_ranks_share_the_qpu(page: PageLab) -> None:
    """`srun -n 8`: one lease, eight processes, each with results of its own."""
    script = page.folder / "jobs" / "ranks.sh"
    script.write_text(
        "#!/bin/sh\n#QRMI --qpu=emulator\n#SBATCH -n 8\nexec srun -n 8 $PYTHON qiskit_ghz.py\n"
    )
    script.chmod(0o755)
    output = sbatch(page, "ranks.sh", user=page.users[0])
    assert len(re.findall(r"^job \S+ on emulator$", output, re.M)) == 8
    assert len(set(re.findall(r"^job (\S+) on", output, re.M))) == 8


def test_nothing_is_left(page: PageLab) -> None:
    """After all jobs nothing is held, and both nodes are idle."""
    caller = Caller({"socket": str(page.socket)})
    until(lambda: caller.ask("GET", "/v1/leases") == [], seconds=20, told=page.told)
    page.until_idle()


def qrmi(lab: PageLab, *words: str) -> str:
    """A command of the page, for this lab's daemon; what it printed."""
    command = [sys.executable, "-m", "qrmi", *words, "--config", str(lab.settings)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd="/",
        timeout=60,
        env=lab.environment(),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_checks_are_well(page: PageLab) -> None:
    """What the page says that the checks end with."""
    assert "0 problem(s)" in qrmi(page, "site", "check")
    assert "0 failure(s)" in qrmi(page, "slurm", "check")
    licenses = page.run("scontrol", "show", "lic").stdout
    assert "qpu_emulator" in licenses
    assert "qpu_garnet" in licenses


def test_drain_and_usage(page: PageLab) -> None:
    """A job that needs a drained QPU stays pending, and runs after `resume`; the books have it."""
    morrow = time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() + 86400))
    qrmi(page, "site", "drain", "garnet", "--reason", "calibration", "--until", morrow)
    until(lambda: "qpu_garnet" in page.run("scontrol", "show", "res").stdout, seconds=30)
    user = page.users[0]
    options = ["--comment=qpu=garnet", "--wrap", "true", "--output=/dev/null"]
    job = page.run("sbatch", "--parsable", *options, user=user).stdout.strip()
    until(lambda: page.reason(job).startswith("Licenses"), seconds=20)
    qrmi(page, "site", "resume", "garnet")
    assert page.until_over(job) == "COMPLETED"

    def is_booked() -> bool:
        rows = json.loads(qrmi(page, "site", "usage", "--by", "user", "--json"))
        return user.name in json.dumps(rows)

    until(is_booked, seconds=30, every=0.5)
