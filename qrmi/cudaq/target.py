"""The CUDA-Q target ``qrmi``: which resource is selected, and how it comes and goes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

from qrmi import registry
from qrmi.cudaq.names import TARGET, WRAPPED
from qrmi.cudaq.session import Session
from qrmi.errors import InvalidInputError, MissingExtraError
from qrmi.resource import QuantumResource

__all__ = ["active", "host_simulator", "import_cudaq", "select", "selected"]

_log = logging.getLogger(__name__)

_HOST = "qpp-cpu"


class _State:
    """What is selected now; changed under `endpoint.PLATFORM` only."""

    session: Session | None = None
    selecting: Session | None = None
    host_thread: int | None = None


_state = _State()


def import_cudaq() -> Any:
    """The module `cudaq`.

    Raises:
        MissingExtraError: CUDA-Q is not installed, or not the whole of it.
    """
    try:
        return importlib.import_module("cudaq")
    except ImportError as error:
        raise MissingExtraError(
            f"CUDA-Q cannot be imported: {error}", hint="pip install 'openqrmi[cudaq]'"
        ) from error


def active() -> Session | None:
    """The session that kernels run in now; ``None`` while another target is selected.

    While one thread has `host_simulator`, the others still get the session, and wait for their
    turn to compile: what they run is never simulated instead.
    """
    return None if _on_host() else _state.session


def select(resource: QuantumResource | str | None = None, **unknown: Any) -> None:
    """Select a resource as CUDA-Q's target. After an error, the target is what it was.

    Args:
        resource: a handle, a name for `qrmi.open`, or ``None`` for ``qrmi.open()``.
        unknown: other options of ``cudaq.set_target``; there are none.

    Raises:
        InvalidInputError: an unknown option, or ``resource`` is of another type.
        ResourceNotFoundError: there is no such resource.
        UnsupportedFunctionError: this version of CUDA-Q lacks what the target needs.
    """
    if unknown:
        raise InvalidInputError(
            f"the target {TARGET!r} has no option {', '.join(sorted(unknown))}",
            hint="it has one: resource=<name or handle>",
        )
    session = Session(_handle(resource))
    endpoint = importlib.import_module("qrmi.cudaq.endpoint")
    endpoint.compile_target()
    with endpoint.PLATFORM:
        _state.selecting = session
        try:
            _native_set_target(TARGET, resource=session.resource.resource_id())
            _install(session)
        finally:
            _state.selecting = None


def selected(name: str) -> None:
    """CUDA-Q has switched to the target ``name``, whoever asked for it."""
    if _on_host() or _state.selecting is not None:
        return
    if name == TARGET:
        _install(Session(_handle(None)))
    elif _state.session is not None:
        _state.session = None


@contextlib.contextmanager
def host_simulator() -> Iterator[None]:
    """Have CUDA-Q's own simulator for a moment, for what only looks at a kernel."""
    endpoint = importlib.import_module("qrmi.cudaq.endpoint")
    with endpoint.PLATFORM:
        session = _state.session
        _state.host_thread = threading.get_ident()
        try:
            _native_set_target(_HOST)
            yield
        finally:
            try:
                if session is not None:
                    _native_set_target(TARGET, resource=session.resource.resource_id())
                    _install(session)
            finally:
                _state.host_thread = None


def _on_host() -> bool:
    return _state.host_thread == threading.get_ident()


def _handle(resource: QuantumResource | str | None) -> QuantumResource:
    if isinstance(resource, QuantumResource):
        return resource
    if resource is None or isinstance(resource, str):
        return registry.open(resource or None)
    raise InvalidInputError(
        f"resource is a name or a qrmi.QuantumResource, not {type(resource).__name__}"
    )


def _native_set_target(name: str, **config: str) -> None:
    from cudaq import cudaq_runtime

    function = cudaq_runtime.set_target
    getattr(function, WRAPPED, function)(name, **config)


def _install(session: Session) -> None:
    """Put our endpoint in the place of the target's simulator."""
    import cudaq

    from qrmi.cudaq import guards
    from qrmi.cudaq.endpoint import compile_target, unsupported_version

    try:
        from cudaq._experimental import CustomTarget
    except ImportError as error:
        raise unsupported_version(str(error)) from error
    _load_qiskit()
    guards.install(active, host_simulator)
    cudaq.set_target(CustomTarget(session.endpoint, compile_target()))
    _state.session = session
    _log.info("CUDA-Q runs on %s", session.resource.resource_id())


@functools.cache
def _load_qiskit() -> None:
    """Import Qiskit now, most likely on the main thread.

    Qiskit 2.6 that is first imported by a thread that ends may crash later. Resources that take
    pulse sequences only can do without it.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("qrmi.cudaq.launch")
