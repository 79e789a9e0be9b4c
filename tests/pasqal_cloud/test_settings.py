"""Where Pasqal Cloud's settings come from: the environment, the file, the region."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from qrmi import QuantumResource
from qrmi.errors import ConfigError, InvalidInputError
from qrmi.payloads import PasqalCloud
from qrmi.settings import EnvironmentSource, MappingSource, Secret
from qrmi_pasqal.cloud.driver import PasqalCloudDriver
from qrmi_pasqal.cloud.settings import PasqalCloudSettings
from qrmi_sandbox.pasqal_cloud import PROJECT_ID, PasqalCloudServer
from qrmi_sandbox.pasqal_tokens import PASSWORD, USERNAME


def loaded(environ: Mapping[str, str], name: str = "FRESNEL") -> PasqalCloudSettings:
    """The settings of an environment, with those of the file."""
    source = EnvironmentSource(prefix=name, environ=environ)
    return PasqalCloudSettings.load(source).completed()


def written(folder: Path, text: str) -> str:
    """A ``.pasqal/config`` below a folder; the folder's name."""
    place = folder / ".pasqal"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config").write_text(text)
    return str(folder)


def test_the_file_is_read_by_its_own_rules(tmp_path: Path) -> None:
    """``key=value`` split at the first ``=``, whole-line comments, quotes, keys in any case."""
    home = written(
        tmp_path,
        "# a comment\n; another\n[section]\nkey: value\n"
        '  USERNAME =  me@example.org  \npassword="se=cr#et"\n'
        "project_id = 'p-1' \nclient_id=abc # kept\nexport token=no\nclient_secret=\n"
        "auth_endpoint=auth.example.org/token\n",
    )
    found = loaded({"HOME": home})
    assert found.username == "me@example.org"
    assert found.password == Secret("se=cr#et")
    assert found.project_id == "p-1"
    assert found.client_id == "abc # kept"  # no comments within a line
    assert found.auth_token is None
    assert found.client_secret is None
    assert found.place.auth_endpoint == "https://auth.example.org/token"


def test_each_setting_is_resolved_by_itself(tmp_path: Path) -> None:
    """The environment goes before the file, one by one; blank counts as absent."""
    home = written(tmp_path, "username=from file\npassword=from file\nproject_id=from file")
    environ = {"HOME": home, "PASQAL_USERNAME": "me", "PASQAL_PASSWORD": ""}
    found = loaded({**environ, "FRESNEL_QRMI_PASQAL_CLOUD_PROJECT_ID": "mine"})
    assert (found.username, found.project_id) == ("me", "mine")
    assert found.password == Secret("from file")


