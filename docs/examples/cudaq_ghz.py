"""A GHZ state with CUDA-Q, on whatever quantum resource there is.

On a laptop this runs on the embedded simulator; inside a job that was given a QPU, on that QPU.
"""

import cudaq


@cudaq.kernel
def ghz(qubit_count: int):
    qubits = cudaq.qvector(qubit_count)
    h(qubits[0])
    for i in range(qubit_count - 1):
        x.ctrl(qubits[i], qubits[i + 1])
    mz(qubits)


cudaq.set_target("qrmi")

counts = cudaq.sample(ghz, 5, shots_count=1000)
print(counts)
print(f"most probable: {counts.most_probable()}")
