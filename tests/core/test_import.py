"""`import qrmi` is light, its names are upstream's, and a foreign package is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import qrmi

HEAVY = ("attrs", "attr", "requests", "numpy", "qiskit", "pulser", "cudaq", "importlib.metadata")


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_loads_no_sdk_and_no_http_library() -> None:
    loaded = run("import sys, qrmi; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_every_public_name_loads_and_equals_no_submodule() -> None:
    """Lazy names resolve; `open` is public but not starred; no name is a submodule's."""
    folder = Path(qrmi.__file__).parent
    submodules = {path.stem for path in folder.glob("*.py")} | {
        path.name for path in folder.iterdir() if path.is_dir()
    }
    for name in qrmi.__all__:
        assert getattr(qrmi, name) is not None
    assert "open" not in qrmi.__all__
    assert callable(qrmi.open)
    assert (set(qrmi.__all__) | {"open"}) & submodules == {"logger"}  # the submodule itself
    with pytest.raises(AttributeError):
        _ = qrmi.no_such_name


def test_star_import_keeps_the_builtin_open() -> None:
    assert run("from qrmi import *; print(open.__module__)").strip() in {"io", "_io"}


UPSTREAM = """set_log_callback QuantumResource ResourceType TaskStatus ResourceStatusCode Payload
TaskResult Target ResourceStatus ResourceCapacity Config ResourceDef ResourceProvider QRMIService
get_job_qpu_resources_and_types QrmiError EnvVarNotSetError ConfigError
UnsupportedResourceTypeError UnsupportedPayloadError UnsupportedFunctionError TaskNotReadyError
InvalidInputError ResourceNotFoundError TaskNotFoundError AuthenticationFailedError logger"""


def test_upstream_names_are_there() -> None:
    assert set(UPSTREAM.split()) <= set(qrmi.__all__)


def test_upstream_enums_are_aliases_of_ours() -> None:
    assert qrmi.TaskStatus.Completed is qrmi.TaskStatus.COMPLETED
    assert qrmi.TaskStatus.Completed == 2
    assert qrmi.ResourceType.PasqalCloud == 3
    assert qrmi.ResourceStatusCode.Paused is qrmi.ResourceStatusCode.PAUSED
    status = qrmi.ResourceStatus(qrmi.ResourceStatusCode.ONLINE, None, None, None,
                                 qrmi.ResourceCapacity(2, 3))  # fmt: skip
    assert status.to_dict() == {
        "status": "online", "status_reason": None, "healthy": None, "busy": None,
        "capacity": {"available_slots": 2, "max_slots": 3}, "pending_job_count": None,
    }  # fmt: skip


def test_logger_serves_as_logger_and_as_module() -> None:
    out = run("from qrmi import logger; logger.setLevel(10); print(logger.name, logger.level)")
    assert out.split() == ["qrmi", "10"]


def test_the_rust_package_in_our_folder_is_noticed(tmp_path: Path) -> None:
    """A compiled core beside our files gives a warning that names the repair."""
    package = tmp_path / "qrmi"
    package.mkdir()
    for name in ("__init__.py", "_foreign.py"):
        package.joinpath(name).write_text(Path(qrmi.__file__).with_name(name).read_text())
    package.joinpath("_core.abi3.so").write_bytes(b"")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import qrmi; print(qrmi.__file__)"
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in result.stdout
    assert "Rust package `qrmi`" in result.stderr
    assert "pip install --force-reinstall openqrmi" in result.stderr


def test_log_callback_gets_level_target_and_message() -> None:
    out = run(
        "import qrmi, logging\n"
        "qrmi.set_log_callback(lambda *a: print(a))\n"
        "logging.getLogger('qrmi.x').warning('hello %s', 1)\n"
    )
    assert out.strip() == "('WARN', 'qrmi.x', 'hello 1')"
    with pytest.raises(TypeError):
        qrmi.set_log_callback(3)  # type: ignore[arg-type]
