"""What to say when an SDK that a program needs is not installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from qrmi.errors import MissingExtraError

__all__ = ["needs_qiskit"]


@contextlib.contextmanager
def needs_qiskit() -> Iterator[None]:
    """Import inside it what kernels of gates need.

    Raises:
        MissingExtraError: Qiskit cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"kernels of gates need Qiskit: {error}", hint="pip install 'openqrmi[qiskit]'"
        ) from error
