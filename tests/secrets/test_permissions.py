"""A file with secrets that others can read is refused where it is used, unless it is named."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import qrmi
from qrmi.cli.config import check
from qrmi.config import Config, user_config
from qrmi.errors import ConfigError
from qrmi.secrecy import privacy
from qrmi.settings import MappingSource
from qrmi_iqm.settings import IQMSettings

PLAIN = {"QRMI_IQM_ISA_ENDPOINT": "https://iqm.example"}
SECRET = {**PLAIN, "QRMI_IQM_ISA_TOKEN": "canary-51f0aa"}
COMMAND = {**PLAIN, "QRMI_IQM_ISA_TOKEN_COMMAND": "pass show iqm"}
POINTER = {**PLAIN, "QRMI_IQM_ISA_TOKEN_FILE": "/run/secrets/iqm"}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Write the configuration in force, with the permissions given."""
    path = tmp_path / "qrmi_config.json"
    monkeypatch.setenv("QRMI_CONFIG", str(path))

    def made(environment: dict[str, str], mode: int, kind: str = "iqm-server") -> Path:
        entry = {"name": "garnet", "type": kind, "environment": environment}
        path.write_text(json.dumps({"resources": [entry]}))
        path.chmod(mode)
        return path

    return made


@pytest.mark.parametrize(
    ("environment", "mode", "refused"),
    [
        (SECRET, 0o600, False),
        (SECRET, 0o400, False),
        (SECRET, 0o700, False),
        (SECRET, 0o640, True),
        (SECRET, 0o604, True),
        (SECRET, 0o620, True),
        (PLAIN, 0o644, False),
        (PLAIN, 0o666, False),
        (POINTER, 0o644, False),
        (COMMAND, 0o644, False),
        (COMMAND, 0o664, True),
        (COMMAND, 0o646, True),
    ],
)
def test_what_a_file_holds_says_who_may_read_and_write_it(
    write: object, environment: dict[str, str], mode: int, refused: bool
) -> None:
    """Secrets: nobody else. Commands: nobody else may write. Neither: anybody."""
    path = write(environment, mode)  # type: ignore[operator]
    if not refused:
        assert user_config().resource_map["garnet"].environment == environment
        return
    for use in (user_config, qrmi.open):
        with pytest.raises(ConfigError, match=str(path)) as caught:
            use()
        assert f"chmod 600 {path}" in caught.value.hint
        assert f"{privacy.VARIABLE}={path}" in caught.value.hint
        assert "canary" not in str(caught.value)


def test_the_variable_names_the_file_and_no_other(
    write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One path, or several joined by colons; also by another name of the same file."""
    path = write(SECRET, 0o644)  # type: ignore[operator]
    other = tmp_path / "other"
    other.symlink_to(path)
    for value, taken in (
        (str(path), True),
        (f"/nowhere:{path}", True),
        (str(other), True),
        (str(tmp_path), False),
        ("true", False),
        ("", False),
    ):
        monkeypatch.setenv(privacy.VARIABLE, value)
        if taken:
            assert user_config().resource_map
        else:
            with pytest.raises(ConfigError):
                user_config()


def test_a_file_that_is_closed_later_is_taken_then(write: object) -> None:
    """What was looked at before is not remembered longer than the permissions."""
    path = write(SECRET, 0o644)  # type: ignore[operator]
    with pytest.raises(ConfigError):
        user_config()
    path.chmod(0o600)
    assert user_config().resource_map
    path.chmod(0o604)
    with pytest.raises(ConfigError):
        user_config()


def test_a_link_counts_as_what_it_leads_to(write: object, tmp_path: Path) -> None:
    path = write(SECRET, 0o600)  # type: ignore[operator]
    real = path.rename(tmp_path / "real.json")
    path.symlink_to(real)
    assert user_config().resource_map
    real.chmod(0o644)
    with pytest.raises(ConfigError):
        user_config()


def test_load_only_warns(write: object, caplog: pytest.LogCaptureFixture) -> None:
    """`Config.load` is what older scripts call; it says what is wrong in the log."""
    path = write(SECRET, 0o644)  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        assert Config.load(path).resource_map
    assert f"chmod 600 {path}" in caplog.text
    caplog.clear()
    path.chmod(0o600)
    Config.load(path)
    assert not caplog.records


def test_a_type_that_is_not_installed_holds_no_secret_that_is_known(write: object) -> None:
    write({"X_TOKEN": "t"}, 0o644, "no-such-type")  # type: ignore[operator]
    assert user_config().resource_map


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o640, True), (0o602, True)])
def test_the_file_of_a_secret_is_held_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, refused: bool
) -> None:
    """When the secret is needed; the same variable names it."""
    path = tmp_path / "token"
    path.write_text("canary-51f0aa")
    path.chmod(mode)
    values = {**PLAIN, "QRMI_IQM_ISA_TOKEN_FILE": str(path)}
    token = IQMSettings.load(MappingSource(values)).token
    if refused:
        with pytest.raises(ConfigError, match="others can"):
            token.reveal()
        monkeypatch.setenv(privacy.VARIABLE, str(path))
    assert token.reveal() == "canary-51f0aa"


def test_the_check_says_what_is_refused_and_what_is_allowed(
    write: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(SECRET, 0o644)  # type: ignore[operator]
    first = check(path)[0]
    assert (first.state, first.is_problem) == ("readable", True)
    assert f"chmod 600 {path}" in first.text
    monkeypatch.setenv(privacy.VARIABLE, str(path))
    first = check(path)[0]
    assert (first.state, first.is_problem) == ("allowed", False)
