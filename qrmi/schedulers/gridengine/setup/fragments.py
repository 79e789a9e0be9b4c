"""The files that make a Grid Engine lend QPUs, and what is to be done with them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import attrs

from qrmi.schedulers.gridengine.jsv import ASKED
from qrmi.schedulers.gridengine.request import ANY, MAP, WORDS
from qrmi.schedulers.gridengine.setup.plan import Plan

__all__ = ["MARK", "SITE_FILE", "Fragment", "complex_lines", "fragments", "steps", "values_of"]

MARK = "Written by `qrmi gridengine setup`"
"""Stands in every file of ours, and so in none of the site's."""

SITE_FILE = "site.json"
_BOOKED_SECONDS = 3  # an epilog waits so long for the books
_TEMPLATES = ("prolog", "epilog", "jsv", "load_sensor", "apply.sh", "remove.sh")


@attrs.frozen(kw_only=True)
class Fragment:
    """One file.

    Attributes:
        name: in the folder of the setup.
        content: its text.
        executable: whether it is a program.
    """

    name: str
    content: str
    executable: bool = False


def fragments(plan: Plan) -> list[Fragment]:
    """Every file of a setup. None holds a secret; all are for everybody to read."""
    filled = _filled(plan)
    return [
        Fragment(name=SITE_FILE, content=json.dumps(_site(plan), indent=2) + "\n"),
        Fragment(name="complexes", content=_lines([f"# {MARK}", *complex_lines(plan)])),
        *(
            Fragment(name=name, content=_template(name, filled), executable=True)
            for name in _TEMPLATES
        ),
    ]


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def complex_lines(plan: Plan) -> list[str]:
    """The complexes, as ``qconf -mc`` shows them.

    Words that users write and the JSV takes away; one counter a QPU, charged once a job; the pool.
    """
    counted = [*plan.complexes.values(), ANY]
    return [
        f"{MAP} {MAP} RESTRING == YES NO NONE 0",
        *(f"{word} {word} INT <= YES NO 0 0" for word in WORDS),
        *(f"{name} {name} INT <= YES JOB 0 0" for name in counted),
    ]


def values_of(plan: Plan) -> dict[str, int]:
    """What the host offers of each."""
    return {**{plan.complexes[name]: n for name, n in plan.slots.items()}, ANY: plan.pool}


def steps(plan: Plan) -> Iterator[str]:
    """What a person has to do once the files are there."""
    yield (
        f"have {plan.folder} on every host, at the same place: on a shared file system that root\n"
        "    of the hosts can read, or copied; only root may write there"
    )
    yield (
        "let the hosts of these queues ask qmaster about jobs: qconf -as HOST for each\n"
        "    (submit hosts)"
    )
    yield (
        "in qrmid.toml, and then restart qrmid:\n"
        + "".join(f"    {line}\n" for line in _toml(plan)).rstrip()
    )
    yield f"as a manager of Grid Engine, on an administrative host:\n    {plan.folder}/apply.sh"
    if plan.keeps_usage:
        yield (
            "for qacct to show what jobs used, in reporting_params of qconf -mconf:\n"
            "    usage_patterns=qrmi:qrmi_*"
        )
    yield "qrmi gridengine check"


def _toml(plan: Plan) -> list[str]:
    commands = plan.commands
    lines = ["[gridengine]", "enabled = true", f"root = {json.dumps(commands.root)}"]
    lines.append(f"cell = {json.dumps(commands.cell)}")
    if commands.environment:
        pairs = (f"{key} = {json.dumps(value)}" for key, value in commands.environment.items())
        lines.append("environment = { " + ", ".join(pairs) + " }")
    return lines


def _site(plan: Plan) -> dict[str, object]:
    """What the hooks know; they take no other settings."""
    return {
        "_": MARK,
        "cluster": plan.cluster,
        "socket": "" if plan.url else str(plan.socket),
        "url": plan.url,
        "munge_socket": plan.munge_socket,
        "qstat": plan.commands.path("qstat"),
        "qalter": plan.commands.path("qalter"),
        "environment": plan.commands.variables(),
        "names": {counter: name for name, counter in plan.complexes.items()},
        "complexes": plan.complexes,
        "usage_seconds": _BOOKED_SECONDS if plan.keeps_usage else 0,
    }


def _filled(plan: Plan) -> dict[str, str]:
    commands = plan.commands
    exports = {**commands.variables()}
    exports["PATH"] = f"{Path(commands.path('qconf')).parent}:{exports['PATH']}"
    counted = [*plan.complexes.values(), ANY]
    code = (
        f"import sys; sys.path.append({str(plan.library)!r}); "
        "from qrmi.schedulers.gridengine.{module} import main; sys.exit(main({arguments}))"
    )

    def start(module: str, arguments: str = "sys.argv[1]") -> str:
        text = code.format(module=module, arguments=arguments)
        return f"{shlex.quote(str(plan.interpreter))} -I -S -c {shlex.quote(text)}"

    return {
        "@MARK@": MARK,
        "@FOLDER@": shlex.quote(str(plan.folder)),
        "@SITE@": shlex.quote(str(plan.folder / SITE_FILE)),
        "@ASKED@": ASKED,
        "@HOOK@": start("hook", "sys.argv[1:]"),
        "@JSV@": start("jsv"),
        "@LOAD@": start("load"),
        "@ZEROS@": "; ".join(f"echo global:{name}:0" for name in sorted(counted)),
        "@EXPORTS@": "\n".join(f"export {k}={shlex.quote(v)}" for k, v in exports.items()),
        "@QUEUES@": shlex.quote(" ".join(plan.queues)),
        "@NAMES@": "|".join(counted),
        "@VALUES@": ",".join(f"{name}={count}" for name, count in values_of(plan).items()),
        "@POOL_HOST@": shlex.quote(commands.host),
        "@SENSOR_HOST@": shlex.quote(plan.host),
    }


def _template(name: str, filled: dict[str, str]) -> str:
    content = resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    for key, value in filled.items():
        content = content.replace(key, value)
    return content
