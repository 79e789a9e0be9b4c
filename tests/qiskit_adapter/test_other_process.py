"""A job's id is enough: another process gets the same result, headers and metadata included."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Parameter

from qrmi import QuantumResource
from qrmi.qiskit import EstimatorV2, QRMIBackend, SamplerV2

_READER = """
import json, sys
from qrmi.qiskit import QRMIProvider, job
found = [job(task_id) for task_id in sys.argv[1:]]
run, sampler, estimator = (one.result() for one in found)
print(json.dumps({
    "types": [type(one).__name__ for one in found],
    "backend": found[0].backend().name,
    "run": run.to_dict(),
    "counts": [dict(run.get_counts(name)) for name in ("first", "second")],
    "sampled": [sampler[0].data.c.get_counts(i) for i in range(3)],
    "sampler": [sampler.metadata, sampler[0].metadata, sampler[0].data.shape],
    "evs": estimator[0].data.evs.tolist(),
    "estimator": [estimator.metadata, estimator[0].metadata, estimator[0].data.shape],
    "listed": [one.job_id() for one in QRMIProvider().jobs(limit=None)],
}))
"""


def in_another_process(*task_ids: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _READER, *task_ids],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_results_by_id(local: QuantumResource) -> None:
    """Sampler, estimator and run; registers that overlap; shapes; circuit metadata."""
    first = QuantumCircuit(2, name="first", metadata={"number": 1})
    first.add_register(ClassicalRegister(1, "low"), ClassicalRegister(1, "high"))
    first.x(1)
    first.measure([0, 1], [0, 1])
    second = first.copy("second")
    second.add_register(ClassicalRegister(bits=second.clbits[::-1], name="both"))
    turned = QuantumCircuit(1, 1, metadata={"turned": [1]})
    turned.rx(Parameter("t"), 0)
    turned.measure(0, 0)
    run = QRMIBackend(local).run([first, second], shots=7)
    sampler = SamplerV2(local).run([(turned, [0, np.pi, 2 * np.pi], 4)])
    bare = turned.remove_final_measurements(inplace=False)
    bare.metadata = {"bare": True}
    estimator = EstimatorV2(local).run([(bare, [[{"Z": 1}], [{"Z": -1}]], [0, np.pi])], precision=0)

    answer = in_another_process(run.job_id(), sampler.job_id(), estimator.job_id())

    assert answer["types"] == ["QRMIJob", "QRMIPrimitiveJob", "QRMIPrimitiveJob"]
    assert answer["backend"] == "local"
    assert answer["run"] == json.loads(json.dumps(run.result().to_dict()))
    assert answer["counts"] == [{"1 0": 7}, {"10": 7}]
    assert answer["sampled"] == [{"0": 4}, {"1": 4}, {"0": 4}]
    pub = {"shots": 4, "circuit_metadata": {"turned": [1]}}
    assert answer["sampler"] == [{"version": 2}, pub, [3]]
    assert np.allclose(answer["evs"], [[1, -1], [-1, 1]])
    pub = {"target_precision": 0, "circuit_metadata": {"bare": True}}
    assert answer["estimator"] == [{"version": 2}, pub, [2, 2]]
    assert set(answer["listed"]) >= {run.job_id(), sampler.job_id(), estimator.job_id()}
