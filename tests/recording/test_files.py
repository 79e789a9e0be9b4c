"""The file of a recording: what may be wrong with it, its parts, and what is never in it."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import tempfile
import threading
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import QuantumResource
from qrmi.driver import Driver
from qrmi.errors import RecordingError
from qrmi.interchange.verbs import ARGUMENTS
from qrmi.payloads import QiskitPrimitive
from qrmi.recording import Recorder, Sink, load, record
from qrmi.recording.files import merge, parts_of
from qrmi.settings import Secret, Settings, setting
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus
from qrmi.testing.scripted import ScriptedDriver
from qrmi_local.driver import LocalDriver
from qrmi_local.settings import LocalSettings

PAYLOAD = QiskitPrimitive("{}" + " " * 200, "sampler")


def recorded(path: Path, **script: object) -> Recorder:
    return Recorder(ScriptedDriver(**script), Sink(path), resource_type="scripted")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small recording."""
    path = tmp_path / "run.jsonl"
    driver = recorded(path, result="r" * 500)
    task_id = driver.task_start(PAYLOAD, "key")
    driver.task_result(task_id)
    return path


def test_what_is_read_is_what_happened(file: Path) -> None:
    """Method, arguments, answer, thread, times; long texts on lines of their own."""
    recording = load(file)
    start, result = recording.calls
    assert start.arguments == {"payload": PAYLOAD, "key": "key"}
    assert (start.method, start.answer, start.resource) == ("task_start", "task-1", "scripted")
    assert result.answer == TaskResult("r" * 500)
    assert start.thread == threading.current_thread().name
    assert 0 < start.at < result.at < 60
    assert recording.resources["scripted"].capabilities == ScriptedDriver.CAPABILITIES
    assert recording.size == file.stat().st_size
    assert max(len(line) for line in file.read_text().splitlines() if '"call"' in line) < 700


def test_only_the_owner_may_read_it(file: Path) -> None:
    """It holds programs and results."""
    assert file.stat().st_mode & 0o077 == 0


