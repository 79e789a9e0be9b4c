"""Settings: upstream's keys, what is required when, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import qrmi
from qrmi import QuantumResource
from qrmi.errors import ConfigError, EnvVarNotSetError
from qrmi_ibm.quantum_system.settings import QuantumSystemSettings
from qrmi_sandbox.quantum_system import QuantumSystemServer

_TYPE = "ibm-quantum-system"
_REQUIRED = (
    "QRMI_IBM_QS_ENDPOINT",
    "QRMI_IBM_QS_IAM_ENDPOINT",
    "QRMI_IBM_QS_IAM_APIKEY",
    "QRMI_IBM_QS_SERVICE_CRN",
)
_OTHERS = (
    "QRMI_IBM_QS_AWS_ACCESS_KEY_ID",
    "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY",
    "QRMI_IBM_QS_S3_ENDPOINT",
    "QRMI_IBM_QS_S3_BUCKET",
    "QRMI_IBM_QS_S3_REGION",
    "QRMI_IBM_QS_S3_ENDPOINT_FOR_QSAPI",
    "QRMI_JOB_TIMEOUT_SECONDS",
)


def test_every_key_of_upstream_is_declared() -> None:
    """No key is missing, and only the four are required at once."""
    declared = {d.key: d for d in QuantumSystemSettings.declarations().values()}
    assert set(_REQUIRED + _OTHERS) <= declared.keys()
    assert {key for key, d in declared.items() if d.required} == set(_REQUIRED)


@pytest.mark.parametrize("key", _REQUIRED)
def test_a_required_key_that_is_absent(
    server: QuantumSystemServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The variable is named, or the key where settings come from a mapping."""
    settings = server.resource()["environment"]
    del settings[key]
    with pytest.raises(ConfigError, match=key):
        QuantumResource.from_config("test_heron", _TYPE, settings)
    for name, value in settings.items():
        monkeypatch.setenv(f"test_heron_{name}", value)
    with pytest.raises(EnvVarNotSetError, match=f"test_heron_{key} environment variable"):
        QuantumResource("test_heron", _TYPE)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("QRMI_IBM_QS_ENDPOINT", "qs.example.com"),
        ("QRMI_IBM_QS_ENDPOINT", "ftp://qs.example.com"),
        ("QRMI_IBM_QS_IAM_ENDPOINT", "https://"),
        ("QRMI_IBM_QS_ENDPOINT", "https://qs:port"),
        ("QRMI_IBM_QS_ENDPOINT", "https://qs:99999"),
        ("QRMI_IBM_QS_S3_ENDPOINT", "s3"),
        ("QRMI_IBM_QS_S3_ENDPOINT_FOR_QSAPI", "/storage"),
        ("QRMI_JOB_TIMEOUT_SECONDS", "0"),
        ("QRMI_JOB_TIMEOUT_SECONDS", "-1"),
        ("QRMI_JOB_TIMEOUT_SECONDS", "1.5"),
        ("QRMI_JOB_TIMEOUT_SECONDS", "ten"),
    ],
)
def test_a_malformed_value(open_resource: Any, key: str, text: str) -> None:
    """The key is named, the value shown, and what was expected said."""
    with pytest.raises(ConfigError, match=f"{key}.*{text}.*expected"):
        open_resource(**{key: text})


def test_addresses_with_and_without_a_slash_at_the_end(
    server: QuantumSystemServer, open_resource: Any
) -> None:
    """No request has two slashes in its path."""
    resource = open_resource(
        QRMI_IBM_QS_ENDPOINT=server.url + "/",
        QRMI_IBM_QS_IAM_ENDPOINT=server.url + "//",
        QRMI_IBM_QS_S3_ENDPOINT=server.url + "/",
    )
    assert resource.is_accessible()
    assert not any("//" in request.path for request in server.requests)


def test_a_configuration_file_as_it_is_printed(
    server: QuantumSystemServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry that the server gives works in a file, and variables go before it."""
    path = tmp_path / "qrmi_config.json"
    path.write_text(json.dumps({"resources": [server.resource()]}))
    monkeypatch.setenv("QRMI_CONFIG", str(path))
    resource = qrmi.open("test_heron")
    assert resource.is_accessible()
    assert resource.metadata() == {"backend_name": "test_heron"}
    monkeypatch.setenv("test_heron_QRMI_IBM_QS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("test_heron_QRMI_HTTP_BUDGET_SECONDS", "0.2")
    with pytest.raises(qrmi.QrmiError, match="cannot be reached"):
        qrmi.open("test_heron").is_accessible()
