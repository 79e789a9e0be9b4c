"""What a job finds in its environment: which QPUs it holds, and how it reaches them.

The one place where it is decided what of the site's configuration a job may see: settings that are
declared, and not declared as secrets. `environment_of` is pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from qrmi import plugins
from qrmi.config import UNLIMITED_SECONDS
from qrmi.config_file import ResourceDef
from qrmi.errors import AccessDeniedError, ConfigError, Owner, QrmiError
from qrmi.settings import Settings
from qrmi.site.gateway.tokens import Claim, Tokens
from qrmi.site.lending.lease_states import LeaseRecord, LeaseState
from qrmi.site.terms import Grant, Job, Outcome

__all__ = ["Address", "JobEnvironments", "Lent", "environment_of", "uses_gateway"]

_ADMIN = -1
_LOOKS_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_OF_THE_JOB = "QRMI_JOB_"
_DELIMITERS = (",", ":", ";", "|", "\t")
_WITHOUT_COMMAS = ("pbs",)  # what comes after a comma does not arrive there


@attrs.frozen(kw_only=True)
class Lent:
    """One resource that a job holds.

    Attributes:
        grant: what the job was told.
        definition: the entry of the configuration that it comes from; ``None`` when it is gone.
        settings: the class that declares its type's settings.
        token: the vendor's name of the session; for the gateway, the daemon's own token.
    """

    grant: Grant
    definition: ResourceDef | None
    settings: type[Settings]
    token: str = attrs.field(default="", repr=False)

    @property
    def prefix(self) -> str:
        """What its variables begin with."""
        return self.settings.prefix(self.grant.resource)


@attrs.frozen(kw_only=True)
class Address:
    """How jobs reach the daemon: by a socket on its own host, by a URL from others."""

    socket: str = ""
    url: str = ""


def uses_gateway(definition: ResourceDef | None, settings: type[Settings]) -> bool:
    """Whether jobs reach the resource through the daemon.

    As the entry says; where it does not: when it holds a secret that stays here.
    """
    if definition is None:
        return False
    if definition.gateway is not None:
        return definition.gateway
    secrets = any(_is_secret(key, settings) for key in definition.environment)
    return secrets and not definition.export_secrets


def _is_secret(key: str, settings: type[Settings]) -> bool:
    """Whether a key of an entry holds a secret, or says where one is; one that is unknown may."""
    key = key.upper()  # drivers read keys in lower case, too
    declarations = settings.declarations().values()
    if any(key in each.keys for each in declarations if not each.secret):
        return False
    hidden = [each for each in declarations if each.secret]
    spelled = {key + form for each in hidden for key in each.keys for form in each.forms}
    return key in spelled or bool(_LOOKS_SECRET.search(key))


def environment_of(
    job: Job,
    lent: Sequence[Lent],
    *,
    limit_seconds: float | None = None,
    address: Address = Address(),
) -> dict[str, str]:
    """The variables of a job, by name.

    No secret setting is among them, unless its entry says ``export_secrets``; what an entry says
    that its type does not declare is not, either.

    Args:
        job: whose they are.
        lent: what it holds, in the order in which it wanted it.
        limit_seconds: its time limit; ``None`` for no limit.
        address: of the daemon.

    Raises:
        ConfigError: a name or a value cannot be a part of an environment.
    """
    delimiter = _delimiter(job, lent)
    names = delimiter.join(each.grant.resource for each in lent)
    types = delimiter.join(each.grant.type for each in lent)
    limit = UNLIMITED_SECONDS if limit_seconds is None else math.ceil(max(limit_seconds, 1.0))
    found = {
        "QRMI_JOB_QPU_RESOURCES": names,
        "QRMI_JOB_QPU_TYPES": types,
        "SLURM_JOB_QPU_RESOURCES": names,
        "SLURM_JOB_QPU_TYPES": types,
        "QRMI_LIST_DELIMITER": delimiter,
        "QRMI_JOB_UID": str(job.uid),
        "QRMI_JOB_ID": job.id,
        "QRMI_JOB_QPU_SLOTS": str(lent[0].grant.slots if lent else 0),
        "QRMI_SITE_SOCKET": address.socket,
        "QRMI_SITE_URL": address.url,
    }
    for each in lent:
        found |= _settings_of(each)
        found |= _own_of(each, min(limit, UNLIMITED_SECONDS))
    told = {name: text for name, text in found.items() if text}
    for name, text in told.items():
        _check(name, text)
    return told


def _own_of(lent: Lent, limit: int) -> dict[str, str]:
    """What the job alone has of a resource: its token, its slots, its time."""
    own = {
        "QRMI_JOB_ACQUISITION_TOKEN": lent.token,
        "QRMI_JOB_TIMEOUT_SECONDS": str(limit),
        "QRMI_JOB_QPU_SLOTS": str(lent.grant.slots),
    }
    if uses_gateway(lent.definition, lent.settings):
        own["QRMI_SITE_GATEWAY"] = "1"
    prefixes = {lent.prefix, plugins.plain_prefix(lent.prefix)}  # not every shell passes on both
    return {f"{prefix}_{key}": text for prefix in prefixes for key, text in own.items()}


def _settings_of(lent: Lent) -> dict[str, str]:
    """The settings of an entry that a job may see."""
    definition = lent.definition
    if definition is None:
        return {}
    is_shared = {
        key: each.shared
        for each in lent.settings.declarations().values()
        for key in (k + form for k in each.keys for form in each.forms)
    }
    behind = uses_gateway(definition, lent.settings)
    found = {}
    for key, text in definition.environment.items():
        if key.startswith(_OF_THE_JOB) or not _is_shown(key, definition, is_shared, lent.settings):
            continue
        if not is_shared.get(key):
            found[f"{lent.prefix}_{key}"] = text
        elif not behind:
            found[key] = text
    return found


def _is_shown(
    key: str, definition: ResourceDef, declared: Iterable[str], settings: type[Settings]
) -> bool:
    if definition.export_secrets:
        return True
    return key in declared and not _is_secret(key, settings)


def _delimiter(job: Job, lent: Sequence[Lent]) -> str:
    """What no name has in it; a comma where that will do."""
    texts = [text for each in lent for text in (each.grant.resource, each.grant.type)]
    for delimiter in _DELIMITERS:
        if delimiter == "," and job.scheduler in _WITHOUT_COMMAS:
            continue
        if not any(delimiter in text for text in texts):
            return delimiter
    raise ConfigError(
        f"the names of this job's QPUs cannot be written as one list: {', '.join(texts)}",
        owner=Owner.SITE,
        hint="give them names without punctuation",
    )


def _check(name: str, text: str) -> None:
    """Nothing that would be another variable where a scheduler reads lines."""
    if "=" in name or any(mark in name + text for mark in "\0\n\r"):
        raise ConfigError(
            f"{name.splitlines()[0][:100]} cannot be a variable of a job",
            owner=Owner.SITE,
            hint="correct the resource's name, or that setting, in qrmi_config.json",
        )


class Leases(Protocol):
    """Where leases are looked up: `qrmi.site.lending.leasing.Leasing`."""

    def of_job(self, scheduler: str, cluster: str, id: str) -> LeaseRecord | None:  # noqa: A002
        """The newest lease of a job, or how it was refused."""


class JobEnvironments:
    """What jobs are told; see `qrmi.site.parts.Environments`. Thread-safe.

    Args:
        leases: the site's leases.
        definition: an entry of its configuration; raises `ResourceNotFoundError`.
        tokens: makes the tokens of the gateway.
        address: how jobs reach the daemon.
    """

    def __init__(
        self,
        leases: Leases,
        definition: Callable[[str], ResourceDef],
        tokens: Tokens,
        address: Address,
    ) -> None:
        self._leases = leases
        self._definition = definition
        self._tokens = tokens
        self._address = address

    def for_job(
        self,
        *,
        scheduler: str,
        cluster: str,
        id: str,  # noqa: A002 (the word of the protocol)
        caller: int,
    ) -> dict[str, Any]:
        """``outcome``, ``reason``, ``hint`` and ``environment`` for the newest run of a job.

        Raises:
            AccessDeniedError: it is another user's job.
            ConfigError: its environment cannot be written.
        """
        record = self._leases.of_job(scheduler, cluster, id)
        if record is None:
            return _told("none")
        if caller not in (_ADMIN, record.job.uid):
            raise AccessDeniedError(
                f"job {id} of {cluster} is not user {caller}'s", owner=Owner.USER, hint=""
            )
        if record.state is LeaseState.REFUSED:
            return _told(Outcome.REFUSED, reason=record.reason, hint=record.hint)
        if record.state is LeaseState.ASKING:
            return _told(Outcome.LATER, reason="the site is still asking for this job's QPUs")
        if record.state is not LeaseState.HELD:
            return _told(Outcome.ENDED, reason="this job's lease of its QPUs has ended")
        environment = environment_of(
            record.job,
            [self._lent(record, grant) for grant in record.grants],
            limit_seconds=record.limit_seconds,
            address=self._address,
        )
        return _told(Outcome.GRANTED, environment=environment)

    def _lent(self, record: LeaseRecord, grant: Grant) -> Lent:
        part = record.part(grant.resource)
        settings = plugins.driver_class(grant.type).SETTINGS
        try:
            definition = self._definition(part.entry if part else grant.resource)
        except QrmiError:
            definition = None  # it was taken out of the file while the job runs
        token = record.tokens.get(grant.resource, "")
        if uses_gateway(definition, settings):
            claim = Claim(key=record.key, uid=record.job.uid, resource=grant.resource)
            token = self._tokens.make(claim)
        return Lent(grant=grant, definition=definition, settings=settings, token=token)


def _told(
    outcome: str,
    *,
    reason: str = "",
    hint: str = "",
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "outcome": str(outcome),
        "reason": reason,
        "hint": hint,
        "environment": dict(environment or {}),
    }
