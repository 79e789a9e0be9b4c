"""What a hook knows of its site, and how it calls the daemon and the scheduler's commands.

All of it is written into the hook by its setup; nothing comes from the environment, which is the
job's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from qrmi.schedulers.speaking import Away, Daemon, Lost, Refusal

__all__ = ["Site", "SiteProblem"]

_COMMAND_SECONDS = 20.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SiteProblem(Exception):  # noqa: N818 (hooks say it in one line and go on)
    """Why something cannot be done; for the user and the site."""


class Site:
    """The site, as a hook is told of it.

    Args:
        settings: ``cluster``, ``socket``, ``url``, ``munge_socket``, and ``environment``: what the
            scheduler's commands need, PATH among them.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.cluster = str(settings.get("cluster") or "cluster")
        path = str(settings.get("socket") or "")
        self._daemon = Daemon(
            socket=path if os.path.exists(path) or not settings.get("url") else "",  # noqa: PTH110
            url=str(settings.get("url") or ""),
            munge_socket=str(settings.get("munge_socket") or ""),
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the daemon.

        Raises:
            SiteProblem: it is away, or it refused.
        """
        wait = body.get("wait_seconds", 0) if isinstance(body, dict) else 0
        try:
            return self._daemon.ask(method, path, body, seconds=60.0 + wait)
        except (Away, Lost) as error:
            raise SiteProblem(f"{error}; ask the site") from error
        except Refusal as error:
            raise SiteProblem(" ".join(str(error).split())) from error

    def forget(self, run: dict[str, Any]) -> None:
        """Refuse what may still be in flight for a run; where it fails, the reaper ends it."""
        if not run:
            return
        try:
            self.ask("POST", "/v1/leases/end", {"job": run, "why": "the job does not begin"})
        except SiteProblem:
            return

    def resources(self) -> list[str]:
        """The names of all resources. Raises `SiteProblem`."""
        return [str(row["name"]) for row in self.ask("GET", "/v1/resources")]

    def run(self, *command: str) -> Any:
        """Run one of the scheduler's commands in the site's environment, not in the job's.

        Returns:
            its `subprocess.CompletedProcess`.

        Raises:
            SiteProblem: it is not installed, or it takes too long.
        """
        import subprocess  # with all that it loads it is half of a hook's time

        environment = {"PATH": _PATH, "LC_ALL": "C.UTF-8", **self.settings.get("environment", {})}
        try:
            return subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SiteProblem(f"`{command[0]}` cannot be run: {type(error).__name__}") from error
