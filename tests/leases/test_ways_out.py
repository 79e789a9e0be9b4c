"""A session that a process acquired ends with it, whichever way it ends."""

from __future__ import annotations

import time
from signal import SIGHUP as HUP
from signal import SIGINT as INT
from signal import SIGKILL as KILL
from signal import SIGTERM as TERM
from typing import Any

import pytest

from qrmi.lifetime import ending
from qrmi_sandbox.faults import Fault

Service = Any  # of conftest.py

_WAYS = {
    "the end": ("resource.acquire()", 0),
    "a with block": ("with resource:\n    resource.acquire()", 0),
    "acquired": ("with resource.acquired():\n    pass", 0),
    "sys.exit": ("resource.acquire()\nsys.exit(7)", 7),
    "an exception": ("resource.acquire()\nraise ValueError('mine')", 1),
    "an exception in acquired": ("with resource.acquired():\n    raise ValueError('mine')", 1),
    "a forgotten handle": ("resource.acquire()\ndel resource", 0),
    "several": ("resource.acquire()\nqrmi.open(NAME).acquire()", 0),
}


@pytest.mark.parametrize(
    ("which", "way"),
    [*(("ibm", way) for way in _WAYS), ("warden", "the end"), ("warden", "acquired")],
)
def test_the_session_ends_with_the_program(
    request: pytest.FixtureRequest, which: str, way: str
) -> None:
    """Leaving by any way of the language releases, and the exit status is the program's own."""
    service: Service = request.getfixturevalue(which)
    script, status = _WAYS[way]
    code, errors = service.run(script)
    assert code == status, errors
    assert service.begun() >= 1
    assert service.held() == []
    assert service.leases() == []
    assert "mine" in errors if "mine" in script else not errors


@pytest.mark.parametrize("number", [TERM, HUP])
@pytest.mark.parametrize("where", ["time.sleep(60)", "threading.Event().wait()", "input()"])
def test_a_signal_releases_first(ibm: Service, number: int, where: str) -> None:
    """The session is closed, then the signal ends the process with its own status."""
    child = ibm.begin(f"resource.acquire(); say('held')\n{where}")
    child.line()
    assert len(ibm.held()) == 1
    child.send(number)
    code, _ = child.end()
    assert code == -number
    assert ibm.held() == []
    assert ibm.releases() == 1
    assert ibm.leases() == []


def test_warden_is_told_at_a_signal(warden: Service) -> None:
    child = warden.begin("resource.acquire(); say('held'); time.sleep(60)")
    child.line()
    assert len(warden.held()) == 1
    child.send(TERM)
    assert child.end()[0] == -TERM
    assert warden.held() == []


def test_ctrl_c_is_a_keyboard_interrupt(ibm: Service) -> None:
    """It arrives as ever; the session ends with the block, or with the process."""
    child = ibm.begin(
        """
        try:
            with resource.acquired():
                say("held")
                time.sleep(60)
        except KeyboardInterrupt:
            say("caught")
            resource.acquire()
            say("again")
            time.sleep(60)
        """
    )
    child.line()
    child.send(INT)
    assert child.line() == "caught"
    assert child.line() == "again"
    assert len(ibm.held()) == 1
    child.send(INT)
    code, errors = child.end()
    assert code == -INT
    assert "KeyboardInterrupt" in errors
    assert ibm.held() == []
    assert ibm.releases() == 2


def test_a_program_that_goes_on_after_ctrl_c_keeps_its_session(ibm: Service) -> None:
    """As in a notebook: the cell is interrupted, the session is not."""
    child = ibm.begin(
        """
        resource.acquire()
        try:
            say("held")
            time.sleep(60)
        except KeyboardInterrupt:
            say("caught")
        input()
        """
    )
    child.line()
    child.send(INT)
    assert child.line() == "caught"
    assert len(ibm.held()) == 1
    assert child.process.stdin is not None
    child.process.stdin.write("\n")
    assert child.end()[0] == 0
    assert ibm.held() == []


def test_a_killed_process_leaves_its_session_to_the_reaper(service: Service) -> None:
    """SIGKILL and os._exit release nothing; `qrmi leases --reap` does, from another process."""
    child = service.begin("resource.acquire(); say('held'); time.sleep(60)")
    child.line()
    assert [lease["owner_is"] for lease in service.leases()] == ["alive"]
    assert service.command("leases", "--reap").returncode == 0
    assert len(service.held()) == 1, "the reaper took what is in use"
    child.send(KILL)
    child.end()
    (lease,) = service.leases()
    assert (lease["owner_is"], lease["resource"]) == ("gone", service.name)
    assert lease["owner"]["pid"] == child.process.pid
    assert lease["token"] == service.held()[0]
    done = service.command("leases", "--reap")
    assert done.returncode == 0, done.stderr
    assert "released" in done.stdout
    assert service.held() == []
    assert service.leases() == []


