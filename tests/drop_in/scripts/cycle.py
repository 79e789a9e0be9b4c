"""A whole cycle on one resource, in the calls that programs for the Rust wheel make."""

import argparse
import json
import os
import time
from pathlib import Path

from dotenv import load_dotenv

from qrmi import Payload, QuantumResource, ResourceStatusCode, ResourceType, TaskStatus

TYPES = {
    "ibm-quantum-system": ResourceType.IBMQuantumSystem,
    "qiskit-runtime-service": ResourceType.IBMQiskitRuntimeService,
    "ibm-quantum-compute-service": ResourceType.IBMQuantumComputeService,
    "pasqal-cloud": ResourceType.PasqalCloud,
    "pasqal-local": ResourceType.PasqalLocal,
    "alice-bob-felis": ResourceType.AliceBobFelis,
    "iqm-server": ResourceType.IQMServer,
    "oqtopus": ResourceType.OQTOPUS,
}

parser = argparse.ArgumentParser()
parser.add_argument("type", choices=TYPES)
parser.add_argument("name")
parser.add_argument("input")
args = parser.parse_args()
load_dotenv()
said = {"statuses": []}


def optional(verb, *arguments):
    """What a verb gives; not every resource has it."""
    try:
        return verb(*arguments)
    except RuntimeError as error:
        return type(error).__name__


def wait(task_id):
    """Ask until the task has ended, as every such program does."""
    while True:
        status = qrmi.task_status(task_id)
        said["statuses"].append(str(status))
        if status not in [TaskStatus.Running, TaskStatus.Queued]:
            return status
        time.sleep(0.05)


def payload_of(fields):
    """The payload for a resource of this type."""
    match TYPES[args.type]:
        case ResourceType.PasqalCloud | ResourceType.PasqalLocal:
            return Payload.PasqalCloud(sequence=fields["sequence"], job_runs=fields["job_runs"])
        case ResourceType.AliceBobFelis:
            return Payload.AliceBobFelis(
                human_qir=fields["human_qir"], input_params=fields["input_params"]
            )
        case ResourceType.IQMServer:
            return Payload.IQMServer(
                iqmjson=fields["iqmjson"], job_type=fields["job_type"], use_timeslot=False, tag=None
            )
        case ResourceType.OQTOPUS:
            return Payload.Oqtopus(job_spec=fields["job_spec"])
        case _:
            return Payload.QiskitPrimitive(
                input=fields["parameters"], program_id=fields["program_id"]
            )


qrmi = QuantumResource(args.name, TYPES[args.type])
said["selected"] = f"id={qrmi.resource_id()} type={qrmi.resource_type()!s}"
said["accessible"] = qrmi.is_accessible()
status = qrmi.status()
said["condition"] = status.to_dict()
match status.status:
    case ResourceStatusCode.Online:
        said["word"] = "online"
    case ResourceStatusCode.Offline | ResourceStatusCode.Paused:
        said["word"] = "not now"

lock = qrmi.acquire()
os.environ[f"{args.name}_QRMI_JOB_ACQUISITION_TOKEN"] = lock
said["locks"] = [isinstance(lock, str), bool(lock)]
said["target"] = json.loads(qrmi.target().value)
said["metadata"] = sorted(qrmi.metadata())

with Path(args.input).open(encoding="utf-8") as file:
    payload = payload_of(json.load(file))
task_id = qrmi.task_start(payload)
said["ended"] = str(wait(task_id))
said["result"] = qrmi.task_result(task_id).value
said["logs"] = optional(qrmi.task_logs, task_id)
said["after"] = f"{qrmi.task_status(task_id)}"
optional(qrmi.task_stop, task_id)
said["stopped"] = str(optional(qrmi.task_status, task_id))

second = qrmi.task_start(payload)
wait(second)
said["ids"] = [type(task_id).__name__, len({task_id, second})]
optional(qrmi.task_stop, second)
qrmi.release(lock)
print(json.dumps(said))
