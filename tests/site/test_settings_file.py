"""`qrmid.toml`: what may stand in it, and what is said of what may not."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.config_file import Config
from qrmi.errors import ConfigError, Owner
from qrmi.site.settings import SiteSettings

WHOLE = """
config = "qrmi_config.json"
state = "/srv/qrmid"
socket = "run/s"
listen = "[::1]:7411"
munge_socket = "/run/munge/s"
cluster = "alps"
admins = ["root", 64030, "1000"]
public_url = "http://qpu1:7411"
poll_seconds = 5
reap_seconds = 0.5
lost_seconds = 60.0
one_core = false
[slurm]
enabled = true
scontrol = "/usr/bin/scontrol"
conf = "/etc/slurm/slurm.conf"
[gridengine]
enabled = true
root = "/opt/ge"
environment = { SGE_QMASTER_PORT = "6444" }
"""


def test_every_key_is_read(tmp_path: Path) -> None:
    """Paths are relative to the file; users are names or numbers."""
    file = tmp_path / "qrmid.toml"
    file.write_text(WHOLE)
    read = SiteSettings.load(file)
    assert read.config == tmp_path / "qrmi_config.json"
    assert read.state == Path("/srv/qrmid")
    assert read.socket == tmp_path / "run/s"
    assert read.address() == ("::1", 7411)
    assert read.admin_uids() == {0, os.geteuid(), 64030, 1000}
    assert read.slurm.enabled
    assert read.slurm.conf == "/etc/slurm/slurm.conf"
    assert read.gridengine.environment == {"SGE_QMASTER_PORT": "6444"}
    assert (read.poll_seconds, read.reap_seconds, read.lost_seconds) == (5, 0.5, 60.0)
    assert not read.one_core


def test_an_empty_file_will_do(tmp_path: Path) -> None:
    """Everything has a default."""
    file = tmp_path / "qrmid.toml"
    file.write_text("")
    assert SiteSettings.load(file).socket == Path("/run/qrmid/qrmid.sock")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sokcet = 's'", ["sokcet is unknown", "did you mean socket?"]),
        ("[slurm]\nscontrl = 's'", ["slurm.scontrl is unknown", "did you mean slurm.scontrol?"]),
        ("[pbs]\nx = 1", ["pbs is unknown"]),
        ("state = 5", ["state must be a path, not int"]),
        ("state = ''", ["state must be a path"]),
        ("admins = 'root'", ["admins must be a list of user names or numbers, not str"]),
        ("admins = [true]", ["admins must be a list"]),
        ("poll_seconds = '5'", ["poll_seconds must be a number of seconds, not str"]),
        ("poll_seconds = true", ["poll_seconds must be a number of seconds, not bool"]),
        ("poll_seconds = 0", ["poll_seconds"]),
        ("reap_seconds = -1", ["reap_seconds"]),
        ("slurm = true", ["slurm must be a section"]),
        ("[slurm]\nenabled = 'yes'", ["slurm.enabled must be true or false, not str"]),
        ("listen = '7411'", ["listen must be", "7411"]),
        ("listen = 'x:99999'", ["listen must be"]),
        ("public_url = 'qpu1'", ["public_url must begin with http://"]),
        ("= 5", ["is not TOML", "line 1"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    """The file, the key, and what it must be; it is the site's to mend."""
    file = tmp_path / "qrmid.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        SiteSettings.load(file)
    assert caught.value.owner is Owner.SITE
    assert str(file) in caught.value.message
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The error names it, and the option."""
    with pytest.raises(ConfigError, match="No such file") as caught:
        SiteSettings.load(tmp_path / "none.toml")
    assert "--config" in caught.value.hint


def test_an_unknown_admin(tmp_path: Path) -> None:
    """A name that this host does not know locks nobody in by mistake."""
    settings = SiteSettings(admins=("no-such-user-here",))
    with pytest.raises(ConfigError, match="no user 'no-such-user-here'"):
        settings.admin_uids()


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(
    table=st.dictionaries(
        st.sampled_from([*SiteSettings.__slots__, "x"]) | st.text(max_size=5),
        _VALUES | st.dictionaries(st.sampled_from(["enabled", "conf", "root", "y"]), _VALUES),
    )
)
def test_junk_in_our_error_out(table: dict[str, Any]) -> None:
    """Any table gives settings, or a `ConfigError`."""
    with contextlib.suppress(ConfigError):
        assert SiteSettings.from_table(table, file=Path("/x/qrmid.toml")).admins


def _entry(**more: Any) -> str:
    entry = {"name": "q", "type": "local", "environment": {}, **more}
    return json.dumps({"resources": [entry]})


def test_what_a_site_adds_to_an_entry() -> None:
    """Slots, secrets and the gateway have defaults that lend one slot and keep secrets."""
    plain = Config.loads(_entry()).resource_map["q"]
    assert (plain.slots, plain.export_secrets, plain.gateway) == (1, False, None)
    rich = Config.loads(_entry(slots=4, export_secrets=True, gateway=False)).resource_map["q"]
    assert (rich.slots, rich.export_secrets, rich.gateway) == (4, True, False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slots", 0),
        ("slots", -1),
        ("slots", True),
        ("slots", "2"),
        ("slots", 1.5),
        ("export_secrets", "yes"),
        ("export_secrets", 1),
        ("gateway", "no"),
        ("gateway", 0),
    ],
)
def test_wrong_additions_are_named(key: str, value: object) -> None:
    """By their place in the file."""
    with pytest.raises(ConfigError, match=rf"resources\[0\]\.{key} must be"):
        Config.loads(_entry(**{key: value}))
