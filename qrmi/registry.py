"""Which resources there are, and how a program gets the right one without naming a vendor."""

from __future__ import annotations

import logging

import attrs

from qrmi import config, discovery, journal, plugins
from qrmi.errors import (
    ConfigError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskNotFoundError,
)
from qrmi.recording import hooks
from qrmi.resource import QuantumResource
from qrmi.settings import EnvironmentSource, MappingSource
from qrmi.starts import recovery
from qrmi.tasks import ResourceStatusCode, ResourceType, TaskId

__all__ = [
    "EMBEDDED",
    "Available",
    "QRMIService",
    "expanded",
    "open",
    "resource_of_record",
    "resource_of_task",
    "resources",
]

_log = logging.getLogger(__name__)

_MOST_RECOVERED = 50
EMBEDDED = "local"
"""Name and type of the embedded simulator."""


@attrs.frozen(kw_only=True)
class Available:
    """A resource that `open` can give here.

    Attributes:
        origin: ``job`` (the scheduler gave it), ``file`` (configuration), ``account`` (a device
            behind an entry with ``is_dynamic``), ``embedded``, or ``recording`` (in a replay).
        definition: its entry in the configuration; settings are not shown.
        device: the handle that discovery made, for origin ``account``.
    """

    origin: str
    definition: config.ResourceDef
    device: QuantumResource | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        return self.definition.name

    @property
    def resource_type(self) -> ResourceType | str:
        """The enum member for upstream's types, the plain string for any other."""
        return self.definition.resource_type

    @property
    def type_name(self) -> str:
        """The type as files spell it."""
        return self.definition.type_name

    def open(self) -> QuantumResource:
        """A handle to it; of an account, to its online device with the shortest queue.

        Raises:
            ResourceUnavailableError: no device of the account is online.
        """
        if self.device is not None:
            return self.device
        if not self.definition.is_dynamic:
            return QuantumResource(self.name, self.type_name)
        chosen = discovery.first_online(discovery.devices_of_account(self.definition))
        if chosen is None:
            raise ResourceUnavailableError(
                f"no device of account {self.name} is online", owner=Owner.VENDOR
            )
        return chosen


def resources(*, configuration: config.Config | None = None) -> list[Available]:
    """The resources that can be opened here: the job's, the configuration's, the embedded one.

    In a replay: those that were recorded.

    Raises:
        ConfigError: the configuration file or the job's variables are malformed.
        ResourceUnavailableError: the site reports that it could not give this job its QPU.
    """
    if (played := hooks.replayed_resources()) is not None:
        return [Available(origin="recording", definition=each) for each in played]
    settled = config.user_config() if configuration is None else configuration
    embedded = config.ResourceDef(EMBEDDED, EMBEDDED)
    groups = (
        ("job", config.job_resources()),
        ("file", list(settled.resource_map.values())),
        ("embedded", [embedded]),
    )
    found: dict[str, Available] = {}
    for origin, definitions in groups:
        for definition in definitions:
            found.setdefault(definition.name, Available(origin=origin, definition=definition))
    return list(found.values())


def expanded(available: list[Available]) -> list[Available]:
    """The same with each account replaced by its devices; asks the accounts' services.

    An account that cannot be asked stays as it is, with a warning.
    """
    found: list[Available] = []
    for entry in available:
        if not entry.definition.is_dynamic:
            found.append(entry)
            continue
        try:
            found += [_behind(entry, d) for d in discovery.devices_of_account(entry.definition)]
        except QrmiError as error:
            _log.warning("the devices of %s cannot be listed: %s", entry.name, error)
            found.append(entry)
    return found


def _behind(account: Available, device: QuantumResource) -> Available:
    definition = attrs.evolve(account.definition, name=device.resource_id(), is_dynamic=False)
    return Available(origin="account", definition=definition, device=device)


def open(name: str | None = None) -> QuantumResource:  # noqa: A001 (qrmi.open, as in webbrowser)
    """The resource to use: the same line on a laptop, in a job, and on hardware.

    Without a name: the one QPU that the scheduler gave this job; else the default of the
    configuration file; else the embedded simulator ``local``, which needs no account, file or
    variable. A job that was given no QPU gets the simulator with a warning. A name may be that of
    a device behind an account of the configuration (``is_dynamic``), or the account's, for its
    online device with the shortest queue.

    Raises:
        ResourceNotFoundError: no resource of that name, or several and none was named; the
            message lists them. Where an account could not be asked for it, that error is raised.
        ResourceUnavailableError: the site reports that it could not give this job its QPU.
        ConfigError: the configuration is malformed.
    """
    resource = _opened(hooks.replayed_name(name) or name)
    hooks.note_opened(name, resource.resource_id())
    return resource


def _opened(name: str | None) -> QuantumResource:
    available = resources()
    if name is not None:
        return _named(name, available).open()
    granted = [resource for resource in available if resource.origin == "job"]
    if len(granted) > 1:
        raise ResourceNotFoundError(
            "this job holds several QPUs: " + ", ".join(r.name for r in granted),
            hint="name one: qrmi.open(name)",
        )
    if granted:
        return granted[0].open()
    default = config.user_config().default
    if default is not None:
        return _named(default, available).open()
    if config.job_identity() is not None:
        _log.warning("this job was given no QPU; using the embedded simulator %r", EMBEDDED)
    return _named(EMBEDDED, available).open()


