"""What Flux needs to lend QPUs: scripts around jobs, a plug-in of the job shell, and settings."""

from __future__ import annotations

import os
from pathlib import Path

from qrmi.schedulers.calling import Site
from qrmi.schedulers.others.setup.asking import told
from qrmi.schedulers.others.setup.fragments import Finding, Fragment
from qrmi.schedulers.others.setup.lending import Lending

__all__ = ["check", "fragments"]

_PROGRAM = "qrmi-flux"
_SYSTEM = Path("/etc/flux/system")
_LUA_PLACE = Path("/etc/flux/shell/lua.d/qrmi.lua")
_TOML = """\
[job-manager]
plugins = [ { load = "perilog.so" } ]

[job-manager.prolog]
per-rank = false

[job-manager.epilog]
per-rank = false
"""
_LUA = """\
-- Gives a job with QPUs its environment, which the site's daemon tells to the job's user alone.
-- Written by `qrmi flux setup`.

local told = nil

local function ask (id)
    local values = {}
    local pipe = io.popen ("@PROGRAM@ env " .. id, "r")
    if not pipe then return values end
    for line in pipe:lines () do
        if line:sub (1, 1) == "!" then
            pipe:close ()
            shell.die ("qrmi: this job gets no QPU: " .. line:sub (2))
        end
        local name, value = line:match ("^([%w_.@-]+)=(.*)$")
        if name then values[name] = value end
    end
    pipe:close ()
    return values
end

plugin.register {
    name = "qrmi",
    handlers = {
        {
            topic = "task.init",
            fn = function ()
                local id = task.getenv ("FLUX_JOB_ID") or ""
                if not id:match ("^[%w\\128-\\255]+$") then return end
                if not told then told = ask (id) end
                for name, value in pairs (told) do task.setenv (name, value) end
            end,
        },
    },
}
"""


def fragments(lending: Lending, flux: dict[str, str]) -> tuple[Fragment, ...]:
    """All files, in the order in which they are used.

    Args:
        lending: the site.
        flux: the variables that the `flux` command needs, PATH for example.
    """
    places = {"prolog": "prolog", "epilog": "epilog", "housekeeping": "epilog"}
    return (
        lending.program(_PROGRAM, "qrmi.schedulers.others.flux", "node", flux),
        *(
            lending.starter(
                f"{each}.d/qrmi", f"at {_SYSTEM}/{each}.d/qrmi on every node", _PROGRAM, word
            )
            for each, word in places.items()
        ),
        Fragment(
            name="qrmi.lua",
            about=f"a plug-in of the job shell: {_LUA_PLACE} on every node",
            text=_LUA.replace("@PROGRAM@", f"{lending.folder}/{_PROGRAM}"),
        ),
        Fragment(
            name="qrmi.toml",
            about=f"lines for {_SYSTEM}/conf.d, where the prolog is not configured yet",
            text=_TOML,
        ),
    )


def check(lending: Lending, site: Site) -> list[Finding]:
    """What is wrong with this node's Flux."""
    loaded = told(site, "flux", "jobtap", "list") or ""
    findings = [
        Finding(
            what="perilog.so",
            problem="" if "perilog" in loaded else "Flux has not loaded it, or does not answer",
            hint="the lines of qrmi.toml, then flux config reload",
        )
    ]
    for path in (
        _SYSTEM / "prolog.d" / "qrmi",
        _SYSTEM / "epilog.d" / "qrmi",
        Path(lending.folder) / _PROGRAM,
    ):
        problem = "" if os.access(path, os.X_OK) else "it is no program here"
        findings.append(Finding(what=str(path), problem=problem, hint="qrmi flux setup --write"))
    problem = "" if _LUA_PLACE.is_file() else "it is not there"
    findings.append(Finding(what=str(_LUA_PLACE), problem=problem, hint="qrmi flux setup --write"))
    return findings
