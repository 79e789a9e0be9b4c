"""A Slurm of one's own: munged, slurmctld and two slurmd on loopback, in a private folder.

Nothing outside of that folder is touched and nothing is left: `SlurmLab.stop` ends by process id
what `start` began, and what jobs left behind. Several labs run beside each other.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
from processes import command_lines, end, user_python

__all__ = ["SlurmLab", "User", "free_ports", "is_installed", "python_of", "until"]

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = ("slurmctld", "slurmd", "munged", "scontrol", "sbatch", "srun")
_LOGINS = ("games", "news", "uucp", "backup")  # Debian has them everywhere; their jobs need no home
_PORTS = range(20000, 32000)  # below those that the system gives away itself
_NODES = ("n1", "n2")
_CONF = """
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={me}
SlurmdUser={me}
AuthType=auth/munge
AuthInfo=socket={munge},cred_expire={retry_seconds}
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobcomp.txt
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MailProg=/bin/true
PlugStackConfig={folder}/etc/plugstack.conf
ReturnToService=2
KillWait=2
"""


def is_installed() -> bool:
    """Whether this machine has Slurm and MUNGE."""
    return all(shutil.which(name, path=_PATH) for name in _PROGRAMS)


def until(
    condition: Callable[[], Any],
    *,
    seconds: float = 40.0,
    every: float = 0.05,
    told: Callable[[], str] = lambda: "",
) -> Any:
    """Wait for a condition and return its (true) value; an AssertionError when it stays false.

    Args:
        condition: what has to become true.
        seconds: how long to wait.
        every: the pause between two looks.
        told: what the failure says.
    """
    ends = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < ends, f"not within {seconds:g} s: {told()}"
        time.sleep(every)


@attrs.frozen
class User:
    """Somebody who submits jobs."""

    name: str
    uid: int
    gid: int


class SlurmLab:
    """A cluster of two nodes of eight (pretended) processors each.

    Args:
        licenses: names of licenses and how many there are of each.
        gres: QPUs of the node ``n1`` by type and count; the empty type for untyped ones.
        hook: absolute path of the program for PrologSlurmctld, EpilogSlurmctld and TaskProlog;
            ``None`` for none.
        options: further lines of slurm.conf, or others instead of the usual ones.
        retry_seconds: how long a requeued job waits before it is tried again.

    Attributes:
        folder: everything is below it; users can enter it.
        conf: the slurm.conf; ``SLURM_CONF`` of each command.
        munge_socket: where the private munged listens.
        cluster: the cluster's name, which no other lab has.
        users: who may submit jobs: two users when run by root, else whoever runs this.
    """

    def __init__(
        self,
        *,
        licenses: Mapping[str, int] | None = None,
        gres: Mapping[str, int] | None = None,
        hook: Path | None = None,
        options: Mapping[str, str] | None = None,
        retry_seconds: int = 5,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sl", dir="/tmp"))
        self.folder.chmod(0o755)  # users reach their files, and munged's socket, through it
        self.cluster = f"lab{secrets.token_hex(4)}"
        self.conf = self.folder / "etc" / "slurm.conf"
        self.munge_socket = self.folder / "munge" / "s"
        self.me = pwd.getpwuid(os.getuid()).pw_name
        self.licenses = dict(licenses or {})
        self.gres = dict(gres or {})
        self.hook = hook
        self.options = {"SlurmdTimeout": "30", **(options or {})}
        self.retry_seconds = retry_seconds
        self.users = _users()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = free_ports(1 + len(_NODES))

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start all daemons; both nodes are idle when this returns."""
        for name in ("etc", "state", "spool", "run", "log", "munge", "jobs"):
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        (self.folder / "jobs").chmod(0o1777)
        self.write_configuration()
        self._start_munged()
        self.start_daemon("slurmctld")
        for node in _NODES:
            self.start_daemon(node)
        self.until_idle()
        return self

    def stop(self) -> None:
        """End jobs, daemons and orphans, and remove the folder."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            if self.is_up("slurmctld"):
                self.cancel_all()
                until(lambda: not self.queue(), seconds=3)
        for name in (*_NODES, "slurmctld", "munged"):
            self.end(name)
        self._sweep()
        self.remove()

    def remove(self) -> None:
        """Remove the folder, as far as it is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start_daemon(self, name: str) -> None:
        """Start ``slurmctld`` or the slurmd of a node."""
        if name == "slurmctld":
            command = [_program("slurmctld"), "-D", "-f", str(self.conf)]
        else:
            command = [_program("slurmd"), "-D", "-N", name, "-f", str(self.conf)]
        self._spawn(name, command)

    def kill(self, name: str) -> None:
        """``kill -9`` a daemon."""
        process = self.processes[name]
        process.kill()
        process.wait()

    def end(self, name: str) -> None:
        """Have a daemon end in order: it saves what it knows first."""
        process = self.processes.get(name)
        if process is not None:
            end(process, seconds=15)

    def restart_daemon(self, name: str) -> None:
        """Have a daemon read its configuration anew."""
        self.end(name)
        self.start_daemon(name)

    def is_up(self, name: str) -> bool:
        """Whether a daemon runs."""
        return name in self.processes and self.processes[name].poll() is None

    def pid(self, name: str) -> int:
        """A daemon's process id."""
        return self.processes[name].pid

    def until_idle(self, seconds: float = 30.0) -> None:
        """Wait for both nodes to be idle."""

        def idle() -> bool:
            shown = self.run("sinfo", "-h", "-N", "-o", "%N %t", check=False).stdout
            return sorted(shown.split("\n")) == sorted(["", *(f"{node} idle" for node in _NODES)])

        until(idle, seconds=seconds, told=self._nodes)

    def forgive(self, reason: str) -> bool:
        """Take nodes back that Slurm itself drained for a reason of its own; whether any was."""
        lines = [line for line in self._nodes().splitlines() if reason in line]
        for line in lines:
            resume = ["scontrol", "update", f"NodeName={line.split()[0]}", "State=RESUME"]
            self.run(*resume, check=False)
        return bool(lines)

    def _nodes(self) -> str:
        return self.run("sinfo", "-h", "-N", "-o", "%N %T %E", check=False).stdout

    # --- configuration --------------------------------------------------------------------------

    def write_configuration(self) -> None:
        """Write slurm.conf and its companions from this object's attributes."""
        text = _CONF.format(
            cluster=self.cluster,
            host=socket.gethostname().split(".")[0],
            port=self._ports[0],
            me=self.me,
            munge=self.munge_socket,
            folder=self.folder,
            retry_seconds=self.retry_seconds,
        )
        lines = [line for line in text.splitlines() if line.split("=")[0] not in self.options]
        lines += [f"{key}={value}" for key, value in self.options.items()]
        if self.licenses:
            lines.append("Licenses=" + ",".join(f"{k}:{v}" for k, v in self.licenses.items()))
        if self.hook is not None:
            for key in ("PrologSlurmctld", "EpilogSlurmctld", "TaskProlog"):
                lines += [f"{key}={self.hook}"] if key not in self.options else []
        self._write("slurm.conf", [*lines, *self._node_lines()])
        self._write(
            "gres.conf", [line for kind, n in self.gres.items() for line in self._files(kind, n)]
        )
        self._write("plugstack.conf", [])

    def _files(self, kind: str, count: int) -> Iterator[str]:
        """A file for each slot: only so does Slurm bind QPUs of several types to one request."""
        for number in range(count):
            file = self.folder / "etc" / f"qpu-{kind}-{number}"
            file.touch()
            type_ = f" Type={kind}" if kind else ""
            yield f"NodeName=n1 Name=qpu{type_} File={file}"

    def _node_lines(self) -> list[str]:
        host = socket.gethostname().split(".")[0]
        pools = ",".join(f"qpu:{t}:{n}" if t else f"qpu:{n}" for t, n in self.gres.items())
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8"
            " RealMemory=1000" + (f" Gres={pools}" if pools and node == "n1" else "")
            for node, port in zip(_NODES, self._ports[1:], strict=True)
        ]
        partition = (
            "PartitionName=q Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP"
            " OverSubscribe=NO"
        )
        return [*(["GresTypes=qpu"] if pools else []), *nodes, partition]

    def _write(self, name: str, lines: Iterable[str]) -> None:
        path = self.folder / "etc" / name
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(0o644)

    # --- commands -------------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a user's command, and so, mostly, of the job."""
        kept = {"PATH": _PATH, "HOME": str(self.folder / "jobs"), "LANG": "C.UTF-8"}
        return {**kept, "SLURM_CONF": str(self.conf), **more}

    def run(
        self,
        *command: str,
        user: User | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 60.0,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a client's command, as a user."""
        done = subprocess.run(
            command,
            env=self.environment(**(env or {})),
            cwd=self.folder / "jobs",
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **_as_user(user),
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        return done

    def popen(
        self, *command: str, user: User | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a client's command, as a user."""
        return subprocess.Popen(
            command,
            env=self.environment(**(env or {})),
            cwd=self.folder / "jobs",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **_as_user(user),
        )

    def submit(
        self,
        script: str,
        *options: str,
        user: User | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Submit a batch job, the body of a shell script, and return its id."""
        text = script if script.startswith("#!") else f"#!/bin/sh\n{script}\n"
        command = ["sbatch", "--parsable", "--output=%j.out", *options]
        return self.run(*command, user=user, env=env, stdin=text).stdout.strip()

    def output(self, job: str) -> str:
        """What a batch job wrote."""
        path = self.folder / "jobs" / f"{job}.out"
        return path.read_text() if path.exists() else ""

    def state(self, job: str) -> str:
        """A job's state, such as PENDING; empty once the controller has forgotten it."""
        return self.fields(job).get("JobState", "")

    def fields(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says, by name; good enough for values without blanks."""
        shown = self.run("scontrol", "-o", "-d", "show", "job", job, check=False).stdout
        lines = [line for line in shown.splitlines() if line.startswith(f"JobId={job} ")]
        return dict(re.findall(r"(\S+?)=(\S*)", lines[0])) if lines else {}

    def until_state(self, job: str, *states: str, seconds: float = 40.0) -> str:
        """Wait for a job to be in one of some states."""

        def reached() -> str:
            state = self.state(job)
            return state if state in states else ""

        def told() -> str:
            return f"job {job} is {self.state(job)}, not {states}: {self.output(job)}"

        return str(until(reached, seconds=seconds, every=0.1, told=told))

    def until_over(self, job: str, seconds: float = 40.0) -> str:
        """Wait for the end of a job and return its last state."""
        ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        return self.until_state(job, *ends, seconds=seconds)

    def queue(self) -> list[str]:
        """Jobs that are pending, running or completing."""
        return self.run("squeue", "-h", "-o", "%i %T", check=False).stdout.splitlines()

    def cancel_all(self) -> None:
        """Cancel every job, whoever's it is."""
        for line in self.queue():
            self.run("scancel", line.split()[0], check=False)

    def log(self, name: str = "slurmctld") -> str:
        """A daemon's log so far."""
        path = self.folder / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- processes ------------------------------------------------------------------------------

    def step_daemons(self) -> dict[int, str]:
        """Process ids of the lab's slurmstepd and the steps that they run (``17.batch``)."""
        found = {}
        for pid, title in _titles():
            if "slurmstepd: [" in title and self._is_ours(pid):
                found[pid] = title.split("[")[1].split("]")[0]
        return found

    def job_processes(self) -> list[int]:
        """Process ids of what jobs run, and of what they left; not those of the controller."""
        return [pid for pid, title in _titles() if "slurmscriptd" not in title and self._mine(pid)]

    def _mine(self, pid: int) -> bool:
        return pid != os.getpid() and self._is_ours(pid)

    def _is_ours(self, pid: int) -> bool:
        try:
            around = Path(f"/proc/{pid}/environ").read_bytes()
            below = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            return False
        mark = f"={self.conf}\0".encode()
        daemons = {process.pid for process in self.processes.values()}
        return pid not in daemons and (mark in around or int(below) in daemons)

    def _sweep(self) -> None:
        for pid in [pid for pid, _ in _titles() if self._mine(pid)]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                ["/usr/bin/prlimit", "--core=0", *command],  # a full disk makes slurmstepd dump
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _start_munged(self) -> None:
        root = self.munge_socket.parent
        key = root / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        places = {"key-file": key, "socket": self.munge_socket, "log-file": root / "log"}
        places |= {"pid-file": root / "pid", "seed-file": root / "seed"}
        options = [f"--{option}={path}" for option, path in places.items()]
        self._spawn("munged", [_program("munged"), "--foreground", "--num-threads=2", *options])
        until(self.munge_socket.exists, seconds=10, told=lambda: "munged does not start")


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found is not None, f"{name} is not installed"
    return found


def _titles() -> Iterable[tuple[int, str]]:
    return ((pid, "\0".join(words)) for pid, words in command_lines())


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found += [port] if port not in found else []
    return found


def _users() -> list[User]:
    """Two ordinary users, by root; they exist already, for nothing in /etc is changed."""
    me = pwd.getpwuid(os.getuid())
    if os.getuid() == 0:
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        others = [names[login] for login in _LOGINS if login in names][:2]
        if len(others) == 2:
            return [User(each.pw_name, each.pw_uid, each.pw_gid) for each in others]
    return [User(me.pw_name, me.pw_uid, me.pw_gid)] * 2


def _as_user(user: User | None) -> dict[str, Any]:
    if user is None or user.uid == os.getuid():
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def python_of(user: User) -> list[str]:
    """A command that runs Python with this library as that user."""
    return user_python(user.name, **_as_user(user))
