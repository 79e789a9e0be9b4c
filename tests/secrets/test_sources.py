"""Where a secret may come from: a file, a command, the keyring; when it is asked for, and again."""

from __future__ import annotations

import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from qrmi import QuantumResource
from qrmi.errors import AuthenticationFailedError, ConfigError, MissingExtraError
from qrmi.secrecy import origins
from qrmi.settings import EnvironmentSource, MappingSource, Secret, Settings, setting
from qrmi_alice_bob.settings import ApiKey
from qrmi_pasqal.cloud.settings import PasqalCloudSettings
from qrmi_sandbox import iam, make_server, pasqal_tokens
from qrmi_sandbox.iqm import IQMServer

TOKEN = "canary-0f3a91c7d2"


@attrs.frozen(kw_only=True)
class Example(Settings):
    token: Secret = setting("X_TOKEN", convert=Secret, fallback=("X_OLD_TOKEN",), bare=True)
    key: Secret | None = setting("X_KEY", default=None, convert=ApiKey)
    plain: str | None = setting("X_PLAIN", default=None)


def _loaded(**values: str) -> Example:
    return Example.load(MappingSource(values))


def _private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def _command(folder: Path, body: str) -> str:
    """A command line that runs a few lines of Python."""
    script = folder / "gives a secret.py"
    script.write_text(body)
    return f"{sys.executable} '{script}'"


@pytest.fixture
def memory_keyring() -> Any:
    """A keyring in memory, for the length of a test."""
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def __init__(self) -> None:
            super().__init__()
            self.entries: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.entries[service, username] = password

    before = keyring.get_keyring()
    made = Memory()
    keyring.set_keyring(made)
    yield made.entries
    keyring.set_keyring(before)


# --- where it is --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["X_TOKEN", "x_token", "X_OLD_TOKEN"])
def test_a_file_holds_the_secret_and_blanks_around_it_do_not_count(
    tmp_path: Path, key: str
) -> None:
    """Under the key or an older one, in capital or small letters."""
    file = _private(tmp_path / "token", f"\ufeff {TOKEN}\r\n\n")
    form = "_FILE" if key.isupper() else "_file"
    assert _loaded(**{key + form: file}).token.reveal() == TOKEN


def test_a_command_prints_the_secret(tmp_path: Path) -> None:
    """It runs without a shell, with quotes as in one, and its input is empty."""
    command = _command(tmp_path, f"import sys; print('{TOKEN}' + sys.stdin.read())")
    assert _loaded(X_TOKEN_COMMAND=command).token.reveal() == TOKEN
    assert _loaded(X_TOKEN_COMMAND="echo '$HOME;' a").token.reveal() == "$HOME; a"


def test_the_keyring_has_the_secret(memory_keyring: dict[tuple[str, str], str]) -> None:
    """The user's name is what follows the last slash."""
    memory_keyring["https://vendor.example/api", "me@example.org"] = TOKEN
    entry = "https://vendor.example/api/me@example.org"
    assert _loaded(X_TOKEN_KEYRING=entry).token.reveal() == TOKEN
    with pytest.raises(ConfigError, match="no such entry") as caught:
        _loaded(X_TOKEN_KEYRING="other/me").token.reveal()
    assert "keyring set other me" in caught.value.hint


