"""What CUDA-Q loads through the entry point ``cudaq.backends``, inside ``import cudaq``.

CUDA-Q is only half imported then: nothing here imports it, nor any other SDK. Kept short, because
every program that imports CUDA-Q runs it.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from qrmi.cudaq.names import TARGET, WRAPPED

__all__ = ["register"]


def register() -> None:
    """Make the target known to CUDA-Q. Never raises: a failure becomes a warning."""
    try:
        module = sys.modules["cudaq"]
        runtime = module.cudaq_runtime
        if hasattr(runtime.set_target, WRAPPED):
            return
        runtime.register_backend_path(str(Path(__file__).parent))
        _wrap(runtime, "set_target", _set_target)
        _wrap(module, "sample", _sample)
        _wrap(module, "observe", _observe)
        runtime.register_set_target_callback(_on_target, TARGET)
    except Exception as error:  # `import cudaq` must go on
        warnings.warn(
            f"the CUDA-Q target {TARGET!r} of openqrmi is not available: {error!r}",
            RuntimeWarning,
            stacklevel=2,
        )


def _wrap(owner: ModuleType, name: str, replacement: Callable[..., Any]) -> None:
    original = getattr(owner, name)
    wrapper = functools.wraps(original)(functools.partial(replacement, original))
    setattr(wrapper, WRAPPED, original)
    setattr(owner, name, wrapper)


def _target() -> Any:
    return importlib.import_module("qrmi.cudaq.target")


def _loaded() -> bool:
    """Whether this process has ever selected our target."""
    return "qrmi.cudaq.target" in sys.modules and _target().active() is not None


def _set_target(original: Callable[..., Any], target: Any, **config: Any) -> Any:
    """Select a target by name; for ours, ``resource`` is a name or a handle."""
    if getattr(target, "name", target) != TARGET:
        return original(target, **config)
    resource = config.pop("resource", None)
    return _target().select(resource, **config)


def _on_target(target: Any) -> None:
    """CUDA-Q has selected a target, perhaps without asking `_set_target`."""
    if target.name == TARGET or "qrmi.cudaq.target" in sys.modules:
        _target().selected(target.name)


def _sample(original: Callable[..., Any], kernel: Any, *args: Any, **options: Any) -> Any:
    if _loaded():
        _check_shots(options.get("shots_count", 1))
    return original(kernel, *args, **options)


def _observe(
    original: Callable[..., Any], kernel: Any, spin_operator: Any, *args: Any, **options: Any
) -> Any:
    if not _loaded():
        return original(kernel, spin_operator, *args, **options)
    if options.get("shots_count", -1) != -1:
        _check_shots(options["shots_count"])
    if isinstance(spin_operator, list):
        with importlib.import_module("qrmi.cudaq.extras").needs_qiskit():
            launch = importlib.import_module("qrmi.cudaq.launch")
        return launch.observe_list(original, kernel, spin_operator, *args, **options)
    return original(kernel, spin_operator, *args, **options)


def _check_shots(shots: Any) -> None:
    importlib.import_module("qrmi.cudaq.shots").check_wanted(shots)
