"""``qrmi sandbox``: a vendor's service on this machine, to try things without an account."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qrmi.cli import arguments, console, exits
from qrmi.errors import InvalidInputError, MissingExtraError, QrmiError

__all__ = ["add_commands"]

_EXTRAS = {
    "alice-bob-felis": "alice-bob",
    "ibm-quantum-compute-service": "ibm",
    "ibm-quantum-system": "ibm",
    "iqm-server": "iqm",
    "oqtopus": "oqtopus",
    "pasqal-cloud": "pasqal",
    "pasqal-local": "pasqal",
    "qiskit-runtime-service": "ibm",
}
_LAST_PORT = 65535


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "sandbox",
        "run a vendor's service on this machine, to try it without an account",
        details="It speaks the vendor's protocol on loopback, runs programs on simulators, and "
        "forgets everything\nwhen Ctrl-C stops it. Prints the qrmi_config.json that uses it.",
        examples="  qrmi sandbox iqm-server --write sandbox.json\n"
        "  QRMI_CONFIG=sandbox.json qrmi demo --resource iqm-server    # in another terminal",
    )
    parser.add_argument("type", metavar="TYPE", nargs="?", help="a resource type; see --list")
    parser.add_argument("--list", action="store_true", help="list the types that there are")
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="listen here, default: any free port"
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="the resource's name: of services with several devices, one of those",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write the configuration to this file, too"
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if args.list:
        return _list(as_json=args.json)
    if args.type is None:
        raise InvalidInputError("which type?", hint=f"one of: {', '.join(sorted(_servers()))}")
    server = _made(args.type, args.port)
    try:
        server.start()
    except OSError as error:
        raise InvalidInputError(
            f"cannot listen on port {args.port}: {error.strerror or error}",
            hint="choose another port, or none",
        ) from error
    try:
        _until_told(lambda: _tell(server, args))
    finally:
        server.stop()
    if not args.json:
        console.notice("stopped")
    return exits.Exit.OK


def _list(*, as_json: bool) -> int:
    servers = sorted(_servers())
    if as_json:
        console.out_json(servers)
    else:
        console.table(("type",), [(name,) for name in servers])
    return exits.Exit.OK


def _servers() -> Mapping[str, str]:
    found: Mapping[str, str] = _sandbox().SERVERS
    return found


def _sandbox() -> Any:
    try:
        return importlib.import_module("qrmi_sandbox")
    except ImportError as error:
        raise MissingExtraError(
            "the package qrmi_sandbox is missing", hint="reinstall openqrmi"
        ) from error


def _made(resource_type: str, port: int) -> Any:
    if resource_type not in _servers():
        raise InvalidInputError(
            f"there is no sandbox for {resource_type!r}",
            hint=f"there is one for: {', '.join(sorted(_servers()))}",
        )
    try:
        return _sandbox().make_server(resource_type, port=port)
    except ImportError as error:
        extra = _EXTRAS.get(resource_type, "all")
        raise MissingExtraError(
            f"this sandbox needs {error.name}", hint=f"pip install 'openqrmi[{extra}]'"
        ) from error


def _tell(server: Any, args: argparse.Namespace) -> None:
    entry = server.resource(args.name)
    configuration = {"resources": [entry], "default": entry["name"]}
    text = json.dumps(configuration, indent=2)
    path = args.write
    if path is not None:
        _write(path, text)
    if args.json:
        console.out_json({"url": server.url, "config": configuration})
    else:
        where = path or "sandbox.json"
        console.notice(f"{args.type} listens on {server.url}; Ctrl-C stops it")
        console.notice(
            f"written to {path}:" if path else f"save this as {where}, and chmod 600 {where}:"
        )
        console.out(text)
        console.notice("then, in another terminal:")
        console.notice(f"  QRMI_CONFIG={where} qrmi demo --resource {entry['name']}")
    sys.stdout.flush()


def _write(path: Path, text: str) -> None:
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)  # it holds secrets, and is refused where others can read it
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise QrmiError(
            f"cannot write {path}: {error.strerror or error}", hint="choose another file"
        ) from error


def _until_told(begin: Callable[[], None]) -> None:
    """Wait for Ctrl-C or another signal to end, also in a shell's background."""
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    begin()
    told.wait()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to {_LAST_PORT}, not {text}")
    return int(text)
