"""``qrmi resources`` and ``qrmi show``: what there is to run on."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator
from typing import Any

import attrs

from qrmi import registry
from qrmi.cli import arguments, console, parallel
from qrmi.errors import QrmiError
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceStatus

__all__ = ["add_commands", "summary_of_target"]

_ORIGINS = {"job": "this job", "file": "configuration file", "embedded": "built in"}
_PATIENCE_SECONDS = 20.0


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "resources",
        "list the resources that you can run on",
        details="Each is asked for its status; one that cannot be reached is listed with the "
        "reason.",
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_resources)
    parser = arguments.add_command(
        commands,
        "show",
        "show one resource: its status, abilities and device",
        examples="  qrmi show local\n  qrmi show local --json | jq .target",
    )
    parser.add_argument("name", metavar="NAME", help="a name that `qrmi resources` lists")
    arguments.json_flag(parser)
    parser.set_defaults(run=_show)


# --- qrmi resources ---------------------------------------------------------------------------


def _resources(args: argparse.Namespace) -> int:
    available = registry.resources()
    answers = parallel.ask_all(
        [functools.partial(_status, entry) for entry in available], _PATIENCE_SECONDS
    )
    if args.json:
        pairs = zip(available, answers, strict=True)
        console.out_json([_described(entry, answer) for entry, answer in pairs])
        return 0
    rows = [
        (entry.name, entry.type_name, _ORIGINS.get(entry.origin, entry.origin), *_cells(answer))
        for entry, answer in zip(available, answers, strict=True)
    ]
    console.table(("name", "type", "from", "status", "pending", "remarks"), rows)
    return 0


def _status(entry: registry.Available) -> ResourceStatus:
    return entry.open().status()


def _described(entry: registry.Available, answer: ResourceStatus | QrmiError) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": entry.name,
        "type": entry.type_name,
        "origin": entry.origin,
    }
    if isinstance(answer, QrmiError):
        return {**fields, "status": "unreachable", "error": console.error_fields(answer)}
    return {**fields, **answer.to_dict()}


def _cells(answer: ResourceStatus | QrmiError) -> tuple[str, str, str]:
    if isinstance(answer, QrmiError):
        return "unreachable", "", str(answer)
    pending = "" if answer.pending_job_count is None else str(answer.pending_job_count)
    remarks = [answer.status_reason or ""]
    remarks += ["busy"] if answer.busy else []
    remarks += ["not healthy"] if answer.healthy is False else []
    return answer.status.name.lower(), pending, ", ".join(filter(None, remarks))


# --- qrmi show --------------------------------------------------------------------------------


def _show(args: argparse.Namespace) -> int:
    entry = next((r for r in registry.resources() if r.name == args.name), None)
    resource = registry.open(args.name)
    status: ResourceStatus | QrmiError = parallel.ask_all([resource.status], _PATIENCE_SECONDS)[0]
    target = parallel.ask_all([lambda: resource.target().value], 3 * _PATIENCE_SECONDS)[0]
    if args.json:
        console.out_json(_everything(resource, entry, status, target))
        return 0
    console.out(console.styled(f"{resource.resource_id()} ({resource.type_name})", "bold"))
    for label, text in _lines(resource, entry, status, target):
        console.out(f"  {console.styled(f'{label:<14}', 'dim')} {text}")
    return 0


def _everything(
    resource: QuantumResource,
    entry: registry.Available | None,
    status: ResourceStatus | QrmiError,
    target: str | QrmiError,
) -> dict[str, Any]:
    return {
        "name": resource.resource_id(),
        "type": resource.type_name,
        "origin": entry.origin if entry else None,
        "status": console.error_fields(status)
        if isinstance(status, QrmiError)
        else status.to_dict(),
        "payloads": sorted(resource.payloads),
        "capabilities": attrs.asdict(resource.capabilities),
        "target": console.error_fields(target) if isinstance(target, QrmiError) else _json(target),
    }


def _lines(
    resource: QuantumResource,
    entry: registry.Available | None,
    status: ResourceStatus | QrmiError,
    target: str | QrmiError,
) -> Iterator[tuple[str, str]]:
    if entry is not None:
        yield "from", _ORIGINS.get(entry.origin, entry.origin)
    state, pending, remarks = _cells(status)
    yield "status", ", ".join(filter(None, (state, remarks)))
    if pending:
        yield "pending tasks", pending
    yield "takes", ", ".join(sorted(resource.payloads))
    abilities = attrs.asdict(resource.capabilities)
    yield "can", ", ".join(k.replace("_", " ") for k, v in abilities.items() if v is True) or "-"
    if isinstance(target, QrmiError):
        yield "device", f"not known: {target}"
    else:
        yield from summary_of_target(target)


def summary_of_target(text: str) -> Iterator[tuple[str, str]]:
    """What a target says, in a few labelled lines; any text is taken."""
    data = _json(text)
    if isinstance(data, dict) and isinstance(data.get("configuration"), dict):
        yield from _gate_lines(data["configuration"])
    devices = data.get("devices") if isinstance(data, dict) else data
    if isinstance(devices, list):
        for device in devices:
            if isinstance(device, dict) and "device_type" in device:
                yield "pulse device", _analog_line(device)
    if isinstance(data, dict) and not data.keys() & {"configuration", "devices"}:
        yield "device", "says: " + ", ".join(sorted(data))


def _gate_lines(configuration: dict[str, Any]) -> Iterator[tuple[str, str]]:
    name = configuration.get("backend_name")
    simulator = " (simulator)" if configuration.get("simulator") else ""
    coupling = configuration.get("coupling_map")
    links = f"{len(coupling)} coupled pairs" if coupling else "every qubit with every other"
    yield "gate device", f"{name}{simulator}: {configuration.get('n_qubits', '?')} qubits, {links}"
    gates = configuration.get("supported_instructions") or configuration.get("basis_gates") or []
    yield "gates", " ".join(sorted(str(gate) for gate in gates)) or "not told"
    if configuration.get("max_shots"):
        yield "most shots", f"{configuration['max_shots']:,}"


def _analog_line(device: dict[str, Any]) -> str:
    specs = device.get("specs")
    specs = _json(specs) if isinstance(specs, str) else specs
    if not isinstance(specs, dict):
        return str(device["device_type"])
    atoms = specs.get("max_atom_num")
    channels = [str(c.get("id")) for c in specs.get("channels") or [] if isinstance(c, dict)]
    parts = [
        f"at most {atoms} atoms" if atoms else "any number of atoms",
        f"{specs['dimensions']}D" if specs.get("dimensions") else "",
        f"channels {' '.join(channels)}" if channels else "",
    ]
    return f"{device['device_type']}: " + ", ".join(filter(None, parts))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
