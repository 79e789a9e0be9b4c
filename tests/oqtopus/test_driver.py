"""OQTOPUS as a resource: settings, job descriptions, the life of a job, results, discovery."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile

import attrs
import pytest

from qrmi import Payload, QuantumResource, ResourceProvider
from qrmi.errors import (
    ConfigError,
    EnvVarNotSetError,
    InvalidInputError,
    ResourceNotFoundError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi.settings import MappingSource
from qrmi.tasks import ResourceStatusCode, TaskStatus
from qrmi_oqtopus import archives, documents
from qrmi_oqtopus.discovery import matching
from qrmi_oqtopus.settings import OqtopusSettings
from qrmi_oqtopus.spec import read_spec
from qrmi_sandbox.multipart import read_form
from qrmi_sandbox.oqtopus_devices import TOPOLOGY

TYPE = "oqtopus"
BASE = {"QRMI_OQTOPUS_URL": "https://h/base/", "QRMI_OQTOPUS_API_TOKEN": "secret-token"}


# --- settings -------------------------------------------------------------------------------------


def load(**values):
    return OqtopusSettings.load(MappingSource({**BASE, **values}))


def test_settings_and_what_they_become():
    """The upstream library's keys, over the common ones."""
    settings = load(
        QRMI_OQTOPUS_PROXY="http://proxy:3128",
        QRMI_OQTOPUS_TIMEOUT="2.5",
        QRMI_OQTOPUS_RETRY_MAX_ATTEMPTS="2",
        QRMI_OQTOPUS_RETRY_BACKOFF_SECONDS="0",
        QRMI_OQTOPUS_RETRY_STATUS_CODES="429, 503",
        QRMI_OQTOPUS_RETRY_METHODS="get,delete",
    )
    http = settings.http_config()
    assert (settings.url, http.proxy, http.read_seconds) == (
        "https://h/base", "http://proxy:3128", 2.5,
    )  # fmt: skip
    assert (http.most_attempts, http.first_pause_seconds) == (2, 0.0)
    assert settings.retry_status_codes == {429, 503}
    assert settings.retry_methods == {"GET", "DELETE"}
    plain = load(QRMI_HTTP_READ_TIMEOUT_SECONDS="7").http_config()
    assert (plain.read_seconds, plain.proxy) == (7.0, None)
    assert "secret-token" not in repr(settings)


def test_what_is_journalled_can_be_read_again():
    """Another process reads the settings that are no secrets as they were; no proxy's password."""
    settings = load(
        QRMI_OQTOPUS_PROXY="http://me:hunter2@proxy:3128",
        QRMI_HTTP_PROXY="http://me:hunter2@proxy:3128",
        QRMI_OQTOPUS_RETRY_STATUS_CODES="429,503",
        QRMI_OQTOPUS_RETRY_METHODS="get,delete",
    )
    again = load(**settings.export())
    assert again.retry_status_codes == settings.retry_status_codes
    assert again.retry_methods == settings.retry_methods
    assert "hunter2" not in f"{settings!r} {settings.export()} {settings.http_config()!r}"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("URL", "h"),
        ("PROXY", "proxy"),
        ("TIMEOUT", "soon"),
        ("TIMEOUT", "0"),
        ("RETRY_MAX_ATTEMPTS", "0"),
        ("RETRY_MAX_ATTEMPTS", "1.5"),
        ("RETRY_BACKOFF_SECONDS", "-1"),
        ("RETRY_STATUS_CODES", "429,x"),
        ("RETRY_STATUS_CODES", "7"),
        ("RETRY_METHODS", "GET,2"),
    ],
)
def test_settings_that_make_no_sense(key, text):
    """The key is named, and what was expected."""
    with pytest.raises(ConfigError, match=f"QRMI_OQTOPUS_{key} .*expected"):
        load(**{f"QRMI_OQTOPUS_{key}": text})


def test_missing_settings(monkeypatch):
    """URL and token are required when the handle is made; the older name of the URL will do."""
    with pytest.raises(EnvVarNotSetError, match="qulacs_QRMI_OQTOPUS_URL"):
        QuantumResource("qulacs", TYPE)
    monkeypatch.setenv("qulacs_QRMI_OQTOPUS_BASE_URL", "https://h")
    with pytest.raises(EnvVarNotSetError, match="qulacs_QRMI_OQTOPUS_API_TOKEN"):
        QuantumResource("qulacs", TYPE)
    monkeypatch.setenv("qulacs_QRMI_OQTOPUS_API_TOKEN", "t")
    assert QuantumResource("qulacs", TYPE).resource_id() == "qulacs"


