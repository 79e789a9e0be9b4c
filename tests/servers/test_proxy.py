"""The fault proxy does to a request what its plan says, and to others nothing."""

from __future__ import annotations

import http.client
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from qrmi_sandbox.felis import FelisServer
from qrmi_sandbox.mishaps import KINDS, Heard, Lottery, Mishap
from qrmi_sandbox.proxy import Proxy
from qrmi_sandbox.server import Call, Reply, Server, route

PATIENCE = 0.3
BODY = b'{"program": "' + b"x" * 500 + b'"}'


class Counting(Server):
    """Counts what it handles."""

    def __init__(self) -> None:
        super().__init__()
        self.handled: list[bytes] = []

    @route("POST", "/jobs")
    def create(self, call: Call) -> Reply:
        self.handled.append(call.body)
        return Reply({"id": f"job-{len(self.handled)}", "filler": "y" * 300})

    @route("DELETE", "/jobs")
    def delete(self, call: Call) -> Reply:
        self.handled.append(b"")
        return Reply(status=204)


@pytest.fixture
def server() -> Iterator[Counting]:
    with Counting() as server:
        yield server


def once(mishap: Mishap) -> Callable[[Heard], Mishap | None]:
    """A plan: this to the first request, nothing to others."""
    left = [mishap]
    return lambda heard: left.pop() if left else None


def connected(proxy: Proxy) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=PATIENCE)


def asked(connection: http.client.HTTPConnection) -> str:
    """What a client makes of one request: an answer's status and id, or what went wrong."""
    try:
        connection.request("POST", "/jobs?a=b", BODY, {"content-type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except TimeoutError:
        return "timeout"
    except http.client.IncompleteRead:
        return "short"
    except (OSError, http.client.HTTPException):
        return "cut"
    name = content.partition(b'"id": "')[2].partition(b'"')[0].decode()
    return f"{response.status} {name}".strip()


def settled(server: Counting, proxy: Proxy, kind: str) -> None:
    """Wait until the first request, to which this happened, is where it will get to."""
    ends = time.monotonic() + 3.0
    wanted = EXPECTED[kind][1]
    while time.monotonic() < ends and not (
        len(server.handled) >= wanted and proxy.passages[0].forwarded >= wanted
    ):
        time.sleep(0.005)


EXPECTED = {  # kind: what the client sees, how often the server handled it
    "cut_before": ("cut", 0),
    "cut_request": ("cut", 0),
    "cut_unanswered": ("cut", 1),
    "cut_head": ("cut", 1),
    "cut_body": ("cut", 1),
    "close_after": ("200 job-1", 1),
    "late_request": ("timeout", 1),
    "late_answer": ("timeout", 1),
    "twice": ("200 job-2", 2),
    "twice_first": ("200 job-1", 2),
    "truncated": ("short", 1),
    "garbled": ("200", 1),
    "status_before": ("502", 0),
    "status_after": ("502", 1),
    "silent_before": ("timeout", 0),
    "silent_after": ("timeout", 1),
    "trickle": ("200 job-1", 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_mishap(server: Counting, kind: str) -> None:
    """The client sees what the table says, the server handles whole requests only."""
    seconds = 0.1 if kind == "trickle" else PATIENCE + 0.2
    plan = once(Mishap(kind=kind, seconds=seconds))  # type: ignore[arg-type]
    with Proxy(server, plan) as proxy:
        seen = asked(connected(proxy))
        settled(server, proxy, kind)
        (passage,) = proxy.passages
    assert (seen, len(server.handled)) == EXPECTED[kind]
    assert set(server.handled) <= {BODY}
    assert (passage.method, passage.path, passage.kind) == ("POST", "/jobs", kind)
    assert passage.forwarded == len(server.handled)


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_request_is_untouched(server: Counting, kind: str) -> None:
    """A mishap is over with its request: a client that connects again is served."""
    with Proxy(server, once(Mishap(kind=kind, seconds=0.01))) as proxy:  # type: ignore[arg-type]
        asked(connected(proxy))
        settled(server, proxy, kind)
        before = len(server.handled)
        assert asked(connected(proxy)) == f"200 job-{before + 1}"


def test_connections_are_kept(server: Counting) -> None:
    """Many requests go over one connection, those without bodies too."""
    with Proxy(server) as proxy:
        connection = connected(proxy)
        for number in range(1, 4):
            assert asked(connection) == f"200 job-{number}"
        connection.request("DELETE", "/jobs")
        assert connection.getresponse().read() == b""
        assert asked(connection) == "200 job-5"
    assert [passage.status for passage in proxy.passages] == [200, 200, 200, 204, 200]


def test_chunked_bodies_pass(server: Counting) -> None:
    """A body may come in chunks."""
    with Proxy(server) as proxy:
        connection = connected(proxy)
        connection.request("POST", "/jobs", iter([b"one", b"two"]), encode_chunked=True)
        assert connection.getresponse().status == 200
    assert server.handled == [b"onetwo"]


def test_a_request_that_would_come_too_late_is_dropped(server: Counting) -> None:
    """Nothing is forwarded after the latest time, however long a mishap lasts."""
    plan = once(Mishap(kind="late_request", seconds=0.2))
    with Proxy(server, plan, latest_seconds=0.1) as proxy:
        assert asked(connected(proxy)) == "cut"
    assert server.handled == []


def test_links_lead_through_the_proxy() -> None:
    """What the server calls itself is the proxy, as long as there is one."""
    with FelisServer() as server:
        own = server.url
        with Proxy(server) as proxy:
            entry = server.resource()
            assert entry["environment"]["QRMI_AB_FELIS_BASE_ENDPOINT"] == proxy.url != own
        assert server.url == own


def test_a_lottery_draws_what_its_seed_says() -> None:
    """Equal seeds draw equally; all kinds are drawn; only some requests may come twice."""

    def drawn(seed: int) -> list[Mishap | None]:
        lottery = Lottery(
            seed,
            rate=lambda heard: 0.5,
            patience_seconds=1.0,
            latest_seconds=2.0,
            twice=lambda heard: heard.path == "/refuses",
        )
        paths = ("/refuses", "/takes")
        return [lottery(Heard("POST", paths[n % 2])) for n in range(3000)]

    first = drawn(1)
    assert first == drawn(1) != drawn(2)
    assert {mishap.kind for mishap in first if mishap} == set(KINDS)
    taken = Counter(mishap.kind for mishap in first[1::2] if mishap)
    assert not taken["twice"] + taken["twice_first"]
    late = [m.seconds for m in first if m and m.kind == "late_request"]
    assert 0 < min(late) < max(late) <= 2.0
    assert all(m.status != 503 for m in first if m and m.kind == "status_after")
    assert {m.retry_after for m in first if m and m.kind == "status_before"} == {None, 0.0, 0.1}


def test_bursts_hit_requests_in_a_row() -> None:
    """A gateway that is down is down for more than one request."""
    lottery = Lottery(3, rate=lambda heard: 0.2, patience_seconds=1.0, latest_seconds=1.0)
    drawn = [lottery(Heard("GET", "/")) for _ in range(2000)]
    rows = [a is b is not None for a, b in itertools.pairwise(drawn)]
    assert sum(rows) > 5


def test_nothing_happens_to_requests_of_rate_zero() -> None:
    """Not even in a burst."""

    def rate(heard: Heard) -> float:
        return 0.9 if heard.method == "POST" else 0.0

    lottery = Lottery(4, rate=rate, patience_seconds=1.0, latest_seconds=1.0)
    for _ in range(300):
        lottery(Heard("POST", "/"))
        assert lottery(Heard("GET", "/")) is None
