"""Looking at one resource: settings, credentials, the way to it, its clock, its status."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import attrs

from qrmi import config, plugins
from qrmi.config import ResourceDef
from qrmi.diagnosis import clocks
from qrmi.diagnosis.findings import Finding, Verdict, of_error
from qrmi.driver import Driver
from qrmi.errors import QrmiError, UnsupportedFunctionError
from qrmi.settings import EnvironmentSource
from qrmi.tasks import ResourceStatus, ResourceStatusCode
from qrmi.transport import HttpDriver, HttpSettings
from qrmi.transport.probe import Probe, probe
from qrmi.transport.urls import origin_of
from qrmi.transport.watching import Watching

__all__ = ["Examination"]

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 8.0
_BUDGET_SECONDS = 10.0
_SOON_SECONDS = 14 * 86400.0
_SLOW_SECONDS = 2.0
_STEPS = {  # what each step of a probe that failed means, and what to do
    "name": (
        "no name server knows {host}",
        "correct the endpoint in the resource's settings; on a machine without a way out, set "
        "HTTPS_PROXY or QRMI_HTTP_PROXY",
    ),
    "connection": (
        "no connection to {host}",
        "is the service up, and may this machine reach it? A firewall may want a proxy: "
        "HTTPS_PROXY or QRMI_HTTP_PROXY",
    ),
    "certificate": (
        "the certificate of {host} is refused",
        "a certificate that has ended is the service's to renew; one of the site's own authority "
        "is trusted when QRMI_HTTP_CA_BUNDLE names that authority's file",
    ),
    "tls": (
        "no TLS with {host}",
        "check the endpoint's port, and the certificates in the settings",
    ),
    "answer": ("{host} takes connections and does not answer", "try again later; ask the service"),
}


class Examination:
    """All checks of one resource; findings are there as they are made.

    Attributes:
        findings: so far.
    """

    def __init__(self, definition: ResourceDef) -> None:
        self._definition = definition
        self._name = definition.name
        self.findings: list[Finding] = []

    def run(self) -> None:
        """Make all checks. What goes wrong is a finding, never an error."""
        try:
            driver = self._driver()
        except QrmiError as error:
            self.findings.append(of_error(self._name, "settings", error))
            return
        try:
            if isinstance(driver, HttpDriver):
                self._over_http(driver)
            else:
                self._status(driver)
        finally:
            driver.close()

    def _driver(self) -> Driver:
        definition = self._definition
        kind = plugins.driver_class(definition.type_name).SETTINGS
        source = EnvironmentSource(
            prefix=kind.prefix(definition.name),
            environ=config.environment(),
            defaults=definition.environment,
        )
        if plugins.is_at_site(source):
            return plugins.driver_from(definition.name, definition.type_name, source)
        settings = kind.load(source)
        if isinstance(settings, HttpSettings):
            settings = attrs.evolve(
                settings,
                http_connect_seconds=min(settings.http_connect_seconds, _CONNECT_SECONDS),
                http_read_seconds=min(settings.http_read_seconds, _READ_SECONDS),
                http_budget_seconds=min(settings.http_budget_seconds, _BUDGET_SECONDS),
            )
        return plugins.make_driver(definition.name, definition.type_name, settings)

    # --- over HTTP ----------------------------------------------------------------------------

    def _over_http(self, driver: HttpDriver) -> None:
        watching = Watching(driver.transport)
        driver.use(watching)
        if self._credentials(driver):
            self._status(driver)
            self._permission(driver)
        self._latency(watching)
        origins = dict.fromkeys(
            [*_endpoints(driver.settings), *(e.origin for e in watching.exchanges)]
        )
        for origin in origins:
            found = probe(origin, driver.settings.http_config(), _CONNECT_SECONDS)
            self.findings += _way(self._name, found)

    def _credentials(self, driver: HttpDriver) -> bool:
        """Whether there are credentials: a token service or MUNGE is asked for one."""

        def ask() -> str:
            auth = driver.auth()
            if auth is not None:
                auth.headers()
            return "there are some" if auth is not None else "none are needed"

        return self._made("credentials", ask)

    def _permission(self, driver: Driver) -> None:
        """Whether the service takes them, for a request that changes nothing."""
        try:
            self._made("account", lambda: f"{len(driver.list_tasks())} task(s) on the service")
        except UnsupportedFunctionError:
            return

    def _status(self, driver: Driver) -> None:
        try:
            self.findings.append(_status_finding(self._name, driver.status()))
        except QrmiError as error:
            self.findings.append(of_error(self._name, "status", error))

    def _made(self, check: str, ask: Callable[[], str]) -> bool:
        try:
            text = ask()
        except UnsupportedFunctionError:
            raise
        except QrmiError as error:
            self.findings.append(of_error(self._name, check, error))
            return False
        self.findings.append(Finding(subject=self._name, check=check, text=text))
        return True

    def _latency(self, watching: Watching) -> None:
        answered = [e.seconds for e in watching.exchanges if e.status is not None]
        if not answered:
            return
        middle = statistics.median(answered)
        slow = middle > _SLOW_SECONDS
        self.findings.append(
            Finding(
                subject=self._name,
                check="latency",
                verdict=Verdict.WARNING if slow else Verdict.OK,
                text=f"{middle * 1000:.0f} ms a request ({len(answered)} made)",
                advice="requests are slow: a proxy or the way to the service may be"
                if slow
                else "",
                values={"median_seconds": middle, "requests": len(answered)},
            )
        )


def _endpoints(settings: HttpSettings) -> Iterator[str]:
    """The hosts that the settings name."""
    for value in attrs.asdict(settings, recurse=False).values():
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            try:
                yield origin_of(value)
            except QrmiError:
                continue


def _status_finding(name: str, status: ResourceStatus) -> Finding:
    online = status.status is ResourceStatusCode.ONLINE
    words = [status.status.name.lower(), status.status_reason or ""]
    if status.pending_job_count is not None:
        words.append(f"{status.pending_job_count} waiting")
    if status.healthy is False:
        words.append("not healthy")
    good = online and status.healthy is not False
    return Finding(
        subject=name,
        check="status",
        verdict=Verdict.OK if good else Verdict.WARNING,
        text=", ".join(filter(None, words)),
        advice="" if good else "wait until the service opens it again, or use another resource",
        values=status.to_dict(),
    )


def _way(name: str, found: Probe) -> Iterator[Finding]:
    """What a probe says."""
    host = found.origin.partition("//")[2]
    through = f" through the proxy {found.proxy}" if found.proxy else ""
    if found.failed is not None:
        words, advice = _STEPS[found.failed]
        yield Finding(
            subject=name,
            check="way",
            verdict=Verdict.PROBLEM,
            text=f"{words.format(host=host)}{through}: {found.reason}",
            advice=advice,
            values={"origin": found.origin, "step": found.failed, "proxy": found.proxy},
        )
        return
    took = [
        (word, seconds)
        for word, seconds in (
            ("name", found.name_seconds),
            ("connection", found.connect_seconds),
            ("TLS", found.tls_seconds),
        )
        if seconds is not None
    ]
    yield Finding(
        subject=name,
        check="way",
        text=f"{host}{through}: "
        + ", ".join(f"{word} {seconds * 1000:.0f} ms" for word, seconds in took),
        values={"origin": found.origin, "proxy": found.proxy, "addresses": list(found.addresses)},
    )
    yield from _certificate(name, host, found)
    measured = clocks.skew(found.date, found.sent_at, found.received_at)
    if measured is not None:
        yield clocks.finding(name, host, measured)


def _certificate(name: str, host: str, found: Probe) -> Iterator[Finding]:
    if found.unchecked and found.tls_seconds is not None:
        yield Finding(
            subject=name,
            check="certificate",
            verdict=Verdict.WARNING,
            text=f"the certificate of {host} is not checked: anyone can pose as the service",
            advice="name the authority to trust in QRMI_HTTP_CA_BUNDLE instead",
        )
    if found.certificate_ends_at is None:
        return
    left = found.certificate_ends_at - time.time()
    soon = left < _SOON_SECONDS
    yield Finding(
        subject=name,
        check="certificate",
        verdict=Verdict.WARNING if soon else Verdict.OK,
        text=f"the certificate of {host} ends in {left / 86400:.0f} days",
        advice="tell the service's operators to renew it" if soon else "",
        values={"ends_at": found.certificate_ends_at},
    )