def test_attempts_are_counted(server, make):
    """With one attempt a request is never repeated."""
    from qrmi_sandbox.faults import Fault

    server.faults.add(Fault(kind="status", status=503, times=1))
    with pytest.raises(Exception, match="503"):
        make(QRMI_OQTOPUS_RETRY_MAX_ATTEMPTS="1").status()
    assert make(QRMI_OQTOPUS_RETRY_MAX_ATTEMPTS="2").status()


# --- job descriptions -----------------------------------------------------------------------------


def test_a_description_is_split_and_completed(job):
    """Program and operator are uploaded, the rest is submitted, defaults filled in."""
    terms = [{"pauli": "Z 0", "coeff": 1.0}, {"pauli": "I", "coeff": None}]
    payload = job(job_type="estimation", operator=terms, name="n", shots=None)
    spec = read_spec(payload)
    assert spec.content["operator"] == [{"pauli": "Z 0", "coeff": 1.0}, {"pauli": "I"}]
    assert isinstance(spec.content["program"], list)
    assert spec.request == {
        "name": "n", "job_type": "estimation", "transpiler_info": {}, "simulator_info": {},
        "mitigation_info": {}, "shots": 1000,
    }  # fmt: skip
    assert read_spec(job(job_type="sse")).content == {
        "sse_program": json.loads(job().job_spec)["program"]
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"job_type": None}, "needs a field 'job_type'"),
        ({"program": None}, "needs a field 'program'"),
        ({"job_type": "guessing"}, "sampling, estimation, multi_manual, sse"),
        ({"program": []}, "program of the job"),
        ({"program": [1]}, "program of the job"),
        ({"program": ["a", "b"]}, "one program, not 2"),
        ({"job_type": "sse", "program": ["a", "b"]}, "one program, not 2"),
        ({"shots": 0}, "1 to 10000000"),
        ({"shots": 10**8}, "1 to 10000000"),
        ({"shots": True}, "1 to 10000000"),
        ({"shots": "10"}, "1 to 10000000"),
        ({"job_type": "estimation"}, "needs an operator"),
        ({"operator": [{"pauli": 1}]}, "pauli and coeff"),
        ({"operator": [{"pauli": "Z", "coeff": "1"}]}, "pauli and coeff"),
        ({"transpiler_info": []}, "transpiler_info of the job must be an object"),
        ({"name": 7}, "name of the job must be a text"),
        ({"device_id": "qulacs"}, "no field 'device_id'"),
    ],
)
def test_descriptions_that_are_refused(server, resource, job, change, words):
    """What the service would refuse is refused before anything is sent."""
    with pytest.raises(InvalidInputError, match=words):
        resource.task_start(job(**change))
    assert not server.requests


# --- the life of a job ----------------------------------------------------------------------------


def test_the_requests_of_a_task(server, resource, program):
    """As many as the upstream library sends; the form's fields come before its file."""
    task = resource.task_start(program, key="the-key")
    register, upload, submit = server.requests
    assert (register.method, register.path, register.body) == ("POST", "/jobs", b"")
    fields = read_form(upload.headers["content-type"], upload.body)
    assert [field.name for field in fields] == [
        "key", "AWSAccessKeyId", "policy", "signature", "file",
    ]  # fmt: skip
    assert (fields[-1].filename, fields[-1].content_type) == ("input.zip", "application/zip")
    with zipfile.ZipFile(io.BytesIO(fields[-1].content)) as archive:
        assert archive.namelist() == ["input.json"]
    assert json.loads(submit.body) == {
        "device_id": "qulacs", "job_type": "sampling", "transpiler_info": {},
        "simulator_info": {}, "mitigation_info": {}, "shots": 20, "name": "the-key",
    }  # fmt: skip
    resource.task_wait(task, 20)
    server.requests.clear()
    resource.task_status(task)
    resource.task_result(task)
    assert [(r.method, r.path.replace(task, "ID")) for r in server.requests] == [
        ("GET", "/jobs/ID/status"),
        ("GET", "/jobs/ID"),
        ("GET", "/storage/ID/input.zip"),
        ("GET", "/storage/ID/result.zip"),
    ]
    assert all("q-api-token" not in r.headers for r in server.requests[2:])


