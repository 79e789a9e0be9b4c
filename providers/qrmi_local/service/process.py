"""The warm process that runs tasks, as the supervisor holds it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import attrs

from qrmi import config

__all__ = ["Executor", "Runner", "how_it_ended"]

_LEAVE_SECONDS = 5.0
_THREAD_VARIABLES = (
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


@attrs.frozen(kw_only=True)
class Runner:
    """What runs a task.

    Attributes:
        function: ``module:function``, called in the executor.
        python: the interpreter, of the environment that started the task.
        path: its ``PYTHONPATH``.
        edition: of this code in that environment: after an update a new process runs its tasks.
    """

    function: str
    python: str
    path: str
    edition: str = ""


class Executor:
    """A process of the module `worker`: JSON lines on its pipes, all else it writes in a spool.

    Attributes:
        runner: what it runs tasks with.
    """

    def __init__(
        self, runner: Runner, process: asyncio.subprocess.Process, spool: IO[bytes]
    ) -> None:
        self.runner = runner
        self._process = process
        self._spool = spool
        self._killed = False

    @classmethod
    async def start(cls, runner: Runner, root: Path) -> Executor:
        """Start one for the store at ``root``; it is warm once it has answered."""
        spool = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by `end`)
        process = await asyncio.create_subprocess_exec(
            *(runner.python, "-P", "-m", "qrmi_local.service.worker", runner.function, str(root)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=spool,
            cwd="/",
            env=config.child_environment(PYTHONPATH=runner.path, **_thread_limits()),
        )
        return cls(runner, process, spool)

    @property
    def alive(self) -> bool:
        """Whether it can take a task, as far as is known."""
        return self._process.returncode is None and not self._killed

    async def run(self, task_id: str, end: str) -> dict[str, Any] | None:
        """Run a task and return the executor's answer; ``None`` when it died.

        Args:
            task_id: the task.
            end: the state that it will have when it is completed, as JSON.
        """
        reader, writer = self._process.stdout, self._process.stdin
        if reader is None or writer is None:
            return None
        try:
            writer.write(json.dumps({"task": task_id, "end": end}).encode() + b"\n")
            line = await reader.readline()
            answer: dict[str, Any] | None = json.loads(line) if line else None
        except (OSError, ValueError):
            return None
        return answer

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if not self._killed:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self) -> tuple[int, bytes]:
        """Wait until it is gone; its exit code and what it left in the spool.

        One that closed its pipes is about to leave. It is not killed at once: `Popen.kill` would
        take its exit code away from asyncio.
        """
        try:
            code = await asyncio.wait_for(self._process.wait(), _LEAVE_SECONDS)
        except TimeoutError:
            self.kill()
            code = await self._process.wait()
        with self._spool:
            self._spool.seek(0)
            return code, self._spool.read()


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"left with exit code {code}"
    if code == -signal.SIGKILL:
        return "was killed, perhaps for want of memory"
    return f"was ended by signal {-code} ({signal.strsignal(-code) or 'unknown'})"


def _thread_limits() -> dict[str, str]:
    """Hold the simulators' threads to the CPUs granted to this process."""
    if sys.platform == "linux":
        granted = len(os.sched_getaffinity(0))
    else:
        granted = os.cpu_count() or 1
    wanted = config.environment()
    return {name: str(_at_most(wanted.get(name, ""), granted)) for name in _THREAD_VARIABLES}


def _at_most(text: str, granted: int) -> int:
    return min(int(text), granted) if text.isdecimal() and int(text) else granted
