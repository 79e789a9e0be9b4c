"""The doors: what they let in, how they answer, and that nobody holds up anybody else."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from site_lab import Doors, PlainLeases, eventually, job, raw_request

from qrmi.errors import (
    AnswerLostError,
    ConfigError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskFailedError,
    UnexpectedAnswerError,
    UnsupportedFunctionError,
)
from qrmi.site.client import SiteClient
from qrmi.site.doors import sockets

Opened = Callable[..., Doors]
JOB = job().as_json()
FIXTURE = [HealthCheck.function_scoped_fixture]


def ask(number: int = 7, name: str = "emu", **more: Any) -> dict[str, Any]:
    """A request for a resource."""
    return {"job": job(number).as_json(), "want": {"names": [name]}, **more}


def test_a_lease_from_its_begin_to_its_end(doors: Opened) -> None:
    """Granted, granted again, seen, ended, ended again."""
    client = doors().client()
    first = client.post("/v1/leases", ask())
    assert first["outcome"] == "granted"
    assert first["grants"] == [{"resource": "emu", "type": "local", "slots": 1}]
    assert client.post("/v1/leases", ask()) == first
    assert [row["key"] for row in client.get("/v1/leases")] == [job().key]
    end = {"job": job().as_json(), "why": "over"}
    assert client.post("/v1/leases/end", end) == {"released": ["emu"], "pending": []}
    assert client.post("/v1/leases/end", end) == {"released": [], "pending": []}


def test_health_and_metrics_are_open(doors: Opened) -> None:
    """Over TCP without a credential; they name nobody."""
    opened = doors(tcp=True, about={"version": "1"})
    for connection in (opened.client(), SiteClient(url=opened.url, munge_socket="/none")):
        if connection.where.startswith("http"):
            import urllib.request

            with urllib.request.urlopen(f"{opened.url}/health", timeout=10) as answer:
                assert json.load(answer) == {"ok": True, "version": "1"}
        else:
            assert connection.get("/health") == {"ok": True, "version": "1"}
    status, _ = raw_request(opened.path, "GET", "/metrics")
    assert status == 404


def test_everybody_may_connect(doors: Opened) -> None:
    """Who may do what is told by who they are, not by the file's bits."""
    assert stat.S_IMODE(doors().path.stat().st_mode) == 0o666


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "job must be an object"),
        (b"[]", "must be a JSON object"),
        (b"{", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"[" * 100_000, "must be a JSON object"),
        (b'{"job": 5}', "job must be an object"),
        (json.dumps({**ask(), "want": {"names": []}}).encode(), "it names no resource"),
        (json.dumps({**ask(), "want": {"names": "emu"}}).encode(), "want.names"),
        (json.dumps({**ask(), "wait_seconds": "long"}).encode(), "wait_seconds"),
        (json.dumps({**ask(), "wait_seconds": True}).encode(), "wait_seconds"),
        (b'{"job": {}, "wait_seconds": NaN}', "job"),
        (
            json.dumps({**ask(), "job": {**job().as_json(), "submitted": None}}).encode(),
            "submitted",
        ),
        (json.dumps({**ask(), "job": {**job().as_json(), "uid": "0"}}).encode(), "job.uid"),
    ],
)
def test_wrong_requests_are_told_what_is_wrong(doors: Opened, body: bytes, word: str) -> None:
    """400, with the field's name; nothing is asked of the engine."""
    opened = doors()
    status, text = raw_request(opened.path, "POST", "/v1/leases", body)
    told = json.loads(text)["error"]
    assert status == 400
    assert told["class"] == "InvalidInputError"
    assert word in told["message"]
    assert opened.leases.asked == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=FIXTURE)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.sampled_from(
        [
            "/v1/leases",
            "/v1/leases/end",
            "/v1/environment",
            "/v1/resources",
            "/v1/resources/emu/drain",
            "/v1/usage?by=x&since=y",
            "/v1/drivers/emu/status",
            "/v1/%2e%2e/etc",
            "/x",
        ]
    ),
    body=st.binary(max_size=200)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["job", "want", "wait_seconds", "reason"]), _JSON).map(
        lambda value: json.dumps(value).encode()
    ),
)
def test_junk_in_our_error_out(shared: Doors, method: str, path: str, body: bytes) -> None:
    """Whatever comes, the answer is JSON: a value, or one of our errors; never a 500."""
    status, text = raw_request(shared.path, method, path, body)
    value = json.loads(text)
    assert status < 500 or status == 501
    if status >= 400:
        assert set(value) == {"error"}
        assert {"class", "message", "owner", "hint", "retryable"} <= set(value["error"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Doors for many requests."""
    opened = Doors(tmp_path_factory.mktemp("doors") / "s")
    yield opened
    opened.stop()


@settings(max_examples=40, deadline=None, suppress_health_check=FIXTURE)
@given(text=st.binary(min_size=1, max_size=300))
def test_what_is_no_http_is_refused(shared: Doors, text: bytes) -> None:
    """Any bytes: an answer, or the connection's end; the next request is answered."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(shared.path))
        raw.sendall(text + b"\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        answer = raw.recv(1000)
    assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert shared.client().get("/health")["ok"]


def test_a_bad_header_is_in_no_log(doors: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """It may have been a credential."""
    caplog.set_level(logging.DEBUG)
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(doors().path))
        raw.sendall(b"GET /health HTTP/1.1\r\nX-Qrmi-Munge\x01: MUNGE:canary\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.0 400")
    assert "canary" not in caplog.text


def test_long_bodies_are_refused(doors: Opened) -> None:
    """By their length where it is told, and by counting where it is not; the next request works."""
    opened = doors()
    status, text = raw_request(opened.path, "POST", "/v1/leases", b" " * 300_000)
    assert status == 400
    assert "longer than 262144 bytes" in json.loads(text)["error"]["message"]
    chunks = b"".join(b"10000\r\n" + b" " * 0x10000 + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(opened.path))
        head = b"POST /v1/leases HTTP/1.1\r\nHost: q\r\nTransfer-Encoding: chunked\r\n\r\n"
        with contextlib.suppress(BrokenPipeError):
            raw.sendall(head + chunks)
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert opened.client().get("/v1/leases") == []


def test_a_body_that_never_comes_holds_up_nobody(doors: Opened) -> None:
    """A client that sends half a request and waits costs a connection, no more."""
    opened = doors()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(opened.path))
        raw.sendall(b"POST /v1/leases HTTP/1.1\r\nHost: q\r\nContent-Length: 10\r\n\r\n{")
        begun = time.monotonic()
        assert opened.client().get("/v1/leases") == []
        assert time.monotonic() - begun < 2


def test_long_programs_leave_room_for_others() -> None:
    """What one user sends is bounded, short requests are read whatever others hold."""
    import asyncio

    from aiohttp import StreamReader
    from aiohttp.base_protocol import BaseProtocol

    from qrmi.site.doors.bodies import Bodies

    big, largest = b"x" * (60 << 20), 64 << 20

    async def stay() -> None:
        loop = asyncio.get_running_loop()
        bodies = Bodies()

        def stream(*parts: bytes) -> StreamReader:
            made = StreamReader(BaseProtocol(loop), 2**30, loop=loop)
            for part in parts:
                made.feed_data(part)
            made.feed_eof()
            return made

        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                held = bodies.read(stream(big), uid=5, largest=largest)
                assert len(await stack.enter_async_context(held)) == len(big)
            with pytest.raises(ResourceUnavailableError) as caught:
                async with bodies.read(stream(big), uid=5, largest=largest):
                    pass
            assert caught.value.retryable
            for uid in (5, 6):
                async with bodies.read(stream(b"{}"), uid=uid, largest=largest) as body:
                    assert body == b"{}"
            async with bodies.read(stream(big), uid=6, largest=largest) as body:
                assert len(body) == len(big)
            with pytest.raises(InvalidInputError):
                async with bodies.read(stream(big, b"y" * (5 << 20)), uid=7, largest=largest):
                    pass
        assert not +bodies._held

    asyncio.run(stay())


def test_a_slow_vendor_holds_up_its_own_jobs_only(doors: Opened) -> None:
    """A hundred jobs that hang at one vendor leave the way to the others free."""
    leases = PlainLeases()
    leases.slow["dead"] = threading.Event()
    opened = doors(leases=leases)
    threads = [
        threading.Thread(
            target=lambda n=n: opened.client().post("/v1/leases", ask(n, "dead")), daemon=True
        )
        for n in range(100)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: len(leases.asked) >= 8)
    begun = time.monotonic()
    assert opened.client().post("/v1/leases", ask(1000, "emu"))["outcome"] == "granted"
    assert opened.client().post("/v1/leases/end", {"job": job(1000).as_json()})["released"]
    assert len(opened.client().get("/v1/leases")) == 0
    assert time.monotonic() - begun < 2
    assert len([key for key in leases.asked if "/1000/" not in key]) == 8
    leases.slow["dead"].set()
    for thread in threads:
        thread.join(20)


def test_slow_ends_hold_up_nobody(doors: Opened) -> None:
    """A hundred jobs that end at a vendor that does not answer: all are fenced, others go on."""
    leases = PlainLeases()
    opened = doors(leases=leases)
    for number in range(100):
        opened.client().post("/v1/leases", ask(number, f"dead{number}"))
        leases.slow_ends[f"dead{number}"] = threading.Event()
    threads = [
        threading.Thread(
            target=lambda n=n: opened.client().post("/v1/leases/end", {"job": job(n).as_json()})
        )
        for n in range(100)
    ]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    assert opened.client().post("/v1/leases", ask(1000, "emu"))["outcome"] == "granted"
    assert opened.client().post("/v1/leases/end", {"job": job(1000).as_json()})["released"]
    assert time.monotonic() - begun < 3
    eventually(lambda: len(leases.ended) >= 60, 3)
    for event in leases.slow_ends.values():
        event.set()
    for thread in threads:
        thread.join(20)
    assert len(leases.ended) == 101


def test_a_request_may_wait(doors: Opened) -> None:
    """It is answered as soon as the resource is given back, not at the next round."""
    opened = doors()
    client = opened.client()
    client.post("/v1/leases", ask(1))
    got: list[float] = []

    def wait() -> None:
        assert client.post("/v1/leases", ask(2, wait_seconds=20))["outcome"] == "granted"
        got.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(3.0)  # its pauses have grown by now
    begun = time.monotonic()
    client.post("/v1/leases/end", {"job": job(1).as_json()})
    waiting.join(20)
    assert got[0] - begun < 0.5


def test_waiting_ends(doors: Opened) -> None:
    """With the answer there is: later."""
    client = doors().client()
    client.post("/v1/leases", ask(1))
    begun = time.monotonic()
    answer = client.post("/v1/leases", ask(2, wait_seconds=0.6))
    assert answer["outcome"] == "later"
    assert answer["reason"] == "another job holds it"
    assert 0.5 < time.monotonic() - begun < 5


def test_many_wait_without_threads(doors: Opened) -> None:
    """More requests wait than there are threads; others are answered meanwhile."""
    opened = doors()
    opened.client().post("/v1/leases", ask(1))
    before = threading.active_count()
    sockets = []
    body = json.dumps(ask(2, wait_seconds=30)).encode()
    head = f"POST /v1/leases HTTP/1.1\r\nHost: q\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(200):
        each = socket.socket(socket.AF_UNIX)
        each.connect(str(opened.path))
        each.sendall(head + body)
        sockets.append(each)
    eventually(lambda: len(opened.leases.asked) >= 201)
    begun = time.monotonic()
    assert len(opened.client().get("/v1/leases")) == 1
    assert time.monotonic() - begun < 2
    assert threading.active_count() - before < 100
    for each in sockets:
        each.close()


def test_one_who_hung_up_waits_no_longer(doors: Opened) -> None:
    """A hook that was killed is not lent anything later."""
    opened = doors()
    opened.client().post("/v1/leases", ask(1))
    body = json.dumps(ask(2, wait_seconds=60)).encode()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(opened.path))
        head = f"POST /v1/leases HTTP/1.1\r\nHost: q\r\nContent-Length: {len(body)}\r\n\r\n"
        raw.sendall(head.encode() + body)
        eventually(lambda: job(2).key in opened.leases.asked)
    time.sleep(2.2)
    count = len(opened.leases.asked)
    time.sleep(2.5)
    assert len(opened.leases.asked) == count
    opened.client().post("/v1/leases/end", {"job": job(1).as_json()})
    time.sleep(0.3)
    assert opened.client().get("/v1/leases") == []


@pytest.mark.parametrize(
    "error",
    [
        ResourceUnavailableError("it sleeps", hint="wake it", resource_id="emu"),
        ResourceNotFoundError("no such thing"),
        ConfigError("its settings are wrong", owner=Owner.SITE),
        TaskFailedError("the task failed", task_id="t1", request_ids=("r1",)),
        UnexpectedAnswerError("the vendor babbles"),
        UnsupportedFunctionError("it cannot"),
        InvalidInputError("no", hint="yes"),
    ],
)
def test_errors_cross_whole(doors: Opened, error: QrmiError) -> None:
    """Class, text, owner, hint and ids are those that were raised in the daemon."""
    leases = PlainLeases()
    leases.error = error
    with pytest.raises(type(error)) as caught:
        doors(leases=leases).client().post("/v1/leases", ask())
    assert vars(caught.value) == vars(error)


def test_a_defect_is_no_leak(doors: Opened) -> None:
    """What an unexpected error says stays in the daemon's log."""
    leases = PlainLeases()
    leases.error = RuntimeError("password=hunter2hunter2")
    status, text = raw_request(
        doors(leases=leases).path, "POST", "/v1/leases", json.dumps(ask()).encode()
    )
    assert status == 500
    assert b"hunter2" not in text
    told = json.loads(text)["error"]
    assert "RuntimeError" in told["message"]
    assert told["owner"] == "site"


def test_a_part_that_is_not_there(doors: Opened) -> None:
    """501, whose fault it is, and no traceback."""
    with pytest.raises(UnsupportedFunctionError, match="this qrmid has no") as caught:
        doors().client().get("/v1/resources")
    assert caught.value.owner is Owner.SITE


def test_nobody_answers(tmp_path: Any) -> None:
    """The site is to start it; asking again is worth it; nothing was done."""
    with pytest.raises(ResourceUnavailableError, match="no qrmid answers") as caught:
        SiteClient(socket_path=tmp_path / "none").get("/health")
    assert caught.value.owner is Owner.SITE
    assert caught.value.retryable
    assert "qrmid" in caught.value.hint


def test_an_answer_that_does_not_come(doors: Opened) -> None:
    """The wait is finite, and the error says that it may have been done."""
    leases = PlainLeases()
    leases.slow["emu"] = threading.Event()
    opened = doors(leases=leases)
    begun = time.monotonic()
    with pytest.raises(AnswerLostError):
        opened.client(answer_seconds=0.5).post("/v1/leases", ask())
    assert time.monotonic() - begun < 5
    leases.slow["emu"].set()


def test_something_else_listens(tmp_path: Any) -> None:
    """An answer that is no qrmid's is told as such."""
    with socket.socket(socket.AF_UNIX) as listening:
        path = tmp_path / "s"
        listening.bind(str(path))
        listening.listen()

        def babble() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(UnexpectedAnswerError, match="is no qrmid"):
            SiteClient(socket_path=path).get("/health")
        thread.join(10)


def test_a_living_socket_is_left_alone(doors: Opened) -> None:
    """A second daemon on the same socket does not start; the first goes on."""
    opened = doors()
    import asyncio

    from qrmi.site.doors.peers import Peers
    from qrmi.site.doors.server import Server
    from qrmi.site.parts import Parts

    second = Server(Parts(leases=PlainLeases()), Peers(frozenset({0})), socket_path=opened.path)
    with pytest.raises(ConfigError, match="another daemon listens there") as caught:
        asyncio.run(second.start())
    assert caught.value.owner is Owner.SITE
    assert opened.client().get("/health")["ok"]


def test_a_new_folder_can_be_entered(tmp_path: Path) -> None:
    """By everybody, whatever the daemon's umask; one that was there is left as it is."""
    tmp_path.chmod(0o700)
    path = tmp_path / "a" / "b" / "s"
    before = os.umask(0o077)
    try:
        sockets.unix_socket(path).close()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parents[1])]
    assert modes == [0o666, 0o755, 0o755]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Any) -> None:
    """It is not ours to remove."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket is in its place"):
        sockets.unix_socket(path)
    assert path.read_text() == "precious"
