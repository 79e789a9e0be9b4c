"""Stands in for PBS's own Python: runs a hook on one recorded event, and tells what came of it.

``pbs_python.py HOOK < EVENT``: the event is a JSON object with ``type``, ``job`` (its attributes),
``config`` (the hook's configuration file), ``jobs`` (states by id, for ``pbs.server().job``) and
``available`` (what the server has). Prints a JSON object. Semantics that matter are PBS's: a
verdict ends the hook by SystemExit; attributes and resources that are not set are None; setting or
reading names that PBS does not know raises.
"""

import contextlib
import json
import pathlib
import sys
import types

ATTRIBUTES = ("id", "Resource_List", "euser", "Job_Owner", "Hold_Types", "ctime", "qtime", "stime")
ATTRIBUTES += ("Account_Name", "Job_Name", "job_state", "Variable_List", "comment")
EVENTS = ("QUEUEJOB", "MODIFYJOB", "RUNJOB", "EXECJOB_LAUNCH", "EXECJOB_END", "ENDJOB", "PERIODIC")
STATES = ("QUEUED", "RUNNING", "HELD", "EXITING", "FINISHED", "SUSPEND", "BEGUN", "WAITING")


class UnsetError(Exception):
    """PBS's own error for names that it does not know."""


class Resources:
    def __init__(self, values, known):
        self._values, self._known = dict(values), set(known)

    def __getitem__(self, name):
        if name not in self._known:
            raise UnsetError(name)
        return self._values.get(name)

    def __setitem__(self, name, value):
        if name not in self._known:
            raise UnsetError(name)
        self._values[name] = value


class Job:
    def __init__(self, values, known):
        values = {**values, "Resource_List": Resources(values.get("Resource_List", {}), known)}
        for name in ATTRIBUTES:
            object.__setattr__(self, name, values.get(name))

    def __setattr__(self, name, value):
        if name not in ATTRIBUTES or name in ("id", "euser", "Resource_List", "stime"):
            raise UnsetError(name)
        object.__setattr__(self, name, value)


def module(told, result):
    pbs = types.ModuleType("pbs")
    for number, name in enumerate(EVENTS):
        if name not in told.get("lacks", ()):
            setattr(pbs, name, 1 << number)
    for number, name in enumerate(STATES):
        setattr(pbs, f"JOB_STATE_{name}", number)
    pbs.LOG_DEBUG = pbs.LOG_WARNING = 4
    pbs.hook_config_filename = told.get("config")
    pbs.hold_types = str
    pbs.logmsg = lambda level, text: result["log"].append(text)
    pbs.logjobmsg = lambda name, text: result["log"].append(text)
    known = ["ncpus", "walltime", "select", *told.get("known", ())]
    job = Job(told.get("job", {}), known)

    def verdict(accepted):
        def end(message=""):
            result.update(accepted=accepted, message=message)
            raise SystemExit(0)

        return end

    event = types.SimpleNamespace(
        type=getattr(pbs, told["type"]),
        job=job,
        env={},
        accept=verdict(True),
        reject=verdict(False),
    )
    pbs.event = lambda: event

    def found(name):
        state = told.get("jobs", {}).get(name)
        values = {"id": name, "job_state": state and getattr(pbs, f"JOB_STATE_{state}")}
        return None if state is None else Job(values, known)

    available = Resources(told.get("available", {}), known)
    pbs.server = lambda: types.SimpleNamespace(job=found, resources_available=available)
    return pbs, event


def main():
    told = json.load(sys.stdin)
    result = {"accepted": None, "message": "", "log": []}
    sys.modules["pbs"], event = module(told, result)
    code = compile(pathlib.Path(sys.argv[1]).read_text(), sys.argv[1], "exec")
    with contextlib.suppress(SystemExit):
        exec(code, {"__name__": "__pbs__"})
    result["resources"] = event.job.Resource_List._values
    result["hold"] = event.job.Hold_Types
    result["env"] = event.env
    result["variables"] = event.job.Variable_List
    print(json.dumps(result))


main()
