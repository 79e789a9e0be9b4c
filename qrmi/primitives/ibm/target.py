"""The target under upstream's name."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from qrmi.primitives.ibm.backend import get_backend
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from qiskit.transpiler import Target

__all__ = ["get_target"]


def get_target(qrmi: QuantumResource) -> Target:
    """The target of a handle's backend, without fractional gates.

    Deprecated, as in the upstream library since 0.26.3: use ``get_backend(qrmi).target``.
    """
    warnings.warn(
        "get_target is deprecated: use get_backend(qrmi).target", DeprecationWarning, stacklevel=2
    )
    return get_backend(qrmi).target