@pytest.mark.parametrize(
    "root", ["{}/x", "$WHERE/x", "${{WHERE}}/x", "~/x"], ids=["plain", "name", "braces", "home"]
)
def test_the_roots_are_expanded(tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~``, ``$NAME`` and ``${NAME}`` in PASQAL_CONFIG_ROOT mean what they mean in a shell."""
    monkeypatch.setenv("WHERE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path / "x", "project_id=found")
    assert loaded({"PASQAL_CONFIG_ROOT": root.format(tmp_path)}).project_id == "found"


def test_a_doubled_dollar_is_one(tmp_path: Path) -> None:
    """``$$`` in PASQAL_CONFIG_ROOT is a dollar."""
    written(tmp_path / "a$b", "project_id=found")
    assert loaded({"PASQAL_CONFIG_ROOT": f"{tmp_path}/a$$b"}).project_id == "found"


def test_the_shared_root_goes_before_the_resources_own_and_home_is_last(tmp_path: Path) -> None:
    """A root without a file falls back on the home folder, and without one on nothing."""
    home = written(tmp_path / "home", "project_id=home")
    own = written(tmp_path / "own", "project_id=own")
    shared = written(tmp_path / "shared", "project_id=shared")
    environ = {"HOME": home, "FRESNEL_PASQAL_CONFIG_ROOT": own}
    assert loaded({**environ, "PASQAL_CONFIG_ROOT": shared}).project_id == "shared"
    assert loaded(environ).project_id == "own"
    assert loaded({**environ, "FRESNEL_PASQAL_CONFIG_ROOT": "/nowhere"}).project_id == "home"
    assert loaded({"HOME": str(tmp_path)}).project_id is None


def test_a_mapping_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_config` consults no environment: not even HOME."""
    monkeypatch.setenv("HOME", written(tmp_path, "project_id=home"))
    assert PasqalCloudSettings.load(MappingSource({})).completed().project_id is None
    given = MappingSource({"pasqal_config_root": str(tmp_path), "PASQAL_USERNAME": "me"})
    found = PasqalCloudSettings.load(given).completed()
    assert (found.project_id, found.username) == ("home", "me")


def test_another_process_finds_the_file_again(tmp_path: Path) -> None:
    """What the journal keeps of the settings names the file's folder, and holds no secret."""
    home = written(tmp_path, "project_id=p\npassword=hidden")
    kept = PasqalCloudSettings.load(
        EnvironmentSource(prefix="X", environ={"HOME": home, "PASQAL_PASSWORD": "hidden"})
    ).export()
    assert "hidden" not in str(kept)
    again = PasqalCloudSettings.load(MappingSource(kept)).completed()
    assert again.project_id == "p"
    assert again.password == Secret("hidden")


def test_an_unreadable_file_is_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no text is passed over with a warning that does not show it."""
    home = written(tmp_path, "")
    (tmp_path / ".pasqal" / "config").write_bytes(b"password=\xff\xfe")
    assert loaded({"HOME": home}).password is None
    assert "config cannot be read" in caplog.text


def test_regions_have_services_of_their_own() -> None:
    """``eu`` is the default, Pasqal's own word ``fr`` means it too; settings go before regions."""
    key = "FRESNEL_QRMI_PASQAL_CLOUD_REGION"
    for text in (None, "eu", "FR"):
        environ = {} if text is None else {key: text}
        assert loaded(environ).place.base_url == "https://apis.pasqal.cloud"
    there = loaded({key: "sa"}).place
    assert there.base_url == "https://apis.sa.pasqal.cloud"
    assert there.auth_endpoint.startswith("https://auth.sa.pasqal.cloud/realms/pasqal-cloud/")
    own = loaded({key: "sa", "FRESNEL_QRMI_PASQAL_CLOUD_BASE_URL": "my.example.org"}).place
    assert own.base_url == "https://my.example.org"


@pytest.mark.parametrize(
    ("key", "text", "wanted"),
    [
        ("QRMI_PASQAL_CLOUD_REGION", "mars", "expected eu or sa"),
        ("QRMI_PASQAL_CLOUD_BASE_URL", "ftp://x", "expected a URL"),
        ("QRMI_PASQAL_CLOUD_BASE_URL", "http://[::1", "expected a URL"),
        ("QRMI_PASQAL_CLOUD_AUTH_ENDPOINT", "h:port", "expected a URL"),
        ("QRMI_PASQAL_CLOUD_AUTH_TOKEN", "two words", "expected a token"),
        ("QRMI_HTTP_READ_TIMEOUT_SECONDS", "soon", "expected a positive number of seconds"),
    ],
)
def test_a_wrong_setting_is_named(key: str, text: str, wanted: str) -> None:
    """The error names the variable and says what was expected."""
    with pytest.raises(ConfigError, match=f"FRESNEL_{key}.*{wanted}"):
        loaded({f"FRESNEL_{key}": text})


def test_a_wrong_value_in_the_file_is_named(tmp_path: Path) -> None:
    """The error names the file and the key."""
    with pytest.raises(ConfigError, match=r"\.pasqal/config: region: expected eu or sa"):
        loaded({"HOME": written(tmp_path, "region=mars")})


@pytest.mark.parametrize("root", ["base", "base/"])
def test_a_trailing_slash_changes_nothing(
    server: PasqalCloudServer, on: Callable[..., QuantumResource], root: str
) -> None:
    """The base URL may end with a slash."""
    slash = "/" if root.endswith("/") else ""
    assert on(QRMI_PASQAL_CLOUD_BASE_URL=f"{server.url}{slash}").is_accessible()
    assert server.requests[-1].path == "/core-fast/api/v1/devices"


def test_without_a_project_nothing_is_sent(
    on: Callable[..., QuantumResource], flip_text: str, asked: Callable[[], list[str]]
) -> None:
    """A task without a project id is refused here; the variable and the file's key are named."""
    resource = on(QRMI_PASQAL_CLOUD_PROJECT_ID=None)
    with pytest.raises(ConfigError, match="EMU_FREE_QRMI_PASQAL_CLOUD_PROJECT_ID") as caught:
        resource.task_start(PasqalCloud(flip_text, 1))
    assert "project_id" in caught.value.hint
    assert "config check" in caught.value.hint
    assert asked() == []


def test_without_credentials_public_things_work(on: Callable[..., QuantumResource]) -> None:
    """Status and an emulator's target need none; what needs them names what to set."""
    resource = on(QRMI_PASQAL_CLOUD_CLIENT_SECRET=None)
    assert resource.is_accessible()
    assert "FRESNEL" in resource.target().value
    with pytest.raises(ConfigError, match="no credentials") as caught:
        resource.task_status("x")
    assert "PASQAL_USERNAME" in caught.value.hint


def test_the_file_alone_is_enough(
    server: PasqalCloudServer,
    no_account: Path,
    monkeypatch: pytest.MonkeyPatch,
    flip_text: str,
) -> None:
    """A user with a file and no variable but the service's address runs a task."""
    written(
        no_account,
        f"username={USERNAME}\npassword={PASSWORD}\nproject_id={PROJECT_ID}\n"
        f"auth_endpoint={server.url}/oauth/token\n",
    )
    monkeypatch.setenv("EMU_FREE_QRMI_PASQAL_CLOUD_BASE_URL", server.url)
    resource = QuantumResource("EMU_FREE", "pasqal-cloud")
    assert (
        resource.task_wait(resource.task_start(PasqalCloud(flip_text, 5)), 60).name == "COMPLETED"
    )
    assert "password-realm" in next(iter(server.tokens_given))


@pytest.mark.parametrize("name", ["FRESNEL", "fresnel", "Fresnel_Can1", "EMU_SV", "EMU_TN"])
def test_any_device_type_is_taken(name: str) -> None:
    """Device types are compared without regard to case, and no list of them is compiled in."""
    driver = PasqalCloudDriver(name, PasqalCloudSettings())
    assert driver.device_type == name.upper()


def test_an_unknown_device_type_is_warned_of() -> None:
    """A type that is not known here is used all the same."""
    driver = PasqalCloudDriver("ORION_GAMMA", PasqalCloudSettings())
    with pytest.warns(UserWarning, match="ORION_GAMMA"):
        assert driver.device_type == "ORION_GAMMA"


def test_a_name_that_is_no_device_type_needs_the_setting(
    on: Callable[..., QuantumResource], flip_text: str, server: PasqalCloudServer
) -> None:
    """A resource may be called anything when the setting names its device type."""
    with pytest.raises(InvalidInputError, match="'MY-QPU' is invalid") as caught:
        on("my-qpu", QRMI_PASQAL_CLOUD_DEVICE_TYPE=None).status()
    assert "QRMI_PASQAL_CLOUD_DEVICE_TYPE" in caught.value.hint
    resource = on("my-qpu", QRMI_PASQAL_CLOUD_DEVICE_TYPE="emu_mps")
    resource.task_start(PasqalCloud(flip_text, 5))
    assert json.loads(server.requests[-1].body)["device_type"] == "EMU_MPS"
    assert resource.metadata() == {"backend_name": "my-qpu"}
