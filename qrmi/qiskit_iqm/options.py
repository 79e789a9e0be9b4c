"""Options of ``run`` in IQM's spelling."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["merged"]

_LOOSE = ("heralding_mode", "max_circuit_duration_over_t2")


def merged(compilation: Any, loose: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Compilation options, and those that older scripts give one by one.

    Args:
        compilation: iqm-client's object, a mapping, or ``None``; it wins over single options.
        loose: further options of ``run``; those that IQM does not have are warned of.
        device: for the warning.
    """
    for name in loose:
        if name not in _LOOSE and loose[name] is not None:
            warnings.warn(f"option {name} is not used by {device}", UserWarning, stacklevel=4)
    single = {name: loose[name] for name in _LOOSE if name in loose}
    if single:
        warnings.warn(
            f"give {', '.join(sorted(single))} in circuit_compilation_options",
            DeprecationWarning,
            stacklevel=4,
        )
    if compilation is not None:
        return {"circuit_compilation_options": compilation}
    return dict(single)