def test_a_result_has_the_upstream_form(resource, job, bell):
    """Every field, absent ones null, files in place of their links, times with a blank."""
    task = resource.task_start(job(name="mine", description="d"))
    resource.task_wait(task, 20)
    result = json.loads(resource.task_result(task).value)
    assert list(result) == [
        "job_id", "job_type", "status", "name", "description", "device_id", "shots", "job_info",
        "transpiler_info", "simulator_info", "mitigation_info", "transpile_result", "message",
        "execution_time", "submitted_at", "ready_at", "running_at", "ended_at",
    ]  # fmt: skip
    info = result["job_info"]
    assert info["input"] == {"program": [bell], "operator": None, "sse_program": None}
    counts = info["result"]["sampling"]["counts"]
    assert sum(counts.values()) == 20
    assert set(counts) <= {"00", "11"}
    assert info["result"]["estimation"] is None
    assert info["result"]["additional_properties"] == {}
    assert (result["name"], result["job_type"]) == ("mine", "sampling")
    assert result["submitted_at"].endswith("+00:00")
    assert "T" not in result["submitted_at"]


def test_the_other_job_types(resource, job, bell):
    """Estimation gives a value and its error; several programs give counts of each."""
    terms = [{"pauli": "Z 0 Z 1", "coeff": 2.0}, {"pauli": "X0 X1", "coeff": 1.0}, {"pauli": "I"}]
    task = resource.task_start(job(job_type="estimation", operator=terms, shots=100))
    assert resource.task_wait(task, 20) is TaskStatus.COMPLETED
    result = json.loads(resource.task_result(task).value)["job_info"]["result"]
    assert result["estimation"]["exp_value"] == pytest.approx(4.0)
    task = resource.task_start(job(job_type="multi_manual", program=[bell, bell]))
    assert resource.task_wait(task, 20) is TaskStatus.COMPLETED
    sampling = json.loads(resource.task_result(task).value)["job_info"]["result"]["sampling"]
    assert set(sampling["divided_counts"]) == {"0", "1"}


def test_statuses(server, resource, program):
    """Statuses never go back; a word that is new counts as running."""
    server.run_seconds = 0.2
    task = resource.task_start(program)
    seen = [resource.task_status(task)]
    resource.task_wait(task, 20, on_status=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] is TaskStatus.COMPLETED
    server.strange_status = "frozen"
    other = resource.task_start(program)
    assert resource.task_status(other) is TaskStatus.RUNNING


def test_a_failed_job_gives_its_message(resource, job):
    """The service's message is the reason."""
    task = resource.task_start(job(program="no QASM"))
    assert resource.task_wait(task, 20) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="cannot be read"):
        resource.task_result(task)


def test_a_stopped_job(server, resource, program):
    """A job that runs is cancelling, then cancelled; stopping it again is no error."""
    server.run_seconds = 1.0
    task = resource.task_start(program)
    while resource.task_status(task) is TaskStatus.QUEUED:
        pass
    with pytest.raises(TaskNotReadyError, match="still running"):
        resource.task_result(task)
    resource.task_stop(task)
    assert resource.task_status(task) is TaskStatus.RUNNING
    assert server.jobs()[task] == "cancelling"
    resource.task_stop(task)
    assert resource.task_wait(task, 20) is TaskStatus.CANCELLED
    resource.task_stop(task)
    with pytest.raises(TaskCancelledError):
        resource.task_result(task)


def test_tasks_are_found_by_their_keys(server, make, job):
    """The key is the job's name, or where the user gave one it is in the description."""
    resource = make()
    names = [{}, {"name": "n"}, {"name": "n", "description": "d"}]
    started = [resource.task_start(job(**n), key=f"key-{i}") for i, n in enumerate(names)]
    other = make()  # of another process, say
    assert [other.find_task(f"key-{i}") for i in range(3)] == started
    assert other.find_task("key") is None
    assert other.list_tasks() == started[::-1]
    assert make("ring").list_tasks() == []


def test_more_tasks_than_a_page_holds(server, resource, make):
    """All pages are read, and the last is not taken twice."""
    from qrmi_sandbox.oqtopus import _Job

    for index in range(250):
        request = {"device_id": "qulacs", "name": "", "job_type": "sampling", "shots": 1}
        server._jobs[f"j{index}"] = _Job(id=f"j{index}", status="succeeded", request=request)
    listed = resource.list_tasks()
    assert len(listed) == len(set(listed)) == 250
    assert listed[0] == "j249"
    assert make("ring").list_tasks() == []
    for index in range(250, 400):  # a page and a half of another device's
        request = {"device_id": "ring", "name": "", "job_type": "sampling", "shots": 1}
        server._jobs[f"j{index}"] = _Job(id=f"j{index}", status="succeeded", request=request)
    assert resource.list_tasks() == listed


# --- the device -----------------------------------------------------------------------------------


