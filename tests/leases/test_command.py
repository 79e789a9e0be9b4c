"""``qrmi leases``: what it says, to people and to machines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qrmi_sandbox.faults import Fault

Service = Any  # of conftest.py


def test_nothing_is_held(ibm: Service) -> None:
    for arguments in (["leases"], ["leases", "--reap"]):
        done = ibm.command(*arguments)
        assert (done.returncode, done.stdout) == (0, "")
        assert "no process of yours holds a session" in done.stderr
    assert json.loads(ibm.command("leases", "--json").stdout) == []


@pytest.mark.parametrize(
    "arguments", [["TOKEN"], ["--reap", "unknown"], ["--reap", ""], ["--reap", "--resource", "x"]]
)
def test_wrong_arguments(ibm: Service, arguments: list[str]) -> None:
    """They are told with what to do instead; nothing is released."""
    done = ibm.command("leases", *arguments)
    assert done.returncode == 2
    assert "hint:" in done.stderr
    assert ibm.releases() == 0


def test_what_was_left_behind(ibm: Service) -> None:
    """People see a shortened token, whose it is and what to do; machines see all of it."""
    child = ibm.begin("say(resource.acquire()); resource.acquire(); os._exit(0)")
    token = child.line()
    child.end()
    done = ibm.command("leases")
    assert done.returncode == 0
    assert token not in done.stdout
    assert token[:10] in done.stdout
    assert str(child.process.pid) in done.stdout
    assert "gone" in done.stdout
    assert "qrmi leases --reap" in done.stderr
    (lease,) = ibm.leases()
    assert set(lease) == {"resource", "type", "token", "owner", "owner_is", "acquired_at"}
    assert (lease["token"], lease["type"]) == (token, "ibm-quantum-compute-service")
    ibm.server.faults.add(Fault(kind="status", status=403, match="PATCH *"))
    done = ibm.command("leases", "--reap", "--json")
    (outcome,) = json.loads(done.stdout)
    assert (done.returncode, outcome["fate"]) == (1, "failed")
    assert {"message", "hint", "owner", "retryable"} <= set(outcome["error"])
    done = ibm.command("leases", "--reap", token[:9])
    assert done.returncode == 0
    assert done.stdout.startswith("released")
    assert ibm.held() == []


def test_a_token_that_the_journal_does_not_know(ibm: Service) -> None:
    """With the resource's name it is tried all the same."""
    child = ibm.begin("say(resource.acquire(keep=True))", QRMI_STATE_DIR=str(ibm.folder / "other"))
    token = child.line()
    child.end()
    assert ibm.leases() == []
    done = ibm.command("leases", "--reap", token, "--resource", ibm.name)
    assert done.returncode == 0, done.stderr
    assert ibm.held() == []


def test_several_of_like_names(ibm: Service) -> None:
    child = ibm.begin("resource.acquire(); qrmi.open(NAME).acquire(); os._exit(0)")
    child.end()
    assert len(ibm.held()) == 2
    done = ibm.command("leases", "--reap", "sess-")
    assert done.returncode == 2
    assert "begins 2 tokens" in done.stderr
    assert len(ibm.held()) == 2
    assert ibm.command("leases", "--reap").returncode == 0
    assert ibm.held() == []
