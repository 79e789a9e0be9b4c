"""Where a secret may come from: a file, a command, the keyring.

Beside a variable or key ``KEY`` that takes a secret there are ``KEY_FILE``, ``KEY_COMMAND`` and
``KEY_KEYRING``.
"""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import stat
import subprocess
from collections.abc import Callable

import attrs

from qrmi import config
from qrmi.errors import ConfigError, MissingExtraError
from qrmi.secrecy import privacy, scrubbing
from qrmi.secrecy.scrubbing import Hidden
from qrmi.secrecy.secrets import Secret

__all__ = ["COMMAND_SECONDS", "FORMS", "Origin"]

_log = logging.getLogger(__name__)

COMMAND_SECONDS = 30.0
"""The longest that a command may take to give a secret."""

FORMS = ("_FILE", "_COMMAND", "_KEYRING")
"""What is put behind a key to say where its secret is."""

_LARGEST_BYTES = 65_536
_MOST_LINES_SAID = 20
_LONGEST_LINE_SAID = 300


@attrs.frozen(kw_only=True)
class Origin:
    """Where a secret is.

    Attributes:
        name: the variable or key that says so, with its form.
        form: one of `FORMS`.
        text: what it says: a path, a command line, or ``service/username``. A command line may
            itself hold what is not to be seen.

    Raises:
        ConfigError: the text makes no sense; nothing was opened or run.
    """

    name: str
    form: str
    text: str = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        _CHECKS[self.form](self)

    def read(self) -> str:
        """The secret, as it is there now.

        Raises:
            ConfigError: it cannot be had; the message says why, and never shows it.
            MissingExtraError: ``keyring`` is not installed.
        """
        secret = _READERS[self.form](self).strip()
        if not secret or not secret.isprintable():
            what = "nothing" if not secret else "more than one line, or what is no text"
            raise ConfigError(
                f"{self.name}: {self} gave {what}", hint="it must give the secret and nothing else"
            )
        return secret

    def __str__(self) -> str:
        """What people are told: of a command line the program alone."""
        if self.form == "_COMMAND":
            return f"the command {_command(self)[0]}"
        return f"the file {self.text}" if self.form == "_FILE" else f"keyring entry {self.text}"


# --- files ------------------------------------------------------------------------------------


def _check_path(origin: Origin) -> None:
    if not config.expanded(origin.text).is_absolute():
        raise ConfigError(
            f"{origin.name} must be an absolute path, or begin with ~, not {origin.text!r}"
        )


def _from_file(origin: Origin) -> str:
    path = config.expanded(origin.text)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe nobody may write to
        with open(descriptor, "rb") as stream:  # noqa: PTH123 (a descriptor)
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise ConfigError(f"{origin.name}: {path} is no regular file")
            privacy.must_be_private(path, about)
            content = stream.read(_LARGEST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{origin.name}: {path} cannot be read: {error.strerror}",
            hint="check the path, and that you may read the file",
        ) from error
    return content.decode("utf-8", "replace").removeprefix("\ufeff")


# --- commands ---------------------------------------------------------------------------------


def _command(origin: Origin) -> list[str]:
    try:
        return shlex.split(origin.text)
    except ValueError:
        return []


def _check_command(origin: Origin) -> None:
    if not _command(origin):
        raise ConfigError(f"{origin.name} is no command line: it is blank, or a quote is left open")


def _from_command(origin: Origin) -> str:
    """What the command writes to standard output; what it says on standard error is logged."""
    failure, given, said = _ran(_command(origin))
    _relay(origin, said, given)
    if failure:
        raise ConfigError(
            f"{origin.name}: {origin} {failure}",
            hint="run it by hand: it must print the secret, and end with exit code 0",
        )
    return given


def _ran(command: list[str]) -> tuple[str, Hidden, Hidden]:
    """What went wrong, if anything did; standard output, and standard error."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {COMMAND_SECONDS:g} s", Hidden(), Hidden()
    except OSError as error:
        return f"cannot be run: {error.strerror}", Hidden(), Hidden()
    except ValueError:
        return "cannot be run: no command has such a character", Hidden(), Hidden()
    return _how_it_ended(done.returncode), Hidden(done.stdout), Hidden(done.stderr)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with exit code {code}" if code else ""


def _relay(origin: Origin, said: str, given: str) -> None:
    """Log what a command said, without the secret should it have said that, too."""
    own = Secret(given.strip())  # lives until the lines are written
    for line in said.splitlines()[:_MOST_LINES_SAID]:
        if line.strip():
            _log.warning("%s: %s", origin.name, scrubbing.scrub(line.strip())[:_LONGEST_LINE_SAID])
    del own


# --- keyring ----------------------------------------------------------------------------------


def _check_entry(origin: Origin) -> None:
    service, _, user = origin.text.rpartition("/")
    if not service or not user:
        raise ConfigError(f"{origin.name} must be service/username, not {origin.text!r}")


def _from_keyring(origin: Origin) -> str:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError as error:
        raise MissingExtraError(
            f"{origin.name} needs the package keyring, which is not installed",
            hint="pip install 'openqrmi[keyring]'",
        ) from error
    service, _, user = origin.text.rpartition("/")
    failure = ""
    try:
        found: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        found, failure = None, type(error).__name__
    if found is None:
        reason = f"the keyring cannot be asked ({failure})" if failure else "there is no such entry"
        raise ConfigError(
            f"{origin.name}: {origin}: {reason}",
            hint=f"`keyring set {shlex.quote(service)} {shlex.quote(user)}` makes the entry",
        )
    return found


_CHECKS: dict[str, Callable[[Origin], None]] = {
    "_FILE": _check_path,
    "_COMMAND": _check_command,
    "_KEYRING": _check_entry,
}
_READERS: dict[str, Callable[[Origin], str]] = {
    "_FILE": _from_file,
    "_COMMAND": _from_command,
    "_KEYRING": _from_keyring,
}
