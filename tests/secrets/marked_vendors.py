"""Every vendor with marked secrets: its server, its settings, a program."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from canaries import Canaries

from qrmi import Payload
from qrmi_sandbox import iam, make_server, pasqal_tokens, s3
from qrmi_sandbox.server import Server

__all__ = ["HASTY", "KINDS", "Place", "place_of", "program_of", "renew"]

HASTY = {
    "QRMI_HTTP_CONNECT_TIMEOUT_SECONDS": "1",
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": "0.3",
    "QRMI_HTTP_BUDGET_SECONDS": "0.3",
    "QRMI_START_SETTLE_SECONDS": "0.05",
}
_QASM = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; qubit[1] q; x q[0]; c[0] = measure q[0];'


@attrs.frozen(kw_only=True)
class Place:
    """A server, and a resource's entry with marked secrets that the server takes."""

    server: Server
    entry: dict[str, Any]

    @property
    def name(self) -> str:
        """The resource."""
        return str(self.entry["name"])

    def settings(self, **more: str) -> dict[str, str]:
        """The entry's settings, and others."""
        return {**self.entry["environment"], **HASTY, **more}


Marks = Callable[[Canaries, pytest.MonkeyPatch, Server], dict[str, str]]


def _iqm(canaries: Canaries, _patch: pytest.MonkeyPatch, server: Any) -> dict[str, str]:
    server.token = canaries.make()
    return {"QRMI_IQM_ISA_TOKEN": server.token}


def _oqtopus(canaries: Canaries, _patch: pytest.MonkeyPatch, server: Any) -> dict[str, str]:
    server.token = canaries.make()
    return {"QRMI_OQTOPUS_API_TOKEN": server.token}


def _felis(canaries: Canaries, _patch: pytest.MonkeyPatch, server: Any) -> dict[str, str]:
    server.api_key = canaries.make_key()
    return {"QRMI_AB_FELIS_API_KEY": server.api_key}


def _compute(family: str) -> Marks:
    def marked(canaries: Canaries, patch: pytest.MonkeyPatch, server: Any) -> dict[str, str]:
        patch.setattr(iam, "API_KEY", canaries.make())
        return {f"{family}_IAM_APIKEY": iam.API_KEY}

    return marked


def _system(canaries: Canaries, patch: pytest.MonkeyPatch, server: Any) -> dict[str, str]:
    patch.setattr(iam, "API_KEY", canaries.make())
    patch.setattr(s3, "ACCESS_KEY_ID", canaries.add(f"CNRY{canaries.make()[8:24].upper()}"))
    patch.setattr(s3, "SECRET_ACCESS_KEY", canaries.make())
    return {
        "QRMI_IBM_QS_IAM_APIKEY": iam.API_KEY,
        "QRMI_IBM_QS_AWS_ACCESS_KEY_ID": s3.ACCESS_KEY_ID,
        "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY": s3.SECRET_ACCESS_KEY,
    }


def _cloud(canaries: Canaries, patch: pytest.MonkeyPatch, server: Any) -> dict[str, str]:
    patch.setattr(pasqal_tokens, "PASSWORD", canaries.make())
    patch.setattr(pasqal_tokens, "CLIENT_SECRET", canaries.make())
    return {
        "QRMI_PASQAL_CLOUD_AUTH_TOKEN": canaries.add(server.make_token(30)),
        "PASQAL_USERNAME": pasqal_tokens.USERNAME,
        "PASQAL_PASSWORD": pasqal_tokens.PASSWORD,
        "QRMI_PASQAL_CLOUD_CLIENT_SECRET": pasqal_tokens.CLIENT_SECRET,
    }


def _nothing(_canaries: Canaries, _patch: pytest.MonkeyPatch, _server: Any) -> dict[str, str]:
    return {}  # MUNGE's credentials are made for each request


_MARKS: dict[str, Marks] = {
    "alice-bob-felis": _felis,
    "ibm-quantum-compute-service": _compute("QRMI_IBM_QCS"),
    "ibm-quantum-system": _system,
    "iqm-server": _iqm,
    "oqtopus": _oqtopus,
    "pasqal-cloud": _cloud,
    "pasqal-local": _nothing,
    "qiskit-runtime-service": _compute("QRMI_IBM_QRS"),
}
KINDS = sorted(_MARKS)


def place_of(kind: str, canaries: Canaries, patch: pytest.MonkeyPatch) -> Place:
    """A server that listens; somebody has to stop it."""
    server = make_server(kind).start()
    place = Place(server=server, entry=server.resource())
    renew(place, canaries, patch)
    return place


def renew(place: Place, canaries: Canaries, patch: pytest.MonkeyPatch) -> None:
    """Other secrets from now on, for the server and in the entry."""
    marks = _MARKS[str(place.entry["type"])]
    place.entry["environment"] |= marks(canaries, patch, place.server)


@functools.cache
def program_of(kind: str) -> Payload:
    """A program that the resource takes; of Felis one whose text nobody reads."""
    if kind == "alice-bob-felis":
        return Payload.AliceBobFelis("; nothing", json.dumps({"nbShots": 3}))
    if kind == "iqm-server":
        turn = {"name": "prx", "locus": ["QB1"], "args": {"angle": math.pi, "phase": 0.0}}
        measure = {"name": "measure", "locus": ["QB1"], "args": {"key": "m_1_0_0"}}
        circuit = {"name": "a", "instructions": [turn, measure]}
        return Payload.IQMServer(json.dumps({"circuits": [circuit], "shots": 3}), "circuit")
    if kind == "oqtopus":
        spec = {"job_type": "sampling", "program": [_QASM], "shots": 3}
        return Payload.Oqtopus(json.dumps(spec))
    if kind.startswith("pasqal"):
        return Payload.PasqalCloud(_sequence(), 3)
    body = {"pubs": [[_QASM, None, 3]], "version": 2, "options": {}}
    return Payload.QiskitPrimitive(json.dumps(body), "sampler")


def _sequence() -> str:
    import pulser

    register = pulser.Register.from_coordinates([(0, 0), (8, 0)], prefix="q")
    sequence = pulser.Sequence(register, pulser.MockDevice)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(100, 0.0, 0.0, 0.0), "ising")
    sequence.measure("ground-rydberg")
    text: str = sequence.to_abstract_repr()
    return text
