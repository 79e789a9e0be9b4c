"""What a job finds in its environment, and what it never does."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import config, plugins
from qrmi.config_file import ResourceDef
from qrmi.errors import AccessDeniedError, ConfigError
from qrmi.settings import MappingSource, Secret, Settings, setting
from qrmi.site.gateway.tokens import Claim, Tokens
from qrmi.site.lending.environment import (
    Address,
    JobEnvironments,
    Lent,
    environment_of,
    uses_gateway,
)
from qrmi.site.lending.lease_states import LeaseRecord, Part
from qrmi.site.terms import Grant, Job
from qrmi.sources import EnvironmentSource


@attrs.frozen(kw_only=True)
class Known(Settings):
    url: str = setting("QRMI_X_URL", default="", help="Where.")
    old: str = setting("QRMI_X_NEW", default="", fallback=("QRMI_X_OLD",), help="Renamed.")
    key: Secret | None = setting("QRMI_X_API_KEY", default=None, convert=Secret, help="Who.")
    limit: str | None = setting("QRMI_JOB_TIMEOUT_SECONDS", default=None, help="How long.")
    person: str | None = setting("X_USERNAME", default=None, shared=True, help="Who.")


JOB = Job(scheduler="slurm", cluster="lab", id="7", submitted=5, uid=1000)
SECRETS = ("QRMI_X_API_KEY", "QRMI_X_API_KEY_FILE", "QRMI_X_API_KEY_COMMAND")
keys = st.sampled_from(
    ["QRMI_X_URL", "QRMI_X_OLD", "QRMI_X_NEW", "QRMI_OTHER", "MY_TOKEN", "qrmi_x_api_key", *SECRETS]
)
words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=12)
names = st.text(st.sampled_from("abcXYZ019_-:."), min_size=1, max_size=8)
entries = st.builds(
    ResourceDef,
    name=names,
    resource_type=st.just("x"),
    environment=st.dictionaries(keys, words, max_size=6),
    gateway=st.sampled_from([None, True, False]),
)


def lent(entry: ResourceDef, *, token: str = "the-token", slots: int = 1) -> Lent:
    grant = Grant(resource=entry.name, type="x", slots=slots)
    return Lent(grant=grant, definition=entry, settings=Known, token=token)


def entry(name: str = "emu", **fields: Any) -> ResourceDef:
    return ResourceDef(name, "x", **fields)


@given(
    found=st.lists(entries, max_size=4, unique_by=lambda each: each.name),
    limit=st.none() | st.floats(1, 1e9),
)
def test_no_secret_is_in_it(found: list[ResourceDef], limit: float | None) -> None:
    """Whatever the configuration says: no secret, no path to one, and nothing undeclared."""
    made = environment_of(JOB, [lent(each) for each in found], limit_seconds=limit)
    for each in found:
        for key, text in each.environment.items():
            if key in ("QRMI_X_URL", "QRMI_X_OLD", "QRMI_X_NEW"):
                assert made[f"{each.name}_{key}"] == text
            else:
                assert f"{each.name}_{key}" not in made
    hidden = {t for e in found for k, t in e.environment.items() if not k.startswith("QRMI_X_U")}
    shown = {
        t
        for e in found
        for k, t in e.environment.items()
        if k.startswith(("QRMI_X_N", "QRMI_X_O", "QRMI_X_U"))
    }
    assert not (hidden - shown) & set(made.values())


@given(found=st.lists(entries, min_size=1, max_size=4, unique_by=lambda each: each.name))
def test_the_lists_can_be_read_again(found: list[ResourceDef]) -> None:
    """Names and types come back in order, whatever punctuation names have."""
    made = environment_of(JOB, [lent(each) for each in found])
    with pytest.MonkeyPatch.context() as patch:
        for name, text in made.items():
            patch.setenv(name, text)
        names, types = config.get_job_qpu_resources_and_types()
    assert names == [each.name for each in found]
    assert types == ["x"] * len(found)


@given(found=entries, token=words)
def test_a_resource_is_found_by_its_variables(found: ResourceDef, token: str) -> None:
    """What is written is what the library reads, also where a shell drops the name itself."""
    made = environment_of(JOB, [lent(found, token=token)])
    plain = EnvironmentSource(prefix=plugins.plain_prefix(found.name), environ=made)
    for source in (EnvironmentSource(prefix=found.name, environ=made), plain):
        assert plugins.is_at_site(source) == uses_gateway(found, Known)
        assert source.environ[f"{source.prefix}_QRMI_JOB_ACQUISITION_TOKEN"] == token


def test_all_of_a_job() -> None:
    """Every name of the contract that jobs of the upstream plug-ins know."""
    url = entry(environment={"QRMI_X_URL": "http://x", "X_USERNAME": "me"})
    made = environment_of(
        JOB,
        [lent(url, slots=3), lent(entry("b", environment={"QRMI_X_API_KEY": "k" * 9}))],
        limit_seconds=90.2,
        address=Address(socket="/run/s", url="http://h:1"),
    )
    assert made == {
        "QRMI_JOB_QPU_RESOURCES": "emu,b",
        "QRMI_JOB_QPU_TYPES": "x,x",
        "SLURM_JOB_QPU_RESOURCES": "emu,b",
        "SLURM_JOB_QPU_TYPES": "x,x",
        "QRMI_LIST_DELIMITER": ",",
        "QRMI_JOB_UID": "1000",
        "QRMI_JOB_ID": "7",
        "QRMI_JOB_QPU_SLOTS": "3",
        "QRMI_SITE_SOCKET": "/run/s",
        "QRMI_SITE_URL": "http://h:1",
        "X_USERNAME": "me",
        "emu_QRMI_X_URL": "http://x",
        "emu_QRMI_JOB_ACQUISITION_TOKEN": "the-token",
        "emu_QRMI_JOB_TIMEOUT_SECONDS": "91",
        "emu_QRMI_JOB_QPU_SLOTS": "3",
        "b_QRMI_JOB_ACQUISITION_TOKEN": "the-token",
        "b_QRMI_JOB_TIMEOUT_SECONDS": "91",
        "b_QRMI_JOB_QPU_SLOTS": "1",
        "b_QRMI_SITE_GATEWAY": "1",
    }


def test_no_limit() -> None:
    """Unlimited is 4294967295, as schedulers write it; more than that is not said."""
    for limit in (None, 1e12):
        made = environment_of(JOB, [lent(entry())], limit_seconds=limit)
        assert made["emu_QRMI_JOB_TIMEOUT_SECONDS"] == "4294967295"


def test_the_jobs_own_limit_counts() -> None:
    """What an entry says of a job's time is not the job's."""
    given = entry(environment={"QRMI_JOB_TIMEOUT_SECONDS": "1"})
    made = environment_of(JOB, [lent(given)], limit_seconds=60)
    assert made["emu_QRMI_JOB_TIMEOUT_SECONDS"] == "60"


def test_pbs_has_no_commas() -> None:
    """There a value ends at its first comma."""
    job = attrs.evolve(JOB, scheduler="pbs")
    made = environment_of(job, [lent(entry("a")), lent(entry("b"))])
    assert made["QRMI_JOB_QPU_RESOURCES"] == "a:b"
    assert made["QRMI_LIST_DELIMITER"] == ":"


def test_exported_secrets() -> None:
    """A site that says ``export_secrets`` gives its keys away, and needs no gateway."""
    given = entry(environment={"QRMI_X_API_KEY": "sesame!"}, export_secrets=True)
    made = environment_of(JOB, [lent(given)])
    assert made["emu_QRMI_X_API_KEY"] == "sesame!"
    assert "emu_QRMI_SITE_GATEWAY" not in made


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, False),
        ({"environment": {"QRMI_X_URL": "u"}}, False),
        ({"environment": {"QRMI_X_API_KEY": "k"}}, True),
        ({"environment": {"QRMI_X_API_KEY_FILE": "/k"}}, True),
        ({"environment": {"qrmi_x_api_key": "k"}}, True),
        ({"environment": {"QRMI_Y_TOKEN": "k"}}, True),
        ({"environment": {"QRMI_X_API_KEY": "k"}, "export_secrets": True}, False),
        ({"environment": {"QRMI_X_API_KEY": "k"}, "gateway": False}, False),
        ({"gateway": True}, True),
    ],
)
def test_when_the_gateway_is_used(fields: dict[str, Any], wanted: bool) -> None:
    """As the entry says; where it does not, when a secret stays with the site."""
    assert uses_gateway(entry(**fields), Known) is wanted


@pytest.mark.parametrize("bad", ["a\nEVIL", "a=b", "a\0b", "a\rb"])
def test_a_name_that_would_be_two_variables(bad: str) -> None:
    """Schedulers read lines: a name or value with a line's end is refused."""
    with pytest.raises(ConfigError):
        environment_of(JOB, [lent(entry(bad))])
    with pytest.raises(ConfigError):
        environment_of(JOB, [lent(entry(environment={"QRMI_X_URL": "x\nLD_PRELOAD=/evil"}))])


