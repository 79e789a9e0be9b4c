"""QPUs as Slurm licenses: one license a QPU, and a pool of all for jobs that take any.

``qpu_NAME:N`` are N slots of the QPU NAME. ``qpu:N`` is the pool: its count is that of all slots of
all QPUs, and whoever takes a slot takes one of the pool, too. What a job takes of the pool beyond
its named slots is therefore what it leaves to the site: any free QPU. Once such a job has its QPU,
`bound` says which licenses it really holds, and Slurm is told, so that it goes on counting right.
"""

from __future__ import annotations

__all__ = ["POOL", "PREFIX", "bound", "can_be_license", "license_of", "parse", "text", "wanted"]

PREFIX = "qpu_"
POOL = "qpu"

_NONE = ("", "(null)", "N/A")


def can_be_license(name: str) -> bool:
    """Whether Slurm takes a resource's name as part of a license's and as a type of GRES."""
    is_plain = name.isascii() and all(c.isalnum() or c in "_.-" for c in name)
    return is_plain and name[:1].isalpha()


def license_of(name: str) -> str:
    """The license of a resource."""
    return PREFIX + name


def parse(licenses: str) -> dict[str, int]:
    """What ``Licenses=`` of a job or of slurm.conf says: counts by license, in its order."""
    found: dict[str, int] = {}
    for item in ("" if licenses.strip() in _NONE else licenses).replace(";", ",").split(","):
        name, _, count = item.strip().partition(":")
        if name:
            found[name] = found.get(name, 0) + (int(count) if count.isdecimal() else 1)
    return found


def text(licenses: dict[str, int]) -> str:
    """The reverse of `parse`."""
    return ",".join(f"{name}:{count}" for name, count in licenses.items())


def wanted(licenses: str) -> tuple[dict[str, int], int]:
    """Slots by QPU, and how many QPUs more, whichever are free, from a job's licenses."""
    found = parse(licenses)
    named = {n[len(PREFIX) :]: c for n, c in found.items() if n.startswith(PREFIX)}
    return named, max(found.get(POOL, 0) - sum(named.values()), 0)


def bound(licenses: str, slots: dict[str, int]) -> str:
    """A job's licenses once it holds ``slots`` by QPU: what it had of other licenses stays."""
    others = {
        name: count
        for name, count in parse(licenses).items()
        if name != POOL and not name.startswith(PREFIX)
    }
    named = {license_of(name): count for name, count in slots.items()}
    pool = {POOL: sum(slots.values())} if POOL in parse(licenses) else {}
    return text({**others, **named, **pool})
