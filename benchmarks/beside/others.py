"""Canned answers and settings of Pasqal, IQM and Alice & Bob; the smallest that upstream takes."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.beside.vendor import ENDED, LARGE, PADDING, TASK, Rule, Vendor

__all__ = ["FELIS", "IQM", "PASQAL_CLOUD"]

_CLOUD = "/core-fast/api"
_SEQUENCE = {
    "version": "1",
    "name": PADDING,
    "register": [{"name": "q0", "x": 0.0, "y": 0.0}],
    "channels": {"global": "rydberg_global"},
    "variables": {},
    "operations": [],
    "device": {"name": "EMU_FREE"},
    "measurement": "ground-rydberg",
}
_CLOUD_LOOKS = (
    Rule("GET", f"{_CLOUD}/v1/batches/{ENDED}/status", {"data": {"status": "DONE"}}),
    Rule("GET", f"{_CLOUD}/v2/batches/", {"data": {"status": "DONE", "job_ids": ["j-1"]}}),
)
PASQAL_CLOUD = Vendor(
    name="pasqal-cloud",
    member="PasqalCloud",
    id="EMU_FREE",
    settings={
        "QRMI_PASQAL_CLOUD_BASE_URL": "{base}",
        "QRMI_PASQAL_CLOUD_PROJECT_ID": "project",
        "QRMI_PASQAL_CLOUD_AUTH_TOKEN": "opaque",
    },
    payload=("PasqalCloud", {"sequence": json.dumps(_SEQUENCE), "job_runs": 100}),
    rules=(
        Rule(
            "GET", f"{_CLOUD}/v1/devices?", {"data": [{"status": "UP", "availability": "ACTIVE"}]}
        ),
        Rule(
            "GET",
            f"{_CLOUD}/v1/devices/public-specs",
            {"data": [{"device_type": "FRESNEL", "specs": json.dumps({"note": "s" * 20_000})}]},
        ),
        Rule("POST", f"{_CLOUD}/v1/batches", {"data": {"id": ENDED, "status": "PENDING"}}),
        Rule("GET", f"{_CLOUD}/v1/batches/{TASK}/status", {"data": {"status": "RUNNING"}}),
        *_CLOUD_LOOKS,
        Rule("GET", f"{_CLOUD}/v1/batches/{LARGE}/status", {"data": {"status": "DONE"}}),
        Rule(
            "GET",
            f"{_CLOUD}/v2/batches/{TASK}",
            {"data": {"status": "RUNNING", "job_ids": ["j-0"]}},
        ),
        Rule(
            "GET",
            f"{_CLOUD}/v2/jobs?",
            {
                "data": [{"id": "j-1", "batch_id": ENDED, "status": "DONE", "runs": 100}],
                "pagination": {"total": 1, "start": 0, "end": 1},
            },
        ),
        Rule("GET", f"{_CLOUD}/v2/jobs/j-0", {"data": {"id": "j-0", "status": "RUNNING"}}),
        Rule("GET", f"{_CLOUD}/v2/jobs/", {"data": {"id": "j-1", "status": "DONE"}}),
        Rule(
            "GET",
            f"{_CLOUD}/v1/batches/{ENDED}/full_results",
            {"data": {"j-1": {"counter": {"00": 3, "11": 7}}}},
        ),
        Rule("PATCH", f"{_CLOUD}/v2/batches/", {"data": {"id": ENDED, "status": "CANCELED"}}),
    ),
    large=Rule("GET", f"{_CLOUD}/v1/batches/{LARGE}/full_results"),
    looks=_CLOUD_LOOKS,
    running={"data": {"status": "RUNNING", "job_ids": ["j-0"]}},
)


def _iqm_job(status: str, id_: str) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "circuit",
        "status": status,
        "qc": {"id": TASK},
        "artifacts": [{"type": "measurements"}],
        "messages": [],
        "queue_position": 2,
        "timeline": [
            {"source": "iqm-server", "status": "created", "timestamp": "2026-01-01T00:00:00.1Z"}
        ],
    }


_GARNET = {
    "id": TASK,
    "alias": "garnet",
    "display_name": "Garnet",
    "description": "20 qubits",
    "backend_type": "qpu",
    "number_of_qubits": 20,
    "pulla_enabled": False,
    "limits": {
        "max_instructions_per_circuit": 10000,
        "max_shots_per_circuit": 100000,
        "max_circuits_per_job": 200,
        "max_executions_per_job": 1000000,
        "max_queued_jobs_per_user": 10,
    },
    "operational_status": "online",
    "health": {"healthy": True, "updated_at": "2026-09-28T15:16:40.483662Z"},
    "queue_length": 3,
    "pricing": {"payg_price_per_second": "0.30"},
    "additional_info": {
        "academy_url": "https://e",
        "best_suited_for": [],
        "documentation_url": "https://e",
        "mock_url": "https://e",
    },
}
_ARCHITECTURE = {"note": "a" * 10_000, "gates": {}}
IQM = Vendor(
    name="iqm-server",
    member="IQMServer",
    id="garnet",
    settings={"QRMI_IQM_ISA_ENDPOINT": "{base}", "QRMI_IQM_ISA_TOKEN": "token"},
    payload=(
        "IQMServer",
        {
            "iqmjson": json.dumps({"circuits": [PADDING]}),
            "job_type": "circuit",
            "use_timeslot": None,
            "tag": None,
        },
    ),
    rules=(
        Rule("GET", "/api/v1/quantum-computers/garnet", _GARNET),
        Rule("POST", "/api/v1/jobs/garnet/circuit", _iqm_job("waiting", ENDED)),
        Rule("GET", f"/api/v1/jobs/{TASK}", _iqm_job("processing", TASK)),
        Rule("GET", "/api/v1/jobs/", _iqm_job("completed", ENDED)),
        Rule("GET", f"/api/v1/jobs/{ENDED}/artifacts/measurements", [{"m_1_0_0": [[0], [1]]}]),
        Rule(
            "GET",
            f"/api/v1/jobs/{ENDED}/artifacts/measurement_counts",
            {"error_code": "job_artifact_not_found", "message": "none", "request_id": "r"},
            404,
        ),
        Rule(
            "GET",
            f"/api/v1/jobs/{LARGE}/artifacts/measurement_counts",
            {"error_code": "job_artifact_not_found", "message": "none", "request_id": "r"},
            404,
        ),
        Rule("POST", "/api/v1/jobs/", _iqm_job("cancelled", ENDED)),
        Rule(
            "GET",
            "/api/v1/calibration-sets/garnet/default/dynamic-quantum-architecture",
            _ARCHITECTURE,
        ),
        Rule("GET", "/api/v1/calibration-sets/garnet/default", _ARCHITECTURE),
        Rule("GET", "/api/v1/calibration-sets/garnet/default/metrics", _ARCHITECTURE),
        Rule("GET", "/api/v1/quantum-computers/garnet/artifacts/static-quantum-architectures", []),
    ),
    large=Rule("GET", f"/api/v1/jobs/{LARGE}/artifacts/measurements"),
)


def _felis_job(events: list[str], id_: str) -> dict[str, Any]:
    return {
        "inputDataFormat": "HUMAN_QIR",
        "outputDataFormat": "HISTOGRAM",
        "target": "EMU:40Q:PHYSICAL_CATS",
        "inputParams": {"nbShots": 10},
        "id": id_,
        "userName": "u",
        "userId": "uid",
        "organizationName": "o",
        "events": [
            {"type": kind, "createdAt": f"2026-01-01T00:00:0{number}Z"}
            for number, kind in enumerate(events)
        ],
        "errors": [],
    }


FELIS = Vendor(
    name="alice-bob-felis",
    member="AliceBobFelis",
    id="ab_emu_40q_physical_cats",
    settings={
        "QRMI_AB_FELIS_API_KEY": "dXNlcjpwYXNzd29yZA==",
        "QRMI_AB_FELIS_BASE_ENDPOINT": "{base}",
    },
    payload=("AliceBobFelis", {"human_qir": PADDING, "input_params": '{"nbShots":10}'}),
    rules=(
        Rule("POST", "/v1/jobs/", _felis_job(["CREATED"], ENDED)),
        Rule("GET", "/v1/jobs/", _felis_job(["CREATED", "SUCCEEDED"], ENDED)),
        Rule("GET", f"/v1/jobs/{TASK}", _felis_job(["CREATED", "EXECUTING"], TASK)),
        Rule("GET", f"/v1/jobs/{ENDED}/output", "memory,count\n00,5\n", 200, "text/plain"),
        Rule("DELETE", "/v1/jobs/", None, 204),
        *(
            Rule("GET", f"/v1/targets/{name}/health", '"OK"')
            for name in ("EMU:40Q:PHYSICAL_CATS", "EMU%3A40Q%3APHYSICAL_CATS")
        ),
        Rule(
            "GET",
            "/v1/targets/",
            [
                {
                    "name": "EMU:40Q:PHYSICAL_CATS",
                    "numQubits": 40,
                    "instructions": [{"signature": "__quantum__qis__x__body:void (%Qubit*)"}] * 40,
                    "inputParams": {},
                }
            ],
        ),
    ),
    large=Rule("GET", f"/v1/jobs/{LARGE}/output", content_type="text/plain"),
)
