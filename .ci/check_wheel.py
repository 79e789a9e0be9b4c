"""Build the wheel from a copy of the sources and check that no file of theirs is missing in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

_SANDBOX = "tests/servers/qrmi_sandbox"
_SOURCES = ("qrmi", "providers", _SANDBOX, "pyproject.toml", "README.md", "LICENSE")
_ROOTS = ("providers/", "tests/servers/")


def main() -> int:
    """Print what is missing; return 1 when anything is."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        files = _copy_sources(copy)
        subprocess.run(
            [*(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"), "-w", folder, copy],
            check=True,
        )
        (wheel,) = Path(folder).glob("openqrmi-*.whl")
        packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {_place(str(path)) for path in files if len(path.parts) > 1}
    missing = sorted(expected - packed)
    for path in missing:
        print(f"not in the wheel: {path}")
    print(f"{wheel.name}: {len(packed)} files, {len(missing)} missing")
    return 1 if missing else 0


def _place(path: str) -> str:
    """Where a file of the sources is in the wheel."""
    for root in _ROOTS:
        path = path.removeprefix(root)
    return path


def _copy_sources(copy: Path) -> list[Path]:
    """Copy what git tracks or would track, so that no stale build folder takes part."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *_SOURCES],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files = [Path(name) for name in listed.split("\0") if name and Path(name).is_file()]
    for path in files:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path)
    return files


if __name__ == "__main__":
    sys.exit(main())
