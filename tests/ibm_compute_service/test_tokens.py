"""Credentials: tokens of the identity service, and what refuses them."""

from __future__ import annotations

import time

import pytest

from qrmi import TaskStatus
from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    Owner,
    ResourceUnavailableError,
)
from qrmi_sandbox.faults import Fault

API = "/api/v1"


def test_expired_token(server, hasty, program):
    """A token that is refused is renewed once, unseen by the caller."""
    task = hasty.task_start(program)
    server.expire_tokens()
    assert hasty.task_wait(task, 60) is TaskStatus.COMPLETED
    assert sum(server.tokens_given.values()) == 2
    server.expire_tokens()
    assert hasty.task_start(program) != task
    assert len(server.jobs) == 2


def test_wrong_key(opened):
    """The identity service's reason is in the error; the key is not."""
    with pytest.raises(AuthenticationFailedError, match="BXNIM0415E") as caught:
        opened(IAM_APIKEY="not-the-key").is_accessible()
    assert "not-the-key" not in str(caught.value)


def test_identity_service_is_down(server, opened):
    """No request leaves without a token."""
    resource = opened(QRMI_HTTP_BUDGET_SECONDS="0.2")
    server.faults.add(Fault(kind="status", match="POST /identity", status=500, times=None))
    with pytest.raises(ResourceUnavailableError):
        resource.is_accessible()
    assert not [r for r in server.requests if r.path.startswith(API)]


def test_wrong_service_instance(opened):
    """A 403 tells the service's reason, and who can act."""
    with pytest.raises(AccessDeniedError, match="No access to this service instance") as caught:
        opened(SERVICE_CRN="crn:v1:other").is_accessible()
    assert caught.value.owner is Owner.SITE


def test_wall_clock_that_jumps(server, resource, monkeypatch):
    """Tokens are renewed by a clock that never jumps."""
    resource.is_accessible()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    resource.is_accessible()
    assert sum(server.tokens_given.values()) == 1