def test_names_that_no_list_can_hold() -> None:
    """Every delimiter is in use: that is said, not guessed."""
    with pytest.raises(ConfigError, match="cannot be written as one list"):
        environment_of(JOB, [lent(entry(",:;|\t"))])


class Leases:
    """One lease, or a refusal."""

    def __init__(self, **fields: Any) -> None:
        part = Part(resource="local", entry="local", type="local", token="of-the-vendor")
        known = {"job": JOB, "state": "held", "parts": [part]}
        self.record = LeaseRecord(**{**known, **fields})

    def of_job(self, scheduler: str, cluster: str, id: str) -> LeaseRecord | None:  # noqa: A002
        same = (self.record.job.scheduler, self.record.job.cluster, self.record.job.id)
        return self.record if same == (scheduler, cluster, id) else None


def told(leases: Leases, *, caller: int = 1000, id: str = "7", **entry: Any) -> dict[str, Any]:  # noqa: A002
    part = JobEnvironments(
        leases, lambda name: ResourceDef(name, "local", **entry), Tokens(b"s"), Address()
    )
    return part.for_job(scheduler="slurm", cluster="lab", id=id, caller=caller)


def test_the_token_of_the_gateway_is_not_the_vendors() -> None:
    """Behind the gateway a job has the daemon's token; else it needs the vendor's."""
    direct = told(Leases())["environment"]["local_QRMI_JOB_ACQUISITION_TOKEN"]
    assert direct == "of-the-vendor"
    behind = told(Leases(), gateway=True)["environment"]["local_QRMI_JOB_ACQUISITION_TOKEN"]
    assert Tokens(b"s").read(behind) == Claim(key=JOB.key, uid=1000, resource="local")