def test_without_the_package_keyring_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The handle is made; the secret is not to be had."""
    loaded = _loaded(X_TOKEN_KEYRING="a/b")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtraError) as caught:
        loaded.token.reveal()
    assert "openqrmi[keyring]" in caught.value.hint


def test_the_environment_wins_whatever_the_form(tmp_path: Path) -> None:
    """The prefixed variable, then the entry of the file, then the variable without a prefix."""
    file = _private(tmp_path / "token", "from-a-file")
    environ = {"r_X_TOKEN_FILE": file, "X_TOKEN": "without-prefix"}
    source = EnvironmentSource(prefix="r", environ=environ, defaults={"X_TOKEN": "from-the-entry"})
    assert Example.load(source).token.reveal() == "from-a-file"
    source = EnvironmentSource(
        prefix="r", environ={"X_TOKEN": "without-prefix"}, defaults={"X_TOKEN_FILE": file}
    )
    assert Example.load(source).token.reveal() == "from-a-file"
    source = EnvironmentSource(prefix="r", environ={"X_TOKEN_FILE": file})
    assert Example.load(source).token.reveal() == "from-a-file"


def test_two_ways_at_one_place_are_refused() -> None:
    """Nobody can tell which was meant; the error names both, and no value."""
    with pytest.raises(ConfigError, match="X_TOKEN and X_TOKEN_FILE are both set") as caught:
        _loaded(X_TOKEN=TOKEN, X_TOKEN_FILE="/f")
    assert TOKEN not in str(caught.value)
    environ = {"r_X_TOKEN_COMMAND": "a", "r_X_TOKEN_KEYRING": "a/b"}
    with pytest.raises(ConfigError, match="r_X_TOKEN_COMMAND and r_X_TOKEN_KEYRING are both set"):
        Example.load(EnvironmentSource(prefix="r", environ=environ))


def test_only_secrets_have_these_forms() -> None:
    """Another setting's key with such an ending is just an unknown key."""
    assert _loaded(X_TOKEN="t", X_PLAIN_FILE="/etc/hostname").plain is None


# --- when it is asked for -----------------------------------------------------------------------


def test_loading_runs_and_opens_nothing(tmp_path: Path) -> None:
    """The command runs when the secret is first revealed, once."""
    command = _command(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'a').write('x'); print('s')")
    loaded = _loaded(X_TOKEN_COMMAND=command, X_KEY_FILE="/does/not/exist")
    assert "***" in repr(loaded)
    assert not (tmp_path / "ran").exists()
    assert [loaded.token.reveal(), loaded.token.reveal()] == ["s", "s"]
    assert (tmp_path / "ran").read_text() == "x"
    assert loaded.token.refresh() is False
    assert (tmp_path / "ran").read_text() == "xx"


def test_a_pickle_carries_where_the_secret_is_and_not_the_secret(tmp_path: Path) -> None:
    """And the copy asks for itself."""
    loaded = _loaded(X_TOKEN_FILE=_private(tmp_path / "token", TOKEN))
    assert loaded.token.reveal() == TOKEN
    data = pickle.dumps(loaded)
    assert TOKEN.encode() not in data
    again = pickle.loads(data)
    assert again == loaded
    assert again.token.reveal() == TOKEN


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_a_refused_secret_is_asked_for_once_more(tmp_path: Path, transport: str) -> None:
    """A token that was renewed in its file is found there; one that was not stays refused."""
    file = tmp_path / "token"
    with IQMServer() as server:
        entry = dict(server.resource("garnet")["environment"])
        _private(file, entry.pop("QRMI_IQM_ISA_TOKEN"))
        resource = QuantumResource.from_config(
            "garnet",
            "iqm-server",
            {**entry, "QRMI_IQM_ISA_TOKEN_FILE": str(file), "QRMI_HTTP_TRANSPORT": transport},
        )
        assert resource.is_accessible()
        server.token = "the-next-token"
        with pytest.raises(AuthenticationFailedError):
            resource.is_accessible()
        file.write_text("the-next-token")
        assert resource.is_accessible()
        requests = len(server.requests)
        assert resource.is_accessible()
        assert len(server.requests) == requests + 1


@pytest.mark.parametrize(
    ("kind", "key", "module", "constant"),
    [
        ("ibm-quantum-compute-service", "QRMI_IBM_QCS_IAM_APIKEY", iam, "API_KEY"),
        ("pasqal-cloud", "QRMI_PASQAL_CLOUD_CLIENT_SECRET", pasqal_tokens, "CLIENT_SECRET"),
    ],
)
def test_so_is_one_that_a_token_service_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, key: str, module: Any, constant: str
) -> None:
    """What is exchanged for tokens is renewed in its file, too."""
    file = tmp_path / "secret"
    with make_server(kind) as server:
        entry = server.resource()
        values = dict(entry["environment"])
        _private(file, values.pop(key))
        values |= {f"{key}_FILE": str(file), "QRMI_HTTP_BUDGET_SECONDS": "2"}
        resource = QuantumResource.from_config(entry["name"], kind, values)
        assert resource.list_tasks() == []
        monkeypatch.setattr(module, constant, "the-next-secret")
        server.expire_tokens()
        with pytest.raises(AuthenticationFailedError):
            resource.list_tasks()
        file.write_text("the-next-secret")
        assert resource.list_tasks() == []


