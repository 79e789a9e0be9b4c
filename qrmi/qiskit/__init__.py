"""Qiskit programs on any QRMI resource.

::

    from qiskit import QuantumCircuit, generate_preset_pass_manager
    from qrmi.qiskit import SamplerV2, backend

    device = backend()                          # the job's QPU, or the embedded simulator
    circuit = generate_preset_pass_manager(backend=device).run(circuit)
    counts = SamplerV2(device).run([circuit]).result()[0].data.meas.get_counts()

`SamplerV2` and `EstimatorV2` implement Qiskit's V2 primitives, `QRMIBackend` is a
``qiskit.providers.BackendV2``, and a job's id is the id of its task: `job` opens it again in any
process of the same user.

Use the primitives of this package, not those of ``qiskit_ibm_runtime.executor_sampler``: that
client-side sampler takes any backend that is not IBM's own, this one included, for a fake device
and simulates the circuits locally with Aer, without a word and without calling the resource.
"""

from __future__ import annotations

from qrmi.errors import MissingExtraError

try:
    import qiskit as _qiskit  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "qiskit":
        raise
    raise MissingExtraError(
        "qrmi.qiskit needs Qiskit, which is not installed",
        hint="pip install 'openqrmi[qiskit]'",
    ) from error

from qrmi.qiskit.backends import QRMIBackend, backend
from qrmi.qiskit.errors import BackendNotFoundError, InvalidPubError, InvalidPubTypeError
from qrmi.qiskit.estimator import EstimatorV2
from qrmi.qiskit.jobs import QRMIJob, QRMIPrimitiveJob
from qrmi.qiskit.options import EstimatorOptions, SamplerOptions
from qrmi.qiskit.provider import QRMIProvider
from qrmi.qiskit.reopening import job
from qrmi.qiskit.sampler import SamplerV2

__all__ = [
    "BackendNotFoundError",
    "EstimatorOptions",
    "EstimatorV2",
    "InvalidPubError",
    "InvalidPubTypeError",
    "QRMIBackend",
    "QRMIJob",
    "QRMIPrimitiveJob",
    "QRMIProvider",
    "SamplerOptions",
    "SamplerV2",
    "backend",
    "job",
]
