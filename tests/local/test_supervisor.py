from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qrmi
from qrmi import config
from qrmi.errors import ResourceUnavailableError, TaskFailedError, TaskNotFoundError
from qrmi.payloads import PasqalCloud
from qrmi.tasks import FINAL, TaskStatus
from qrmi_local.service import client, place
from qrmi_local.service.client import Client
from qrmi_local.service.edition import edition
from qrmi_local.service.place import Place
from qrmi_local.service.state import State
from qrmi_local.service.store import Store, task_id_of_key

SECONDS = 30.0


def _until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _supervisor(driver):
    return driver._client.ask({"do": "status"})["pid"]


def _lines(path):
    return path.read_text().split() if path.exists() else []


def _is_gone(pid):
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True


def _state(driver, task):
    return driver._store.state(task)


# --- deaths ---------------------------------------------------------------------------------------


def test_killed_executor_does_not_lose_the_task(driver, program, tmp_path):
    """A task whose process is killed runs again and gives its result."""
    ticks, gate = tmp_path / "ticks", tmp_path / "gate"
    task = driver.task_start(program(["tick", str(ticks)], ["await", str(gate)]), "key")
    _until(lambda: _lines(ticks))
    os.kill(int(_lines(ticks)[0]), signal.SIGKILL)
    gate.touch()
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert driver.task_result(task).value
    assert len(_lines(ticks)) == 2
    assert _state(driver, task).attempts == 2


def test_task_that_kills_its_process_fails(driver, program, tmp_path):
    """After three deaths the task has failed and says so; what it printed is in its log."""
    ticks = tmp_path / "ticks"
    steps = (["tick", str(ticks)], ["say", "last words"], ["crash"])
    task = driver.task_start(program(*steps), "key")
    behind = driver.task_start(program(), "behind")
    assert driver.task_wait(task, SECONDS) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="exit code 9, 3 times"):
        driver.task_result(task)
    assert len(_lines(ticks)) == 3
    assert driver.task_logs(task).count("last words from native code") == 3
    assert driver.task_wait(behind, SECONDS) is TaskStatus.COMPLETED


def test_task_may_succeed_at_the_last_attempt(driver, program, tmp_path):
    """Two deaths are forgiven."""
    task = driver.task_start(program(["crash-until", str(tmp_path / "count"), 3]), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert _state(driver, task).attempts == 3


def test_killed_supervisor_comes_back(driver, program, tmp_path):
    """After the supervisor is killed the next verb starts one, which finishes all tasks once.

    The executor dies with the supervisor, though it was amid a task.
    """
    ticks, gate, later = tmp_path / "ticks", tmp_path / "gate", tmp_path / "later"
    done = driver.task_start(program(["tick", str(later)]), "done")
    driver.task_wait(done, SECONDS)
    task = driver.task_start(program(["tick", str(ticks)], ["await", str(gate)]), "key")
    queued = driver.task_start(program(["tick", str(later)]), "queued")
    _until(lambda: _lines(ticks))
    before = _supervisor(driver)
    os.kill(before, signal.SIGKILL)
    _until(lambda: _is_gone(int(_lines(ticks)[0])))
    assert not driver.task_status(task).is_final
    gate.touch()
    for unended in (task, queued):
        assert driver.task_wait(unended, SECONDS) is TaskStatus.COMPLETED
    assert _supervisor(driver) != before
    assert len(_lines(ticks)) == 2
    assert len(_lines(later)) == 2


def test_supervisor_killed_amid_a_wait(driver, program, tmp_path):
    """A wait does not notice that the supervisor was killed, but for the time that it takes."""
    gate = tmp_path / "gate"
    task = driver.task_start(program(["await", str(gate)]), "key")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(driver.task_wait, task, SECONDS)
        _until(lambda: driver.task_status(task) is TaskStatus.RUNNING)
        os.kill(_supervisor(driver), signal.SIGKILL)
        gate.touch()
        assert waiting.result(SECONDS) is TaskStatus.COMPLETED


def test_three_dead_supervisors_fail_the_task(driver, program, tmp_path):
    """A task that took the supervisor with it three times is not begun a fourth time."""
    ticks = tmp_path / "ticks"
    task = driver.task_start(program(["tick", str(ticks)], ["sleep", 600]), "key")
    for attempt in (1, 2, 3):
        driver.task_wait(task, 0.0)
        _until(lambda count=attempt: len(_lines(ticks)) == count)
        os.kill(_supervisor(driver), signal.SIGKILL)
    assert driver.task_wait(task, SECONDS) is TaskStatus.FAILED
    assert len(_lines(ticks)) == 3


def test_orderly_leave_costs_no_attempt(driver, program, tmp_path, private_state):
    """Tasks that run when the supervisor is told to leave are run again as if never begun."""
    ticks, gate = tmp_path / "ticks", tmp_path / "gate"
    steps = (["tick", str(ticks)], ["await", str(gate)])
    pulses = PasqalCloud(json.dumps({"probe": steps}), 1)
    tasks = [driver.task_start(program(*steps), "gates"), driver.task_start(pulses, "pulses")]
    _until(lambda: len(_lines(ticks)) == 2)
    client.shutdown(private_state)
    for task in tasks:
        state = _state(driver, task)
        assert (state.status, state.attempts) == (TaskStatus.QUEUED, 0)
    gate.touch()
    for task in tasks:
        assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
        assert _state(driver, task).attempts == 1


# --- one of its kind ------------------------------------------------------------------------------


def test_one_supervisor_however_many_start_it(driver, private_state):
    """Processes and threads that need a supervisor at the same moment get the same one."""
    code = (
        "import sys; from pathlib import Path; from qrmi_local.service.client import Client; "
        "from qrmi_local.service.place import Place; sys.stdin.read(1); "
        "print(Client(Place(Path(sys.argv[1]))).ask({'do': 'status'})['pid'])"
    )
    command = [sys.executable, "-c", code, str(private_state / "local")]
    programs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(p.communicate, b"x") for p in programs]
        answers += [pool.submit(lambda: (str(_supervisor(driver)).encode(), b""))]
        pids = {int(answer.result(SECONDS)[0]) for answer in answers}
    assert len(pids) == 1
    assert _supervisor(driver) in pids


