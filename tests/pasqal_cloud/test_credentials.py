"""Tokens: which one is used, how long, and what happens when it is refused."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import QuantumResource
from qrmi.errors import AuthenticationFailedError, QrmiError, TaskNotFoundError
from qrmi.payloads import PasqalCloud
from qrmi_pasqal.cloud.credentials import claims, lifetime, remaining
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer
from qrmi_sandbox.pasqal_tokens import PASSWORD, USERNAME

PERSON = {
    "PASQAL_USERNAME": USERNAME,
    "PASQAL_PASSWORD": PASSWORD,
    "QRMI_PASQAL_CLOUD_CLIENT_ID": None,
}
PASSWORD_GRANT = "http://auth0.com/oauth/grant-type/password-realm"


def look(resource: QuantumResource) -> None:
    """Ask for something that needs a token; the task does not exist."""
    with pytest.raises(TaskNotFoundError):
        resource.task_status("none")


def test_a_person_logs_in(server: PasqalCloudServer, on: Callable[..., QuantumResource]) -> None:
    """User name and password get a token, and one is enough."""
    resource = on(**PERSON)
    look(resource)
    look(resource)
    assert server.tokens_given == {PASSWORD_GRANT: 1}


def test_a_person_logs_in_to_the_other_region(
    server: PasqalCloudServer, on: Callable[..., QuantumResource]
) -> None:
    """In region ``sa`` the token service is Keycloak, with a grant and a client of its own."""
    keycloak = f"{server.url}/realms/pasqal-cloud/protocol/openid-connect/token"
    region = {"QRMI_PASQAL_CLOUD_REGION": "sa", "QRMI_PASQAL_CLOUD_AUTH_ENDPOINT": keycloak}
    look(on(**PERSON, **region))
    assert server.tokens_given == {"password": 1}


def test_a_person_goes_before_a_service_account(
    server: PasqalCloudServer, on: Callable[..., QuantumResource]
) -> None:
    """With both kinds of credentials, the person's are used, as upstream does."""
    look(on(PASQAL_USERNAME=USERNAME, PASQAL_PASSWORD=PASSWORD))
    assert list(server.tokens_given) == [PASSWORD_GRANT]


@pytest.mark.parametrize("seconds", [None, 3600.0])
def test_a_configured_token_goes_first(
    server: PasqalCloudServer, on: Callable[..., QuantumResource], seconds: float | None
) -> None:
    """A token without end, or one that is good for a while, is used as it is."""
    look(on(QRMI_PASQAL_CLOUD_AUTH_TOKEN=server.make_token(seconds)))
    assert not server.tokens_given


@pytest.mark.parametrize("seconds", [-5.0, 5.0])
def test_a_configured_token_that_ends_is_not_used(
    server: PasqalCloudServer, on: Callable[..., QuantumResource], seconds: float
) -> None:
    """With ten seconds or less to go, another is fetched at once."""
    look(on(QRMI_PASQAL_CLOUD_AUTH_TOKEN=server.make_token(seconds)))
    assert server.tokens_given == {"client_credentials": 1}


def test_a_token_alone_is_used_to_its_end(
    server: PasqalCloudServer, on: Callable[..., QuantumResource]
) -> None:
    """Without credentials for another, the token is used until it ends, and not replaced early."""
    token = server.make_token(5.0)
    resource = on(QRMI_PASQAL_CLOUD_AUTH_TOKEN=token, QRMI_PASQAL_CLOUD_CLIENT_ID=None)
    deadline = time.monotonic() + 3.5
    while time.monotonic() < deadline:
        look(resource)
        time.sleep(0.1)


def test_a_configured_token_that_is_refused_is_replaced(
    server: PasqalCloudServer, on: Callable[..., QuantumResource]
) -> None:
    """After a 401 the credentials are used, once; the call succeeds."""
    look(on(QRMI_PASQAL_CLOUD_AUTH_TOKEN="opaque"))
    assert server.tokens_given == {"client_credentials": 1}


