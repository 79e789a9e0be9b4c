"""No byte of a hundred marked secrets is in any output, file or error, whatever goes wrong.

Every vendor, over both transports, at DEBUG level: faults of the service, a service that quotes the
credentials it was sent, commands in processes of their own. A run takes a sample of the faults;
``QRMI_TEST_CANARIES=all`` takes all of them.
"""

from __future__ import annotations

import base64
import functools
import json
import logging
import os
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from canaries import Canaries, Evidence, command_lines, watched
from marked_vendors import HASTY, KINDS, Place, place_of, program_of, renew

from qrmi import QuantumResource
from qrmi.testing.faulty import FaultyTransport, Flaw
from qrmi.testing.inside import driver_of
from qrmi.transport import HttpDriver, transport_for
from qrmi_sandbox.bad import CASES, Case
from qrmi_sandbox.server import Reply, Server

TRANSPORTS = ("curl", "requests")
_SAMPLE = 4
_IS_LARGE = os.environ.get("QRMI_TEST_CANARIES") == "all"

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(3600 if _IS_LARGE else 120),
]


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def place(kind: str, canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The vendor's server, and settings with marked secrets."""
    made = place_of(kind, canaries, monkeypatch)
    yield made
    made.server.stop()


def _opened(place: Place, transport: str, **more: str) -> QuantumResource:
    kind = str(place.entry["type"])
    settings = place.settings(QRMI_HTTP_TRANSPORT=transport, **more)
    return QuantumResource.from_config(place.name, kind, settings)


def _verbs(resource: QuantumResource, kind: str, task: str) -> list[Callable[[], Any]]:
    return [
        resource.is_accessible,
        resource.status,
        lambda: bool(resource.target()),  # what a service says of its device is given as it is
        lambda: resource.task_start(program_of(kind)),
        lambda: resource.task_status(task),
        lambda: bool(resource.task_result(task)),  # and what a task has computed
        lambda: resource.task_logs(task),
        lambda: resource.task_stop(task),
        lambda: len(resource.list_tasks()),
        lambda: resource.find_task("some-key"),
    ]


def _told(evidence: Evidence, resource: QuantumResource) -> None:
    """What a handle and its parts say of themselves."""
    driver = driver_of(resource)
    evidence.add("repr", f"{resource!r} {resource} {driver!r} {driver.settings!r}")
    evidence.add("variables of the driver", repr(vars(driver)))
    evidence.add("export", repr(driver.settings.export()))
    evidence.add("metadata", repr(resource.metadata()))
    if isinstance(driver, HttpDriver) and driver._client is not None:
        evidence.add("variables of the client", repr(vars(driver._client)))
        evidence.add("variables of the credentials", repr(vars(driver._client._auth or object)))


# --- what is watched ----------------------------------------------------------------------------


def _shown(secret: str) -> Iterator[Callable[[], object]]:
    """Ways in which a secret could get out."""
    yield lambda: logging.getLogger("some.library").debug("sent %s", secret)
    yield lambda: warnings.warn(f"about {secret}", stacklevel=1)
    yield lambda: print(secret)
    yield lambda: Path(os.environ["QRMI_STATE_DIR"], "note").write_text(secret[5:])
    yield lambda: base64.b64encode(b"user:" + secret.encode()).decode()
    yield lambda: quote(secret, safe="")
    yield lambda: json.loads(f'["{secret}')
    yield lambda: json.loads('{"a": 1', parse_int=lambda _: int(secret))


@pytest.mark.parametrize("number", range(8))
def test_the_watch_sees_what_gets_out(
    number: int, canaries: Canaries, private_state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In logs of any library, warnings, streams, files, values, errors and local variables."""
    private_state.mkdir()
    evidence = Evidence()
    with watched(evidence):
        evidence.calling(list(_shown(canaries.make()))[number])
    with pytest.raises(AssertionError, match="secrets are shown"):
        _settled(evidence, canaries, Server(), private_state, capfd)


def test_there_are_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that settings hold; tokens, signatures and MUNGE's credentials come on top."""
    count = 0
    for kind in KINDS:
        canaries = Canaries()
        place_of(kind, canaries, monkeypatch).server.stop()
        renewals = sum(len(_cases(kind, transport)) for transport in TRANSPORTS)
        count += len(canaries.made) * (renewals + 2 * len(TRANSPORTS))
    assert count >= 100


# --- what goes wrong by itself ------------------------------------------------------------------


def _cases(kind: str, transport: str) -> list[Case]:
    if _IS_LARGE:
        return list(CASES)
    place = (KINDS.index(kind) * len(TRANSPORTS) + TRANSPORTS.index(transport)) * _SAMPLE
    return [CASES[(place + number) % len(CASES)] for number in range(_SAMPLE)]


def test_the_sample_has_every_case() -> None:
    """Each fault is seen with several vendors, and over both transports."""
    sampled = [case for kind in KINDS for over in TRANSPORTS for case in _cases(kind, over)]
    assert set(map(str, sampled)) == set(map(str, CASES))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", KINDS)
def test_faults_of_the_service(
    kind: str,
    transport: str,
    place: Place,
    canaries: Canaries,
    private_state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A look, a start, and everything that they leave behind; each time with other secrets."""
    evidence = Evidence()
    program_of(kind)
    private_state.mkdir(mode=0o700)
    monkeypatch.setenv("QRMI_RECORD", str(private_state / "recording"))
    with watched(evidence):
        for case in _cases(kind, transport):
            renew(place, canaries, monkeypatch)
            resource = _opened(place, transport)
            start = functools.partial(resource.task_start, program_of(kind))
            task = evidence.calling(start) or "no-task"
            with case.planted(place.server):
                for call in random.Random(str(case)).sample(_verbs(resource, kind, task), 2):
                    evidence.calling(call)
                evidence.calling(start)
            _told(evidence, resource)
    assert (private_state / "recording").stat().st_size > 0
    _settled(evidence, canaries, place.server, private_state, capfd)


def _settled(
    evidence: Evidence,
    canaries: Canaries,
    server: Server,
    state: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    captured = capfd.readouterr()
    evidence.add("stdout", captured.out)
    evidence.add("stderr", captured.err)
    evidence.add_folder(state)
    canaries.add_sent(server)
    evidence.must_be_clean(canaries)


_LOST = (
    Flaw(name="lost", lost="the connection broke off"),
    Flaw(name="lost after", lost="the connection broke off", handled=True),
    Flaw(name="refused", status=401),
    Flaw(name="broken", status=500, handled=True),
    Flaw(name="spoilt", handled=True, spoil=lambda _: {"message": "planted"}),
)


@pytest.mark.parametrize("kind", KINDS)
def test_flaws_of_the_transport(
    kind: str,
    place: Place,
    canaries: Canaries,
    private_state: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """At each of the first requests of a start."""
    evidence = Evidence()
    with watched(evidence):
        for number, flaw in enumerate(_LOST):
            resource = _opened(place, TRANSPORTS[number % 2])
            driver = driver_of(resource)
            assert isinstance(driver, HttpDriver)
            faulty = FaultyTransport(transport_for(driver.settings.http_config()))
            driver.use(faulty)
            for nth in range(5 if _IS_LARGE else 2):
                faulty.plant(flaw, nth=nth, times=None)
                evidence.calling(functools.partial(resource.task_start, program_of(kind)))
                evidence.calling(resource.status)
            _told(evidence, resource)
    _settled(evidence, canaries, place.server, private_state, capfd)


# --- a service that quotes what it is sent ------------------------------------------------------


class Mirror(Server):
    """Answers everything with the credentials that came with it, in one way after another."""

    def __init__(self, canaries: Canaries) -> None:
        super().__init__()
        self.canaries = canaries
        self.way = 0
        self.quotes_tokens = False

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """The present way's answer; tokens are handed out."""
        super().answer(method, target, headers, body)
        if target.startswith(("/identity/token", "/oauth/token")) and not self.quotes_tokens:
            token = self.canaries.make().replace("/", "_").replace("+", ".").rstrip("=")
            self.canaries.add(token)
            return Reply({"access_token": token, "expires_in": 3600})
        return _WAYS[self.way](_quoted(headers, target, body))


def _quoted(headers: dict[str, str], target: str, body: bytes) -> str:
    """Every credential of a request, as it came and decoded."""
    names = ("authorization", "q-api-token", "x-munge-cred")
    parts = [headers[name] for name in names if name in headers]
    parts += [target.partition("?")[2]]
    parts += [
        value
        for name, value in parse_qsl(body.decode("utf-8", "replace"))
        if name in ("apikey", "password", "client_secret")
    ]
    return " ".join(filter(None, parts)) or "nothing"


def _json(words: str) -> dict[str, Any]:
    """In the fields in which one vendor or another has its reason."""
    return {
        "message": words,
        "detail": words,
        "error": {"code": words[:40], "message": words, "description": words},
        "errors": [{"code": words[:60], "message": words, "solution": words}],
        "errorDetails": words,
        "error_description": words,
        "title": words,
        "trace": words.split()[-1],
        "data": {"description": words},
        "code": words,
    }


_WAYS: list[Callable[[str], Reply]] = [
    *(
        lambda words, status=status: Reply(_json(words), status)  # type: ignore[misc]
        for status in (400, 401, 403, 404, 409, 422, 429, 500)
    ),
    lambda words: Reply(_json("no. " * 68 + words), 400),
    lambda words: Reply({"errors": [{"message": quote(words, safe="")}], "message": words}, 400),
    lambda words: Reply({"message": json.dumps(words) * 2, "detail": [{"msg": words}]}, 422),
    lambda words: Reply(f"<Error><Code>A</Code><Message>{words}</Message></Error>", 403),
    lambda words: Reply(f"<html><p>{words}</p></html>"),
    lambda words: Reply(words),
    lambda words: Reply(_json(words)),
    lambda words: Reply({"status": words, "id": words, "state": words, "job": {"status": words}}),
    lambda words: Reply([{"status": words, "name": words}]),
    lambda words: Reply("", 302, headers={"location": "/elsewhere/" + quote(words)}),
    lambda words: Reply("", 307, headers={"location": "http://[" + quote(words)}),
    lambda words: Reply("", 308, headers={"location": "ftp://x/?token=" + quote(words)}),
    lambda words: Reply("", 503, headers={"retry-after": words[:80]}),
    lambda words: Reply(
        {"message": "no"}, 400, headers={"x-request-id": words.split()[-1], "date": words}
    ),
]


_AT_ONCE = {"QRMI_HTTP_BUDGET_SECONDS": "0.1"}
_WITH_TOKEN_SERVICES = ("ibm-", "qiskit-", "pasqal-cloud")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_quotes_credentials(
    kind: str,
    transport: str,
    place: Place,
    canaries: Canaries,
    private_state: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In bodies, codes, headers, redirects and statuses, encoded and cut short."""
    evidence = Evidence()
    with Mirror(canaries) as mirror, watched(evidence):
        settings = {
            key: value.replace(place.server.url, mirror.url)
            for key, value in place.settings(QRMI_HTTP_TRANSPORT=transport, **_AT_ONCE).items()
        }
        for mirror.quotes_tokens in (False, True)[: 1 + kind.startswith(_WITH_TOKEN_SERVICES)]:
            for mirror.way in range(len(_WAYS)):
                # a variable that holds a part of a good answer shows what the service wrote there
                evidence.with_locals = _WAYS[mirror.way]("words").status >= 300
                resource = QuantumResource.from_config(place.name, kind, settings)
                verbs = _verbs(resource, kind, "4f1d2c3b-0a9e-4c77-8f55-3d2a1b0c9e8f")
                chosen = random.Random(f"{kind} {mirror.way}").sample(verbs, 2)
                for call in verbs if _IS_LARGE else (*chosen, verbs[3]):
                    evidence.calling(call)
                if mirror.way == 0:
                    _told(evidence, resource)
        _settled(evidence, canaries, mirror, private_state, capfd)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_proxy_that_needs_a_password(
    transport: str, private_state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Which refuses it, is not there, or breaks off."""
    canaries, evidence = Canaries(), Evidence()
    with Mirror(canaries) as proxy, watched(evidence):
        hosts = (proxy.url.removeprefix("http://"), "127.0.0.1:9", "no-such-host.invalid:3128")
        for host in hosts:
            settings = {
                **HASTY,
                "QRMI_OQTOPUS_URL": "http://service.invalid",
                "QRMI_OQTOPUS_API_TOKEN": canaries.make(),
                "QRMI_HTTP_PROXY": canaries.make_url(host),
                "QRMI_HTTP_TRANSPORT": transport,
            }
            resource = QuantumResource.from_config("qulacs", "oqtopus", settings)
            evidence.calling(resource.status)
            _told(evidence, resource)
        _settled(evidence, canaries, proxy, private_state, capfd)


# --- commands in processes of their own ---------------------------------------------------------

_COMMANDS = (
    ("-vv", "resources"),
    ("-vv", "config", "check", "--all", "--json", "--try-secrets"),
    ("-vv", "doctor"),
    ("-vv", "show", "{name}"),
    ("-vv", "config", "check"),
    ("-vv", "run", "{name}", "{program}"),
    ("-vv", "tasks", "--all", "--json"),
    ("-vv", "explain", "LASTERROR"),
    ("-vv", "journal", "export"),
)


@pytest.mark.parametrize("kind", KINDS if _IS_LARGE else ["ibm-quantum-system"])
def test_commands(
    kind: str, place: Place, canaries: Canaries, private_state: Path, tmp_path: Path
) -> None:
    """What they print, what they write, and what a neighbour on the machine sees of them."""
    evidence = Evidence()
    environment = place.entry["environment"]
    secret = ("TOKEN", "APIKEY", "API_KEY")
    token = next((key for key in environment if key.endswith(secret)), "QRMI_HTTP_PROXY")
    environment.setdefault(token, "")
    hidden = tmp_path / "hidden"
    hidden.write_text(environment.pop(token))
    hidden.chmod(0o600)
    script = tmp_path / "give.py"
    script.write_text(
        f"import sys, time; time.sleep(0.3); text = open({str(hidden)!r}).read()\n"
        "print(text, file=sys.stderr); print(text)"
    )
    environment[f"{token}_COMMAND"] = f"{sys.executable} {script}"
    config = tmp_path / "qrmi_config.json"
    config.write_text(json.dumps({"resources": [place.entry]}))
    config.chmod(0o600)
    program = tmp_path / "program.qasm"
    program.write_text('OPENQASM 3.0; include "stdgates.inc"; qubit[1] q; bit[1] c; x q[0];')
    place.server.faults.add(_failing())
    environ = {**os.environ, "QRMI_CONFIG": str(config)}
    for words in _COMMANDS if _IS_LARGE else _COMMANDS[:3]:
        argv = [word.format(name=place.name, program=program) for word in words]
        _run(evidence, argv, environ)
    evidence.add_folder(private_state)
    canaries.add_sent(place.server)
    evidence.must_be_clean(canaries)


def _failing() -> Any:
    from qrmi_sandbox.faults import Fault

    return Fault(kind="status", match="GET *", times=3, status=503)


def _run(evidence: Evidence, argv: list[str], environ: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "qrmi", *argv],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            for line in command_lines(process.pid):
                evidence.add("command line", line)

    watcher = threading.Thread(target=look)
    watcher.start()
    output, _ = process.communicate(timeout=60)
    ended.set()
    watcher.join()
    evidence.add(f"output of {' '.join(argv)}", output)
    assert "Traceback" not in output or "-vv" in argv
