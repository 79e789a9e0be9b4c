"""What a scheduler's command says, for checks."""

from __future__ import annotations

from qrmi.schedulers.calling import Site, SiteProblem

__all__ = ["told"]


def told(site: Site, *command: str) -> str | None:
    """What the command printed; ``None`` where it failed, or is not there."""
    try:
        done = site.run(*command)
    except SiteProblem:
        return None
    return None if done.returncode else str(done.stdout)
