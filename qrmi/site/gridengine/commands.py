"""Grid Engine's commands: where they are, what they need, and what they print."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import attrs

from qrmi.errors import Owner
from qrmi.site.running import CommandRefusedError, Controller

__all__ = ["Commands"]

_FOLDERS = "/usr/lib/gridengine:/usr/bin:/bin:/usr/local/bin"
_QMASTER = Controller(
    name="qmaster",
    silent=(
        "unable to send message to qmaster",
        "unable to contact qmaster",
        "error: commlib error",
        "cannot reach qmaster",
    ),
    alive="`qconf -sh`",
    install="install Grid Engine's commands here, or name qconf and qstat in [gridengine]",
)


@attrs.frozen(kw_only=True)
class Commands:
    """Runs Grid Engine's commands.

    Attributes:
        root, cell: SGE_ROOT and SGE_CELL.
        qconf, qstat: by path, or by a name that is looked for below the root and in the usual
            folders; the other commands stand beside qconf.
        host: whose pools count the resources.
        environment: further variables, SGE_QMASTER_PORT for example.
        timeout_seconds: how long an answer is waited for.
    """

    root: str = ""
    cell: str = "default"
    qconf: str = "qconf"
    qstat: str = "qstat"
    host: str = "global"
    environment: Mapping[str, str] = attrs.field(factory=dict)
    timeout_seconds: float = 15.0

    def run(self, command: str, *arguments: str) -> str:
        """Run a command and return what it printed.

        Raises:
            CommandRefusedError: it answered with an error.
            ResourceUnavailableError: it did not answer in time, or qmaster is not there.
            ConfigError: there is no such command.
        """
        return _QMASTER.output(
            command,
            [self.path(command), *arguments],
            environment=self.variables(),
            seconds=self.timeout_seconds,
        )

    def xml(self, command: str, *arguments: str) -> ElementTree.Element:
        """Run a command that prints XML. Raises as `run`, and where it is none."""
        reply = self.run(command, *arguments)
        try:
            return ElementTree.fromstring(_mended(reply))
        except ElementTree.ParseError as error:
            raise CommandRefusedError(f"{command} did not print XML", owner=Owner.SITE) from error

    def path(self, command: str) -> str:
        """A command's absolute path. Raises `ConfigError`."""
        named = {"qconf": self.qconf, "qstat": self.qstat}.get(command, "")
        if not named:
            named = str(Path(self.path("qconf")).with_name(command))
        if named.startswith("/"):
            return named
        below = ":".join(str(path) for path in Path(self.root or "/nowhere").glob("bin/*"))
        found = shutil.which(named, path=f"{below}:{_FOLDERS}" if below else _FOLDERS)
        if not found:
            raise _QMASTER.missing(command, command)
        return found

    def variables(self) -> dict[str, str]:
        """The environment of the commands."""
        root = {"SGE_ROOT": self.root, "SGE_CELL": self.cell} if self.root else {}
        plain = {"PATH": _FOLDERS, "LC_ALL": "C", "SGE_SINGLE_LINE": "1"}
        return {**plain, **root, **self.environment}


def _mended(reply: str) -> str:
    """Grid Engine 8.1.9 writes ``%lt;`` for ``<``, and lets control characters through."""
    return "".join(c for c in reply if c >= " " or c in "\n\t")
