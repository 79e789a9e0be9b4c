"""A site for each module: a real `qrmid` process that lends two Wardens."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qrmi_sandbox.munge import Munge, usual_munge
from qrmi_sandbox.warden import WardenServer

sys.path.insert(0, str(Path(__file__).parent))

from site_process import Commands, Shared, Site


@pytest.fixture(scope="module")
def shared_munge() -> Iterator[Munge]:
    """Credentials for the Wardens of a module."""
    munge = usual_munge()
    munge.start()
    yield munge
    munge.stop()


@pytest.fixture(scope="module")
def lab(shared_munge: Munge) -> Iterator[Site]:
    """The site of a module's tests: the QPUs ``emu`` and ``fresnel.2``."""
    folder = Path(tempfile.mkdtemp(prefix="qs", dir="/tmp"))
    folder.chmod(0o755)
    wardens = {
        name: WardenServer(munge=Shared(shared_munge)).start() for name in ("emu", "fresnel.2")
    }
    entries = [
        {
            "name": name,
            "type": "pasqal-local",
            "environment": {"QRMI_WARDEN_URL": server.url, **server.munge.settings()},
        }
        for name, server in wardens.items()
    ]
    (folder / "qrmi_config.json").write_text(json.dumps({"resources": entries}))
    (folder / "qrmi_config.json").chmod(0o600)
    site = Site(folder, wardens)
    site.toml.write_text(
        'config = "qrmi_config.json"\nstate = "state"\nsocket = "sock"\ncluster = "lab"\n'
        "poll_seconds = 0.2\nreap_seconds = 3600\n"
    )
    try:
        site.start()
        yield site
    finally:
        site.stop()
        for server in wardens.values():
            server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def site(lab: Site) -> Iterator[Site]:
    """The site; after every test, no session is open at a vendor's and nothing is held."""
    yield lab
    if lab.process is None:
        lab.start()
    held, sessions = lab.leases(), lab.open_sessions()
    for lease in held:
        lab.end(lease["job"])  # the next test begins clean
    assert held == []
    assert sessions == dict.fromkeys(lab.wardens, 0)


@pytest.fixture
def commands() -> Iterator[Commands]:
    """Fake commands, in a folder that users can reach."""
    folder = Path(tempfile.mkdtemp(prefix="qc", dir="/tmp"))
    folder.chmod(0o777)
    yield Commands(folder)
    shutil.rmtree(folder)