@given(cut=st.integers(1, 400))
def test_a_torn_tail_is_passed_over(cut: int) -> None:
    """Cut anywhere after its first line, a file gives the calls that are whole."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        driver = recorded(path)
        for _ in range(3):
            driver.is_accessible()
        data = path.read_bytes()
        path.write_bytes(data[: max(len(data) - cut, data.index(b"\n") + 1)])
        recording = load(path)
    assert len(recording.calls) <= 3
    assert recording.torn in (0, 1)


def line_of(file: Path, word: str) -> int:
    lines = file.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if word in line)


@pytest.mark.parametrize(
    ("old", "new", "kind", "reason"),
    [
        ('"rrrr', '"rrqr', '"text"', "the text does not have its digest"),
        ('"method": "task_start"', '"method": 3', '"task_start"', "method must be a text"),
        ('"key": "key"', '"kez": "key"', '"task_start"', "wrong arguments of task_start"),
        ('"answer": "task-1"', '"anser": 1', '"task_start"', "neither answer nor error"),
        ('"answer": "task-1"', '"answer": {"$bad": 1}', '"task_start"', "unknown mark"),
        ('"payloads": [', '"payload": [', '"resource"', "malformed entry of kind resource"),
        ('{"kind": "resource"', '["kind", "resource"', '"resource"', "not JSON"),
    ],
)
def test_damage_is_named_with_its_line(file: Path, old, new, kind, reason) -> None:
    """Anything that was changed in a way that matters is an error of ours with the line."""
    number = line_of(file, kind)
    if kind == '"text"':
        number = line_of(file, "rrrr")
    lines = file.read_text().splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    file.write_text("".join(lines))
    with pytest.raises(RecordingError, match=f"line {number}: .*{reason}") as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_a_text_that_is_missing(file: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "rrrr" not in line))
    with pytest.raises(RecordingError, match=r"line \d+: .*is missing"):
        load(file)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a recording"),
        (b"hello\n", "line 1: not JSON"),
        (b"\xff\xfe\n", "line 1: not JSON"),
        (b"{}\n", "line 1: not a recording of openqrmi"),
        (b"[" * 100_000 + b"\n", "line 1: not JSON"),
        (b'{"format": "openqrmi-recording", "version": 2}\n', "version 2, which cannot be read"),
        (b'{"format": "openqrmi-recording", "version": 1, "kind": "process"}\n', "line 1: malf"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "junk"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=reason):
        load(path)


@given(data=st.binary(max_size=60))
def test_junk_is_never_another_error(data: bytes) -> None:
    head = b'{"kind": "process", "format": "openqrmi-recording", "version": 1, "process": "p", '
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "junk"
        for text in (data, head + b'"started": 1}\n' + data + b"\n"):
            path.write_bytes(text)
            with contextlib.suppress(RecordingError):
                load(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no recording"):
        load(tmp_path / "none")


def test_newer_entries_are_passed_over(file: Path) -> None:
    """A reader leaves alone what a later minor version adds."""
    with file.open("a") as lines:
        lines.write('{"kind": "weather", "process": "x"}\n')
    assert len(load(file).calls) == 2


# --- several writers ----------------------------------------------------------------------------


def test_threads_share_a_file(tmp_path: Path) -> None:
    """Eight threads, 400 calls: all there, every line whole, each with its thread."""
    path = tmp_path / "run.jsonl"
    driver = recorded(path, result="x" * 5000)

    def work() -> None:
        for number in range(25):
            payload = QiskitPrimitive(f"{threading.current_thread().name} {number}" * 20, "sampler")
            driver.task_result(driver.task_start(payload, "key"))

    threads = [threading.Thread(target=work, name=f"worker-{n}") for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = load(path).calls
    assert len(calls) == 400
    assert {call.thread for call in calls} == {f"worker-{n}" for n in range(8)}
    assert len({call.arguments["payload"] for call in calls if call.is_start}) == 200


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_write_parts(tmp_path: Path, method: str) -> None:
    """A forked child, and one that a recorder was pickled to, write beside; one file is made."""
    path = tmp_path / "run.jsonl"
    driver = Recorder(LocalDriver("local", LocalSettings()), Sink(path), resource_type="local")
    driver.is_accessible()
    context = multiprocessing.get_context(method)
    children = [context.Process(target=driver.is_accessible) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    driver.is_accessible()
    assert len(parts_of(path)) == 3
    before = load(path)
    assert len(before.calls) == 5
    merge(path)
    after = load(path)
    assert parts_of(path) == []
    assert [call.process for call in after.calls] == [call.process for call in before.calls]
    assert len(set(after.processes)) == 4


def test_a_handle_that_is_recorded_can_be_pickled(tmp_path: Path) -> None:
    """The copy writes to the same file as the process's other handles."""
    with record(tmp_path / "run.jsonl") as path:
        handle = QuantumResource("local", "local")
        copy = pickle.loads(pickle.dumps(handle))
        assert copy.is_accessible()
        assert handle.is_accessible()
    assert [call.method for call in load(path).calls] == ["is_accessible"] * 2