def test_a_file_of_another_program_is_taken_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pasqal's own file is read by Pasqal's own programs whatever its permissions."""
    folder = tmp_path / ".pasqal"
    folder.mkdir()
    file = folder / "config"
    file.write_text("username=me\npassword=canary-77\n")
    for mode, warned in ((0o600, False), (0o644, True)):
        file.chmod(mode)
        caplog.clear()
        settings = PasqalCloudSettings.load(MappingSource({"PASQAL_CONFIG_ROOT": str(tmp_path)}))
        completed = settings.completed()
        assert completed.password is not None
        assert completed.password.reveal() == "canary-77"
        assert (f"chmod 600 {file}" in caplog.text) is warned
        assert "canary-77" not in caplog.text


# --- what is wrong with it ----------------------------------------------------------------------

_FAILURES = {
    "exit code": (f"import sys; print('{TOKEN}'); sys.exit(3)", "ended with exit code 3"),
    "signal": ("import os; os.kill(os.getpid(), 9)", "was ended by signal 9"),
    "nothing": ("print()", "gave nothing"),
    "lines": (f"print('{TOKEN}'); print('and more')", "more than one line"),
}


@pytest.mark.parametrize("case", _FAILURES)
def test_a_command_that_fails_is_named_and_not_quoted(tmp_path: Path, case: str) -> None:
    """The error has the key, the program and how it ended; none of its output."""
    body, words = _FAILURES[case]
    with pytest.raises(ConfigError, match=words) as caught:
        _loaded(X_TOKEN_COMMAND=_command(tmp_path, body)).token.reveal()
    assert "X_TOKEN_COMMAND" in str(caught.value)
    assert Path(sys.executable).name in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_command_that_is_not_there_or_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are configuration errors; the wait is bounded."""
    with pytest.raises(ConfigError, match="cannot be run"):
        _loaded(X_TOKEN_COMMAND="no-such-command --token").token.reveal()
    monkeypatch.setattr(origins, "COMMAND_SECONDS", 0.2)
    with pytest.raises(ConfigError, match="did not end within"):
        _loaded(X_TOKEN_COMMAND="sleep 30").token.reveal()


def test_what_a_command_says_is_logged_without_the_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Standard error is not swallowed, and loses the secret."""
    body = f"import sys; print('{TOKEN}'); print('it ends soon: {TOKEN}', file=sys.stderr)"
    with caplog.at_level(logging.WARNING):
        _loaded(X_TOKEN_COMMAND=_command(tmp_path, body)).token.reveal()
    assert "X_TOKEN_COMMAND: it ends soon: ***" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"X_TOKEN_FILE": "relative/path"}, "X_TOKEN_FILE must be an absolute path"),
        ({"X_TOKEN_COMMAND": "echo 'open"}, "X_TOKEN_COMMAND is no command line"),
        ({"X_TOKEN_KEYRING": "service"}, "X_TOKEN_KEYRING must be service/username"),
        ({"X_TOKEN_FILE": 5}, "X_TOKEN_FILE must be a text, not int"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_handle_is_made(
    values: dict[str, str], words: str
) -> None:
    """Without opening or running anything."""
    with pytest.raises(ConfigError, match=words):
        _loaded(**values)


def test_a_secret_of_the_wrong_kind_is_not_shown(tmp_path: Path) -> None:
    """The key's own check holds for what a file gives, too."""
    loaded = _loaded(X_TOKEN="t", X_KEY_FILE=_private(tmp_path / "key", "no base64!"))
    assert loaded.key is not None
    with pytest.raises(ConfigError, match=r"X_KEY_FILE: .*expected base64 of user:password"):
        loaded.key.reveal()


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to, and what is not there."""
    import os

    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, words in ((tmp_path, ""), (tmp_path / "pipe", "regular"), (tmp_path / "x", "read")):
        with pytest.raises(ConfigError, match=words or "regular|read"):
            _loaded(X_TOKEN_FILE=str(path)).token.reveal()
