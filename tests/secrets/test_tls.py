"""The check of certificates is switched off for one resource, by its name, and never quietly."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator

import pytest
import requests
import trustme

from qrmi import QuantumResource, config
from qrmi.cli.config import check
from qrmi.errors import ResourceUnavailableError
from qrmi.transport import RequestsTransport
from qrmi.transport.network import route_to
from qrmi_sandbox.iqm import IQMServer

_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
TRANSPORTS = ("curl", "requests")
WARNING = "certificates of TLS connections are NOT verified"


@pytest.fixture(autouse=True)
def plain_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No certificates of the machine's."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    route_to.cache_clear()
    yield
    route_to.cache_clear()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[IQMServer]:
    """A server whose certificate nobody trusts, and which is another host's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with IQMServer(tls=context) as made:
        yield made


def _settings(server: IQMServer, transport: str, **more: str) -> dict[str, str]:
    return {
        **server.resource("garnet")["environment"],
        "QRMI_HTTP_TRANSPORT": transport,
        "QRMI_HTTP_BUDGET_SECONDS": "5",
        **more,
    }


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_setting_takes_any_certificate_and_says_so_once_a_handle(
    server: IQMServer, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the first request, not when the handle is made; another handle stays strict."""
    values = _settings(server, transport, QRMI_HTTP_INSECURE="true")
    with caplog.at_level(logging.WARNING, "qrmi"):
        resource = QuantumResource.from_config("garnet", "iqm-server", values)
        assert WARNING not in caplog.text
        assert resource.is_accessible()
        assert resource.is_accessible()
    assert [r.levelname for r in caplog.records if WARNING in r.getMessage()] == ["WARNING"]
    assert "garnet" in caplog.text
    strict = QuantumResource.from_config("garnet", "iqm-server", _settings(server, transport))
    with pytest.raises(ResourceUnavailableError, match=r"certificate|TLS"):
        strict.is_accessible()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QRMI_HTTP_INSECURE", "true"),
        ("CURL_CA_BUNDLE", ""),
        ("REQUESTS_CA_BUNDLE", ""),
        ("SSL_CERT_FILE", ""),
        ("SSL_CERT_DIR", ""),
        ("PYTHONHTTPSVERIFY", "0"),
        ("GIT_SSL_NO_VERIFY", "1"),
        ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
    ],
)
def test_no_variable_switches_it_off_for_all(
    server: IQMServer, transport: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ours without a resource's name nor those that other programs heed."""
    for key, text in _settings(server, transport).items():
        monkeypatch.setenv(f"garnet_{key}", text)
    monkeypatch.setenv(name, value)
    with pytest.raises(ResourceUnavailableError, match=r"certificate|TLS"):
        QuantumResource("garnet", "iqm-server").is_accessible()


def test_the_variable_with_the_name_of_the_resource_counts(
    server: IQMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, text in _settings(server, "auto", QRMI_HTTP_INSECURE="yes").items():
        monkeypatch.setenv(f"garnet_{key}", text)
    assert QuantumResource("garnet", "iqm-server").is_accessible()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_session_of_the_callers_that_takes_any_is_warned_of_too(
    server: IQMServer, caplog: pytest.LogCaptureFixture
) -> None:
    session = requests.Session()
    session.verify = False
    resource = QuantumResource.from_config(
        "garnet", "iqm-server", _settings(server, "auto"), transport=RequestsTransport(session)
    )
    with caplog.at_level(logging.WARNING, "qrmi"):
        assert resource.is_accessible()
    assert WARNING in caplog.text


def test_the_check_marks_it(server: IQMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning, no problem: the resource can be used."""
    for key, text in _settings(server, "auto", QRMI_HTTP_INSECURE="1").items():
        monkeypatch.setenv(f"garnet_{key}", text)
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "garnet")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "iqm-server")
    marked = [finding for finding in check(config.config_path()) if finding.state == "insecure"]
    assert [(f.resource, f.key, f.is_problem) for f in marked] == [
        ("garnet", "garnet_QRMI_HTTP_INSECURE", False)
    ]
    assert WARNING in marked[0].text