def test_a_refused_token_without_credentials_says_so(
    on: Callable[..., QuantumResource],
) -> None:
    """The error names the variable to renew, and does not show the token."""
    resource = on(QRMI_PASQAL_CLOUD_AUTH_TOKEN="opaque-token", QRMI_PASQAL_CLOUD_CLIENT_ID=None)
    with pytest.raises(AuthenticationFailedError, match="configured token") as caught:
        resource.task_status("none")
    assert "QRMI_PASQAL_CLOUD_AUTH_TOKEN" in caught.value.hint
    assert "opaque-token" not in str(caught.value)


def test_a_token_that_expires_mid_run_is_renewed(
    server: PasqalCloudServer, resource: QuantumResource, flip_text: str
) -> None:
    """The service forgets all tokens while a task runs: one refresh, and nothing is sent twice."""
    task_id = resource.task_start(PasqalCloud(flip_text, 5))
    server.expire_tokens()
    assert resource.task_wait(task_id, 60).name == "COMPLETED"
    assert server.tokens_given.total() == 2
    server.expire_tokens()
    again = resource.task_start(PasqalCloud(flip_text, 5))
    assert server.executions[again] == 1
    assert len(server.batches) == 2


def test_short_tokens_are_renewed_before_they_end(
    server: PasqalCloudServer, resource: QuantumResource
) -> None:
    """A token of two seconds is replaced before the service would refuse it."""
    server.token_seconds = 2.0
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        look(resource)
        time.sleep(0.05)
    assert server.tokens_given.total() >= 2


def test_wrong_credentials_give_the_services_reason(on: Callable[..., QuantumResource]) -> None:
    """A refused login is typed, has the reason and no secret."""
    resource = on(**{**PERSON, "PASQAL_PASSWORD": "not it"})
    with pytest.raises(AuthenticationFailedError, match="Wrong email or password") as caught:
        resource.task_status("none")
    assert "not it" not in str(caught.value)


@pytest.mark.parametrize("kind", ["not_json", "html", "drop_fields"])
def test_a_broken_token_service_is_an_error(
    server: PasqalCloudServer, resource: QuantumResource, kind: str
) -> None:
    """Whatever the token service answers, the error is ours."""
    server.faults.add(Fault(kind=kind, match="POST /oauth/token", times=None))
    with pytest.raises(QrmiError):
        resource.task_status("none")


def test_a_token_service_that_recovers_is_waited_for(
    server: PasqalCloudServer, resource: QuantumResource
) -> None:
    """Asking for a token is repeated after 503: it changes nothing on the service."""
    server.faults.add(Fault(kind="status", match="POST /oauth/token", status=503, times=2))
    look(resource)


# --- what tokens say ------------------------------------------------------------------------------


def jwt(**told: object) -> str:
    """A token with claims, unsigned."""
    text = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    return f"e30.{text}.sig"


def test_a_lifetime_does_not_depend_on_the_wall_clock() -> None:
    """With ``iat`` and ``exp`` the difference counts, however wrong the clock is."""
    token = jwt(iat=1000, exp=1060)
    assert lifetime(token, None, now=5e9) == 60
    assert lifetime(token, 30, now=0) == 30
    assert lifetime(jwt(exp=1060), None, now=1000) == 60
    assert lifetime(jwt(exp=1060), None, now=2000) is None  # ended before it began: unknown
    assert lifetime(jwt(exp=1060), 600, now=2000) == 600  # the service says so, whatever the clock
    assert lifetime("opaque", 86400, now=0) == 86400
    assert lifetime("opaque", None, now=0) is None


@given(st.text(), st.floats(allow_nan=True) | st.none() | st.text() | st.booleans())
def test_junk_tokens_say_nothing_and_raise_nothing(text: str, expires_in: object) -> None:
    """Any text is a token; only a JWT says something of itself."""
    assert isinstance(claims(text), dict)
    found = lifetime(text, expires_in, now=0.0)
    assert found is None or found > 0


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_odd_claims_raise_nothing(value: object) -> None:
    """A JWT whose ``exp`` is no number is one without end."""
    found = remaining(jwt(exp=value), now=0.0)
    assert found is None or isinstance(found, float)