def _named(name: str, available: list[Available]) -> Available:
    for resource in available:
        if resource.name == name:
            return resource
    failure: QrmiError | None = None
    for account in (resource for resource in available if resource.definition.is_dynamic):
        try:
            device = discovery.device_of_account(account.definition, name)
        except QrmiError as error:
            _log.warning("the devices of %s cannot be listed: %s", account.name, error)
            failure = error
            continue
        if device is not None:
            return _behind(account, device)
    if failure is not None:
        raise failure
    listed = ", ".join(f"{r.name} ({r.type_name})" for r in available)
    raise ResourceNotFoundError(f"no resource {name!r}", hint=f"there is: {listed}")


def resource_of_task(task_id: str) -> QuantumResource:
    """A handle to the resource on which the journal says the task was started.

    A resource that neither the job nor the configuration knows is opened with the environment's
    settings, and with those that the journal keeps (which hold no secret); else it is looked for
    behind the configuration's accounts.

    Where a killed process left starts without ids, their resources are asked for the task first.

    Raises:
        TaskNotFoundError: no process of this user journalled such a task.
        ConfigError: a setting, a credential for example, is not to be had here.
    """
    try:
        record = journal.default().task(task_id)
    except TaskNotFoundError:
        if not any(recover(start) == task_id for start in recovery.unsettled()[:_MOST_RECOVERED]):
            raise
        record = journal.default().task(task_id)
    return resource_of_record(record)


def recover(start: journal.TaskRecord) -> TaskId | None:
    """`QuantumResource.recover` for a start that the journal has; a warning when it cannot be."""
    try:
        return resource_of_record(start).recover(start.key)
    except QrmiError as error:
        _log.warning("start %s on %s: %s", start.key, start.resource_id, error.message)
        return None


def resource_of_record(record: journal.TaskRecord | journal.LeaseRecord) -> QuantumResource:
    """The same for what the journal has of a task or of a session.

    Raises:
        ConfigError: a setting, a credential for example, is not to be had here.
    """
    known = {resource.name: resource for resource in resources()}.get(record.resource_id)
    is_elsewhere = plugins.is_at_site(MappingSource(record.settings))  # under a site's credentials
    usable = ("job",) if is_elsewhere else ("job", "file", "account", "recording")
    if known and known.origin in usable and known.type_name == record.resource_type:
        return known.open()
    try:
        return _recovered(record)
    except ConfigError:
        device = _of_an_account(record)
        if device is None:
            raise
        return device


def _recovered(record: journal.TaskRecord | journal.LeaseRecord) -> QuantumResource:
    settings = plugins.driver_class(record.resource_type).SETTINGS
    source = EnvironmentSource(
        prefix=settings.prefix(record.resource_id),
        environ=config.environment(),
        defaults=record.settings,
    )
    driver = plugins.driver_from(record.resource_id, record.resource_type, source)
    return QuantumResource.from_driver(driver, resource_type=record.resource_type)


def _of_an_account(
    record: journal.TaskRecord | journal.LeaseRecord,
) -> QuantumResource | None:
    for definition in config.user_config().resource_map.values():
        if definition.is_dynamic and definition.type_name == record.resource_type:
            device = discovery.device_of_account(definition, record.resource_id)
            if device is not None:
                return device
    return None


class QRMIService:
    """The resources of this job that are online, as handles.

    One that cannot be made or reached is left out with a warning.

    Raises:
        EnvVarNotSetError: the scheduler set no ``QRMI_JOB_QPU_RESOURCES``.
        ConfigError: the job's variables contradict each other.
        ResourceUnavailableError: the site reports that it could not give this job its QPU.
    """

    def __init__(self) -> None:
        granted = hooks.replayed_job() or config.job_resources() or _from_lists()
        found = ((d.name, _online(d)) for d in granted)
        self._resources = {name: resource for name, resource in found if resource is not None}

    def resources(self) -> list[QuantumResource]:
        """The handles; the same objects at every call."""
        return list(self._resources.values())

    def resource(self, resource_id: str) -> QuantumResource | None:
        """The handle of that name, or ``None``."""
        return self._resources.get(resource_id)


def _from_lists() -> list[config.ResourceDef]:
    """Raise the error that names the variable which is absent; empty lists are just empty."""
    config.get_job_qpu_resources_and_types()
    _log.warning("QRMI_JOB_QPU_RESOURCES is empty: this job was given no QPU")
    return []


def _online(definition: config.ResourceDef) -> QuantumResource | None:
    try:
        resource = QuantumResource(definition.name, definition.type_name)
        status = resource.status()
    except QrmiError as error:
        _log.warning("%s is left out: %s", definition.name, error)
        return None
    if status.status is not ResourceStatusCode.ONLINE:
        _log.warning("%s is left out: it is %s", definition.name, status.status.name.lower())
        return None
    return resource
