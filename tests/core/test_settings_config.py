"""Settings and configuration files: what is read, from where, and how mistakes are named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import config, settings
from qrmi.config import Config
from qrmi.errors import ConfigError, EnvVarNotSetError, Owner, ResourceUnavailableError
from qrmi.settings import EnvironmentSource, MappingSource, Secret, Settings, setting
from qrmi.tasks import ResourceType


@attrs.frozen(kw_only=True)
class Example(Settings):
    url: str = setting("QRMI_X_URL", fallback=("QRMI_OLD_URL",))
    token: Secret = setting("QRMI_X_TOKEN", convert=Secret)
    retries: int = setting("QRMI_X_RETRIES", default=3, convert=int)
    strict: bool = setting("QRMI_X_STRICT", default=True, convert=bool)
    user: str | None = setting("PASQAL_USERNAME", default=None, shared=True)


FULL = {"QRMI_X_URL": "u", "QRMI_X_TOKEN": "hunter2"}


def test_environment_wins_over_file_and_prefix_is_verbatim() -> None:
    environ = {"a:b_QRMI_X_URL": "from-env", "PASQAL_USERNAME": "me"}
    loaded = Example.load(EnvironmentSource(prefix="a:b", environ=environ, defaults=FULL))
    assert (loaded.url, loaded.token.reveal(), loaded.user) == ("from-env", "hunter2", "me")


def test_fallback_keys_and_lower_case_keys() -> None:
    loaded = Example.load(MappingSource({"qrmi_old_url": "old", "QRMI_X_TOKEN": "t"}))
    assert loaded.url == "old"


def test_what_cannot_be_read_is_named_as_it_was_given() -> None:
    """The older variable where that is set; a value that is no text is said to be none."""

    @attrs.frozen(kw_only=True)
    class Limits(Settings):
        most: int = setting("QRMI_X_MOST", convert=int, fallback=("QRMI_JOB_MOST",))

    environ = {"r_QRMI_JOB_MOST": "many" * 1000}
    with pytest.raises(ConfigError, match=r"parse r_QRMI_JOB_MOST value") as caught:
        Limits.load(EnvironmentSource(prefix="r", environ=environ))
    assert len(caught.value.message) < 400
    with pytest.raises(ConfigError, match="parse QRMI_JOB_MOST value"):
        Limits.load(MappingSource({"qrmi_job_most": "many"}))
    with pytest.raises(ConfigError, match="QRMI_X_MOST must be a text, not int"):
        Limits.load(MappingSource({"QRMI_X_MOST": 5}))  # type: ignore[dict-item]


def test_missing_settings_name_what_to_set() -> None:
    """The environment names the variable, a mapping names the key."""
    with pytest.raises(EnvVarNotSetError, match=r"^r_QRMI_X_URL environment variable is not set"):
        Example.load(EnvironmentSource(prefix="r", environ={}))
    with pytest.raises(ConfigError, match="missing required config key: 'QRMI_X_URL'"):
        Example.load(MappingSource({}))


@given(st.text(min_size=1).filter(lambda text: not _is_int(text)))
def test_malformed_numbers_are_config_errors(text: str) -> None:
    with pytest.raises(ConfigError, match="QRMI_X_RETRIES"):
        Example.load(MappingSource({**FULL, "QRMI_X_RETRIES": text}))


def _is_int(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _even(text: str) -> int:
    value = int(text)
    if value % 2:
        raise ValueError("expected an even number")
    return value


@pytest.mark.parametrize(
    ("text", "wanted"), [("x", "expected a whole number"), ("3", "an even number")]
)
def test_what_is_expected_is_said_in_words(text: str, wanted: str) -> None:
    """A converter's own words, else the type that it makes; never the converter's name."""

    @attrs.frozen(kw_only=True)
    class EvenSettings(Settings):
        number: int = setting("NUMBER", convert=_even)

    with pytest.raises(ConfigError, match=wanted):
        EvenSettings.load(MappingSource({"NUMBER": text}))


def test_secrets_never_show_themselves_but_travel_in_pickles() -> None:
    loaded = Example.load(MappingSource(FULL))
    assert "hunter2" not in f"{loaded} {loaded!r} {loaded.token} {loaded.export()}"
    assert pickle.loads(pickle.dumps(loaded)) == loaded


def test_export_holds_only_plain_non_defaults() -> None:
    loaded = Example.load(MappingSource({**FULL, "QRMI_X_STRICT": "No"}))
    assert loaded.export() == {"QRMI_X_URL": "u", "QRMI_X_STRICT": "False"}
    again = Example.load(MappingSource({**loaded.export(), "QRMI_X_TOKEN": "hunter2"}))
    assert again == loaded


# --- files ------------------------------------------------------------------------------------

_entry = {"name": "q", "type": "pasqal-cloud", "environment": {"K": "v"}}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"resources": [', "line 1, column 16"),
        ("[]", "the top level"),
        ("{}", "resources is missing"),
        ('{"resources": {}}', "resources must be a list"),
        (json.dumps({"resources": [{**_entry, "name": 3}]}), r"resources\[0\].name"),
        (json.dumps({"resources": [{"name": "q", "environment": {}}]}), r"resources\[0\].type"),
        (json.dumps({"resources": [{"name": "q", "type": "t"}]}), r"\[0\].environment is missing"),
        (json.dumps({"resources": [{**_entry, "environment": {"K": 1}}]}), "environment.K"),
        (json.dumps({"resources": [{**_entry, "is_dynamic": 1}]}), "is_dynamic"),
        (json.dumps({"resources": [_entry], "default": "other"}), "'other'"),
    ],
)
def test_a_malformed_file_is_named_to_the_place(tmp_path: Path, text: str, place: str) -> None:
    """The error names the file and the line or key."""
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=place) as caught:
        Config.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_a_runtime_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"no\.json"):
        Config.load(str(tmp_path / "no.json"))


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"resources": [_entry]}), encoding="utf-8-sig")
    assert list(Config.load(path).resource_map) == ["q"]


def test_last_duplicate_wins_and_unknown_keys_are_ignored() -> None:
    text = json.dumps({"resources": [_entry, {**_entry, "type": "mine", "x": 1}], "y": 2})
    loaded = Config.loads(text)
    assert loaded.resource_map["q"].resource_type == "mine"
    assert Config.loads(json.dumps({"resources": [_entry]})).resource_map["q"].resource_type is (
        ResourceType.PASQAL_CLOUD
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["resources", "name", "type", "environment", "default"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(_json.map(json.dumps) | st.text())
def test_junk_files_give_config_errors_only(text: str) -> None:
    try:
        loaded = Config.loads(text)
    except ConfigError:
        return
    assert isinstance(loaded, Config)


# --- a job's environment ------------------------------------------------------------------------


def test_job_lists_are_read_with_their_delimiter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "a, b::c")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "pasqal-cloud::mine")
    monkeypatch.setenv("QRMI_LIST_DELIMITER", "::")
    assert [r.name for r in config.job_resources()] == ["a, b", "c"]
    monkeypatch.setenv("QRMI_LIST_DELIMITER", "")
    with pytest.raises(ConfigError, match="inconsistent number"):
        config.job_resources()


@pytest.mark.parametrize(("names", "types"), [("a", None), ("a,", "local,x"), (",a", "local,b")])
def test_half_a_grant_is_an_error_not_the_simulator(
    monkeypatch: pytest.MonkeyPatch, names: str, types: str | None
) -> None:
    """A job that was given a QPU must never end up on the simulator without a word."""
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", names)
    if types is not None:
        monkeypatch.setenv("QRMI_JOB_QPU_TYPES", types)
    with pytest.raises(ConfigError) as error:
        config.job_resources()
    assert error.value.owner is Owner.SITE


def test_a_last_delimiter_adds_no_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "a,")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "local,")
    assert [resource.name for resource in config.job_resources()] == ["a"]


def test_older_variables_count_only_without_the_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_QPU_RESOURCES", "old")
    monkeypatch.setenv("SLURM_JOB_QPU_TYPES", "t")
    assert config.get_job_qpu_resources_and_types() == (["old"], ["t"])
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "new")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "t")
    assert config.get_job_qpu_resources_and_types() == (["new"], ["t"])


def test_the_sites_reason_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QRMI_PLUGIN_ERROR", "maintenance until noon")
    with pytest.raises(ResourceUnavailableError, match="maintenance until noon"):
        config.job_resources()


def test_every_declaration_has_a_kind_and_help() -> None:
    """The embedded simulator's settings are documented where they are declared."""
    from qrmi import plugins

    for name in plugins.driver_types():
        for declaration in plugins.driver_class(name).SETTINGS.declarations().values():
            assert declaration.help, declaration.key
            assert declaration.kind
    assert settings.REQUIRED is not None