def test_a_file_is_not_overwritten(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(RecordingError, match="is there already"), record(file):
        pass
    assert file.read_bytes() == before
    with record(file, overwrite=True):
        pass
    assert load(file).calls == ()


def test_a_recording_that_cannot_go_on(tmp_path: Path, caplog) -> None:
    """A full disk costs one warning and the rest of the recording, never the program."""
    path = tmp_path / "run.jsonl"
    driver = recorded(path)
    os.close(driver._sink._descriptor)
    driver._sink._descriptor = os.open("/dev/full", os.O_WRONLY)
    assert driver.is_accessible()
    assert driver.is_accessible()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is incomplete from here on: No space left" in caplog.text


# --- the recorder as a driver -------------------------------------------------------------------


def test_every_verb_is_recorded() -> None:
    """A verb that is added to the interface has to be recorded, or be named here."""
    local = {"use", "discover", "close", "can_find", "mark_of"}
    local |= {"session_use", "task_qpu_seconds"}  # a site's daemon asks, for its books
    verbs = {
        name
        for name, value in vars(Driver).items()
        if callable(value) or isinstance(value, classmethod)
        if not name.startswith("_") and not isinstance(value, type)
    }
    assert verbs == set(ARGUMENTS) | local


def test_it_is_what_it_wraps(tmp_path: Path) -> None:
    """Formats, capabilities, settings and further attributes are the driver's."""
    inner = ScriptedDriver()
    driver = Recorder(inner, Sink(tmp_path / "run.jsonl"), resource_type="scripted")
    assert driver.PAYLOADS == inner.PAYLOADS
    assert driver.CAPABILITIES == inner.CAPABILITIES
    assert driver.settings is inner.settings
    assert driver.settle_seconds == inner.settle_seconds
    assert driver.sent is inner.sent
    assert driver.task_status(task_id=driver.task_start(PAYLOAD, key="k")).is_final
    with pytest.raises(AttributeError):
        driver.nothing  # noqa: B018
    with pytest.raises(TypeError, match="task_status takes task_id"):
        driver.task_status()


def test_an_interrupt_leaves_a_usable_file(tmp_path: Path) -> None:
    """The call that Ctrl-C ended is there without an answer, and the interrupt goes on."""

    class Slow(ScriptedDriver):
        def task_result(self, task_id: TaskId) -> TaskResult:
            raise KeyboardInterrupt

    with record(tmp_path / "run.jsonl") as path:
        driver = Recorder(Slow(), Sink(path))
        task_id = driver.task_start(PAYLOAD, "k")
        with pytest.raises(KeyboardInterrupt):
            driver.task_result(task_id)
    calls = load(path).calls
    assert [call.interrupted for call in calls] == ["", "KeyboardInterrupt"]


# --- what is never in it ------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Secretive(Settings):
    api_key: Secret = setting("API_KEY", convert=Secret)
    session_id: str | None = setting("MY_SESSION_ID", default=None)
    url: str = setting("URL", default="")


class Talkative(ScriptedDriver):
    """Repeats its secrets wherever it can."""

    def __init__(self, settings: Secretive) -> None:
        super().__init__("talkative")
        self.settings = settings
        self.leak = f"it is {settings.api_key.reveal()}!"

    def acquire(self) -> str:
        return "session-token-CANARY2-of-mine"

    def metadata(self) -> dict[str, str]:
        return {"told": self.leak, self.leak: "session-token-CANARY2-of-mine"}

    def target(self) -> Target:
        return Target(json.dumps({"key": self.leak * 50}))

    def task_logs(self, task_id: TaskId) -> str:
        from urllib.parse import quote

        return quote(self.leak) + " CANARY3-session"


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    """Neither values of secret settings, in any encoding, nor tokens of sessions."""
    path = tmp_path / "run.jsonl"
    settings = Secretive(
        api_key=Secret("CANARY1/ä+key"),
        session_id="CANARY3-session",
        url="https://user:CANARY4@example.org/x",
    )
    driver = Recorder(Talkative(settings), Sink(path), resource_type="talkative")
    token = driver.acquire()
    assert token == "session-token-CANARY2-of-mine"
    driver.metadata()
    driver.target()
    driver.task_logs("task-1")
    driver.task_start(QiskitPrimitive(settings.api_key.reveal() * 20, "sampler"), "k")
    driver.release(token)
    text = path.read_text()
    assert "CANARY" not in text
    assert "***" in text
    recording = load(path)
    (acquired,) = (call for call in recording.calls if call.method == "acquire")
    (released,) = (call for call in recording.calls if call.method == "release")
    assert acquired.answer == released.arguments["token"]
    assert acquired.answer.startswith("session-")
    assert recording.resources["talkative"].settings == {"URL": "https://***@example.org/x"}


def test_statuses_are_words(file: Path) -> None:
    """The file is readable: a status is its name."""
    driver = recorded(file, statuses=[TaskStatus.QUEUED])
    driver.task_status(driver.task_start(PAYLOAD, "k"))
    merge(file)
    assert '{"$word": "TaskStatus.QUEUED"}' in file.read_text()
