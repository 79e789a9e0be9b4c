"""`GELab`: a throw-away Grid Engine on loopback; its folder, ports and group ids are its own.

It needs root and the packages gridengine-master, -exec and -client. Nothing in /etc is read or
written; several labs run side by side.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import attrs
from processes import command_lines, environment_of

__all__ = ["GELab", "LabError", "is_possible", "until"]

_T = TypeVar("_T")

_PROGRAMS = Path("/usr/lib/gridengine")
_SHARED = Path("/usr/share/gridengine")
_DAEMONS = Path("/usr/sbin")
_BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {common};{spool}/qmaster
binary_path /usr/sbin
qmaster_spool_dir {spool}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
_CONFIGURATION = {
    "execd_spool_dir": "{spool}/execd",
    "load_report_time": "00:00:01",
    "max_unheard": "00:00:20",
    "min_uid": "0",
    "min_gid": "0",
    "mailer": "/bin/true",
    "login_shells": "sh",
    "gid_range": "{gids}",
    "reporting_params": "accounting=true reporting=false flush_time=00:00:01 joblog=false "
    "sharelog=00:00:00",
}
_SCHEDULER = {
    "schedule_interval": "0:0:1",
    "flush_submit_sec": "1",
    "flush_finish_sec": "1",
    "schedd_job_info": "true",
}
_GROUP_IDS = 20


class LabError(AssertionError):
    """The lab is not as a test needs it."""


def is_possible() -> bool:
    """Whether this machine can run a lab."""
    return os.geteuid() == 0 and (_DAEMONS / "sge_qmaster").exists()


def until(look: Callable[[], _T], what: str, seconds: float = 40.0) -> _T:
    """What ``look`` gives once that is true.

    Raises:
        LabError: it was not in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise LabError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


@attrs.frozen
class _Ports:
    master: int
    host: int


def _free_ports() -> _Ports:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return _Ports(first.getsockname()[1], second.getsockname()[1])


