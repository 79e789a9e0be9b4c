"""Scripts written for the upstream library's `qrmi.primitives` run unchanged."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.transpiler import Target

import qrmi.primitives
import qrmi.primitives.ibm
import qrmi.primitives.service
from qrmi import QRMIService, QuantumResource, TaskStatus
from qrmi.primitives import QRMIBaseEstimatorV2, QRMIBaseSamplerV2, RuntimeJobV2
from qrmi.primitives.ibm import EstimatorV2, SamplerV2, get_backend, get_target


def flip() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


def test_one_service_everywhere() -> None:
    assert qrmi.primitives.QRMIService is QRMIService
    assert qrmi.primitives.service.QRMIService is QRMIService


def test_upstreams_way_of_sampling(local: QuantumResource) -> None:
    """Upstream's example, word for word but for the resource."""
    backend = get_backend(local)
    pm = generate_preset_pass_manager(optimization_level=1, backend=backend)
    sampler = SamplerV2(local, options={"default_shots": 9, "run_options": {}})
    job = sampler.run([pm.run(flip())])
    assert isinstance(job, RuntimeJobV2)
    assert job.result()[0].data.c.get_counts() == {"1": 9}
    assert isinstance(sampler, QRMIBaseSamplerV2)


def test_upstreams_way_of_estimating(local: QuantumResource) -> None:
    estimator = EstimatorV2(qrmi=local, options={"default_precision": 0.25})
    job = estimator.run([(QuantumCircuit(1), "Z")])
    assert isinstance(job, RuntimeJobV2)
    assert job.result()[0].metadata["target_precision"] == 0.25
    assert isinstance(estimator, QRMIBaseEstimatorV2)


@pytest.mark.parametrize("primitive", [SamplerV2, EstimatorV2])
def test_other_options_are_type_errors(local: QuantumResource, primitive: Any) -> None:
    with pytest.raises(TypeError):
        primitive(local, options={"resilience_level": 1})


def test_targets(tiny: QuantumResource) -> None:
    """`get_target` works, and warns as upstream's does since 0.26.3."""
    with pytest.warns(DeprecationWarning, match="get_backend"):
        target = get_target(tiny)
    assert isinstance(target, Target)
    assert "rzz" not in target.operation_names
    assert "rzz" in get_backend(tiny, use_fractional_gates=True).operation_names


def test_jobs_by_id_clean_up_only_when_told_to(tiny: QuantumResource, driver: Any) -> None:
    """Upstream stops a task whose job is collected; here only `close` after the end does."""
    task_id = SamplerV2(tiny).run([flip()]).job_id()
    job = RuntimeJobV2(tiny, task_id, delete_job=True)
    driver.statuses = [TaskStatus.RUNNING]
    job.close()
    del job
    gc.collect()
    assert driver.stopped == []
    driver.statuses = [TaskStatus.COMPLETED]
    with RuntimeJobV2(tiny, task_id, delete_job=True) as job:
        assert job.result()[0].data.c.num_shots == 1024
    assert driver.stopped == [task_id]
    with RuntimeJobV2(tiny, task_id):
        pass
    assert driver.stopped == [task_id]


def test_jobs_of_a_run_clean_up_when_they_are_closed(tiny: QuantumResource, driver: Any) -> None:
    """Upstream makes them with ``delete_job``; nothing is cleaned up before the end is seen."""
    with SamplerV2(tiny).run([flip()]) as job:
        assert driver.stopped == []
        assert job.result()[0].data.c.num_shots == 1024
    assert driver.stopped == [job.job_id()]


_WITHOUT_QISKIT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "qiskit" or name.startswith("qiskit."):
            raise ModuleNotFoundError(f"No module named {name!r}", name="qiskit")

sys.meta_path.insert(0, Hidden())
from qrmi.errors import MissingExtraError
from qrmi.primitives import QRMIService
import qrmi.primitives.service
import importlib
for module in ("qrmi.qiskit", "qrmi.primitives.ibm"):
    try:
        importlib.import_module(module)
    except MissingExtraError as error:
        assert isinstance(error, ImportError)
        print(error.hint)
"""


def test_without_qiskit() -> None:
    """The service needs no SDK; the rest says which command installs it."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_QISKIT], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["pip install 'openqrmi[qiskit]'"] * 2, done.stderr
