"""``qrmi site unit``: a unit for systemd, hardened and with this installation's paths."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from importlib import resources
from pathlib import Path

from qrmi.cli import console, exits
from qrmi.site.settings import DEFAULT_FILE, SiteSettings

__all__ = ["add_flags", "run", "unit_text"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "--user",
        default="root",
        help="who runs it: with Slurm, SlurmUser or root, because it makes reservations",
    )
    parser.epilog = (
        "examples:\n"
        "  qrmi site unit --user slurm > /etc/systemd/system/qrmid.service\n"
        "  systemctl daemon-reload && systemctl enable --now qrmid"
    )


def run(args: argparse.Namespace) -> int:
    """Print it."""
    file: Path = args.config or DEFAULT_FILE
    settings = SiteSettings.load(file) if file.exists() else SiteSettings()
    text = unit_text(file.absolute(), settings, user=args.user)
    if args.json:
        console.out_json({"unit": text})
    else:
        console.out(text.rstrip())
    return exits.Exit.OK


def unit_text(file: Path, settings: SiteSettings, *, user: str) -> str:
    """The unit for a daemon with these settings."""
    template = (resources.files("qrmi.site") / "qrmid.service").read_text(encoding="utf-8")
    folders = (settings.state, settings.socket.parent)
    writable = [str(f) for f in folders if f not in (Path("/var/lib/qrmid"), Path("/run/qrmid"))]
    values = {
        "@USER@": user,
        "@COMMAND@": _command(),
        "@CONFIG@": str(file),
        "@WRITABLE@": f"ReadWritePaths={' '.join(writable)}\n" if writable else "",
    }
    for mark, value in values.items():
        template = template.replace(mark, value)
    return template


def _command() -> str:
    """The installed command, by its whole path."""
    own = Path(sys.executable).with_name("qrmi")
    if os.access(own, os.X_OK):
        return str(own)
    return shutil.which("qrmi") or f"{sys.executable} -m qrmi"
