"""Tells how a ``qrmi`` reads the job's variables and files: one JSON value on stdout."""

import json
import os
import sys
from pathlib import Path

import qrmi

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["FOLDER"])
PAIR = {"name": "a", "type": "pasqal-cloud", "environment": {"K": "v"}}
FILES = {
    "plain": {"resources": [PAIR]},
    "unknown keys": {"resources": [{**PAIR, "more": 1}], "version": 2},
    "duplicates": {"resources": [PAIR, {**PAIR, "environment": {"K": "w"}}]},
    "dynamic": {"resources": [{**PAIR, "is_dynamic": True}]},
    "empty": {"resources": []},
    "no environment": {"resources": [{"name": "a", "type": "pasqal-cloud"}]},
    "no type": {"resources": [{"name": "a", "environment": {}}]},
    "number": {"resources": [{**PAIR, "environment": {"K": 1}}]},
    "dynamic is null": {"resources": [{**PAIR, "is_dynamic": None}]},
    "no resources": {},
    "a list": [],
}
Q, S = "QRMI_JOB_QPU_", "SLURM_JOB_QPU_"
JOBS = {
    "plain": {Q + "RESOURCES": "a,b", Q + "TYPES": "t,u"},
    "slurm": {S + "RESOURCES": "a", S + "TYPES": "t"},
    "both": {Q + "RESOURCES": "q", Q + "TYPES": "t", S + "RESOURCES": "a", S + "TYPES": "u"},
    "mixed": {Q + "RESOURCES": "q", S + "TYPES": "t"},
    "empty": {Q + "RESOURCES": "", Q + "TYPES": "", S + "RESOURCES": "a", S + "TYPES": "u"},
    "delimiter": {Q + "RESOURCES": "a:b", Q + "TYPES": "t:u", "QRMI_LIST_DELIMITER": ":"},
    "long delimiter": {Q + "RESOURCES": "a::b", Q + "TYPES": "t::u", "QRMI_LIST_DELIMITER": "::"},
    "last delimiter": {Q + "RESOURCES": "a,", Q + "TYPES": "t,"},
    "unequal": {Q + "RESOURCES": "a,b", Q + "TYPES": "t"},
    "unset": {},
    "no types": {Q + "RESOURCES": "a"},
    "empty delimiter": {Q + "RESOURCES": "a,b", Q + "TYPES": "t,u", "QRMI_LIST_DELIMITER": ""},
    "blanks": {Q + "RESOURCES": "a, b", Q + "TYPES": "t, u"},
}


def told(call):
    try:
        return {"value": call()}
    except Exception as error:
        return {"error": [kind.__name__.removesuffix("_") for kind in type(error).__mro__]}


def loaded(content):
    path = FOLDER / "qrmi_config.json"
    path.write_text(json.dumps(content))
    found = qrmi.Config.load(str(path)).resource_map
    return {
        name: [entry.name, str(entry.resource_type), entry.is_dynamic, dict(entry.environment)]
        for name, entry in found.items()
    }


def in_job(variables, call):
    for name in [n for n in os.environ if n.startswith(("QRMI_JOB", "SLURM_JOB", "QRMI_LIST"))]:
        del os.environ[name]
    os.environ.update(variables)
    return told(call)


def lists():
    return [list(part) for part in qrmi.get_job_qpu_resources_and_types()]


def service():
    return [handle.resource_id() for handle in qrmi.QRMIService().resources()]


print(
    json.dumps(
        {
            "files": {name: told(lambda c=c: loaded(c)) for name, c in FILES.items()},
            "lists": {name: in_job(job, lists) for name, job in JOBS.items()},
            "service": {name: in_job(job, service) for name, job in JOBS.items()},
        }
    )
)
