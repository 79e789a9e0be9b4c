"""A site whose daemon keeps `/etc/qrmi/qrmi_config.json` to itself stops no program of users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from site_process import Commands

sys.path.append(str(Path(__file__).parents[1] / "slurm"))

from lab import User, python_of

_PROGRAM = """
import pathlib, sys
from qrmi import config
config._SITE_FILE = pathlib.Path(sys.argv[1])
print(config.config_path(), list(config.user_config().resource_map))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
@pytest.mark.parametrize(("mode", "expected"), [(0o600, "None []"), (0o644, "{file} ['emu']")])
def test_file_of_the_daemon_alone(commands: Commands, mode: int, expected: str) -> None:
    """One that may not be read counts as absent; one that may be read is in force."""
    file = commands.folder / "qrmi_config.json"
    file.write_text('{"resources": [{"name": "emu", "type": "local", "environment": {}}]}')
    file.chmod(mode)
    games = User(name="games", uid=5, gid=60)
    done = subprocess.run(
        [*python_of(games), "-c", _PROGRAM, str(file)],
        env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        cwd="/",
        user=games.uid,
        group=games.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == expected.format(file=file), done.stderr
