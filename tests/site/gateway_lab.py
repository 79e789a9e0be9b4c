"""A site in this process: real leases, real drivers, a real server, and jobs that hold QPUs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from site_lab import Doors, job

from qrmi.config_file import ResourceDef
from qrmi.resource import QuantumResource
from qrmi.site.gateway.dispatch import Gateway
from qrmi.site.lending.environment import Address, JobEnvironments
from qrmi.site.lending.leasing import Leasing
from qrmi.site.lending.store import Store
from qrmi.site.lending.vendors import SiteVendors
from qrmi.site.terms import Job, Want
from qrmi.tasks import ResourceType

__all__ = ["GatewayLab", "definition"]


def definition(entry: Mapping[str, Any]) -> ResourceDef:
    """An entry of a ``qrmi_config.json`` as it is read."""
    known = {k: entry[k] for k in ("slots", "export_secrets", "gateway") if k in entry}
    kind = ResourceType.from_name(entry["type"])
    return ResourceDef(entry["name"], kind, environment=dict(entry["environment"]), **known)


class GatewayLab:
    """A site that lends resources to jobs.

    Args:
        folder: for its state.
        entries: of its configuration.
        tcp: whether it has a door for other hosts.
        munge_socket: of the munged that vouches for them.
    """

    def __init__(
        self, folder: Path, *entries: Mapping[str, Any], tcp: bool = False, munge_socket: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.resources = {entry["name"]: definition(entry) for entry in entries}
        self.folder = folder
        self.seconds_ahead = 0.0
        self._tcp = tcp
        self._munge = munge_socket
        self._number = 0
        self.up()

    def up(self) -> None:
        """Begin, or begin again with what is on disk."""
        import time

        def now() -> float:
            return time.time() + self.seconds_ahead

        self.store = Store(self.folder)
        self.store.open()
        self.vendors = SiteVendors(lambda: self.resources)
        self.leasing = Leasing(self.store, self.vendors, now=now)
        self.leasing.recover()
        self.gateway = Gateway(self.leasing, self.vendors.definition, self.folder, now)
        self.gateway.open()
        self.doors = Doors(
            self.folder / "s",
            leases=self.leasing,
            gateway=self.gateway,
            tcp=self._tcp,
            munge_socket=self._munge,
        )
        self.environments = JobEnvironments(
            self.leasing,
            self.vendors.definition,
            self.gateway.tokens,
            Address(socket=str(self.doors.path)),
        )

    def down(self) -> None:
        """End; what is on disk stays."""
        self.doors.stop()
        self.gateway.close()
        self.leasing.close()
        self.vendors.close()
        self.store.close()

    def job(self, **fields: Any) -> Job:
        """A new job of this user, or of another."""
        self._number += 1
        return job(self._number, **{"uid": os.getuid(), **fields})

    def lend(self, *names: str, limit_seconds: float | None = None, **fields: Any) -> Job:
        """A new job that holds these."""
        new = self.job(**fields)
        want = Want(names=names, limit_seconds=limit_seconds)
        answer = self.leasing.acquire(new, want)
        assert answer.outcome == "granted", answer
        return new

    def environment(self, of: Job) -> dict[str, str]:
        """What a job finds in its environment."""
        told = self.environments.for_job(
            scheduler=of.scheduler, cluster=of.cluster, id=of.id, caller=of.uid
        )
        assert told["outcome"] == "granted", told
        found: dict[str, str] = told["environment"]
        return found

    @contextlib.contextmanager
    def inside(self, of: Job, **more: str) -> Iterator[None]:
        """Be in the job: its environment is this process's."""
        given = {**self.environment(of), **more}
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield
        finally:
            for name, text in before.items():
                if text is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = text

    def handle(self, name: str, *, of: Job | None = None, **more: str) -> QuantumResource:
        """A handle as a program in a job makes it."""
        with self.inside(of or self.lend(name), **more):
            return QuantumResource(name, self.resources[name].type_name)
