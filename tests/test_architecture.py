"""Who may look at whom, and where things live (docs/architecture.md, section 8)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = ROOT / "qrmi" / "__main__.py"  # `python -m qrmi`, a door to the command line
CORE_PACKAGES = ("interchange", "journal", "lifetime", "recording", "secrecy", "starts")
CORE = sorted(
    path
    for folder in ("", *CORE_PACKAGES)
    for path in (ROOT / "qrmi" / folder).glob("*.py")
    if path != COMMAND
)
SOURCES = sorted((ROOT / "qrmi").rglob("*.py")) + sorted((ROOT / "providers").rglob("*.py"))
ADAPTERS = {"qiskit", "cudaq", "pulser", "cli"}
SDKS = {
    "qiskit": {"qiskit", "qiskit_pasqal_provider", "numpy"},
    "cudaq": {"cudaq", "qiskit", "numpy"},
    "pulser": {"pulser", "numpy"},
    "codecs": {"qiskit", "pulser", "numpy"},
    "testing": {"pytest", "hypothesis", "qiskit", "pulser"},
    "transport": {"requests", "pycurl"},
}
STANDARD = set(sys.stdlib_module_names) | {"attrs", "qrmi"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports when it runs, at any depth."""
    for node in _walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not typing_only:
            yield from _walk(child)


def part_of(path: Path) -> str:
    """The subpackage of `qrmi` that a file belongs to; empty for the core."""
    relative = path.relative_to(ROOT / "qrmi")
    return relative.parts[0] if len(relative.parts) > 1 else ""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CORE, ids=name)
def test_core_imports_attrs_and_the_standard_library_only(path: Path) -> None:
    foreign = {module.split(".")[0] for module in imports(path)} - STANDARD
    assert not foreign
    parts = {m.split(".")[1] for m in imports(path) if m.startswith("qrmi.")}
    assert not parts & (ADAPTERS | {"codecs", "testing", "transport"})


@pytest.mark.parametrize("part", sorted(ADAPTERS - {"cli"}))
def test_adapters_import_their_sdk_core_and_codecs(part: str) -> None:
    """An adapter sees its own SDK, the core and the codecs; never another adapter."""
    for path in sorted((ROOT / "qrmi" / part).rglob("*.py")):
        modules = set(imports(path))
        top = {module.split(".")[0] for module in modules}
        assert top <= STANDARD | SDKS[part], f"{path}: {sorted(top - STANDARD - SDKS[part])}"
        seen = {m.split(".")[1] for m in modules if m.startswith("qrmi.")}
        assert not seen & (ADAPTERS - {part}), path


@pytest.mark.parametrize("part", ["codecs", "testing"])
def test_codecs_and_testing_see_no_adapter(part: str) -> None:
    for path in sorted((ROOT / "qrmi" / part).rglob("*.py")):
        modules = set(imports(path))
        assert {m.split(".")[0] for m in modules} <= STANDARD | SDKS.get(part, set()), path
        assert not {m.split(".")[1] for m in modules if m.startswith("qrmi.")} & ADAPTERS, path


def test_the_site_sees_core_and_its_own_libraries() -> None:
    """`qrmid` needs no SDK and no adapter; only the daemon's doors and metrics load its extras."""
    for path in sorted((ROOT / "qrmi" / "site").rglob("*.py")):
        modules = set(imports(path))
        foreign = {m.split(".")[0] for m in modules} - STANDARD
        assert foreign <= {"aiohttp", "prometheus_client"}, path
        assert not {m.split(".")[1] for m in modules if m.startswith("qrmi.")} & ADAPTERS, path


def test_hooks_load_the_standard_library_only() -> None:
    """A scheduler starts a hook for every job: what it imports is paid for every time."""
    for path in sorted((ROOT / "qrmi" / "schedulers").glob("*.py")):
        modules = set(imports(path))
        assert {m.split(".")[0] for m in modules} <= set(sys.stdlib_module_names) | {"qrmi"}, path
        ours = {m for m in modules if m.startswith("qrmi.")}
        lean = ("qrmi.schedulers", "qrmi.libmunge", "qrmi.site.doors.signing")
        assert all(m.startswith(lean) for m in ours), path


def test_the_kit_alone_needs_a_test_framework() -> None:
    """Test frameworks are imported by the contract alone; what starts it does so when it runs."""
    kit = ROOT / "qrmi" / "testing"
    for path in sorted(kit.rglob("*.py")):
        frameworks = {m.split(".")[0] for m in imports(path)} & {"pytest", "hypothesis"}
        is_kit = path.parent.name == "rules" or path.stem in ("contract", "live", "runner")
        assert is_kit or not frameworks, path
    code = (
        "import sys, qrmi.testing.runner, qrmi.testing.programs, qrmi.cli.app; print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"pytest", "hypothesis", "qiskit", "pulser", "requests"} & set(loaded)


def test_providers_see_core_and_codecs_but_not_each_other_or_adapters() -> None:
    providers = {path.name for path in (ROOT / "providers").iterdir() if path.is_dir()}
    for path in sorted((ROOT / "providers").rglob("*.py")):
        own = path.relative_to(ROOT / "providers").parts[0]
        modules = set(imports(path))
        assert not {m.split(".")[0] for m in modules} & (providers - {own}), path
        assert not {m.split(".")[1] for m in modules if m.startswith("qrmi.")} & ADAPTERS, path


def test_requests_is_imported_in_transport_only() -> None:
    for path in SOURCES:
        if part_of_source(path) != "transport":
            assert "requests" not in {m.split(".")[0] for m in imports(path)}, path


def part_of_source(path: Path) -> str:
    return part_of(path) if path.is_relative_to(ROOT / "qrmi") else "provider"


def test_the_environment_is_read_in_config_only() -> None:
    """The hooks of schedulers are programs of their own, and load nothing of the library."""
    for path in SOURCES:
        if path == ROOT / "qrmi" / "config.py" or part_of_source(path) == "schedulers":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"}:
                owner = node.value
                assert not (isinstance(owner, ast.Name) and owner.id == "os"), path


def test_there_is_one_waiting_loop() -> None:
    """`time.sleep` is called in qrmi/waiting.py; besides by hooks, which load nothing of ours."""
    pauses = {ROOT / "qrmi" / "waiting.py", ROOT / "qrmi" / "schedulers" / "speaking.py"}
    for path in SOURCES:
        if path not in pauses:
            assert "time.sleep(" not in path.read_text(), path


def test_the_plugin_that_cudaq_loads_does_not_import_cudaq() -> None:
    """It runs inside `import cudaq`: at the top level it imports no SDK."""
    code = "import sys, qrmi.cudaq.plugin; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"cudaq", "qiskit", "numpy"} & set(loaded)


def test_modules_are_small() -> None:
    """A module is one idea: under about 300 lines (the handle, the interface of all, has more)."""
    for path in SOURCES:
        limit = 400 if path.name == "resource.py" and path.parent.name == "qrmi" else 330
        assert len(path.read_text().splitlines()) <= limit, path


def test_the_top_level_holds_what_it_should() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    top = {path.split("/")[0] for path in tracked if not path.startswith(".")}
    allowed = {
        "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md",
        "qrmi", "providers", "tests", "benchmarks", "docs",
    }  # fmt: skip
    assert top <= allowed
