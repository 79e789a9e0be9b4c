"""Pasqal Cloud's devices, and its CUDA-Q jobs, as parts of a server that speaks its API."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

from pulser.devices import AnalogDevice

from qrmi_sandbox.pasqal_batches import Batch, Runner
from qrmi_sandbox.pasqal_checks import (
    EMULATORS,
    check_jobs,
    check_project,
    invalid,
    json_of,
    only,
    refusal,
)
from qrmi_sandbox.server import Call, Reply, route

__all__ = ["OPEN", "PasqalCudaq", "PasqalDevices"]

_API = "/core-fast/api"
_CUDAQ_FIELDS = frozenset({"machine", "shots", "project_id", "sequence"})

OPEN = (f"{_API}/v1/devices", f"{_API}/v1/devices/public-specs")
"""The routes that need no token."""


class PasqalDevices:
    """Adds the devices.

    Attributes:
        devices: what ``GET v1/devices`` says of each device type.
        private: device types that are shown only to who has a token.
    """

    has_good_token: Any
    _reply: Any

    def __init__(self) -> None:
        self.devices = {
            name: {"status": "UP", "availability": "ACTIVE"}
            for name in ("FRESNEL", "FRESNEL_CAN1", *EMULATORS)
        }
        self.private: set[str] = set()

    @route("GET", f"{_API}/v1/devices")
    def list_devices(self, call: Call) -> Reply:
        """Availability; private devices for who has a token."""
        only(call.query, {"device_type"})
        hidden = set() if self.has_good_token(call) else self.private
        wanted = call.query.get("device_type")
        return self._reply(
            [
                {**about, "device_type": name}
                for name, about in self.devices.items()
                if name not in hidden and wanted in (None, name)
            ]
        )

    @route("GET", f"{_API}/v1/devices/public-specs")
    def list_public_specs(self, _call: Call) -> Reply:
        """Descriptions of the public QPUs."""
        return self._reply(
            [
                {"device_type": name, "specs": _specs(name)}
                for name in self.devices
                if name not in (*EMULATORS, *self.private)
            ]
        )

    @route("GET", f"{_API}/v1/devices/specs")
    def list_specs(self, _call: Call) -> Reply:
        """Descriptions of the account's QPUs."""
        return self._reply({name: _specs(name) for name in self.devices if name not in EMULATORS})

    @route("GET", f"{_API}/v1/devices/specs/{{name}}")
    def get_specs(self, call: Call) -> Reply:
        """The description of one QPU."""
        name = call.path["name"]
        if name not in self.devices or name in EMULATORS:
            raise refusal(404, "Not Found", "no such device")
        return self._reply({"device_type": name, "specs": _specs(name)})


class PasqalCudaq:
    """Adds CUDA-Q jobs, which are batches whose sequence is an AHS program."""

    lock: Any
    devices: dict[str, Any]
    batches: dict[str, Batch]
    runner: Runner
    _reply: Any
    _batch: Any

    @route("POST", f"{_API}/v1/cudaq/job")
    def create_cudaq_job(self, call: Call) -> Reply:
        """A new CUDA-Q job."""
        body = json_of(call)
        if not isinstance(body, dict) or body.keys() != _CUDAQ_FIELDS:
            raise invalid("body", "", f"{', '.join(sorted(_CUDAQ_FIELDS))}, nothing else")
        check_project(body)
        machine, sequence, jobs = body["machine"], body["sequence"], [{"runs": body["shots"]}]
        if machine not in self.devices:
            raise invalid("body", "machine", "unknown device type")
        if not isinstance(sequence, dict) or not sequence.keys() >= {"setup", "hamiltonian"}:
            raise invalid("body", "sequence", "an object with setup and hamiltonian")
        check_jobs(jobs, machine, may_be_empty=False)
        batch = Batch(
            sequence=json.dumps(sequence),
            device_type=machine,
            project_id=body["project_id"],
            is_cudaq=True,
        )
        with self.lock:
            self.batches[batch.id] = batch
            self.runner.add(batch, jobs)
            return self._reply({"id": batch.id, "status": batch.status})

    @route("GET", f"{_API}/v1/cudaq/job/{{id}}")
    def get_cudaq_job(self, call: Call) -> Reply:
        """A CUDA-Q job, with its counts once there are some."""
        with self.lock:
            batch = self._batch(call.path["id"])
            if not batch.is_cudaq:
                raise refusal(404, "Not Found", "no such job")
            (job,) = batch.jobs
            counts = None if job.result is None else {"counter": {job.id: job.result["counter"]}}
            return self._reply(
                {"id": batch.id, "status": job.status, "result": counts, "errors": job.errors}
            )


@functools.cache
def _specs(name: str) -> str:
    text: str = dataclasses.replace(AnalogDevice, name=name).to_abstract_repr()
    return text
