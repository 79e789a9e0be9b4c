"""``task_runner NAME INPUT [OUTPUT]``: one payload file on one of the job's resources.

What scripts written for the upstream command rely on is kept: the arguments, the line with
``Task ID: <id>`` on stdout, the result on stdout or in OUTPUT, SIGTERM and SIGCONT as the ways to
stop, and a task that is always stopped or cleaned up at the end. Unlike upstream's, the exit code
says how the task ended, and all other log lines go to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from qrmi import config, payload_files, registry
from qrmi.cli import console, exits, guard, output
from qrmi.errors import (
    EnvVarNotSetError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
)
from qrmi.payloads import Payload
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi.waiting import SystemClock

__all__ = ["App", "NotAvailableError", "run"]

logger = logging.getLogger(__name__)
_id_logger = logging.getLogger(f"{__name__}.id")

_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_SRUN_QUIET = 2
_SRUN_VERBOSE = 4
_EPILOG = """\
INPUT is JSON, told apart by its keys:
  program_id, parameters          IBM services and `local`
  sequence, job_runs              Pasqal and `local`
  human_qir, input_params         Alice & Bob
  iqmjson, job_type               IQM (use_timeslot, tag)
  job_type, program               OQTOPUS (or all of it as job_spec)
A text may also be given as the JSON object that it is the text of.

NAME is one of the resources that the scheduler gave this job; outside a job, any resource that
`qrmi resources` lists. A line with `Task ID: <id>` goes to stdout before the result, as with the
upstream command (use OUTPUT for the result alone); other log lines go to stderr, more of them
with SRUN_DEBUG=4, fewer with SRUN_DEBUG=2. A .env file is read where python-dotenv is installed.
SIGTERM and SIGCONT stop the task.

exit codes:
  0    the task has completed and its result is written
  1    an error: settings, network, service
  2    wrong arguments or a wrong INPUT; nothing was sent
  3    the task failed
  4    the task was stopped, by a signal or by others
  6    no such resource
  130  interrupted with Ctrl-C; the task was stopped
"""


class NotAvailableError(ResourceNotFoundError, ValueError):
    """The scheduler did not give this job such a resource (a ``ValueError`` for upstream)."""


class _Signalled(BaseException):
    """A signal came while waiting."""


class App:
    """One run of a payload file.

    Args:
        name: the resource.
        input_filename: the payload, JSON.
        output_filename: where the result goes; ``None`` for stdout.
    """

    POLLING_INTERVAL_SECONDS = 1
    """Pause before asking again after the service could not be reached."""

    def __init__(self, name: str, input_filename: str, output_filename: str | None = None) -> None:
        self._name = name
        self._input = Path(input_filename)
        self._output = Path(output_filename) if output_filename else None
        self._is_running = True
        self._waiting = False
        self._task_id: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether the task has not ended and no signal has come."""
        return self._is_running

    @property
    def task_id(self) -> str | None:
        """The task's id; ``None`` before it is started."""
        return self._task_id

    def run(self) -> int:
        """Run the payload, write its result, and return the exit code.

        The task is stopped, or cleaned up after, on every way out.

        Raises:
            NotAvailableError: the job does not hold a resource of that name.
            InvalidInputError: INPUT is wrong or OUTPUT could not be written; nothing was sent.
            TaskFailedError: the task failed, with the resource's reason.
            QrmiError: the service could not be reached, and the like.
        """
        output.check_writable(self._output)
        payload = _read(self._input)
        resource = _resource(self._name)
        with self._signals(), resource:
            try:
                self._task_id = resource.task_start(
                    payload, context={"sdk": "cli", "kind": "run", "file": self._input.name[:200]}
                )
                _id_logger.info("Task ID: %s", self._task_id)
                return self._finish(resource, self._task_id, self._wait(resource, self._task_id))
            finally:
                self._is_running = False
                if self._task_id is not None:
                    resource.task_stop(self._task_id)

    def _wait(self, resource: QuantumResource, task_id: str) -> TaskStatus:
        """The status in which the task ended; `TaskStatus.CANCELLED` when a signal came."""
        clock = SystemClock()
        try:
            self._waiting = True
            while self._is_running:
                try:
                    return resource.task_wait(task_id)
                except QrmiError as error:
                    if not (error.retryable or error.owner is Owner.NETWORK):
                        raise
                    logger.error("Failed to get task status. reason = %s. Retrying.", error)
                clock.sleep(self.POLLING_INTERVAL_SECONDS)
        except _Signalled:
            pass
        finally:
            self._waiting = False
        return TaskStatus.CANCELLED

    def _finish(self, resource: QuantumResource, task_id: str, status: TaskStatus) -> int:
        if not self._is_running:
            logger.error("task %s is stopped: a signal came", task_id)
        elif status is not TaskStatus.COMPLETED:
            resource.task_result(task_id)  # raises with the resource's reason
        else:
            text = resource.task_result(task_id).value
            if self._output is None:
                print(text)
            else:
                output.write(self._output, text, task_id)
        return exits.of_status(status)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGCONT end the wait; the handlers that were there come back afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGCONT)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_running = False
        if self._waiting:  # elsewhere the flag is looked at: a request under way is not torn
            self._waiting = False
            raise _Signalled


def _read(path: Path) -> Payload:
    try:
        return payload_files.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8 text") from error


def _resource(name: str) -> QuantumResource:
    granted = config.job_resources()
    for definition in granted:
        if definition.name == name:
            return QuantumResource(name, definition.resource_type)
    if not granted:
        try:
            config.get_job_qpu_resources_and_types()
        except EnvVarNotSetError:  # not a job that was given QPUs
            return registry.open(name)
    listed = ", ".join(definition.name for definition in granted) or "none"
    raise NotAvailableError(f"{name} is not available", hint=f"this job was given: {listed}")


def run() -> None:
    """Entry point of the command; ends the process with its exit code."""
    _load_dotenv()
    _log_as_upstream()
    console.prepare_streams()
    args = _parsed()
    app = App(args.name, args.input, args.output)
    sys.exit(guard.guarded(app.run, as_json=False, interrupted="interrupted"))


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="task_runner",
        description="Run a payload file on a resource and write its result.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the resource")
    parser.add_argument("input", metavar="INPUT", help="the payload, JSON")
    parser.add_argument(
        "positional_output", metavar="OUTPUT", nargs="?", help="result file (default: stdout)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the same as OUTPUT")
    args = parser.parse_args()
    if args.output and args.positional_output:
        parser.error("give OUTPUT or --output, not both")
    args.output = args.output or args.positional_output
    return args


def _load_dotenv() -> None:
    try:
        import dotenv
    except ImportError:
        return
    dotenv.load_dotenv(dotenv.find_dotenv(usecwd=True))


def _log_as_upstream() -> None:
    """Upstream's log format and levels; the task's id on stdout, all else on stderr."""
    logging.raiseExceptions = False  # a log line that cannot be written is no traceback
    level = _log_level(config.environment().get("SRUN_DEBUG", ""))
    logging.basicConfig(stream=sys.stderr, level=level, format=_LOG_FORMAT)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    _id_logger.handlers = [handler]
    _id_logger.propagate = False


def _log_level(srun_debug: str) -> int:
    """The level for srun's verbosity: 2 is quiet, 4 and more verbose, anything else normal."""
    try:
        verbosity = int(srun_debug)
    except ValueError:
        return logging.INFO
    if verbosity == _SRUN_QUIET:
        return logging.ERROR
    return logging.DEBUG if verbosity >= _SRUN_VERBOSE else logging.INFO


if __name__ == "__main__":
    run()
