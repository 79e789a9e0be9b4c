"""Canned answers and settings of IBM; the smallest that the Rust library takes."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.beside.vendor import ENDED, LARGE, LONG, PADDING, TASK, Rule, Vendor

__all__ = ["COMPUTE_SERVICE", "QUANTUM_SYSTEM"]

_PRIMITIVE = (
    "QiskitPrimitive",
    {
        "input": json.dumps({"pubs": [[PADDING, None, 100]], "version": 2, "options": {}}),
        "program_id": "sampler",
    },
)
_IAM = Rule(
    "POST",
    "/identity/token",
    {
        "access_token": "TOK",
        "refresh_token": "none",
        "ims_user_id": 1,
        "token_type": "Bearer",
        "expires_in": 3600,
        "expiration": 9999999999,
        "scope": "ibm openid",
    },
)
_CONFIGURATION = {"backend_name": "heron", "n_qubits": 133, "note": "c" * 20_000}
_PROPERTIES = {"backend_name": "heron", "note": "p" * 20_000}


def _qs_job(status: str, id_: str) -> dict[str, Any]:
    return {
        "id": id_,
        "backend": "heron",
        "created_time": "2026-01-01T00:00:00Z",
        "program_id": "sampler",
        "status": status,
        "storage": {},
    }


_QS_LOOK = Rule("GET", "/v1/jobs/", _qs_job("Completed", ENDED))
QUANTUM_SYSTEM = Vendor(
    name="ibm-quantum-system",
    member="IBMQuantumSystem",
    id="heron",
    settings={
        "QRMI_IBM_QS_ENDPOINT": "{base}",
        "QRMI_IBM_QS_IAM_ENDPOINT": "{base}",
        "QRMI_IBM_QS_IAM_APIKEY": "key",
        "QRMI_IBM_QS_SERVICE_CRN": "crn:v1:x",
        "QRMI_IBM_QS_AWS_ACCESS_KEY_ID": "AK",
        "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY": "SK",
        "QRMI_IBM_QS_S3_ENDPOINT": "{base}",
        "QRMI_IBM_QS_S3_BUCKET": "bucket",
        "QRMI_IBM_QS_S3_REGION": "us-east",
        "QRMI_JOB_TIMEOUT_SECONDS": "600",
    },
    payload=_PRIMITIVE,
    rules=(
        _IAM,
        Rule(
            "GET",
            "/v1/backends/heron",
            {"name": "heron", "status": "online", "version": "1", "message": "", "locked": False},
        ),
        Rule(
            "GET",
            "/v1/backends/heron/lanes",
            {"hpc_workload_manager": {"lanes": 3}, "ibm_quantum_compute": {"lanes": 2}},
        ),
        Rule("GET", "/v1/backends/heron/configuration", _CONFIGURATION),
        Rule("GET", "/v1/backends/heron/properties", _PROPERTIES),
        Rule("GET", "/v1/jobs", {"jobs": []}),
        _QS_LOOK,
        Rule("GET", f"/v1/jobs/{TASK}", _qs_job("Running", TASK)),
        Rule("POST", "/v1/jobs", None, 204),
        Rule("DELETE", "/v1/jobs", None, 204),
        Rule("PUT", "/bucket/", None, 200, "application/xml"),
        Rule("GET", "/bucket/", {"results": []}),
    ),
    large=Rule("GET", f"/bucket/results_{LARGE}"),
    looks=(_QS_LOOK,),
    running=_qs_job("Running", ENDED),
)


def _qcs_job(status: str, id_: str, parameters: str = "") -> dict[str, Any]:
    return {
        **({"params": {"pubs": [parameters]}} if parameters else {}),
        "id": id_,
        "backend": "torino",
        "state": {"status": status, "reason": ""},
        "status": status,
        "program": {"id": "sampler"},
        "created": "2026-01-01T00:00:00Z",
        "cost": 600,
        "user_id": "u",
    }


_SESSION = {
    "id": "s-1",
    "backend_name": "torino",
    "mode": "dedicated",
    "max_ttl": 28800,
    "active_ttl": 28000,
    "state": "open",
    "accepting_jobs": True,
}
_STATUS = {"state": True, "status": "active", "message": "available", "length_queue": 3}
_DEVICE = {
    "name": "torino",
    "status": {"name": "online", "reason": "available"},
    "is_simulator": False,
    "qubits": 133,
    "queue_length": 7,
}
COMPUTE_SERVICE = Vendor(
    name="ibm-quantum-compute-service",
    member="IBMQuantumComputeService",
    id="torino",
    settings={
        "QRMI_IBM_QCS_ENDPOINT": "{base}/api/v1",
        "QRMI_IBM_QCS_IAM_ENDPOINT": "{base}",
        "QRMI_IBM_QCS_IAM_APIKEY": "key",
        "QRMI_IBM_QCS_SERVICE_CRN": "crn:v1:x",
        "QRMI_IBM_QCS_TIMEOUT_SECONDS": "600",
    },
    payload=_PRIMITIVE,
    rules=(
        _IAM,
        Rule("GET", "/api/v1/backends", {"devices": [_DEVICE]}),
        Rule("GET", "/api/v1/backends/torino/status", {**_STATUS, "backend_version": "1.0"}),
        Rule("GET", "/api/v1/backends/torino/configuration", _CONFIGURATION),
        Rule("GET", "/api/v1/backends/torino/properties", _PROPERTIES),
        Rule("GET", "/api/v1/jobs?", {"jobs": [], "count": 0, "limit": 200, "offset": 0}),
        Rule("GET", "/api/v1/jobs/", _qcs_job("Completed", ENDED)),
        Rule("GET", f"/api/v1/jobs/{TASK}", _qcs_job("Running", TASK)),
        Rule("GET", f"/api/v1/jobs/{LARGE}", _qcs_job("Completed", LARGE)),
        Rule("GET", f"/api/v1/jobs/{LONG}?exclude_params=true", _qcs_job("Running", LONG)),
        Rule("GET", f"/api/v1/jobs/{LONG}", _qcs_job("Running", LONG, "p" * 5_000_000)),
        Rule("GET", f"/api/v1/jobs/{ENDED}/results", {"results": []}, 200, "text/plain"),
        Rule("POST", "/api/v1/jobs", {"id": ENDED, "backend": "torino"}),
        Rule("POST", "/api/v1/sessions", _SESSION),
        Rule("GET", "/api/v1/sessions/", _SESSION),
        Rule("PATCH", "/api/v1/sessions/", None, 204),
        Rule("DELETE", "/api/v1/sessions/", None, 204),
    ),
    large=Rule("GET", f"/api/v1/jobs/{LARGE}/results", content_type="text/plain"),
)
