"""Every test session has a state folder of its own, and leaves no worker behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_FOREIGN_PREFIXES = ("QRMI_", "SLURM_", "PBS_", "LSB_", "FLUX_", "SGE_")


@pytest.fixture(scope="session", autouse=True)
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A private QRMI_STATE_DIR, no configuration, and no scheduler around the tests."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_FOREIGN_PREFIXES):
                patch.delenv(name)
        patch.setenv("QRMI_STATE_DIR", str(folder))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "no-config"))
        yield folder
        from qrmi_local.service import client

        client.shutdown(folder)


@pytest.fixture
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for one test alone."""
    folder = tmp_path / "state"
    monkeypatch.setenv("QRMI_STATE_DIR", str(folder))
    yield folder
    from qrmi_local.service import client

    client.shutdown(folder)


@pytest.fixture
def local() -> object:
    """A handle to the embedded simulator."""
    from qrmi import QuantumResource

    return QuantumResource("local", "local")
