"""What LSF needs to lend QPUs: its hooks' programs, their settings, and lines for its files."""

from __future__ import annotations

from qrmi.schedulers.calling import Site
from qrmi.schedulers.others.setup.asking import told
from qrmi.schedulers.others.setup.fragments import Finding, Fragment
from qrmi.schedulers.others.setup.lending import Lending

__all__ = ["check", "fragments"]

_PROGRAM = "qrmi-lsf"
_AGAIN = "`qrmi lsf setup --print` shows the lines; then badmin reconfig and lsadmin reconfig"
_SHARED = """\
Begin Resource
RESOURCENAME  TYPE     INTERVAL  INCREASING  CONSUMABLE  DESCRIPTION
{rows}
End Resource
"""
_MAP = """\
Begin ResourceMap
RESOURCENAME  LOCATION
{rows}
End ResourceMap
"""
_QUEUE = """\
PRE_EXEC    = {program} pre
POST_EXEC   = {program} post
JOB_STARTER = {program} start
"""
_SUDOERS = "LSB_PRE_POST_EXEC_USER=root\n"


def fragments(lending: Lending, lsf: dict[str, str]) -> tuple[Fragment, ...]:
    """All files, in the order in which they are used.

    Args:
        lending: the site.
        lsf: the variables that LSF's commands need: LSF_ENVDIR, LSF_SERVERDIR, PATH and so on.
    """
    counted = {**lending.consumables, "qpu_any": ""}
    shared = [
        f"{consumable:<13} Numeric  15        N           Y           ({_about(name)})"
        for consumable, name in counted.items()
    ]
    mapped = [f"{consumable:<13} [all]" for consumable in counted]
    server = "for the folder LSF_SERVERDIR"
    return (
        lending.program(_PROGRAM, "qrmi.schedulers.others.lsf", "host", lsf),
        lending.starter("elim.qrmi", f"{server}: tells LSF of QPUs", _PROGRAM, "elim"),
        lending.starter("esub.qrmi", f'{server}: bsub -a "qrmi(NAME)"', _PROGRAM, "esub"),
        Fragment(
            name="lsf.shared", about="lines for lsf.shared", text=_SHARED.format(rows=_rows(shared))
        ),
        Fragment(
            name="lsf.cluster",
            about="lines for lsf.cluster.NAME",
            text=_MAP.format(rows=_rows(mapped)),
        ),
        Fragment(
            name="lsb.queues",
            about="lines for each queue in lsb.queues whose jobs may use QPUs",
            text=_QUEUE.format(program=f"{lending.folder}/{_PROGRAM}"),
        ),
        Fragment(
            name="lsf.sudoers",
            about="a line for /etc/lsf.sudoers on every host, which root owns with mode 600",
            text=_SUDOERS,
        ),
    )


def _about(name: str) -> str:
    return f"slots of the QPU {name}" if name else "QPUs that can be lent"


def _rows(rows: list[str]) -> str:
    return "\n".join(rows)


def check(lending: Lending, site: Site) -> list[Finding]:
    """What is wrong with this cluster's LSF."""
    known = told(site, "lsinfo", "-r") or ""
    findings = [
        Finding(
            what=f"resource {consumable}",
            problem="" if consumable in known.split() else "LSF does not know it",
            hint=_AGAIN,
        )
        for consumable in (*lending.consumables, "qpu_any")
    ]
    counted = told(site, "bhosts", "-s") or ""
    silent = [each for each in lending.consumables if each not in counted.split()]
    findings.append(
        Finding(
            what="elim.qrmi",
            problem=f"it does not tell of {', '.join(silent)}" if silent else "",
            hint="copy it to LSF_SERVERDIR, then lsadmin limrestart",
        )
    )
    queues = told(site, "bqueues", "-l") or ""
    for word in ("pre", "post", "start"):
        problem = "" if f"{_PROGRAM} {word}" in queues else "no queue starts it"
        findings.append(Finding(what=f"{_PROGRAM} {word}", problem=problem, hint=_AGAIN))
    return findings