def test_supervisor_has_a_session_of_its_own(driver, program, told):
    """Ctrl-C in the terminal of the program reaches neither supervisor nor executor."""
    task = driver.task_start(program(), "key")
    driver.task_wait(task, SECONDS)
    for pid in (_supervisor(driver), told(driver, task)["pid"]):
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)


def test_supervisor_is_nobodys_child(driver, private_state):
    """A program that started the supervisor has no child to wait for."""
    code = (
        "import os, sys; from pathlib import Path; from qrmi_local.service.client import Client; "
        "from qrmi_local.service.place import Place; "
        "print(Client(Place(Path(sys.argv[1]))).ask({'do': 'status'})['pid'])\n"
        "try: os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError: print('no child')"
    )
    command = [sys.executable, "-c", code, str(private_state / "local")]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    assert printed.stdout.split("\n") == [str(_supervisor(driver)), "no child", ""]


def test_idle_supervisor_leaves(make_driver, program):
    """Without work and visitors it leaves, with its socket; the next verb starts another."""
    driver = make_driver(idle_seconds=0.2)
    task = driver.task_start(program(["sleep", 0.5]), "longer than idle")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    before = _supervisor(driver)
    _until(lambda: _is_gone(before))
    assert not driver._client.place.socket.exists()
    assert driver.status().pending_job_count == 0
    again = driver.task_start(program(), "again")
    assert driver.task_wait(again, SECONDS) is TaskStatus.COMPLETED


def test_state_folder_with_a_long_name(tmp_path, monkeypatch, driver, program, make_driver):
    """A socket's name may have 108 bytes; the state folder's name does not count."""
    folder = tmp_path.joinpath(*["a-name-of-some-length"] * 8)
    monkeypatch.setenv("QRMI_STATE_DIR", str(folder))
    far = make_driver()
    try:
        task = far.task_start(program(), "key")
        assert far.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    finally:
        client.shutdown(folder)


def test_junk_on_the_socket_is_answered(driver):
    """A request that makes no sense gets an error, and the supervisor goes on."""
    before = _supervisor(driver)
    for junk in (b"x\n", b"{}\n", b'{"do": "wait"}\n', b"[]\n", b"\xff\n"):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(driver._client.place.socket))
            line.sendall(junk)
            assert "error" in json.loads(line.recv(65536))
    assert _supervisor(driver) == before


# --- editions -------------------------------------------------------------------------------------


