"""The files that make a Slurm lend QPUs, and what is to be done with them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

import attrs

from qrmi.schedulers.hook import hook_text
from qrmi.schedulers.slurm.licenses import POOL, license_of, parse, text
from qrmi.schedulers.slurm.setup.plan import Plan
from qrmi.schedulers.slurm.setup.slurm_conf import OURS

__all__ = ["MARK", "Fragment", "fragments", "gres_of", "licenses_of", "steps", "wanted_values"]

MARK = "Written by `qrmi slurm setup`"
"""Stands in every file of ours, and so in none of the site's."""

_HOOKS = ("PrologSlurmctld", "EpilogSlurmctld", "TaskProlog")
_GRES_FILE = "qrmi_gres.conf"
_NEEDS_CGROUPS = (23, 2)
"""Of Slurm: since then its daemons want cgroups, unless they are told otherwise."""


@attrs.frozen(kw_only=True)
class Fragment:
    """One file.

    Attributes:
        name: in the folder of slurm.conf.
        content: its text.
        executable: whether it is a program.
        keep: whether one of the site's own is left as it is: ours is then to be called from it.
    """

    name: str
    content: str
    executable: bool = False
    keep: bool = False


def licenses_of(plan: Plan) -> dict[str, int]:
    """The licenses of the site's QPUs, with the pool."""
    return {**{license_of(qpu.name): qpu.slots for qpu in plan.qpus}, POOL: plan.pool}


def gres_of(plan: Plan) -> str:
    """What a node's ``Gres=`` lists, so that its jobs may say ``--gres=qpu``."""
    return ",".join(f"qpu:{qpu.name}:{qpu.slots}" for qpu in plan.qpus)


def wanted_values(plan: Plan) -> dict[str, str]:
    """The values of qrmi.conf: ours, joined with what slurm.conf says already."""
    present = plan.present
    others = {
        name: count
        for name, count in parse(present.get("Licenses")).items()
        if name != POOL and not name.startswith(license_of(""))
    }
    values = {"Licenses": text({**others, **licenses_of(plan)})}
    values["JobSubmitPlugins"] = _with(present.items("JobSubmitPlugins"), "lua")
    values |= {key: str(plan.hook) for key in _HOOKS if not _taken(plan, key)}
    values["GresTypes"] = _with(present.items("GresTypes"), "qpu")
    if "slurmdbd" in present.get("AccountingStorageType"):
        tracked = [f"license/{name}" for name in licenses_of(plan)]
        tracked += ["gres/qpu", *(f"gres/qpu:{q.name}" for q in plan.qpus)] if plan.nodes else []
        values["AccountingStorageTRES"] = _with(present.items("AccountingStorageTRES"), *tracked)
    return values


def _with(items: list[str], *more: str) -> str:
    return ",".join([*items, *(item for item in more if item not in items)])


def _taken(plan: Plan, key: str) -> bool:
    """Whether the site has a program of its own there."""
    return plan.present.get(key) not in ("", str(plan.hook))


def fragments(plan: Plan) -> list[Fragment]:
    """Every file of a setup."""
    filled = {
        "@MARK@": MARK,
        "@FOLDER@": str(plan.folder),
        "@NAMES@": str(plan.names),
        "@LIVE@": str(plan.live),
        "@STRIP@": "false" if plan.nodes else "true",
    }
    found = [
        Fragment(name=OURS, content=_conf(plan)),
        Fragment(name="qrmi-hook", content=_hook(plan), executable=True),
        Fragment(name=plan.names.name, content=_names(plan)),
        Fragment(name="qrmi_submit.lua", content=_template("qrmi_submit.lua", filled)),
        Fragment(name="job_submit.lua", content=_template("job_submit.lua", filled), keep=True),
        Fragment(name="qrmi_spank.c", content=_template("qrmi_spank.c", filled)),
    ]
    if plan.nodes:
        found.append(Fragment(name=_GRES_FILE, content=_gres_conf(plan)))
    return found