def test_a_service_that_is_away(ibm: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is held up for seconds, not minutes; the session stays known and is reaped later."""
    child = ibm.begin("resource.acquire(); say('held'); time.sleep(60)")
    child.line()
    monkeypatch.setenv("test_heron_QRMI_HTTP_BUDGET_SECONDS", "0.5")
    ibm.server.stop()
    begun = time.monotonic()
    child.send(TERM)
    assert child.end()[0] == -TERM
    assert time.monotonic() - begun < ending.LIMIT_SECONDS + 2.0
    ibm.server.start()
    assert [lease["owner_is"] for lease in ibm.leases()] == ["gone"]
    ibm.server.stop()
    done = ibm.command("leases", "--reap", "--json")
    assert done.returncode == 1, done.stdout
    ibm.server.start()
    assert ibm.command("leases", "--reap").returncode == 0
    assert ibm.held() == []


def test_released_twice_is_no_error(service: Service) -> None:
    """An explicit release is tried each time; the implicit one finds nothing left to do."""
    code, errors = service.run(
        """
        with resource:
            token = resource.acquire()
            resource.release(token)
            resource.release(str(token))
        """
    )
    assert (code, errors) == (0, "")
    assert service.held() == []


def test_a_token_of_another_process(service: Service) -> None:
    """What was acquired to be kept outlives the process; whoever has the token releases it."""
    child = service.begin("say(resource.acquire(keep=True))")
    token = child.line()
    assert child.end()[0] == 0
    assert service.held() == [token]
    assert service.command("leases", "--reap").returncode == 0
    assert service.held() == [token], "nobody can tell that it is not used"
    code, errors = service.run("resource.release(os.environ['TOKEN'])", TOKEN=token)
    assert code == 0, errors
    assert service.held() == []
    assert service.leases() == []


def test_kept_by_the_environment(ibm: Service) -> None:
    """QRMI_LEASES=keep is for programs that were written as a prolog; a block still ends."""
    code, _ = ibm.run("resource.acquire()", QRMI_LEASES="keep")
    assert code == 0
    assert len(ibm.held()) == 1
    ibm.run("with resource.acquired():\n    pass", QRMI_LEASES="keep")
    assert len(ibm.held()) == 1
    (lease,) = ibm.leases()
    done = ibm.command("leases", "--reap", lease["token"][:9])
    assert done.returncode == 0, done.stderr
    assert ibm.held() == []


def test_a_borrowed_session_is_left_alone(warden: Service) -> None:
    """The prolog's session is neither ended nor listed."""
    token = warden.server.open_session("4242")
    code, errors = warden.run(
        "with resource:\n    t = resource.acquire()\n    assert t.borrowed\nresource.acquire()",
        qpu_QRMI_JOB_ACQUISITION_TOKEN=token,
    )
    assert code == 0, errors
    assert warden.held() == [token]
    assert warden.leases() == []


def test_two_handles_with_one_session(warden: Service) -> None:
    """Warden gives a job its one session: it ends with the last handle that holds it."""
    code, errors = warden.run(
        """
        other = qrmi.open(NAME)
        with resource:
            assert resource.acquire() == other.acquire()
        assert other._leases._own()
        """
    )
    assert code == 0, errors
    assert warden.releases() == 1
    assert warden.held() == []


def test_interrupted_while_asking(ibm: Service) -> None:
    """Ctrl-C while the request for a session is under way: it is given back when it comes."""
    ibm.server.faults.add(Fault(kind="delay", match="POST /api/v1/sessions", seconds=1.0))
    child = ibm.begin(
        """
        resource.is_accessible()
        say("asking")
        resource.acquire()
        """
    )
    child.line()
    ibm.wait_until(lambda: ibm.server.faults._faults[0].hits)
    child.send(INT)
    code, _ = child.end()
    assert code == -INT
    assert ibm.begun() == 1
    assert ibm.held() == []


def test_terminated_while_asking(ibm: Service) -> None:
    """SIGTERM likewise: the answer is waited for, within the limit."""
    ibm.server.faults.add(Fault(kind="delay", match="POST /api/v1/sessions", seconds=1.0))
    child = ibm.begin("resource.is_accessible(); say('asking'); resource.acquire()")
    child.line()
    ibm.wait_until(lambda: ibm.server.faults._faults[0].hits)
    child.send(TERM)
    assert child.end()[0] == -TERM
    assert ibm.begun() == 1
    assert ibm.held() == []
