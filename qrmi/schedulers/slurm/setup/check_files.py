"""The files of a setup as they are on this host, against what a setup would write now."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from qrmi.diagnosis.findings import Finding, Verdict
from qrmi.schedulers import hook
from qrmi.schedulers.slurm.setup.fragments import MARK, Fragment, fragments
from qrmi.schedulers.slurm.setup.plan import Plan

__all__ = ["findings", "interpreter_of", "nodes_of"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OLDEST = (3, 8)
_SECONDS = 20.0
_WRITE = "`qrmi slurm setup --write {folder}` writes it"


def _wrong(check: str, text: str, advice: str, verdict: Verdict = Verdict.PROBLEM) -> Finding:
    return Finding(subject="files", check=check, verdict=verdict, text=text, advice=advice)


def interpreter_of(program: Path) -> Path:
    """The interpreter that a hook names; the usual one where there is no hook."""
    try:
        with program.open(encoding="utf-8", errors="replace") as stream:
            line = stream.readline(1000)
    except OSError:
        line = ""
    words = line.removeprefix("#!").split() if line.startswith("#!") else []
    return Path(words[0]) if words and words[0].startswith("/") else Path(hook.PYTHON)


def nodes_of(folder: Path) -> str:
    """The nodes that a setup in this folder was made for."""
    try:
        text = (folder / "qrmi_gres.conf").read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(r"^NodeName=(\S+)", text, re.MULTILINE)
    return match[1] if match else ""


def findings(plan: Plan) -> Iterator[Finding]:
    """Whether each file is there, ours, as it should be, and safe."""
    yield from _of_folder(plan.folder.resolve())
    for each in fragments(plan):
        path = plan.folder / each.name
        wrong = list(_of_file(path, each, plan))
        if each.executable and path.is_file():
            wrong += _of_program(path)
        yield from wrong
        if not wrong:
            yield Finding(subject="files", check=each.name, text=str(path))


def _of_file(path: Path, wanted: Fragment, plan: Plan) -> Iterator[Finding]:
    advice = _WRITE.format(folder=plan.folder) + (f" --nodes {plan.nodes}" if plan.nodes else "")
    if wanted.name.endswith(".c"):  # a source that no one has to keep
        return
    if path.is_symlink() and not path.exists():
        yield _wrong(wanted.name, f"{path} leads nowhere", advice)
        return
    if not path.is_file():
        yield _wrong(wanted.name, f"there is no {path}", advice)
        return
    try:
        present = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        yield _wrong(wanted.name, f"cannot read {path}: {error.strerror}", "run this as root")
        return
    if MARK not in present:
        if not wanted.keep:
            yield _wrong(wanted.name, f"{path} is not from a setup", advice)
        elif "qrmi_submit.lua" not in present:
            text = f"{path} is your own, and does not use qrmi_submit.lua"
            yield _wrong(wanted.name, text, "`qrmi slurm setup --write` says which lines to add")
    elif present != wanted.content:
        text = f"{path} is not what the present settings and version make of it"
        yield _wrong(wanted.name, text, advice, Verdict.WARNING)
    yield from _safe(path, wanted.name)


def _safe(path: Path, name: str) -> Iterator[Finding]:
    """Slurm runs it, or obeys it, as root."""
    mode = path.stat().st_mode
    if mode & _OTHERS_WRITE:
        advice = f"chmod go-w {path}; look what it holds"
        yield _wrong(name, f"others can write to {path}", advice)
    if not mode & stat.S_IROTH:
        yield _wrong(name, f"{path} is closed to Slurm and to users", f"chmod o+r {path}")


def _of_folder(folder: Path) -> Iterator[Finding]:
    """Nobody else may put another file in a place of ours, and users have to reach them."""
    for place in (folder, *folder.parents):
        try:
            mode = place.stat().st_mode
        except OSError:
            continue
        if mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
            advice = f"chmod go-w {place}; look what it holds"
            yield _wrong("folder", f"others can write to {place}", advice)
        if not mode & stat.S_IXOTH:
            advice = f"chmod o+x {place}, or choose another folder"
            yield _wrong(
                "folder", f"users, whose tasks start the hook, cannot enter {place}", advice
            )


def _of_program(path: Path) -> Iterator[Finding]:
    if path.stat().st_mode & 0o111 != 0o111:
        yield _wrong(path.name, f"not everybody can execute {path}", f"chmod 755 {path}")
        return
    interpreter = interpreter_of(path)
    if not interpreter.is_file():
        text = f"its interpreter {interpreter} is not there"
        yield _wrong(path.name, text, "`qrmi slurm setup --write … --python PATH` names another")
        return
    version = _version_of(interpreter)
    if version is None or version < _OLDEST:
        text = f"its interpreter {interpreter} is no Python of 3.8 or newer"
        yield _wrong(path.name, text, "`qrmi slurm setup --write … --python PATH` names another")
    elif (code := _exit_of(path)) != 0:
        yield _wrong(path.name, f"{path} ends with {code} when nothing is asked", "look at it")


def _version_of(interpreter: Path) -> tuple[int, ...] | None:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = _run(str(interpreter), "-IS", "-c", code)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return tuple(map(int, words)) if done.returncode == 0 and len(words) == 2 else None


def _exit_of(path: Path) -> int | str:
    try:
        return _run(str(path)).returncode
    except subprocess.TimeoutExpired:
        return "no end"
    except OSError as error:
        return error.strerror or "an error"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
