"""What the pages of docs/ say is what the code does."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import certifi
import pytest

from qrmi import ResourceType, config, errors, plugins
from qrmi.cli.app import build_parser
from qrmi.cli.config import check
from qrmi.cli.exits import Exit
from qrmi.site.driver import GatewaySettings
from qrmi.transport import HttpSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def python_blocks(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """docs/_ext/reference.py, which is on no import path."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "_ext" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "number"),
    [(page.name, n) for page in PAGES for n in range(len(python_blocks(page)))],
)
def test_python_blocks_run(page: str, number: int, tmp_path: Path) -> None:
    """Every Python block of a page runs as it stands, alone."""
    block = python_blocks(DOCS / page)[number]
    if "import cudaq" in block:
        pytest.importorskip("cudaq")
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr


def test_errors_page_has_every_error(reference: ModuleType) -> None:
    """Each public error is a row of the table, with its owner."""
    rows = {}
    for line in reference.errors().splitlines()[2:]:
        _, name, _, owner, retry, _ = (cell.strip() for cell in line.split("|"))
        rows[name.strip("`")] = (owner, retry)
    public = {name for name in errors.__all__ if name.endswith("Error")}
    assert rows.keys() == public == set(re.findall(r"\w+Error", reference.error_tree()))
    for name, (owner, retry) in rows.items():
        kind = getattr(errors, name)
        assert owner == kind.default_owner
        assert retry == ("yes" if kind.default_retryable else "no")


def test_settings_page_has_every_setting(reference: ModuleType) -> None:
    """Each setting of each installed resource type is a row: required and secret ones are marked.

    Those that all types over HTTP have in common stand in one table of their own.
    """
    text, common = reference.settings(), reference.http_settings()
    for name in plugins.driver_types():
        section = text.split(f"### `{name}`\n")[1].split("\n### ")[0]
        for declaration in plugins.driver_class(name).SETTINGS.declarations().values():
            shared = declaration in HttpSettings.declarations().values()
            where = common if shared else section
            (row,) = re.findall(rf"^\| `{declaration.key}`.*$", where, re.MULTILINE)
            assert declaration.help.split(".")[0].split("|")[0] in row
            assert ("**required**" in row) == declaration.required
            assert ("| secret |" in row) == declaration.secret
            assert "_" not in row.split("|")[2]  # a converter's name says nothing to a reader
            assert not shared or declaration.key not in section


ENTRIES = [
    (page.name, number, text)
    for page in PAGES
    for number, text in enumerate(
        re.findall(r"^```json\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    )
]


@pytest.mark.parametrize(
    ("page", "number", "text"), ENTRIES, ids=[f"{page}-{number}" for page, number, _ in ENTRIES]
)
def test_configurations_are_complete(page: str, number: int, text: str, tmp_path: Path) -> None:
    """An entry that a page shows has every setting that is required, and none that is unknown."""
    here = text.replace("/etc/ssl/certs/ca-certificates.crt", certifi.where())  # it must exist
    shown = json.loads(here)
    path = tmp_path / "qrmi_config.json"
    path.write_text(json.dumps(shown if "resources" in shown else {"resources": [shown]}))
    path.chmod(0o600)
    findings = [finding for finding in check(path, with_job=False) if finding.state != "default"]
    assert {finding.state for finding in findings} == {"set"}, (page, number, findings)


def test_each_vendor_has_a_configuration() -> None:
    """The page of vendors has a section with a configuration for every upstream type."""
    shown = [json.loads(text) for page, _, text in ENTRIES if page == "vendors.md"]
    assert {entry["type"] for entry in shown if "type" in entry} == {
        t.type_name for t in ResourceType
    }


def environment_tables() -> set[str]:
    """Variables in the first column of the settings page's own table."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    section = text.split("These variables are not about one resource:")[1].split("## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([A-Z0-9_]+)`", cell)}


def test_settings_page_has_every_variable(reference: ModuleType) -> None:
    """The page lists the variables that `qrmi.config` reads, and no other."""
    source = Path(config.__file__).read_text(encoding="utf-8")
    suffixes = {"QPU_RESOURCES", "QPU_TYPES"}
    composed = {f"{family}_JOB_{suffix}" for family in ("QRMI", "SLURM") for suffix in suffixes}
    read = reference.environment_of_code(source) - suffixes - {"UNLIMITED_SECONDS"}
    assert environment_tables() == read | composed | {"JOB_ID"}


def _site_keys() -> set[str]:
    """Settings of a resource that a job reaches through the site's daemon."""
    return {item.key for item in GatewaySettings.declarations().values()}


def test_no_variable_is_read_elsewhere(reference: ModuleType) -> None:
    """Any other name that looks like a variable of ours is a declared setting."""
    keys = {
        key
        for name in plugins.driver_types()
        for item in plugins.driver_class(name).SETTINGS.declarations().values()
        for key in (item.key, *item.fallback)
    }
    known = keys | environment_tables() | _site_keys()
    for folder in ("qrmi", "providers"):
        for path in (ROOT / folder).rglob("*.py"):
            named = reference.environment_of_code(path.read_text(encoding="utf-8"))
            unknown = {name for name in named if name.startswith("QRMI_")} - known
            assert not unknown, path


def test_example_configuration_is_read() -> None:
    """The file that the settings page shows is a good one, with a default."""
    found = config.Config.load(DOCS / "examples" / "qrmi_config.json")
    assert found.default in found.resource_map
    assert {definition.type_name for definition in found.resource_map.values()} == {"local"}


def test_command_line_page_has_every_command(reference: ModuleType) -> None:
    """Each command and each of its options is on the page."""
    text = reference.command() + reference.commands()
    parsers = [build_parser()]
    for parser in parsers:
        for action in parser._actions:
            children = action.choices if action.dest in ("command", "action") else None
            parsers.extend(dict(children or {}).values())
            for option in action.option_strings:
                assert option in text
        assert f"usage: {parser.prog}" in text
    assert len(parsers) > 10


def test_exit_codes_are_all_there(reference: ModuleType) -> None:
    """The table has exactly the codes of the enum."""
    codes = re.findall(r"^\| `(\d+)` \|", reference.exit_codes(), re.MULTILINE)
    assert [int(code) for code in codes] == [int(code) for code in Exit]


def test_tables_escape_bars(reference: ModuleType) -> None:
    """A bar in a cell does not end the cell."""
    assert reference.table(("a",), [("x | y",)]).splitlines()[2] == "| x \\| y |"


def architecture_tree() -> list[Path]:
    """The paths that the architecture page's tree names."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    block = text.split("## Folders")[1].split("```text\n")[1].split("```")[0]
    paths, parent = [], Path()
    for line in block.splitlines():
        names = re.split(r"\s{3,}", line.strip())[0].split()
        if not line.startswith(" "):
            parent = Path(names[0]) if names[0] in ("qrmi/", "providers/") else Path()
            paths += [Path(name) for name in names]
        else:
            paths += [parent / name for name in names]
    return paths


def test_architecture_tree_is_true() -> None:
    """Every path in the tree exists, and every module and package of the library is in it."""
    tree = architecture_tree()
    assert [path for path in tree if not (ROOT / path).exists()] == []
    for folder in ("qrmi", "providers"):
        children = {
            child.relative_to(ROOT)
            for child in (ROOT / folder).iterdir()
            if child.suffix == ".py" or any(child.rglob("*.py"))
        }
        assert children == {path for path in tree if path.parent == Path(folder)}
