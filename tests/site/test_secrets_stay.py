"""The site's keys stay with the site: for every vendor that has one, wherever a job could look."""

from __future__ import annotations

import contextlib
import gc
import logging
import pickle
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_lab import GatewayLab

from qrmi import QuantumResource, TaskStatus, config, plugins
from qrmi.errors import AuthenticationFailedError, Owner, QrmiError
from qrmi.settings import Secret
from qrmi.site.driver import SiteDriver
from qrmi.testing.inside import driver_of
from qrmi.testing.programs import tiny_program
from qrmi_sandbox.compute_service import ComputeServiceServer
from qrmi_sandbox.felis import FelisServer
from qrmi_sandbox.iqm import IQMServer
from qrmi_sandbox.oqtopus import OqtopusServer
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer
from qrmi_sandbox.quantum_system import QuantumSystemServer

SERVERS = {
    "ibm-quantum-compute-service": ComputeServiceServer,
    "ibm-quantum-system": QuantumSystemServer,
    "pasqal-cloud": PasqalCloudServer,
    "iqm-server": IQMServer,
    "alice-bob-felis": FelisServer,
    "oqtopus": OqtopusServer,
}


class Site:
    """A vendor's server, the site that has its keys, and a job's handle."""

    def __init__(self, folder: Path, type_name: str, server: object) -> None:
        self.server = server
        self.entry = server.resource()
        self.lab = GatewayLab(folder, self.entry)
        self.name = self.entry["name"]
        declared = plugins.driver_class(type_name).SETTINGS.declarations().values()
        secret = {key for each in declared if each.secret for key in each.keys}
        given = self.entry["environment"]
        self.secrets = [text for key, text in given.items() if key in secret]
        direct = QuantumResource.from_config(self.name, type_name, given)
        self.program = tiny_program(direct)
        direct.close()
        self.job = self.lab.lend(self.name)
        self.handle = self.lab.handle(self.name, of=self.job)

    def check(self, text: str, where: str) -> None:
        shown = [secret for secret in self.secrets if secret in text]
        assert not shown, f"{where} has a site's key"


@pytest.fixture(params=sorted(SERVERS))
def site(request, tmp_path: Path, private_state: Path) -> Iterator[Site]:
    with SERVERS[request.param]() as server:
        made = Site(tmp_path / "site", request.param, server)
        assert made.secrets, "the test needs a key"
        yield made
        made.lab.down()


@contextlib.contextmanager
def all_logs() -> Iterator[list[str]]:
    """Everything that is logged, by the job and by the daemon: both are in this process."""
    texts: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(f"{self.format(record)} {record.args!r}")

    root, before = logging.getLogger(), logging.getLogger("qrmi").level
    collector, level = Collector(logging.NOTSET), logging.getLogger().level
    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    logging.getLogger("qrmi").setLevel(logging.DEBUG)
    yield texts
    root.removeHandler(collector)
    root.setLevel(level)
    logging.getLogger("qrmi").setLevel(before)


def test_a_whole_life(site: Site) -> None:
    """Environment, settings, pickles, journal, logs, results and the daemon's files have none."""
    for name, text in site.lab.environment(site.job).items():
        site.check(f"{name}={text}", "the job's environment")
    with all_logs() as logged:
        task = site.handle.task_start(site.program, key="canary")
        assert site.handle.task_wait(task, 60) is TaskStatus.COMPLETED
        site.check(site.handle.task_result(task).value, "the result")
        site.check(repr(site.handle.metadata()), "metadata")
        site.check(site.handle.target().value, "the target")
        site.check(repr(site.handle.status()), "the status")
        if site.handle.capabilities.logs:
            with contextlib.suppress(QrmiError):
                site.check(site.handle.task_logs(task), "the task's log")
        site.handle.task_stop(task)
    site.check("\n".join(logged), "a log")
    site.check(pickle.dumps(site.handle).decode("latin-1"), "the pickled handle")
    for folder in (config.state_dir(), site.lab.folder):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        for path in files:
            site.check(path.read_bytes().decode("latin-1"), str(path))


def test_nothing_of_the_jobs_reaches_a_key(site: Site) -> None:
    """No object that a job's driver refers to holds one."""
    driver = driver_of(site.handle)
    assert isinstance(driver, SiteDriver)
    driver.is_accessible()
    seen: set[int] = set()
    todo: list[object] = [driver.__dict__]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | types.ModuleType | types.FunctionType):
            continue
        seen.add(id(thing))
        if isinstance(thing, Secret):
            site.check(thing.reveal(), "the driver")
        elif isinstance(thing, str | bytes):
            site.check(str(thing), "the driver")
        else:
            todo += gc.get_referents(thing)


def test_errors(site: Site) -> None:
    """Errors of any kind, their pickles and causes: none has one, and none has the job's token."""
    own = site.handle.acquire()
    errors = []
    for call in (
        lambda: site.handle.task_status("no-such-task"),
        lambda: site.handle.task_result("no-such-task"),
        lambda: _run(site.handle, _broken(site.program)),
    ):
        with pytest.raises(QrmiError) as caught:
            call()
        errors.append(caught.value)
    for error in errors:
        for text in (str(error), repr(error), pickle.dumps(error).decode("latin-1")):
            site.check(text, type(error).__name__)
            assert own not in text


def _run(handle, payload):
    task = handle.task_start(payload)
    handle.task_wait(task, 60)
    handle.task_result(task)


def _broken(payload):
    import attrs

    field = attrs.fields(type(payload))[0].name
    return attrs.evolve(payload, **{field: '{"pubs": 5}'})


def test_a_key_that_the_vendor_refuses(site: Site) -> None:
    """The job's user hears that it is the site's to mend, and not what the key is."""
    _spoil(site)
    with pytest.raises(QrmiError) as caught:
        site.handle.task_start(site.program)
    error = caught.value
    site.check(str(error) + pickle.dumps(error).decode("latin-1"), "the error")
    if isinstance(error, AuthenticationFailedError):
        assert error.owner is Owner.SITE
        assert "tell the site" in error.hint


def _spoil(site: Site) -> None:
    """Configure other keys than the vendor's; they are secrets, too."""
    import attrs

    known = site.lab.resources[site.name]
    wrong = {
        key: (text[:-4] + "AAA=" if key.endswith("API_KEY") else f"wrong-{text}")
        if text in site.secrets
        else text
        for key, text in known.environment.items()
    }
    site.secrets = [text for key, text in wrong.items() if known.environment[key] != text]
    site.lab.resources[site.name] = attrs.evolve(known, environment=wrong)