class GELab:
    """One master and one execution host; a context manager.

    Attributes:
        folder: everything of the lab; readable by any user.
        root: its SGE_ROOT.
        environment: what its commands need.
    """

    def __init__(self, slots: int = 8) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="qrmi-ge-"))
        self.folder.chmod(0o755)
        self.root = self.folder / "sge"
        self.common = self.root / "default" / "common"
        self.spool = self.folder / "spool"
        self.environment: dict[str, str] = {}
        self.host = socket.gethostname().split(".")[0]
        self._slots = slots
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> GELab:
        """Bring it up; a port that somebody took meanwhile costs another attempt."""
        for attempt in range(3):
            try:
                self._bring_up()
            except LabError:
                self.stop(keep=True)
                if attempt == 2:
                    raise
            else:
                return self
        raise AssertionError

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- commands -----------------------------------------------------------------------------

    def run(
        self,
        program: str,
        *arguments: str,
        user: str | None = None,
        check: bool = True,
        seconds: float = 30.0,
        extra: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Grid Engine's commands, as ``user`` where one is named.

        Raises:
            LabError: it failed, and ``check`` is set.
        """
        done = subprocess.run(
            [str(_PROGRAMS / program), *arguments],
            env={**self.environment, **(extra or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            user=user,
            group=None if user is None else "nogroup",
            extra_groups=None if user is None else [],
        )
        if check and done.returncode:
            raise LabError(f"{program} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def qconf(self, *arguments: str) -> str:
        """What ``qconf`` prints."""
        return self.run("qconf", *arguments).stdout

    def with_file(self, option: str, text: str, *after: str) -> None:
        """Give ``qconf`` a file with ``text``."""
        path = self.folder / "qconf.txt"
        path.write_text(text)
        self.qconf(option, str(path), *after)

    def submit(
        self, script: str, *options: str, user: str | None = None, check: bool = True
    ) -> str:
        """Submit ``script``, whose output comes to `output`; its id, or what qsub said instead."""
        path = self.folder / "jobs" / f"job{time.time_ns()}.sh"
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        where = f"{self.folder}/out/$JOB_ID.$TASK_ID"
        told = self.run(
            "qsub", "-S", "/bin/sh", "-j", "y", "-o", where, "-wd", str(self.folder / "jobs"),
            *options, str(path), user=user, check=check,
        )  # fmt: skip
        found = re.search(r"Your job(?:-array)? (\d+)", told.stdout)
        return found[1] if found else told.stdout + told.stderr

    def output(self, job: str, task: str = "0") -> str:
        """What the job wrote so far."""
        path = self.folder / "out" / f"{job}.{task}"
        return path.read_text(errors="replace") if path.exists() else ""

    def states(self) -> dict[str, str]:
        """The state letters of each job that is not over (of an array: of any of its lines)."""
        rows = [line.split() for line in self.run("qstat", "-u", "*").stdout.splitlines()[2:]]
        return {row[0]: row[4] for row in rows}

    def wait_gone(self, *jobs: str, seconds: float = 40.0) -> None:
        """Wait until the jobs are over."""
        until(lambda: not set(jobs) & set(self.states()), f"jobs {jobs} over", seconds)

    def wait_state(self, job: str, letters: str, seconds: float = 20.0) -> None:
        """Wait until a job is in a state."""
        until(lambda: self.states().get(job) == letters, f"job {job} in state {letters}", seconds)

    def queue_letters(self) -> str:
        """The state letters of the queue: empty when it is healthy."""
        lines = self.run("qstat", "-f").stdout.splitlines()
        row = next(line for line in lines if line.startswith("all.q@")).split()
        return row[5] if len(row) > 5 else ""

    # --- daemons ------------------------------------------------------------------------------

    def start_master(self) -> None:
        """Start sge_qmaster and wait until it answers."""
        self._start("sge_qmaster")
        until(lambda: self.run("qconf", "-sh", check=False).returncode == 0, "qmaster answers", 20)

    def start_host(self) -> None:
        """Start sge_execd and wait until the queue is usable."""
        self._start("sge_execd")
        until(lambda: not self.queue_letters(), "the queue is usable", 30)

    def kill(self, daemon: str) -> None:
        """Kill a daemon (``sge_qmaster``, ``sge_execd``) with -9."""
        process = self._daemons.pop(daemon)
        process.kill()
        process.wait()

    def revive(self) -> None:
        """Start the daemons that were killed."""
        for name, start in (("sge_qmaster", self.start_master), ("sge_execd", self.start_host)):
            if name not in self._daemons:
                start()

    def delete_all(self) -> None:
        """Delete every job, and wait until they are gone."""
        if self.states():
            self.run("qdel", "-u", "*", check=False)
            with contextlib.suppress(LabError):
                until(lambda: not self.states(), "the queue is empty", 15)
            self.run("qdel", "-f", "-u", "*", check=False)
            until(lambda: not self.states(), "the queue is empty", 20)

    def shepherds(self) -> list[int]:
        """The shepherds' process ids."""
        return [pid for pid in self._processes() if _name_of(pid).startswith("sge_shepherd")]

    def job_processes(self, job: str) -> list[int]:
        """The processes of a job."""
        mark = f"JOB_ID={job}"
        return [pid for pid in self._processes() if mark in environment_of(pid)]

    def pythons_of(self, hook: Path) -> list[int]:
        """The Pythons that a hook of a setup has started."""
        marks = {hook.name, str(hook.with_name("site.json")), "-S"}
        return [pid for pid, words in command_lines() if marks <= set(words)]

    def shells_of(self, hook: Path) -> list[int]:
        """The shells that Grid Engine started for a hook of a setup."""
        return [pid for pid, words in command_lines() if str(hook) in words]

    def stop(self, keep: bool = False) -> None:
        """Take all of it down; the folder goes, too."""
        for name in ("sge_execd", "sge_qmaster"):
            if name in self._daemons:
                self.kill(name)
        for _ in range(2):
            for pid in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, daemon: str) -> None:
        with (self.folder / f"{daemon}.out").open("ab") as log:
            self._daemons[daemon] = subprocess.Popen(
                [str(_DAEMONS / daemon)],
                env={**self.environment, "SGE_ND": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o022,
                cwd=self.folder,
            )

    def _processes(self) -> list[int]:
        """Whatever lives with this lab's SGE_ROOT in its environment, but for its commands."""
        mark = f"SGE_ROOT={self.root}"
        others = (pid for pid, _ in command_lines() if pid != os.getpid())
        return [pid for pid in others if mark in environment_of(pid)]

    # --- making it ----------------------------------------------------------------------------

    def _bring_up(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("jobs", "out", "spool/qmaster", "spool/execd", "sge/default/common"):
            (self.folder / name).mkdir(parents=True)
        for path in (self.folder, *(each for each in self.folder.rglob("*"))):
            path.chmod(0o755)
        for name in ("jobs", "out"):
            (self.folder / name).chmod(0o1777)
        ports = _free_ports()
        self.environment = {
            "PATH": f"{_PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "SGE_ROOT": str(self.root),
            "SGE_CELL": "default",
            "SGE_ARCH": "lx-amd64",
            "SGE_QMASTER_PORT": str(ports.master),
            "SGE_EXECD_PORT": str(ports.host),
            "SGE_SINGLE_LINE": "1",
        }
        self._lay_out()
        self._spool(ports)
        for path in self.root.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else 0o644)
        self.start_master()
        self._configure()
        self.start_host()

    def _lay_out(self) -> None:
        for kind in ("bin", "lib", "utilbin"):
            (self.root / kind).mkdir()
            (self.root / kind / "lx-amd64").symlink_to(_PROGRAMS)
        (self.root / "util").symlink_to(_SHARED / "util")
        bootstrap = _BOOTSTRAP.format(common=self.common, spool=self.spool)
        (self.common / "bootstrap").write_text(bootstrap)
        (self.common / "act_qmaster").write_text(f"{self.host}\n")
        (self.common / "cluster_name").write_text("qge\n")
        (self.common / "host_aliases").write_text(f"{self.host} localhost\n")

    def _spool(self, ports: _Ports) -> None:
        first = 100_000 + ports.master * _GROUP_IDS
        words = {"spool": str(self.spool), "gids": f"{first}-{first + _GROUP_IDS - 1}"}
        text = (_SHARED / "default-configuration").read_text()
        for key, value in _CONFIGURATION.items():
            text = re.sub(rf"(?m)^{key}\s.*$", f"{key} {value.format(**words)}", text)
        (self.folder / "configuration").write_text(text)
        where = f"{self.common};{self.spool}/qmaster"
        self.run("spoolinit", "classic", "libspoolc", where, "init")
        resources = _SHARED / "util" / "resources"
        self.run("spooldefaults", "configuration", str(self.folder / "configuration"))
        self.run("spooldefaults", "complexes", str(resources / "centry"))
        usersets = self.folder / "usersets"
        usersets.mkdir()
        for name, kind in (("deadlineusers", "ACL"), ("defaultdepartment", "DEPT")):
            text = f"name {name}\ntype {kind}\nfshare 0\noticket 0\nentries NONE\n"
            (usersets / name).write_text(text)
        self.run("spooldefaults", "usersets", str(usersets))
        self.run("spooldefaults", "managers", "root")

    def _configure(self) -> None:
        self.qconf("-as", self.host)
        self.qconf("-ah", self.host)
        self.with_file("-Ae", _HOST.format(host=self.host))
        self.with_file("-Ahgrp", f"group_name @allhosts\nhostlist {self.host}\n")
        self.with_file("-Aq", _QUEUE.format(slots=self._slots))
        text = self.qconf("-ssconf")
        for key, value in _SCHEDULER.items():
            text = re.sub(rf"(?m)^{key}\s.*$", f"{key} {value}", text)
        self.with_file("-Msconf", text)


_HOST = """\
hostname {host}
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
_QUEUE = """\
qname all.q
hostlist @allhosts
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH INTERACTIVE
ckpt_list NONE
pe_list NONE
rerun FALSE
slots {slots}
tmpdir /tmp
shell /bin/sh
prolog NONE
epilog NONE
shell_start_mode posix_compliant
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:60
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
s_rt INFINITY
h_rt INFINITY
s_cpu INFINITY
h_cpu INFINITY
s_fsize INFINITY
h_fsize INFINITY
s_data INFINITY
h_data INFINITY
s_stack INFINITY
h_stack INFINITY
s_core INFINITY
h_core INFINITY
s_rss INFINITY
h_rss INFINITY
s_vmem INFINITY
h_vmem INFINITY
"""


def _name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "comm").read_text().strip()
    return ""
