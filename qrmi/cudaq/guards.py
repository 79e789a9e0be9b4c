"""CUDA-Q's native entry points, as they are while our target is selected.

CUDA-Q's Python functions look these up at every call, so that also names that a program imported
earlier come through here. While another target is selected, each is what it was.

Of CUDA-Q 0.16's own: the asynchronous ones crash the interpreter under a Python endpoint, `draw`
and `get_unitary` return nothing, and a synchronous launch comes again when shots are missing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from cudaq import cudaq_runtime

from qrmi.cudaq import arguments, futures
from qrmi.cudaq import endpoint as endpoints
from qrmi.cudaq.extras import needs_qiskit
from qrmi.cudaq.names import TARGET
from qrmi.cudaq.session import Session
from qrmi.errors import InvalidInputError, UnsupportedFunctionError

__all__ = ["install"]

Active = Callable[[], Session | None]

_SIMULATOR = "select a simulator for it: cudaq.set_target('qpp-cpu')"

_UNSUPPORTED = {
    "evolve": "evolve of a general operator",
    "evolve_async": "evolve_async of a general operator",
    "get_state_async_impl": "get_state_async",
    "get_state_impl": "get_state",
    "get_state_library_mode": "get_state",
    "launch_dem": "dem_from_kernel",
    "observe_parallel_impl": "observe with `execution`",
    "ptsbe.sample_impl": "ptsbe.sample",
    "run_async_impl": "run_async",
    "run_impl": "run",
    "set_noise": "a noise model",
}
_ON_HOST = (
    "draw_impl",
    "estimate_impl",
    "estimate_resources_impl",
    "get_unitary_impl",
)


@functools.cache
def install(active: Active, host_simulator: Callable[[], AbstractContextManager[None]]) -> None:
    """Put the guards in place, once; those that this version of CUDA-Q lacks are left out.

    Args:
        active: gives the session that kernels run in now, if any.
        host_simulator: lends CUDA-Q's own simulator.
    """
    replace = functools.partial(_replace, active)
    for name, what in _UNSUPPORTED.items():
        replace(name, functools.partial(_unsupported, what))
    for name in _ON_HOST:
        replace(name, functools.partial(_on_host, host_simulator))
    for name, function in _OURS.items():
        replace(name, function)
    replace("AsyncSampleResultImpl", _reopen, always=True)
    for name in ("SamplePolicy", "ObservePolicy"):
        replace(name, _quietly)
    from cudaq.dynamics import evolution

    if TARGET not in evolution.analog_targets:
        evolution.analog_targets.append(TARGET)


def _replace(
    active: Active, path: str, function: Callable[..., Any], *, always: bool = False
) -> None:
    """Call ``function(session, original, ...)`` instead, while a session is active."""
    *owners, name = path.split(".")
    owner = functools.reduce(lambda held, part: getattr(held, part, None), owners, cudaq_runtime)
    original = getattr(owner, name, None)
    if original is None:
        return

    @functools.wraps(original)
    def guard(*args: Any, **kwargs: Any) -> Any:
        session = active()
        if session is None and not always:
            return original(*args, **kwargs)
        return function(session, original, *args, **kwargs)

    setattr(owner, name, guard)


# --- what the resource cannot do ---------------------------------------------------------------


def _unsupported(
    what: str, session: Session, _original: Callable[..., Any], *_args: Any, **_kwargs: Any
) -> Any:
    raise UnsupportedFunctionError(
        f"{session.resource.resource_id()} does not offer {what}",
        hint=_SIMULATOR,
        resource_id=session.resource.resource_id(),
    )


def _on_host(
    host_simulator: Callable[[], AbstractContextManager[None]],
    _session: Session,
    original: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """What only looks at a kernel: CUDA-Q does it here, on this machine."""
    with host_simulator():
        return original(*args, **kwargs)


def _quietly(_session: Session, original: Callable[..., Any], *args: Any) -> Any:
    with endpoints.quiet():
        return original(*args)


# --- launches ----------------------------------------------------------------------------------


def _launch(
    session: Session, original: Callable[..., Any], policy: Any, context: Any, call: Any
) -> Any:
    """`launch_sample` and `launch_observe`: compile, send, wait, decode."""
    launch, returned = session.endpoint.capture(lambda: original(policy, context, call))
    return returned if launch is None else _start(session, launch).get()


def _start(session: Session, launch: endpoints.Launch) -> Any:
    with needs_qiskit():
        from qrmi.cudaq.launch import start
    return start(session, launch)


def _marshal(
    session: Session, original: Callable[..., Any], name: str, *args: Any, **kwargs: Any
) -> Any:
    """A kernel that is called: inside a launch it goes to the endpoint, alone it has no place."""
    if not endpoints.capturing():
        kernel = name.split("..")[0]
        return _unsupported(f"a direct call of the kernel {kernel!r}", session, original)
    module, *values = args
    arguments.check(module, name, len(values))
    states = [value for value in values if isinstance(value, cudaq_runtime.State)]
    if states:
        with endpoints.with_states(states):
            return original(name, *args, **kwargs)
    return original(name, *args, **kwargs)


def _sample_async(
    session: Session,
    _original: Callable[..., Any],
    name: str,
    module: Any,
    cache: Any,
    shots_count: int,
    noise_model: Any,
    explicit_measurements: bool,
    _qpu_id: int,
    *args: Any,
) -> Any:
    if noise_model is not None:
        _unsupported("a noise model", session, _original)
    context = cudaq_runtime.ExecutionContext("sample", shots_count)
    context.kernelName = name
    context.explicitMeasurements = explicit_measurements
    policy = cudaq_runtime.SamplePolicy(context, name, explicit_measurements)
    return _send(session, "launch_sample", policy, context, (name, module, *args), cache)


def _observe_async(
    session: Session,
    _original: Callable[..., Any],
    name: str,
    module: Any,
    cache: Any,
    spin_operator: Any,
    qpu_id: int,
    shots_count: int,
    *args: Any,
) -> Any:
    if isinstance(spin_operator, (list, tuple)):
        raise InvalidInputError(
            "observe_async takes one operator",
            hint="call it for each operator; all its tasks run at once",
        )
    operator = cudaq_runtime.SpinOperator(spin_operator)
    operator.canonicalize()
    context = cudaq_runtime.ExecutionContext("observe", max(shots_count, 0), qpu_id)
    context.setSpinOperator(operator)
    context.kernelName = name
    policy = cudaq_runtime.ObservePolicy(context, name, operator)
    return _send(session, "launch_observe", policy, context, (name, module, *args), cache)


def _send(
    session: Session, launcher: str, policy: Any, context: Any, call: tuple[Any, ...], cache: Any
) -> Any:
    """Compile now, send now, wait later."""
    native = getattr(cudaq_runtime, launcher).__wrapped__

    def run() -> Any:
        return cudaq_runtime.marshal_and_launch_module(*call, cache=cache)

    launch, returned = session.endpoint.capture(lambda: native(policy, context, run))
    return futures.Done(returned) if launch is None else _start(session, launch)


def _reopen(session: Session | None, original: Callable[..., Any], text: str) -> Any:
    """``cudaq.AsyncSampleResult(text)``: ours is a task id, CUDA-Q's is JSON."""
    if not isinstance(text, str) or text.lstrip().startswith(("{", "[")):
        return original(text)
    from qrmi.cudaq import reopen

    return reopen.of_task(text)


def _evolve(
    session: Session, _original: Callable[..., Any], name: str, program: str, shots: int
) -> Any:
    return _evolve_async(session, _original, name, program, shots).get()


def _evolve_async(
    session: Session, _original: Callable[..., Any], _name: str, program: str, shots: int
) -> Any:
    from qrmi.cudaq import analog

    return analog.start(session, program, shots)


_OURS: dict[str, Callable[..., Any]] = {
    "launch_analog_kernel": _evolve,
    "launch_analog_kernel_async": _evolve_async,
    "launch_observe": _launch,
    "launch_sample": _launch,
    "marshal_and_launch_module": _marshal,
    "observe_async_impl": _observe_async,
    "sample_async_impl": _sample_async,
}