def test_whose_environment() -> None:
    """The job's user's and the administrators' (-1), nobody else's."""
    assert told(Leases(), caller=-1)["outcome"] == "granted"
    with pytest.raises(AccessDeniedError):
        told(Leases(), caller=1001)


def test_a_job_without_a_lease() -> None:
    """No QPU asked for, refused, still asking, ended: each has its word, none an environment."""
    assert told(Leases(), id="8") == {
        "outcome": "none",
        "reason": "",
        "hint": "",
        "environment": {},
    }
    refused = told(Leases(state="refused", reason="no such QPU", hint="ask"))
    assert refused == {
        "outcome": "refused",
        "reason": "no such QPU",
        "hint": "ask",
        "environment": {},
    }
    assert told(Leases(state="asking"))["outcome"] == "later"
    assert told(Leases(state="ending"))["outcome"] == "ended"


def test_vendors_declare_their_secrets() -> None:
    """Of every installed type: what looks like a credential is not shown to a job."""
    for kind in plugins.driver_types():
        settings = plugins.driver_class(kind).SETTINGS
        for each in settings.declarations().values():
            for key in (k + form for k in each.keys for form in each.forms):
                if key.startswith("QRMI_JOB_"):
                    continue
                found = ResourceDef("r", kind, environment={key: "canary-1234"})
                one = Lent(
                    grant=Grant(resource="r", type=kind), definition=found, settings=settings
                )
                shown = "canary-1234" in environment_of(JOB, [one]).values()
                looks = any(w in key for w in ("APIKEY", "API_KEY", "TOKEN", "SECRET", "PASSWORD"))
                assert not (looks and shown), key
                assert shown == (not each.secret), key


def test_what_a_job_reads_is_what_a_driver_needs() -> None:
    """The settings that are shown are enough to make the driver of a vendor without secrets."""
    found = ResourceDef("far", "pasqal-local", environment={"QRMI_URL": "http://warden:1"})
    settings = plugins.driver_class("pasqal-local").SETTINGS
    one = Lent(
        grant=Grant(resource="far", type="pasqal-local"), definition=found, settings=settings
    )
    made = environment_of(JOB, [attrs.evolve(one, token="session-1")])
    loaded = settings.load(EnvironmentSource(prefix="far", environ=made))
    direct = settings.load(MappingSource({"QRMI_URL": "http://warden:1"}))
    assert loaded.url == direct.url
    assert (loaded.user_id, loaded.job_id, loaded.session.reveal()) == (1000, "7", "session-1")
