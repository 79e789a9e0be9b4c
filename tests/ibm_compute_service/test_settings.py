"""Settings of the compute service and of its alias."""

from __future__ import annotations

import warnings

import pytest

from qrmi import Payload, QuantumResource, TaskStatus
from qrmi.errors import ConfigError, EnvVarNotSetError, InvalidInputError
from qrmi.settings import MappingSource
from qrmi_ibm.compute_service.settings import (
    ComputeServiceSettings,
    RuntimeServiceSettings,
    SessionMode,
)
from qrmi_sandbox.compute_service import ComputeServiceServer, RuntimeServiceServer

FAMILIES = {"QCS": ComputeServiceSettings, "QRS": RuntimeServiceSettings}
TYPES = {"QCS": "ibm-quantum-compute-service", "QRS": "qiskit-runtime-service"}
NEEDED = ("ENDPOINT", "IAM_ENDPOINT", "IAM_APIKEY", "SERVICE_CRN")


def _given(family, **more):
    needed = {f"QRMI_IBM_{family}_{key}": "https://x" for key in NEEDED}
    return {
        **needed,
        **{k if k[:5] == "QRMI_" else f"QRMI_IBM_{family}_{k}": v for k, v in more.items()},
    }


def _load(family, **more):
    return FAMILIES[family].load(MappingSource(_given(family, **more)))


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults(family):
    """Four settings are needed, the others have the upstream library's defaults."""
    settings = _load(family)
    assert settings.session_mode is SessionMode.DEDICATED
    assert settings.session_seconds == 28800
    assert settings.timeout_seconds is None
    assert settings.session_id is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("key", NEEDED)
def test_missing(family, key, monkeypatch):
    """A missing setting is named: the variable in the environment, the key in a mapping."""
    given = _given(family)
    name = f"QRMI_IBM_{family}_{key}"
    del given[name]
    with pytest.raises(ConfigError, match=name):
        QuantumResource.from_config("dev", TYPES[family], given)
    for variable, value in given.items():
        monkeypatch.setenv(f"dev_{variable}", value)
    with pytest.raises(EnvVarNotSetError, match=f"dev_{name}.*is not set") as caught:
        QuantumResource("dev", TYPES[family])
    assert "qrmi config check" in caught.value.hint


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("SESSION_MODE", "forever"),
        ("SESSION_MAX_TTL", "soon"),
        ("SESSION_MAX_TTL", "0"),
        ("SESSION_MAX_TTL", "2147483648"),
        ("TIMEOUT_SECONDS", "-1"),
        ("TIMEOUT_SECONDS", "1.5"),
    ],
)
def test_malformed(family, key, text):
    """A malformed setting is named with what was expected."""
    with pytest.raises(ConfigError, match=f"QRMI_IBM_{family}_{key}.*expected"):
        _load(family, **{key: text})


@pytest.mark.parametrize("family", FAMILIES)
def test_fallbacks(family):
    """The job's own limit and token stand in; the resource's own settings come first."""
    job = {"QRMI_JOB_TIMEOUT_SECONDS": "60", "QRMI_JOB_ACQUISITION_TOKEN": "job"}
    settings = _load(family, **job)
    assert (settings.timeout_seconds, settings.session_id) == (60, "job")
    settings = _load(family, TIMEOUT_SECONDS="30", SESSION_ID="own", **job)
    assert (settings.timeout_seconds, settings.session_id) == (30, "own")
    assert _load(family, QRMI_JOB_TIMEOUT_SECONDS="4294967295").timeout_seconds is None
    assert _load(family, SESSION_MODE="BATCH").session_mode is SessionMode.BATCH


def test_families_are_the_same_settings():
    """The alias has every setting of the service under its own family's key."""
    ours = ComputeServiceSettings.declarations()
    alias = RuntimeServiceSettings.declarations()
    assert list(ours) == list(alias)
    for name, declaration in ours.items():
        assert alias[name].key == declaration.key.replace("_QCS_", "_QRS_")
        assert (alias[name].fallback, alias[name].default) == (
            declaration.fallback,
            declaration.default,
        )


def test_other_familys_keys_do_not_count():
    """The alias does not read the keys of the service, nor the service the alias's."""
    with pytest.raises(ConfigError, match="QRMI_IBM_QRS_ENDPOINT"):
        RuntimeServiceSettings.load(MappingSource(_given("QCS")))


def test_alias_warns_and_works(program):
    """The deprecated type warns when it is opened, and does the same but for ``executor``."""
    with RuntimeServiceServer() as server:
        entry = server.resource()
        with pytest.warns(DeprecationWarning, match="ibm-quantum-compute-service"):
            resource = QuantumResource.from_config(
                entry["name"], entry["type"], entry["environment"]
            )
        token = resource.acquire()
        task = resource.task_start(program)
        assert resource.task_wait(task, 60) is TaskStatus.COMPLETED
        resource.release(token)
        assert resource.status().pending_job_count == 3
        assert resource.status().busy is None
        with pytest.raises(InvalidInputError, match="unknown program ID"):
            resource.task_start(Payload.QiskitPrimitive("{}", "executor"))


def test_service_does_not_warn():
    """The type that is not deprecated is silent."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        QuantumResource.from_config("x", TYPES["QCS"], _given("QCS"))


@pytest.mark.parametrize("slash", ["", "/"])
def test_trailing_slash(slash, program):
    """Addresses work with and without a trailing slash."""
    with ComputeServiceServer() as server:
        environment = dict(server.resource()["environment"])
        for key in ("QRMI_IBM_QCS_ENDPOINT", "QRMI_IBM_QCS_IAM_ENDPOINT"):
            environment[key] += slash
        resource = QuantumResource.from_config("test_heron", TYPES["QCS"], environment)
        assert resource.is_accessible()
        assert all("//" not in request.path for request in server.requests)


@pytest.mark.parametrize("key", ["QRMI_IBM_QCS_ENDPOINT", "QRMI_IBM_QCS_IAM_ENDPOINT"])
@pytest.mark.parametrize("url", ["service", "http://h:99999/", "http://[::1/", "http://a b/"])
def test_an_address_that_is_none_is_refused_when_it_is_read(opened, key: str, url: str) -> None:
    """The key is named, and the command that checks it."""
    with pytest.raises(ConfigError, match=key) as caught:
        opened(**{key: url})
    assert "qrmi config check" in str(caught.value)
