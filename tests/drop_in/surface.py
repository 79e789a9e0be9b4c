"""Tells what a ``qrmi`` looks like, whichever one is installed: one JSON value on stdout.

It is run under the Rust wheel and under openqrmi; the test compares what both say.
"""

import inspect
import json

import qrmi
from qrmi import Payload, ResourceStatusCode, ResourceType, TaskStatus

ENUMS = (ResourceType, TaskStatus, ResourceStatusCode)
CLASSES = (
    qrmi.Config,
    qrmi.QRMIService,
    qrmi.QuantumResource,
    qrmi.ResourceCapacity,
    qrmi.ResourceDef,
    qrmi.ResourceProvider,
    qrmi.ResourceStatus,
    qrmi.Target,
    qrmi.TaskResult,
)
MEMBERS = ("QiskitPrimitive", "PasqalCloud", "AliceBobFelis", "IQMServer", "Oqtopus")
SAMPLES = {
    "QiskitPrimitive": ("{}", "sampler"),
    "PasqalCloud": ("{}", 3),
    "AliceBobFelis": ("qir", "{}"),
    "IQMServer": ("{}", "circuit", False, None),
    "Oqtopus": ("{}",),
}


def parameters(function):
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [(p.name, p.default is not p.empty) for p in found if p.name not in ("self", "cls")]


def public(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


def of_class(kind):
    members = {name: getattr(kind, name) for name in public(kind)}
    return {
        "constructor": parameters(kind),
        "methods": {n: parameters(m) for n, m in members.items() if callable(m)},
        "attributes": [n for n, m in members.items() if not callable(m)],
    }


def of_enum(kind):
    def told(name):
        member = getattr(kind, name)
        other = ENUMS[ENUMS.index(kind) - 1]
        stranger = next(
            getattr(other, n) for n in NAMES if hasattr(other, n) and int(getattr(other, n)) == 0
        )
        return {
            "int": int(member),
            "texts": [str(member), repr(member), f"{member}", "%s" % member, "%d" % member],  # noqa: UP031
            "equals": [member == int(member), int(member) == member, member == int(member) + 1],
            "foreign": [member == stranger, member != stranger],
            "true": bool(member),
            "hashable": {member: 1}[getattr(kind, name)] == 1,
            "in_list": member in [member],
            "kind": type(member).__name__,
        }

    return {name: told(name) for name in NAMES if hasattr(kind, name)}


NAMES = {
    *("IBMQuantumSystem", "IBMQiskitRuntimeService", "IBMQuantumComputeService", "PasqalCloud"),
    *("PasqalLocal", "AliceBobFelis", "IQMServer", "OQTOPUS"),
    *("Queued", "Running", "Completed", "Failed", "Cancelled", "Online", "Offline", "Paused"),
}


def of_member(name):
    kind = getattr(Payload, name)
    made = kind(*SAMPLES[name])
    named = kind(**dict(zip(kind.__match_args__, SAMPLES[name], strict=True)))
    try:
        setattr(made, kind.__match_args__[0], "other")
        frozen = False
    except AttributeError:
        frozen = True
    return {
        "match_args": list(kind.__match_args__),
        "values": [getattr(made, field) for field in kind.__match_args__],
        "named": [getattr(named, field) for field in kind.__match_args__],
        "frozen": frozen,
        "is_payload": [isinstance(made, Payload), issubclass(kind, Payload)],
        "hashable": isinstance(hash(made), int),
        "equals_itself": made == made,
        "siblings": [hasattr(kind, sibling) for sibling in MEMBERS],
        "matched": matched(made),
    }


def matched(payload):
    match payload:
        case Payload.QiskitPrimitive(text, program):
            return [text, program]
        case Payload.PasqalCloud(sequence, runs):
            return [sequence, runs]
        case Payload.AliceBobFelis(qir, values):
            return [qir, values]
        case Payload.IQMServer(text, kind, slot, tag):
            return [text, kind, slot, tag]
        case Payload.Oqtopus(spec):
            return [spec]


def refused(call):
    try:
        call()
    except Exception as error:
        return [kind.__name__.removesuffix("_") for kind in type(error).__mro__]
    return None


def opened():
    settings = {"QRMI_IQM_ISA_ENDPOINT": "http://127.0.0.1:9", "QRMI_IQM_ISA_TOKEN": "x"}
    return qrmi.QuantumResource.from_config("garnet", ResourceType.IQMServer, settings)


def keyed(change):
    settings = {"QRMI_IQM_ISA_ENDPOINT": "http://127.0.0.1:9", "QRMI_IQM_ISA_TOKEN": "x"}
    changed = {change(key): value for key, value in settings.items()}
    return qrmi.QuantumResource.from_config("a", ResourceType.IQMServer, changed).resource_id()


def refusals():
    felis = {"QRMI_AB_FELIS_API_KEY": "eDp5", "QRMI_AB_FELIS_BASE_ENDPOINT": "http://127.0.0.1:9"}
    calls = {
        "payload family": lambda: Payload(),
        "field missing": lambda: Payload.PasqalCloud("{}"),
        "type is an int": lambda: qrmi.QuantumResource("a", 3),
        "variable missing": lambda: qrmi.QuantumResource("a", ResourceType.IQMServer),
        "key missing": lambda: keyed(lambda key: "OTHER_" + key),
        "key prefixed": lambda: keyed(lambda key: "a_" + key),
        "key mixed": lambda: keyed(str.title),
        "payload of others": lambda: opened().task_start(Payload.PasqalCloud("{}", 1)),
        "no payload": lambda: opened().task_start("text"),
        "id is an int": lambda: opened().task_status(5),
        "no logs": lambda: qrmi.QuantumResource.from_config(
            "a", ResourceType.AliceBobFelis, felis
        ).task_logs("x"),
        "account without keys": lambda: qrmi.ResourceProvider(
            ResourceType.IBMQuantumSystem, {}
        ).resources(),
        "no such file": lambda: qrmi.Config.load("/no/such/file"),
        "service without variables": qrmi.QRMIService,
        "job without variables": qrmi.get_job_qpu_resources_and_types,
    }
    return {name: refused(call) for name, call in calls.items()}


def errors():
    found = (getattr(qrmi, name) for name in public(qrmi))
    kinds = [k for k in found if isinstance(k, type) and issubclass(k, BaseException)]
    return {
        kind.__name__.removesuffix("_"): [k.__name__.removesuffix("_") for k in kind.__mro__]
        for kind in kinds
    }


def main():
    exported = {}
    exec("from qrmi import *", exported)
    handle = opened()
    handle.release(id=handle.acquire())
    print(
        json.dumps(
            {
                "exported": sorted(name for name in exported if not name.startswith("__")),
                "classes": {kind.__name__: of_class(kind) for kind in CLASSES},
                "enums": {kind.__name__: of_enum(kind) for kind in ENUMS},
                "payloads": {name: of_member(name) for name in MEMBERS},
                "errors": errors(),
                "refusals": refusals(),
                "logger": [qrmi.logger.name, callable(qrmi.logger.info)],
                "functions": {
                    name: parameters(getattr(qrmi, name))
                    for name in ("set_log_callback", "get_job_qpu_resources_and_types")
                },
                "keys": [keyed(str.upper), keyed(str.lower)],
                "handle": [
                    handle.resource_id(),
                    str(handle.resource_type()),
                    handle.resource_type() == ResourceType.IQMServer,
                    handle == handle,
                    isinstance(hash(handle), int),
                    handle.metadata(),
                ],
            }
        )
    )


if __name__ == "__main__":
    main()