def test_older_supervisor_makes_way(driver, program, tmp_path, monkeypatch):
    """A newer program gets a supervisor of its own edition, which goes on with all tasks."""
    ticks, gate = tmp_path / "ticks", tmp_path / "gate"
    task = driver.task_start(program(["tick", str(ticks)], ["await", str(gate)]), "key")
    _until(lambda: _lines(ticks))
    before = _supervisor(driver)
    monkeypatch.setattr(client, "edition", lambda: (99, 0, 0, 0))
    after = _supervisor(driver)
    assert after != before
    _until(lambda: _is_gone(before))
    gate.touch()
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert (len(_lines(ticks)), _state(driver, task).attempts) == (2, 1)


def test_older_program_is_served(driver, program, monkeypatch):
    """Programs of two editions do not drive each other's supervisor away in turn."""
    before = _supervisor(driver)
    monkeypatch.setattr(client, "edition", lambda: (0, 0, 0, 0))
    assert _supervisor(driver) == before
    task = driver.task_start(program(), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED


def test_waiting_program_follows_to_the_newer_supervisor(driver, program, tmp_path, monkeypatch):
    """A wait of an older program goes on at the supervisor of the newer one."""
    gate = tmp_path / "gate"
    task = driver.task_start(program(["await", str(gate)]), "key")
    newer = Client(driver._client.place)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(driver.task_wait, task, SECONDS)
        _until(lambda: driver.task_status(task) is TaskStatus.RUNNING)
        monkeypatch.setattr(client, "edition", lambda: (99, 0, 0, 0))
        newer.ask({"do": "status"})
        monkeypatch.undo()
        gate.touch()
        assert waiting.result(SECONDS) is TaskStatus.COMPLETED


def test_task_of_another_edition_has_a_new_process(driver, program, told, monkeypatch):
    """After an update tasks do not run in a process that has the old code."""
    old = driver.task_start(program(), "old")
    driver.task_wait(old, SECONDS)
    monkeypatch.setattr(client, "executor_edition", lambda: "99")
    new = driver.task_start(program(), "new")
    assert driver.task_wait(new, SECONDS) is TaskStatus.COMPLETED
    assert told(driver, old)["pid"] != told(driver, new)["pid"]


def test_edition_has_our_version():
    """An edition begins with the numbers of the version, so that releases are in order."""
    assert ".".join(map(str, edition()[:3])) == qrmi.__version__
    assert edition()[3] > 0


# --- it cannot be had -----------------------------------------------------------------------------


def test_state_folder_that_cannot_be_written(tmp_path, monkeypatch, make_driver, program):
    """Nothing is started where nothing can be kept; the error says what to look at."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("QRMI_STATE_DIR", str(tmp_path / "file" / "state"))
    driver = make_driver()
    with pytest.raises(ResourceUnavailableError, match="QRMI_STATE_DIR") as caught:
        driver.task_start(program(), "key")
    assert caught.value.retryable
    assert not driver.is_accessible()


def test_supervisor_that_cannot_start(driver, program, monkeypatch):
    """The error names the log; the task is kept and runs when a supervisor can be started."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(ResourceUnavailableError, match=r"supervisor-.*\.log"):
            driver._client.ensure_running()
        patch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(ResourceUnavailableError, match=r"supervisor-.*\.log"):
            driver._client.ensure_running()
    task = driver.task_start(program(), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED


def test_interpreter_that_is_gone(driver, program, monkeypatch):
    """A task whose Python cannot be started fails and names it; others run."""
    driver._client.ensure_running()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/no/such/python")
        lost = driver.task_start(program(), "lost")
    assert driver.task_wait(lost, SECONDS) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="/no/such/python"):
        driver.task_result(lost)
    task = driver.task_start(program(), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED


def test_lost_files_lose_one_task(driver, program, tmp_path):
    """Whoever removes a running task's files spares the queue behind it."""
    gate = tmp_path / "gate"
    lost = driver.task_start(program(["await", str(gate)]), "lost")
    task = driver.task_start(program(), "key")
    _until(lambda: driver.task_status(lost) is TaskStatus.RUNNING)
    for file in (driver._store.root / "tasks").glob(f"{lost}.*"):
        file.unlink()
    gate.touch()
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    with pytest.raises(TaskNotFoundError):
        driver.task_status(lost)


def test_meeting_place_must_be_ours_alone(tmp_path, monkeypatch):
    """A folder that others can enter, or a link, is not used."""
    monkeypatch.setattr(place, "_PARENT", tmp_path)
    folder = tmp_path / f"qrmi-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ResourceUnavailableError, match="alone"):
        Place(tmp_path / "root").prepare()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(ResourceUnavailableError, match="alone"):
        Place(tmp_path / "root").prepare()


# --- another host ---------------------------------------------------------------------------------


@pytest.fixture
def foreign(driver):
    """A task that another host is to run, in a store that both see."""
    task = task_id_of_key("foreign")
    runner = {"function": "qrmi_probe:run", "python": sys.executable, "path": ""}
    meta = {"host": "elsewhere", "queued_at": 1.0, "slot": "gate", "runner": runner}
    assert driver._store.create(task, meta, "{}")
    return task


def test_tasks_of_another_host_are_left_to_it(driver, foreign, program):
    """They can be looked at, but are not run here."""
    _supervisor(driver)
    own = driver.task_start(program(), "own")
    driver.task_wait(own, SECONDS)
    assert driver.task_status(foreign) is TaskStatus.QUEUED
    assert driver.task_wait(foreign, 0.3) is TaskStatus.QUEUED


def test_end_on_another_host_is_noticed(driver, foreign):
    """A wait ends when the other host's files say so."""
    final = State(status=TaskStatus.COMPLETED)
    timer = threading.Timer(0.2, lambda: driver._store.end(foreign, final))
    timer.start()
    assert driver.task_wait(foreign, SECONDS) is TaskStatus.COMPLETED


def test_files_that_vanish_during_a_wait_are_named(driver, foreign):
    """A wait for a task of another host whose files go meanwhile ends in a clear error."""
    _supervisor(driver)
    threading.Timer(0.1, lambda: driver._store.remove(foreign)).start()
    with pytest.raises(TaskNotFoundError, match=foreign):
        driver.task_wait(foreign, 1.0)


def test_task_of_another_host_can_be_stopped(driver, foreign):
    """Its end is written from here, even when that host is gone for ever."""
    assert driver.task_stop(foreign)
    assert driver.task_status(foreign) is TaskStatus.CANCELLED
    assert driver.task_stop(foreign)


def test_running_task_is_stopped_from_another_host(driver, program, tmp_path):
    """An end that another host wrote ends the process that runs the task, within seconds."""
    ticks = tmp_path / "ticks"
    task = driver.task_start(program(["tick", str(ticks)], ["sleep", 600]), "key")
    _until(lambda: _lines(ticks))
    state = _state(driver, task)
    assert driver._store.end(task, attrs.evolve(state, status=TaskStatus.CANCELLED))
    assert driver.task_status(task) is TaskStatus.CANCELLED
    _until(lambda: _is_gone(int(_lines(ticks)[0])))


# --- files ----------------------------------------------------------------------------------------


@given(
    st.builds(
        State,
        status=st.sampled_from(TaskStatus),
        reason=st.text(),
        queued_at=st.none() | st.floats(0, 1e12),
        started_at=st.none() | st.floats(0, 1e12),
        ended_at=st.none() | st.floats(0, 1e12),
        attempts=st.integers(0, 10),
    )
)
def test_state_round_trip(state):
    """A state is read as it was written."""
    assert State.from_json(state.to_json()) == state


def test_one_end_of_many(tmp_path):
    """Of threads that end a task differently, exactly one does, and its word stays."""
    store = Store(tmp_path / "local")
    task = task_id_of_key("key")
    store.create(task, {"host": config.host_name(), "queued_at": 1.0}, "{}")
    states = [State(status=status) for status in sorted(FINAL) * 5]
    with ThreadPoolExecutor(len(states)) as pool:
        won = list(pool.map(lambda state: store.end(task, state), states))
    assert won.count(True) == 1
    assert store.state(task) == states[won.index(True)]


def test_files_without_a_task_are_no_task(driver, program):
    """What a crash left half-made is ignored."""
    task = driver.task_start(program(), "key")
    half = task_id_of_key("half")
    (driver._store.root / "tasks" / f"{half}.log").touch()
    (driver._store.root / "tasks" / ".draft").touch()
    os.kill(_supervisor(driver), signal.SIGKILL)
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert driver.list_tasks() == [task]
    assert driver.find_task("half") is None


def test_files_are_private(driver, program):
    """Nobody else can read tasks, whatever the program's umask is."""
    old = os.umask(0)
    try:
        task = driver.task_start(program(["say", "something"]), "key")
    finally:
        os.umask(old)
    driver.task_wait(task, SECONDS)
    root = driver._store.root
    files = list((root / "tasks").iterdir())
    assert {file.name.partition(".")[0] for file in files} == {task}
    paths = [root, root / "tasks", *files]
    assert {path.stat().st_mode & 0o077 for path in paths} == {0}
