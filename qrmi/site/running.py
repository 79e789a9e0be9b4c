"""Schedulers' commands as a daemon runs them: by path, with a time-out, a clean environment."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

import attrs

from qrmi.errors import ConfigError, Owner, ResourceUnavailableError

__all__ = ["CommandRefusedError", "Controller"]

_LONGEST_TEXT = 300


class CommandRefusedError(ResourceUnavailableError):
    """A command answered that it did not do what it was asked to."""


@attrs.frozen(kw_only=True)
class Controller:
    """Who is behind a scheduler's commands, for errors that say what is wrong and what to do.

    Attributes:
        name: of the scheduler's daemon.
        silent: what commands write when it does not answer, in lower case.
        alive: how people find out whether it is up.
        install: what to do where there is no such command; ``{command}`` is its name.
    """

    name: str
    silent: tuple[str, ...]
    alive: str
    install: str

    def output(
        self, command: str, line: Sequence[str], *, environment: Mapping[str, str], seconds: float
    ) -> str:
        """Run a command and return what it printed.

        Args:
            command: what people call it.
            line: its absolute path, and its arguments.
            environment: all of its environment.
            seconds: how long it may take; then it is killed.

        Raises:
            CommandRefusedError: it answered with an error.
            ResourceUnavailableError: it did not answer in time, or the scheduler did not.
            ConfigError: there is no such command.
        """
        try:
            done = subprocess.run(
                line,
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"{command} did not answer within {seconds:g} s"
            raise ResourceUnavailableError(message, hint=self._hint()) from None
        except OSError as error:
            raise self.missing(command, line[0]) from error
        if done.returncode == 0:
            return done.stdout.decode(errors="replace")
        raise self._refusal(command, (done.stderr + done.stdout).decode(errors="replace"))

    def missing(self, command: str, program: str) -> ConfigError:
        """The error for a command that is not there, to be raised."""
        hint = self.install.format(command=command)
        return ConfigError(f"there is no command {program}", owner=Owner.SITE, hint=hint)

    def _refusal(self, command: str, text: str) -> ResourceUnavailableError:
        if any(word in text.lower() for word in self.silent):
            message = f"{self.name} does not answer {command}"
            return ResourceUnavailableError(message, hint=self._hint())
        line = " ".join(text.split())[:_LONGEST_TEXT]
        return CommandRefusedError(f"{command}: {line or 'it failed'}", owner=Owner.SITE, hint="")

    def _hint(self) -> str:
        return f"{self.alive} says whether {self.name} is up; the daemon goes on asking"
