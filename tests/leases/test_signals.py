"""Handlers are there only when needed, and stand aside for the program's own."""

from __future__ import annotations

import time
from signal import SIGINT as INT
from signal import SIGTERM as TERM
from typing import Any

import pytest

from qrmi_sandbox.faults import Fault

Service = Any  # of conftest.py

_OWN = """
def own(number, frame):
    say("own")
    if os.environ["WHAT"] == "exit": sys.exit(9)
    if os.environ["WHAT"] == "raise": raise ValueError("own")
"""


@pytest.mark.parametrize(("what", "status"), [("exit", 9), ("raise", 1), ("go on", 3)])
@pytest.mark.parametrize("first", [True, False])
def test_the_programs_own_handler_decides(
    ibm: Service, what: str, status: int, first: bool
) -> None:
    """Installed before or after the lease, it runs once, and its decision stands."""
    install = "signal.signal(signal.SIGTERM, own)\n"
    script = (install if first else "") + "resource.acquire()\n" + ("" if first else install)
    child = ibm.begin(_OWN + script + "say('held'); time.sleep(1); sys.exit(3)", WHAT=what)
    child.line()
    child.send(TERM)
    assert child.line() == "own"
    assert child.end()[0] == status
    assert ibm.held() == []
    assert ibm.releases() == 1


def test_a_handler_that_calls_the_one_before(ibm: Service) -> None:
    """Ours stands for the default action: whoever calls it ends the process."""
    child = ibm.begin(
        """
        resource.acquire()
        before = signal.getsignal(signal.SIGTERM)
        def own(number, frame):
            say("own")
            if callable(before):
                before(number, frame)
            say("never")
        signal.signal(signal.SIGTERM, own)
        say("held")
        time.sleep(60)
        """
    )
    child.line()
    child.send(TERM)
    assert child.line() == "own"
    assert child.end()[0] == -TERM
    assert ibm.held() == []


@pytest.mark.parametrize("disposition", ["SIG_IGN", "SIG_DFL"])
def test_ctrl_c_ignored_or_deadly(ibm: Service, disposition: str) -> None:
    """What is ignored stays ignored; what would end the process at once releases first."""
    child = ibm.begin(
        f"signal.signal(signal.SIGINT, signal.{disposition})\n"
        "resource.acquire(); say('held'); time.sleep(1); sys.exit(3)"
    )
    child.line()
    child.send(INT)
    assert child.end()[0] == (3 if disposition == "SIG_IGN" else -INT)
    assert ibm.held() == []
    assert ibm.releases() == 1


def test_handlers_come_and_go(ibm: Service) -> None:
    """Before and after a lease nothing is changed; Ctrl-C is never touched; nor what others put."""
    code, errors = ibm.run(
        """
        from qrmi.lifetime import signals
        numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        def all(): return [signal.getsignal(number) for number in numbers]
        before = all()
        assert before == [signal.SIG_DFL, signal.SIG_DFL, signal.default_int_handler]
        token = resource.acquire()
        assert signals.installed() == [signal.SIGTERM, signal.SIGHUP], signals.installed()
        other = qrmi.open(NAME)
        second = other.acquire()
        resource.release(token)
        assert signals.installed()
        other.close()
        assert all() == before
        threads = [t.name for t in threading.enumerate()]
        assert threads == ["MainThread", "qrmi-keeper", "qrmi-acquire"], "two that wait may stay"
        assert signal.set_wakeup_fd(-1) == -1
        token = resource.acquire()
        mine = lambda *_: None
        signal.signal(signal.SIGHUP, mine)
        resource.release(token)
        assert all() == [signal.SIG_DFL, mine, signal.default_int_handler]
        """
    )
    assert code == 0, errors


@pytest.mark.parametrize("way", ["variable", "function"])
def test_opted_out(ibm: Service, way: str) -> None:
    """No handler is installed: the signal ends the process at once, and the reaper releases."""
    changes = {"QRMI_SIGNALS": "off"} if way == "variable" else {}
    off = "" if way == "variable" else "from qrmi.lifetime import signals; signals.off()\n"
    child = ibm.begin(off + "resource.acquire(); say('held'); time.sleep(60)", **changes)
    child.line()
    child.send(TERM)
    assert child.end()[0] == -TERM
    assert len(ibm.held()) == 1
    assert ibm.command("leases", "--reap").returncode == 0
    assert ibm.held() == []
    assert ibm.run(off + "resource.acquire()", **changes)[0] == 0
    assert ibm.held() == []


def test_a_main_thread_that_holds_locks(ibm: Service) -> None:
    """Whatever lock the interrupted thread has, the session is released within the limit."""
    child = ibm.begin(
        """
        import logging
        from qrmi import journal
        logging.basicConfig(level=logging.DEBUG)
        resource.acquire()
        logger = logging.getLogger()
        auth = resource._driver.auth()
        auth._ends = 0.0  # it is about to fetch another token
        with logger.handlers[0].lock, auth._lock, resource._book._lock:
            say("held")
            time.sleep(60)
        """
    )
    child.line()
    child.send(TERM)
    assert child.end()[0] == -TERM
    assert ibm.held() == []


def test_a_main_thread_deep_in_other_code(ibm: Service) -> None:
    """A main thread that runs no Python code for long does not put the end off."""
    child = ibm.begin(
        """
        import hashlib
        resource.acquire()
        say("held")
        hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000_000)  # minutes, whatever signals come
        """
    )
    child.line()
    time.sleep(0.3)
    child.send(TERM)
    assert child.end()[0] == -TERM
    assert ibm.held() == []


def test_sent_twice(ibm: Service) -> None:
    """`timeout` and schedulers signal a process and its group: the second changes nothing."""
    ibm.server.faults.add(Fault(kind="delay", match="PATCH *", seconds=0.5))
    child = ibm.begin("resource.acquire(); say('held'); time.sleep(60)")
    child.line()
    child.send(TERM)
    time.sleep(0.2)
    child.send(TERM)
    assert child.end()[0] == -TERM
    assert ibm.held() == []


def test_an_event_loop_with_handlers_of_its_own(ibm: Service) -> None:
    """A handler that asyncio has of SIGTERM runs, and its wakeup descriptor stays."""
    child = ibm.begin(
        """
        import asyncio
        async def main():
            stop = asyncio.Event()
            resource.acquire()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            say("held")
            await stop.wait()
            say("stopped")
        asyncio.run(main())
        """
    )
    child.line()
    child.send(TERM)
    assert child.line() == "stopped"
    assert child.end()[0] == 0
    assert ibm.held() == []


def test_leases_of_threads(ibm: Service) -> None:
    """Only the main thread can install handlers; the others' sessions end with the process."""
    code, errors = ibm.run(
        """
        from qrmi.lifetime import signals
        threads = [threading.Thread(target=lambda: qrmi.open(NAME).acquire()) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert signals.installed() == []
        with resource.acquired():
            assert signals.installed()
        """
    )
    assert code == 0, errors
    assert ibm.begun() == 5
    assert ibm.held() == []
