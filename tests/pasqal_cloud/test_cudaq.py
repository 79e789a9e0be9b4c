"""CUDA-Q on Pasqal Cloud: evolve of a RydbergHamiltonian, in an interpreter of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from qrmi_sandbox.pasqal_cloud import PasqalCloudServer

_SCRIPT = """
import json, sys
import cudaq
import qrmi.cudaq
from cudaq.operators import RydbergHamiltonian, ScalarOperator
from qrmi import QuantumResource

entry = json.load(sys.stdin)
resource = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
cudaq.set_target("qrmi", resource=resource)
end, half_turn = 1e-6, 3.14159265e6
hamiltonian = RydbergHamiltonian(
    [(0.0, 0.0), (3e-5, 0.0)],
    amplitude=ScalarOperator.const(half_turn),
    phase=ScalarOperator.const(0.0),
    delta_global=ScalarOperator.const(0.0),
)
schedule = cudaq.Schedule([0.0, end], ["t"])
print(json.dumps(dict(cudaq.evolve(hamiltonian, schedule=schedule, shots_count=40).items())))
"""


@pytest.mark.skipif(importlib.util.find_spec("cudaq") is None, reason="CUDA-Q is not installed")
@pytest.mark.parametrize("name", ["FRESNEL", "EMU_FREE"])
def test_evolve_runs_on_the_device(server: PasqalCloudServer, name: str) -> None:
    """Half a turn of two atoms that do not feel each other, on the device's own channel."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SCRIPT],
        input=json.dumps(server.resource(name)),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert sum(counts.values()) == 40
    assert counts.get("11", 0) > 35
    (batch,) = server.batches.values()
    assert (batch.device_type, batch.is_cudaq) == (name, False)
