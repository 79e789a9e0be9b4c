"""What CUDA-Q compiles kernels for, and where it hands them over.

CUDA-Q's launch of a kernel ends here, with the kernel as a circuit: nothing is sent while CUDA-Q
is in its native code. `capture` is that launch; what is done with the circuit is `launch`.

Source of the facts: CUDA-Q 0.16, ``cudaq._experimental`` and measurements.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import cudaq
import numpy as np

from qrmi.cudaq.extras import needs_qiskit
from qrmi.errors import InvalidInputError, UnsupportedFunctionError

__all__ = ["PLATFORM", "Endpoint", "Launch", "capturing", "compile_target", "quiet", "with_states"]

PLATFORM = threading.RLock()
"""Held while CUDA-Q compiles a kernel for us, or while its target changes."""

# Everything that depends on arguments becomes constant, calls are inlined, loops unrolled. Not the
# pipeline of CUDA-Q's hardware targets, which adds ancillas and loses the adjoint of S and T under
# two controls or more (0.16). `globalize-array-values` makes lists foldable.
_STATE_PREPARATION = "func.func(state-prep)"
_PIPELINE = (
    "func.func(unwind-lowering,canonicalize)",
    "lambda-lifting",
    "func.func(memtoreg{quantum=0},canonicalize)",
    "apply-op-specialization",
    "aggressive-inlining",
    "func.func(constant-propagation,lift-array-alloc)",
    "canonicalize",
    "func.func(cc-loop-normalize,cc-loop-unroll)",
    "canonicalize",
    "func.func(constant-propagation)",
    "globalize-array-values",
    "canonicalize",
    "func.func(memtoreg{quantum=0})",
    "canonicalize",
    "func.func(constant-propagation)",
    "canonicalize",
    "lower-to-cfg",
    "canonicalize",
    _STATE_PREPARATION,
    "unitary-synthesis",
    "canonicalize",
    "apply-op-specialization",
    "aggressive-inlining",
    "canonicalize",
)


@attrs.frozen(kw_only=True)
class Launch:
    """A kernel that CUDA-Q was asked to run.

    Attributes:
        program: the kernel as a circuit (`qrmi.cudaq.kernels.Program`).
        shots: how often to run it; 0 when CUDA-Q leaves it open.
        explicit: whether all measurements are wanted, in order of execution.
        operator: the operator to observe, or ``None`` when sampling.
    """

    program: Any
    shots: int
    explicit: bool = False
    operator: Any = None


class _Capture(threading.local):
    """The launch that this thread has under way."""

    depth = 0
    launch: Launch | None = None
    states: tuple[Any, ...] = ()


_capture = _Capture()


def capturing() -> bool:
    """Whether this thread is inside `Endpoint.capture`."""
    return _capture.depth > 0


class Endpoint:
    """Takes compiled kernels from CUDA-Q. The attributes are those that CUDA-Q asks for."""

    is_simulator = False
    is_remote = False
    is_emulated = False
    supports_jit = False

    def sample(
        self,
        module: Any,
        _arguments: Any,
        *,
        shots_count: int,
        explicit_measurements: bool = False,
        **_options: Any,
    ) -> cudaq.SampleResult:
        """Keep the kernel; what is returned only tells CUDA-Q that the launch is over."""
        program = _convert(module)
        _capture.launch = Launch(program=program, shots=shots_count, explicit=explicit_measurements)
        return cudaq.SampleResult({"0": max(shots_count, 1)})

    def observe(
        self,
        module: Any,
        _arguments: Any,
        *,
        spin_operator: Any,
        shots_count: int = 0,
        **_options: Any,
    ) -> cudaq.ObserveResult:
        """Keep the kernel and the operator, as `sample`."""
        program = _convert(module)
        _capture.launch = Launch(program=program, shots=shots_count, operator=spin_operator)
        return cudaq.ObserveResult(0.0, spin_operator, cudaq.SampleResult())

    def capture(self, native_launch: Callable[[], Any]) -> tuple[Launch | None, Any]:
        """Let CUDA-Q compile a kernel and return it, with what CUDA-Q returned.

        No launch is returned when another endpoint has taken the kernel.
        """
        _check_process()
        with PLATFORM:
            _capture.launch = None
            _capture.depth += 1
            try:
                returned = native_launch()
                return _capture.launch, returned
            finally:
                _capture.depth -= 1
                _capture.launch = None


_used_by: int | None = None


def _check_process() -> None:
    """Refuse to compile in the fork of a process that has compiled: CUDA-Q 0.16 hangs there."""
    global _used_by
    process = os.getpid()
    if _used_by not in (None, process):
        raise UnsupportedFunctionError(
            "CUDA-Q cannot compile kernels in the fork of a process that has used it",
            hint="start processes with multiprocessing's 'spawn' or 'forkserver'",
        )
    _used_by = process


def _convert(module: Any) -> Any:
    if not capturing():
        raise unsupported_version("kernels come by a way that is not known here")
    with needs_qiskit():
        from qrmi.cudaq import quake
    try:
        return quake.convert(module.mlir_module, _capture.states)
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"the kernel cannot be made into a circuit: {error!r}") from error


@contextlib.contextmanager
def with_states(states: Sequence[Any]) -> Iterator[None]:
    """Compile a kernel that has arguments of type ``cudaq.State``; inside `Endpoint.capture`.

    CUDA-Q can prepare no state whose amplitudes are not in the program: we do.
    """
    from cudaq._experimental import set_compile_target

    _capture.states = tuple(np.asarray(state).ravel().tolist() for state in states)
    try:
        set_compile_target(compile_target(state_preparation=False))
        yield
    finally:
        _capture.states = ()
        set_compile_target(compile_target())


@functools.cache
def compile_target(*, state_preparation: bool = True) -> Any:
    """How CUDA-Q compiles for us.

    Args:
        state_preparation: whether states whose amplitudes are constants become gates.

    Raises:
        UnsupportedFunctionError: this version of CUDA-Q has no such thing.
    """
    try:
        from cudaq._experimental import CompileTarget
    except ImportError as error:
        raise unsupported_version(str(error)) from error
    target = CompileTarget()
    try:
        target.fully_specialize = True
        target.pipeline_config.override_pass_pipeline = ",".join(
            step for step in _PIPELINE if state_preparation or step != _STATE_PREPARATION
        )
    except AttributeError as error:
        raise unsupported_version(str(error)) from error
    return target


def unsupported_version(reason: str) -> UnsupportedFunctionError:
    """The error for a CUDA-Q that lacks what the target needs."""
    return UnsupportedFunctionError(
        f"{cudaq.__version__.split(' (')[0]} cannot run kernels through openqrmi: {reason}",
        hint="install CUDA-Q 0.16: pip install 'openqrmi[cudaq]'",
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep CUDA-Q's warnings off the terminal meanwhile.

    CUDA-Q 0.16 prints on standard output, at every launch, that an endpoint has no noise model.
    """
    level = _log_level()
    if level is None:
        yield
        return
    with PLATFORM:
        before = level.get()
        level.set(max(before, _ERROR))
        try:
            yield
        finally:
            level.set(before)


_ERROR = 4
_GET_LEVEL = "_ZN5cudaq6detail11getLogLevelEv"
_SET_LEVEL = "_ZN5cudaq6detail11setLogLevelENS0_8LogLevelE"


@attrs.frozen
class _LogLevel:
    get: Callable[[], int]
    set: Callable[[int], None]


@functools.cache
def _log_level() -> _LogLevel | None:
    """Access to the level of CUDA-Q's native logger, where it can be had."""
    path = Path(cudaq.__file__)
    for folder in path.parents:
        library = folder / "lib" / "libcudaq-logger.so"
        if library.exists():
            break
    else:
        return None
    try:
        native = ctypes.PyDLL(str(library))
        return _LogLevel(native[_GET_LEVEL], native[_SET_LEVEL])
    except (OSError, AttributeError):
        return None