def test_the_target_has_its_device_info_as_an_object(server, make):
    """Whether it is JSON text or a link to a file; absent fields are null."""
    plain = make("ring").target().value
    server.linked_info = True
    linked = make("ring").target().value
    assert json.loads(plain) == json.loads(linked)
    device = json.loads(plain)
    assert device["device_info"] == TOPOLOGY
    assert json.loads(make("asleep").target().value)["device_info"] is None
    assert server.requests[-1].path == "/devices/asleep"


def test_status(make):
    """Availability, queue, and when things are from."""
    ring, asleep = make("ring").status(), make("asleep").status()
    assert (ring.status, ring.pending_job_count) == (ResourceStatusCode.ONLINE, 3)
    assert ring.status_reason == "calibrated at 2026-01-01 00:00:00+00:00"
    assert asleep.status is ResourceStatusCode.OFFLINE
    assert asleep.status_reason == "available at 2026-02-01 09:00:00+09:00"
    assert ring.healthy is None
    assert not make("asleep").is_accessible()


def test_a_device_that_is_not_there(make):
    """The service's reason is in the error."""
    with pytest.raises(ResourceNotFoundError, match="device_id=none is not found"):
        make("none").status()


def test_a_device_status_that_nobody_knows():
    """A new word is an error that names it."""
    from qrmi_oqtopus import wire

    with pytest.raises(UnexpectedAnswerError, match="napping"):
        wire.resource_status({"device_id": "d", "status": "napping"})


def test_discovery(server):
    """Available devices first, simulators only when asked for."""
    provider = ResourceProvider(TYPE, server.resource()["environment"])
    assert [r.resource_id() for r in provider.resources()] == ["ring", "asleep"]
    assert [r.resource_id() for r in provider.resources("status=online")] == ["ring"]
    assert [r.resource_id() for r in provider.resources("is_simulator=true")] == ["qulacs"]
    assert provider.resources("num_qubits=65&is_simulator=false") == []
    assert provider.least_busy().resource_id() == "ring"
    with pytest.raises(InvalidInputError, match="whole number"):
        provider.resources("num_qubits=many")


def test_a_device_that_does_not_tell_its_queue_comes_last():
    """It hides no other."""
    common = {"device_type": "QPU", "status": "available"}
    queues = {"silent": None, "long": 7, "short": 0}
    devices = [{**common, "device_id": name, "n_pending_jobs": n} for name, n in queues.items()]
    assert matching(devices, {}) == ["short", "long", "silent"]


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [{}, {"a.json": "1", "b.json": "2"}])
def test_archives_have_one_member(members):
    """An archive with another number of members is refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UnexpectedAnswerError):
        archives.unpack(buffer.getvalue())


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_that_are_spoilt(method):
    """Whatever bytes are changed, it is our error or a value."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.json", json.dumps(list(range(200))))
    whole = buffer.getvalue()
    for place in range(len(whole)):
        spoilt = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        for content in (spoilt, whole[:place]):
            with contextlib.suppress(UnexpectedAnswerError):
                archives.unpack(content)


def test_an_archive_that_is_a_bomb(monkeypatch):
    """What would fill the memory is not unpacked."""
    monkeypatch.setattr(archives, "_MOST_BYTES", 1000)
    assert archives.unpack(archives.pack("a.json", "x" * 900)) == "x" * 900
    with pytest.raises(UnexpectedAnswerError, match="has 2002 bytes"):
        archives.unpack(archives.pack("a.json", "x" * 2000))


@pytest.mark.parametrize("info", ["[" * 100_000, "{", "[1"])
def test_a_device_info_that_is_no_json(info):
    """However deep it is nested, it is the service's fault."""
    with pytest.raises(UnexpectedAnswerError, match="device_info"):
        documents.device_document({"device_id": "d"}, info)


@pytest.mark.parametrize("value", [{"a": 1}, [], "text", "OPENQASM 3;", 1.5, None])
def test_what_an_archive_holds(value):
    """What is packed is unpacked; the same value gives the same bytes."""
    packed = archives.pack("x.json", value)
    assert archives.unpack(packed) == value
    assert packed == archives.pack("x.json", value)


def test_text_that_is_no_json_is_text():
    """A combined program is stored as it is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("combined_program.qasm", "OPENQASM 3;")
    assert archives.unpack(buffer.getvalue()) == "OPENQASM 3;"


def test_files_of_this_machine_are_not_read(server, make, program):
    """A link to a local file is no link: it stays as it is."""
    assert documents.links_to("file:///etc/passwd") is None
    assert documents.linked({"job_info": {"input": "file:///etc/passwd"}}) == {}


def test_a_payload_is_not_shown(program):
    """The description may hold a program; its repr gives its length."""
    assert "OPENQASM" not in repr(program)
    assert attrs.asdict(program)["job_spec"]
    assert isinstance(program, Payload)
