"""Which resources there are, and how a program gets the right one without naming a vendor."""

from __future__ import annotations

import logging

import attrs

from qrmi import config, journal
from qrmi.errors import QrmiError, ResourceNotFoundError
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceStatusCode, ResourceType

__all__ = ["EMBEDDED", "Available", "QRMIService", "open", "resource_of_task", "resources"]

_log = logging.getLogger(__name__)

EMBEDDED = "local"
"""Name and type of the embedded simulator."""


@attrs.frozen(kw_only=True)
class Available:
    """A resource that `open` can give here.

    Attributes:
        origin: ``job`` (the scheduler gave it), ``file`` (configuration) or ``embedded``.
        definition: its entry in the configuration; settings are not shown.
    """

    origin: str
    definition: config.ResourceDef

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
        """A handle to it."""
        return QuantumResource(self.name, self.type_name)


def resources(*, configuration: config.Config | None = None) -> list[Available]:
    """The resources that can be opened here: the job's, the configuration's, the embedded one.

    Raises:
        ConfigError: the configuration file or the job's variables are malformed.
        ResourceUnavailableError: the site reports that it could not give this job its QPU.
    """
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


def open(name: str | None = None) -> QuantumResource:  # noqa: A001 (qrmi.open, as in webbrowser)
    """The resource to use: the same line on a laptop, in a job, and on hardware.

    Without a name: the one QPU that the scheduler gave this job; else the default of the
    configuration file; else the embedded simulator ``local``, which needs no account, file or
    variable. A job that was given no QPU gets the simulator with a warning.

    Raises:
        ResourceNotFoundError: no resource of that name, or several and none was named; the
            message lists them.
        ResourceUnavailableError: the site reports that it could not give this job its QPU.
        ConfigError: the configuration is malformed.
    """
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
    listed = ", ".join(f"{r.name} ({r.type_name})" for r in available)
    raise ResourceNotFoundError(f"no resource {name!r}", hint=f"there is: {listed}")


def resource_of_task(task_id: str) -> QuantumResource:
    """A handle to the resource on which the journal says the task was started.

    A resource that neither the job nor the configuration knows is opened with the settings that
    the journal keeps (which hold no secret).

    Raises:
        TaskNotFoundError: no process of this user journalled such a task.
    """
    record = journal.default().task(task_id)
    known = {resource.name: resource for resource in resources()}.get(record.resource_id)
    if known and known.origin != "embedded" and known.type_name == record.resource_type:
        return known.open()
    return QuantumResource.from_config(record.resource_id, record.resource_type, record.settings)


class QRMIService:
    """The resources of this job that are online, as handles.

    One that cannot be made or reached is left out with a warning.

    Raises:
        EnvVarNotSetError: the scheduler set no ``QRMI_JOB_QPU_RESOURCES``.
        ConfigError: the job's variables contradict each other.
        ResourceUnavailableError: the site reports that it could not give this job its QPU.
    """

    def __init__(self) -> None:
        granted = config.job_resources() or _from_lists()
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
