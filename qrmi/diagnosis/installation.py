"""Looking at what is installed: Python, this library, SDKs, and what gets in each other's way."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

import attrs

from qrmi import config
from qrmi.diagnosis.findings import Finding, Verdict
from qrmi.waiting import Deadline, SystemClock

__all__ = ["OWN", "SLOW", "Part", "extras", "findings", "import_failures", "parts_of_extras"]

OWN = "openqrmi"
_RUST = "qrmi"
_SUBJECT = "installation"
_FOR_DEVELOPERS = frozenset({"test", "docs", "all", "cudaq-cpu"})
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(\[[^]]*\])?\s*([^;]*)(?:;(.*))?$")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([A-Za-z0-9._-]+)['\"]")
_MODULES = {  # what distributions are imported as, where it is not their name
    "cuda-quantum-cu13": "cudaq",
    "pulser-core": "pulser",
    "python-dotenv": "dotenv",
}
SLOW = "takes very long to import"
"""Why a module was not imported in time."""

_IMPORTER = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps({"begun": name}), flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(json.dumps({"failed": name, "why": f"{type(error).__name__}: {error}"}), flush=True)
"""


@attrs.frozen(kw_only=True)
class Part:
    """One distribution that an extra wants.

    Attributes:
        name: of the distribution.
        wanted: versions that will do, as requirements spell them; empty for any.
        version: the installed one, or ``None``.
    """

    name: str
    wanted: str
    version: str | None

    @property
    def module(self) -> str:
        """What it is imported as."""
        return _MODULES.get(self.name, self.name.replace("-", "_"))


def findings() -> Iterator[Finding]:
    """Python, this library, and other packages that install the same modules."""
    yield Finding(
        subject=_SUBJECT,
        check="python",
        text=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
        values={"version": platform.python_version(), "executable": sys.executable},
    )
    version, folder = _version(OWN), Path(__file__).parents[1]
    yield Finding(
        subject=_SUBJECT,
        check=OWN,
        verdict=Verdict.OK if version else Verdict.WARNING,
        text=f"openqrmi {version} in {folder}" if version else f"run from sources in {folder}",
        advice="" if version else "pip install openqrmi: resource types are found through it",
        values={"version": version},
    )
    rust = _version(_RUST)
    if rust is not None:
        yield Finding(
            subject=_SUBJECT,
            check="two packages",
            verdict=Verdict.PROBLEM,
            text=f"the distribution qrmi {rust} is installed beside openqrmi: both bring a package "
            "called qrmi, and files of one replace the other's",
            advice="keep one: pip uninstall -y qrmi openqrmi && pip install openqrmi",
            values={"version": rust},
        )


def parts_of_extras() -> Mapping[str, list[Part]]:
    """What each extra of this library wants, and what of it is installed."""
    found: dict[str, list[Part]] = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for line in metadata.requires(OWN) or ():
            read = _REQUIREMENT.match(line)
            named = _EXTRA.search(read[4] or "") if read else None
            if read is None or named is None or named[1] in _FOR_DEVELOPERS or read[1] == OWN:
                continue
            part = Part(name=read[1], wanted=read[3].strip(" ()"), version=_version(read[1]))
            found.setdefault(named[1], []).append(part)
    return found


def extras(found: Mapping[str, list[Part]], failures: Mapping[str, str]) -> Iterator[Finding]:
    """One finding an extra.

    Args:
        found: what `parts_of_extras` gave.
        failures: why modules could not be imported, by name; see `import_failures`.
    """
    for extra, parts in sorted(found.items()):
        yield _of_extra(extra, parts, failures)


def _of_extra(extra: str, parts: list[Part], failures: Mapping[str, str]) -> Finding:
    install = f"pip install 'openqrmi[{extra}]'"
    there = [part for part in parts if part.version is not None]
    text = ", ".join(f"{part.name} {part.version}" for part in there)
    verdict, advice = Verdict.OK, ""
    failed = {part.name: failures[part.module] for part in there if part.module in failures}
    broken = [f"{name}: {why}" for name, why in failed.items() if why != SLOW]
    old = [part for part in there if not _is_wanted(part)]
    missing = [part.name for part in parts if part.version is None]
    if not there:
        text = f"not installed: {install}"
    elif broken:
        verdict, text = Verdict.PROBLEM, "cannot be imported: " + "; ".join(broken)
        advice = f"reinstall it: {install} --force-reinstall"
    elif failed:
        verdict, text = Verdict.WARNING, f"{', '.join(failed)}: {SLOW}"
        advice = "a folder on a network file system may be slow: use an environment on a local disk"
    elif old:
        listed = ", ".join(f"{part.name} {part.version} (wanted: {part.wanted})" for part in old)
        verdict, text, advice = Verdict.WARNING, f"other versions than tested: {listed}", install
    elif missing:
        verdict, advice = Verdict.WARNING, install
        text = f"{text}; missing: {', '.join(missing)}"
    return Finding(
        subject=_SUBJECT,
        check=extra,
        verdict=verdict,
        text=text,
        advice=advice,
        values={part.name: part.version for part in parts},
    )


def import_failures(modules: Iterable[str], timeout_seconds: float) -> dict[str, str]:
    """Why modules cannot be imported, by name; those that can are left out.

    They are imported in a process of their own, because some end the process when they fail. When
    the time is over, the one that was being imported has the reason `SLOW`, and later ones were
    not tried.
    """
    left, failed = list(dict.fromkeys(modules)), dict[str, str]()
    deadline = Deadline.after(timeout_seconds, SystemClock())
    while left and (seconds := deadline.shorten(timeout_seconds)) > 0:
        lines, trouble = _imported(left, seconds)
        begun = [line["begun"] for line in lines if "begun" in line]
        failed |= {line["failed"]: line["why"][:200] for line in lines if "failed" in line}
        if not trouble or not begun:
            break
        failed[begun[-1]] = trouble
        left = left[left.index(begun[-1]) + 1 :]
    return failed


def _imported(modules: list[str], timeout_seconds: float) -> tuple[list[dict[str, str]], str]:
    """What the importing process printed, and what went wrong with the last one that it began."""
    command = [sys.executable, "-W", "ignore", "-P", "-c", _IMPORTER, *modules]
    environment = config.child_environment(PYTHONPATH=":".join(filter(None, sys.path)))
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        return _lines(output.decode() if isinstance(output, bytes) else output), SLOW
    except OSError:
        return [], ""
    return _lines(done.stdout), "importing it ends Python" if done.returncode else ""


def _lines(text: str) -> list[dict[str, str]]:
    """Our lines; what SDKs print while they are imported is passed over."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(value)
    return found


def _is_wanted(part: Part) -> bool:
    """Whether the installed version will do; true where that cannot be told."""
    try:
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(part.wanted).contains(part.version or "", prereleases=True)
    except (ImportError, ValueError):
        return True


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
