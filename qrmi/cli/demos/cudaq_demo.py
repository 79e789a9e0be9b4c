"""CUDA-Q: Grover's search for one of eight items."""

# Inside a kernel the gates are names that CUDA-Q's compiler knows, not Python's.
# ruff: noqa: F821
# mypy: disable-error-code="name-defined,untyped-decorator"

from __future__ import annotations

import warnings

from qrmi.cli.demos.program import Outcome, Steps
from qrmi.resource import QuantumResource

__all__ = ["run"]


def run(resource: QuantumResource, shots: int, steps: Steps) -> Outcome:
    """Sample the kernel on the resource through CUDA-Q's target ``qrmi``."""
    with steps.step("import"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cudaq

    with steps.step("build"):

        @cudaq.kernel
        def search() -> None:
            qubits = cudaq.qvector(3)
            h(qubits)
            for _ in range(2):
                # the oracle marks 101
                x(qubits[1])
                z.ctrl(qubits[0], qubits[1], qubits[2])
                x(qubits[1])
                # the diffusion operator
                h(qubits)
                x(qubits)
                z.ctrl(qubits[0], qubits[1], qubits[2])
                x(qubits)
                h(qubits)
            mz(qubits)

        cudaq.set_target("qrmi", resource=resource)

    try:
        with steps.step("run"):
            counts = cudaq.sample(search, shots_count=shots)
    finally:
        cudaq.reset_target()

    return Outcome(counts=dict(counts.items()), task_id=counts.annotations["task_id"])
