"""What a setup is made for: the site's QPUs, its paths and its Grid Engine; read, not changed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs

import qrmi
from qrmi.config_file import Config
from qrmi.errors import ConfigError, Owner
from qrmi.schedulers.gridengine.request import ANY
from qrmi.site.gridengine.commands import Commands
from qrmi.site.gridengine.switch import complex_of
from qrmi.site.settings import SiteSettings

__all__ = ["Plan", "cluster_of", "commands_of", "keeps_usage", "library_folder", "slots_of"]

_RESERVED = {ANY: "the pool of all", "qpu_slots": "a word of jobs", "qpu_ready": "a word of jobs"}
_ROOTS = ("/var/lib/gridengine", "/opt/sge", "/opt/gridengine", "/opt/ocs", "/opt/gcs")


@attrs.frozen(kw_only=True)
class Plan:
    """A setup.

    Attributes:
        slots: how many slots each resource has, by its name.
        folder: where the hooks are to be, on every host.
        queues: whose jobs may have QPUs.
        interpreter: the Python that hooks run in.
        library: the folder that this library is imported from.
        commands: Grid Engine's.
        cluster: its name.
        host: this host's name, where Grid Engine may run a load sensor.
        socket: where `qrmid` listens; url: for hosts without that socket; munge_socket: munged's.
        keeps_usage: whether Grid Engine keeps what an epilog says that a job used.
    """

    slots: Mapping[str, int]
    folder: Path
    queues: tuple[str, ...]
    interpreter: Path
    library: Path
    commands: Commands
    cluster: str
    host: str
    socket: Path
    url: str = ""
    munge_socket: str = ""
    keeps_usage: bool = False

    @property
    def complexes(self) -> dict[str, str]:
        """The consumable of each resource, by the resource's name."""
        return {name: complex_of(name) for name in self.slots}

    @property
    def pool(self) -> int:
        """Slots of all QPUs."""
        return sum(self.slots.values())


def slots_of(configuration: Config) -> dict[str, int]:
    """The slots of a configuration's resources.

    Raises:
        ConfigError: there is no resource, or names that Grid Engine cannot tell apart.
    """
    where = configuration.path or "the configuration"
    slots = {each.name: each.slots for each in configuration.resource_map.values()}
    if not slots:
        raise ConfigError(
            f"{where} lists no resource", owner=Owner.SITE, hint="add one; docs/qrmid.md tells how"
        )
    taken: dict[str, str] = dict(_RESERVED)
    for name in slots:
        other = taken.setdefault(complex_of(name), name)
        if other != name:
            raise ConfigError(
                f"{where}: Grid Engine would count {name!r} as {complex_of(name)}, as {other}",
                owner=Owner.SITE,
                hint="rename it: only letters, digits and _ count",
            )
    return slots


def commands_of(settings: SiteSettings, root: Path | None, cell: str) -> Commands:
    """Grid Engine's commands.

    Args:
        settings: of the daemon; its section ``[gridengine]`` counts.
        root: SGE_ROOT where the section does not say it; ``None`` to look in the usual places.
        cell: SGE_CELL, likewise; empty for ``default``.

    Raises:
        ConfigError: there is no cell there.
    """
    said = settings.gridengine
    cell = cell or said.cell
    places = [str(root)] if root else [said.root] if said.root else list(_ROOTS)
    found = next((p for p in places if os.path.isdir(f"{p}/{cell}/common")), "")  # noqa: PTH112
    if not found:
        raise ConfigError(
            f"no Grid Engine cell {cell!r} in {' or '.join(places)}",
            owner=Owner.SITE,
            hint="name SGE_ROOT and SGE_CELL: --root and --cell, or in [gridengine]",
        )
    return Commands(
        root=found,
        cell=cell,
        qconf=said.qconf,
        qstat=said.qstat,
        host=said.host,
        environment=said.environment,
    )


def cluster_of(commands: Commands) -> str:
    """The cluster's name, else the cell's."""
    file = Path(commands.root) / commands.cell / "common" / "cluster_name"
    try:
        return file.read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError):
        return commands.cell


def library_folder() -> Path:
    """The folder that this library is imported from."""
    return Path(qrmi.__file__).resolve().parents[1]


def keeps_usage(version: str) -> bool:
    """Whether a Grid Engine keeps words of an epilog's: Open Cluster Scheduler from 9.2 on.

    Args:
        version: the first line of ``qconf -help``.
    """
    found = re.search(r"\b(?:OCS|GCS)\D*(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= (9, 2)
