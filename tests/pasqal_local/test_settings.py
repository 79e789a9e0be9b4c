"""Settings: names, fallbacks, and what is said of those that are wrong."""

from __future__ import annotations

import pytest

from qrmi.errors import ConfigError, EnvVarNotSetError
from qrmi.resource import QuantumResource
from qrmi.settings import MappingSource
from qrmi.tasks import ResourceType
from qrmi_pasqal.local.settings import PasqalLocalSettings

URL = "http://127.0.0.1:8006"


def loaded(**values: str) -> PasqalLocalSettings:
    """Settings from unprefixed keys."""
    return PasqalLocalSettings.load(MappingSource({"QRMI_WARDEN_URL": URL, **values}))


def test_the_environment_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a scheduler's plug-in sets: prefixed by the name, but for the job's own variables."""
    monkeypatch.setenv("my-qpu_QRMI_WARDEN_URL", URL + "/")
    monkeypatch.setenv("my-qpu_QRMI_JOB_ACQUISITION_TOKEN", "session")
    monkeypatch.setenv("QRMI_JOB_UID", "1000")
    monkeypatch.setenv("QRMI_JOB_ID", "42")
    monkeypatch.setenv("QRMI_JOB_QPU_SLOTS", "2")
    settings = QuantumResource("my-qpu", ResourceType.PasqalLocal)._driver.settings
    assert isinstance(settings, PasqalLocalSettings)
    assert (settings.url, settings.user_id, settings.job_id, settings.slots) == (URL, 1000, "42", 2)
    assert settings.session is not None
    assert "session" not in repr(settings).replace("session=", "")


def test_the_older_name_of_the_url() -> None:
    """``QRMI_URL`` still works; the newer name wins."""
    assert PasqalLocalSettings.load(MappingSource({"QRMI_URL": "http://old"})).url == "http://old"
    assert loaded(QRMI_URL="http://old").url == URL


def test_a_missing_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, the file's key and the command that checks them are named."""
    monkeypatch.delenv("qpu_QRMI_WARDEN_URL", raising=False)
    with pytest.raises(EnvVarNotSetError, match=r"^qpu_QRMI_WARDEN_URL environment") as caught:
        QuantumResource("qpu", "pasqal-local")
    assert "QRMI_WARDEN_URL in the resource's entry" in caught.value.hint
    assert "qrmi config check" in caught.value.hint
    with pytest.raises(ConfigError, match="required config key: 'QRMI_WARDEN_URL'"):
        QuantumResource.from_config("qpu", "pasqal-local", {})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("QRMI_WARDEN_URL", "gateway:8006", "begins with http"),
        ("QRMI_JOB_UID", "alice", "numeric user id"),
        ("QRMI_JOB_UID", "-1", "numeric user id"),
        ("QRMI_JOB_QPU_SLOTS", "0", "1 or more"),
        ("QRMI_JOB_QPU_SLOTS", "two", "1 or more"),
    ],
)
def test_malformed_settings(key: str, value: str, expected: str) -> None:
    """The key, the value and what was expected."""
    with pytest.raises(ConfigError, match=rf"{key} value .*{expected}"):
        loaded(**{key: value})


def test_blank_is_absent() -> None:
    """A variable that is set to nothing counts as not set."""
    settings = loaded(QRMI_JOB_ACQUISITION_TOKEN="", QRMI_JOB_QPU_SLOTS="")
    assert settings.session is None
    assert settings.slots is None


def test_opening_opens_nothing() -> None:
    """A handle on a host that is not there is made without asking."""
    handle = QuantumResource.from_config("qpu", "pasqal-local", {"QRMI_URL": "http://nowhere.test"})
    assert handle.resource_type() is ResourceType.PASQAL_LOCAL
    assert handle.payloads == {"pulser-sequence"}
