"""``qrmi site check``: whether a daemon could serve with its files, and what is wrong."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import attrs

from qrmi import munge
from qrmi.cli import config as config_command
from qrmi.cli import console, exits
from qrmi.errors import QrmiError
from qrmi.site.settings import DEFAULT_FILE, SiteSettings

__all__ = ["DETAILS", "Finding", "check", "run"]

DETAILS = """Looks at qrmid.toml, at the settings of every resource, at folders, packages and MUNGE.
Run it as the user that runs the daemon. No resource is contacted. Exit code 1 when something is
wrong. `qrmi slurm check` and `qrmi gridengine check` look at the schedulers."""
_PACKAGES = ("aiohttp", "prometheus_client")


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that the check says.

    Attributes:
        state: ``ok``, ``warning`` or ``wrong``.
        about: the key, file or resource.
        text: what there is, or what is wrong and what to do.
    """

    state: str
    about: str
    text: str


def run(args: argparse.Namespace) -> int:
    """Check, show, and tell by the exit code."""
    file: Path = args.config or DEFAULT_FILE
    findings = list(check(file))
    problems = sum(finding.state == "wrong" for finding in findings)
    if args.json:
        rows = [attrs.asdict(finding) for finding in findings]
        console.out_json({"file": str(file), "problems": problems, "findings": rows})
    else:
        console.out(f"file: {file}")
        console.table(("about", "state", "remark"), [(f.about, f.state, f.text) for f in findings])
        warnings = sum(finding.state == "warning" for finding in findings)
        console.out(f"\n{problems} problem(s), {warnings} warning(s)")
    return exits.Exit.ERROR if problems else exits.Exit.OK


def check(file: Path) -> Iterator[Finding]:
    """Everything that can be seen without asking a vendor."""
    yield from _packages()
    try:
        settings = SiteSettings.load(file)
        admins = settings.admin_uids()
    except QrmiError as error:
        yield _wrong(file.name, error)
        return
    yield Finding(state="ok", about="admins", text="uids " + ", ".join(map(str, sorted(admins))))
    yield from _resources(settings)
    yield from _folders(settings)
    yield from _doors(settings)


def _packages() -> Iterator[Finding]:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        text = f"{', '.join(missing)} not installed: pip install 'openqrmi[site]'"
        yield Finding(state="wrong", about="packages", text=text)


def _resources(settings: SiteSettings) -> Iterator[Finding]:
    try:
        found = config_command.check(settings.config, with_job=False)
    except QrmiError as error:
        yield _wrong("config", error)
        return
    bad = [f for f in found if f.is_problem or f.state == "export"]
    for each in bad:
        about = " ".join(filter(None, (each.resource or "config", each.key)))
        yield Finding(state="wrong" if each.is_problem else "warning", about=about, text=each.text)
    if not any(each.is_problem for each in bad):
        names = {each.resource for each in found if each.resource}
        yield Finding(state="ok", about="config", text=f"{settings.config}: {len(names)} resources")


def _folders(settings: SiteSettings) -> Iterator[Finding]:
    for about, folder in (("state", settings.state), ("socket", settings.socket.parent)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(there, os.W_OK):
            text = f"{there} cannot be written to by this user; the unit of systemd makes its own"
            yield Finding(state="warning", about=about, text=text)
        else:
            yield Finding(state="ok", about=about, text=str(folder))


def _doors(settings: SiteSettings) -> Iterator[Finding]:
    if not settings.listen:
        text = "empty: only this host can ask; jobs of other hosts need it"
        yield Finding(state="ok", about="listen", text=text)
        return
    if not settings.public_url:
        text = "empty: jobs on other hosts are not told where qrmid is"
        yield Finding(state="warning", about="public_url", text=text)
    socket = settings.munge_socket or None
    try:
        credential = munge.MungeCredentials(socket=socket).make(b"check")
        munge.decode(credential.reveal(), socket=socket)
    except QrmiError as error:
        yield _wrong("munge_socket", error)
    else:
        yield Finding(state="ok", about="munge_socket", text="munged answers")


def _wrong(about: str, error: QrmiError) -> Finding:
    return Finding(state="wrong", about=about, text=str(error))