def _template(name: str, filled: dict[str, str]) -> str:
    content = resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    for key, value in filled.items():
        content = content.replace(key, value)
    return content


def _conf(plan: Plan) -> str:
    lines = [f"# {MARK}: lends QPUs through qrmid. Included by slurm.conf."]
    lines += [f"{key}={value}" for key, value in wanted_values(plan).items()]
    return "\n".join(lines) + "\n"


def _gres_conf(plan: Plan) -> str:
    lines = [f"# {MARK}. Included by gres.conf."]
    lines += [
        f"NodeName={plan.nodes} Name=qpu Type={qpu.name} Count={qpu.slots} Flags=CountOnly"
        for qpu in plan.qpus
    ]
    return "\n".join(lines) + "\n"


def _names(plan: Plan) -> str:
    lines = [f"# {MARK}: the QPUs that jobs may ask for: name state slots used"]
    lines += [f"{qpu.name} unknown {qpu.slots} 0" for qpu in plan.qpus]
    return "\n".join(lines) + "\n"


def _hook(plan: Plan) -> str:
    settings = {
        "socket": str(plan.socket),
        "url": plan.url,
        "munge_socket": plan.munge_socket,
        "scontrol": str(plan.scontrol),
        "conf": str(plan.conf),
    }
    program = hook_text("qrmi.schedulers.slurm.hook", settings, python=str(plan.interpreter))
    first, rest = program.split("\n", 1)
    return f"{first}\n# {MARK}.\n{rest}"


# --- what is left to do -------------------------------------------------------------------------


def steps(plan: Plan, *, kept: tuple[str, ...] = ()) -> Iterator[str]:
    """What a person has to do once the files are there; each one or more lines.

    Args:
        plan: the setup.
        kept: files of the site's own that were left alone.
    """
    if not plan.present.includes_ours:
        yield f"at the end of {plan.conf}:\n    Include {plan.folder / OURS}"
    moved = [key for key in wanted_values(plan) if plan.present.get(key)]
    if moved:
        lines = "\n".join(f"    {key}={plan.present.get(key)}" for key in moved)
        yield f"remove these lines from {plan.conf}; {OURS} repeats what they say:\n{lines}"
    if plan.nodes:
        gres = plan.folder / "gres.conf"
        yield f"at the end of {gres}:\n    Include {plan.folder / _GRES_FILE}"
        yield (
            f"on the line NodeName={plan.nodes} of {plan.conf}:\n    Gres={gres_of(plan)}\n"
            "    (after a comma, where the line has a Gres= already)"
        )
    for key in _HOOKS:
        if _taken(plan, key):
            yield (
                f"{key}={plan.present.get(key)} is a program of your own: let it end with\n"
                f"    exec {plan.hook}"
            )
    if "job_submit.lua" in kept:
        yield f"{plan.folder / 'job_submit.lua'} is your own: add to it\n{_own_lua(plan)}"
    yield (
        "copy the folder's files to every node, at the same place (a shared folder, or your\n"
        f"    configuration management): nodes start {plan.hook} for TaskProlog"
    )
    yield (
        "restart slurmctld, then every slurmd; `scontrol reconfigure` does not take up a new\n"
        "    PrologSlurmctld or EpilogSlurmctld:\n"
        "    systemctl restart slurmctld; systemctl restart slurmd"
    )
    if plan.version is not None and plan.version >= _NEEDS_CGROUPS:
        yield (
            f"only where there are no cgroups, as in a container: in {plan.folder}/cgroup.conf\n"
            "    CgroupPlugin=disabled"
        )
    yield "qrmi slurm check"


def _own_lua(plan: Plan) -> str:
    return (
        f'    local qrmi = dofile("{plan.folder / "qrmi_submit.lua"}")     -- at the top\n'
        "    local answer = qrmi.submit(job_desc, submit_uid)     -- first in slurm_job_submit\n"
        "    if answer ~= slurm.SUCCESS then return answer end"
    )
