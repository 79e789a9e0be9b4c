"""What a setup is made for: the site's QPUs, its paths and its Slurm; read, nothing is changed."""

from __future__ import annotations

from pathlib import Path

import attrs

from qrmi.config_file import Config
from qrmi.errors import ConfigError, Owner
from qrmi.schedulers.slurm.licenses import can_be_license
from qrmi.schedulers.slurm.setup.slurm_conf import SlurmConf

__all__ = ["NAMES_FILE", "Plan", "Qpu", "qpus_of"]

NAMES_FILE = "free"
"""What `qrmid` writes into the folder of its socket: each QPU and how it stands."""


@attrs.frozen(kw_only=True)
class Qpu:
    """A resource as Slurm counts it.

    Attributes:
        name: of the resource.
        slots: how many jobs' slots it has.
    """

    name: str
    slots: int = 1


@attrs.frozen(kw_only=True)
class Plan:
    """A setup.

    Attributes:
        qpus: what is lent.
        folder: where Slurm finds the files: beside slurm.conf.
        conf: the slurm.conf there.
        present: what slurm.conf says now; empty when there is none yet.
        interpreter: the Python that hooks run in; every user can, on every node.
        scontrol: Slurm's command, by absolute path.
        socket: where `qrmid` listens on its own host.
        url: where it listens for other hosts; empty for none.
        munge_socket: where munged listens; empty for its usual place.
        version: of Slurm's commands here, year and month; ``None`` when they do not say.
        nodes: the nodes that offer ``--gres=qpu``, as slurm.conf spells them; empty for none.
    """

    qpus: tuple[Qpu, ...]
    folder: Path
    conf: Path
    present: SlurmConf
    interpreter: Path
    socket: Path
    url: str = ""
    munge_socket: str = ""
    scontrol: Path = Path("/usr/bin/scontrol")
    version: tuple[int, int] | None = None
    nodes: str = ""

    @property
    def hook(self) -> Path:
        """The program that Slurm starts."""
        return self.folder / "qrmi-hook"

    @property
    def names(self) -> Path:
        """The names as they are written with the setup; what there is when `qrmid` is down."""
        return self.folder / "qrmi_qpus"

    @property
    def live(self) -> Path:
        """The names with how they stand, as `qrmid` keeps them."""
        return self.socket.parent / NAMES_FILE

    @property
    def pool(self) -> int:
        """Slots of all QPUs."""
        return sum(qpu.slots for qpu in self.qpus)


def qpus_of(configuration: Config) -> tuple[Qpu, ...]:
    """A configuration's resources.

    Raises:
        ConfigError: there is none, or a name that Slurm cannot count.
    """
    qpus = tuple(
        Qpu(name=each.name, slots=getattr(each, "slots", 1))
        for each in configuration.resource_map.values()
    )
    where = configuration.path or "the configuration"
    if not qpus:
        raise ConfigError(
            f"{where} lists no resource", owner=Owner.SITE, hint="add one; docs/qrmid.md tells how"
        )
    for qpu in qpus:
        if not can_be_license(qpu.name):
            raise ConfigError(
                f"{where}: Slurm cannot count a resource called {qpu.name!r}",
                owner=Owner.SITE,
                hint="a name begins with a letter and has letters, digits, _, . and - only",
            )
    return qpus
