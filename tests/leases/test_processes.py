"""Children of any kind leave their parent's sessions and sockets alone, and end their own."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

Service = Any  # of conftest.py


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "raise ValueError", "kill", "close"])
def test_a_forked_child_releases_nothing_of_its_parent(ibm: Service, end: str) -> None:
    """Whichever way it ends, and if it leaves the parent's blocks; the parent's session goes on."""
    code, errors = ibm.run(
        """
        def leave():
            if WHAT == "kill": os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)
            if WHAT == "close": resource.close(); sys.exit(0)
            exec(WHAT)
        WHAT = os.environ["WHAT"]
        with resource.acquired() as token:
            pid = os.fork()
            if pid == 0:
                leave()
            else:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                assert status == {"kill": -15, "raise ValueError": 1}.get(WHAT, 0), status
                assert resource.metadata()["session_id"] == token
                task = resource.task_start(program())
                assert resource.task_wait(task).name == "COMPLETED"
        """,
        WHAT=end,
    )
    assert code == 0, errors
    assert ibm.releases() == 1
    assert ibm.held() == []
    assert ibm.leases() == []


def test_a_forked_child_has_sessions_of_its_own(ibm: Service) -> None:
    """What it is given of its parent's is borrowed; what it begins is its own to end."""
    code, errors = ibm.run(
        """
        token = resource.acquire()
        other = qrmi.open(NAME)
        pid = os.fork()
        if pid == 0:
            assert resource.acquire() == token and resource.acquire().borrowed
            assert not other.acquire().borrowed
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert resource.is_accessible()
        assert resource.acquire() == token
        """
    )
    assert code == 0, errors
    assert ibm.begun() == 2
    assert ibm.releases() == 2
    assert ibm.held() == []


@pytest.mark.parametrize("transport", ["requests", "curl"])
def test_no_socket_is_shared(ibm: Service, transport: str) -> None:
    """Parent and children talk at the same time, each on connections of its own."""
    code, errors = ibm.run(
        """
        def sockets():
            names = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                     if os.path.exists(f"/proc/self/fd/{n}")]
            return {n for n in names if n.startswith("socket")}
        resource.acquire()
        inherited = sockets()
        assert inherited
        def use(n):
            for _ in range(n):
                assert resource.is_accessible()
        pids = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                use(20)
                assert sockets() - inherited, "it speaks on its parent's connection"
                sys.exit(0)
            pids.append(pid)
        use(20)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
        use(1)
        """,
        test_heron_QRMI_HTTP_TRANSPORT=transport,
    )
    assert code == 0, errors
    assert ibm.releases() == 1
    assert ibm.held() == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_process_pools(ibm: Service, method: str) -> None:
    """A handle travels to workers of any kind; a worker's own session ends with it."""
    path = ibm.folder / "pooled.py"
    path.write_text(
        textwrap.dedent(
            """
            import concurrent.futures, multiprocessing, os, pickle, sys
            import qrmi

            def work(resource):
                with resource.acquired() as token:
                    assert token.owner.pid == os.getpid()
                    assert resource.is_accessible()
                    return token

            def leave_open(resource):
                return qrmi.open(resource.resource_id()).acquire()

            if __name__ == "__main__":
                method = sys.argv[1]
                resource = qrmi.open(os.environ["TEST_RESOURCE"])
                mine = resource.acquire()
                context = multiprocessing.get_context(method)
                with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                    tokens = list(pool.map(work, [resource] * 3))
                with context.Pool(1) as pool:
                    tokens += pool.map(leave_open, [resource])
                    pool.close()
                    pool.join()
                copy = pickle.loads(pickle.dumps(resource))
                assert copy.is_accessible() and not copy._leases._own()
                copy.close()
                assert all(token.owner.pid != os.getpid() for token in tokens)
                assert len(set(tokens) - {mine}) == 4, tokens
                assert resource.metadata()["session_id"] == mine
            """
        )
    )
    done = ibm.python(str(path), method)
    assert done.returncode == 0, done.stderr
    assert ibm.begun() == 5
    assert ibm.held() == []
    assert ibm.leases() == []
