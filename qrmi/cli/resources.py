"""``qrmi resources`` and ``qrmi show``: what there is to run on."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs

from qrmi import registry
from qrmi.cli import arguments, config, console, parallel, site_rows
from qrmi.codecs.interface import gate_codec
from qrmi.errors import QrmiError
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceStatus

__all__ = ["add_commands", "summary_of_target"]

_ORIGINS = {
    "job": "job",
    "file": "file",
    "account": "account",
    "embedded": "built in",
    "site": "site",
}
_ABILITIES = {
    "sessions": "hold the device for a session",
    "logs": "give logs",
    "stop_running": "stop a running task",
    "queue_position": "tell its queue",
    "idempotency_key": "find a task by its key",
    "batches": "take batches of jobs",
    "push": "hold a request until a task ends",
}
_PATIENCE_SECONDS = 20.0


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "resources",
        "list the resources that you can run on",
        details="Each is asked for its status; one that cannot be reached is listed with the "
        "reason. On a cluster whose site lends QPUs to jobs, those are listed too (from: site), "
        "with the reason why jobs that ask for one have to wait.",
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
    available = registry.expanded(registry.resources())
    answers, site = _asked(available)
    if args.json:
        console.out_json([*_described_all(available, answers, site), *map(_of_site, site.values())])
        return 0
    rows = [
        (
            entry.name,
            entry.type_name,
            _ORIGINS.get(entry.origin, entry.origin),
            *_cells(answer, config.is_insecure(entry.definition), _site_row(entry, site)),
        )
        for entry, answer in zip(available, answers, strict=True)
    ]
    rows += [
        (
            name,
            row["type"],
            "site",
            row["state"],
            str(row.get("pending") or ""),
            site_rows.remarks_of(row),
        )
        for name, row in site.items()
    ]
    console.table(("name", "type", "from", "status", "queue", "remarks"), rows)
    return 0


def _site_row(
    entry: registry.Available, site: dict[str, site_rows.SiteRow]
) -> site_rows.SiteRow | None:
    """What the site says of a resource; a job need not be told that its own is held."""
    row = site.pop(entry.name, None)
    return None if entry.origin == "job" else row


def _asked(
    available: Sequence[registry.Available],
) -> tuple[list[ResourceStatus | QrmiError], dict[str, site_rows.SiteRow]]:
    """Each resource's status, and what the site's daemon says of its own; all at once."""
    looks: list[Callable[[], Any]] = [functools.partial(_status, entry) for entry in available]
    *answers, site = parallel.ask_all([*looks, site_rows.ask], _PATIENCE_SECONDS)
    return answers, {} if isinstance(site, QrmiError) else site


def _described_all(
    available: Sequence[registry.Available],
    answers: Sequence[ResourceStatus | QrmiError],
    site: dict[str, site_rows.SiteRow],
) -> Iterator[dict[str, Any]]:
    """One object a resource; takes those that the site lends from ``site``."""
    for entry, answer in zip(available, answers, strict=True):
        row = site.pop(entry.name, None)
        yield {**_described(entry, answer), **({"site": row} if row else {})}


def _of_site(row: site_rows.SiteRow) -> dict[str, Any]:
    return {
        "name": row["name"],
        "type": row["type"],
        "origin": "site",
        "status": row["state"],
        "status_reason": row.get("reason") or None,
        "pending_job_count": row.get("pending"),
        "site": row,
    }


def _status(entry: registry.Available) -> ResourceStatus:
    return entry.open().status()


def _described(entry: registry.Available, answer: ResourceStatus | QrmiError) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": entry.name,
        "type": entry.type_name,
        "origin": entry.origin,
        **({"insecure": True} if config.is_insecure(entry.definition) else {}),
    }
    if isinstance(answer, QrmiError):
        return {**fields, "status": "unreachable", "error": console.error_fields(answer)}
    return {**fields, **answer.to_dict()}


def _cells(
    answer: ResourceStatus | QrmiError, is_insecure: bool, site: site_rows.SiteRow | None = None
) -> tuple[str, str, str]:
    warned = ["INSECURE: TLS is not verified"] if is_insecure else []
    if site is not None and (told := site_rows.remarks_of(site)):
        warned.append(f"at this site {site['state']}: {told}")
    if isinstance(answer, QrmiError):
        return "unreachable", "", ", ".join([*warned, str(answer)])
    pending = "" if answer.pending_job_count is None else str(answer.pending_job_count)
    remarks = [*warned, answer.status_reason or ""]
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
    console.labelled(_lines(resource, entry, status, target))
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
    is_insecure = entry is not None and config.is_insecure(entry.definition)
    state, pending, remarks = _cells(status, is_insecure)
    yield "status", ", ".join(filter(None, (state, remarks)))
    if pending:
        yield "queue", f"{pending} waiting"
    if isinstance(status, ResourceStatus) and status.capacity is not None:
        yield "slots", f"{status.capacity.available_slots} of {status.capacity.max_slots} free"
    yield "takes", ", ".join(sorted(resource.payloads))
    able = [text for name, text in _ABILITIES.items() if getattr(resource.capabilities, name)]
    yield "can", ", ".join(able) or "-"
    if isinstance(target, QrmiError):
        yield "device", f"not known: {target}"
    else:
        yield from _lines_of_device(resource, target)


def _lines_of_device(resource: QuantumResource, text: str) -> Iterator[tuple[str, str]]:
    """From a form that is known here, else through the codec of the resource's programs."""
    lines = list(summary_of_target(text))
    if not lines or lines[0][0] == "device":
        with contextlib.suppress(QrmiError):
            lines = list(_lines_of_codec(resource, text))
    yield from lines


def _lines_of_codec(resource: QuantumResource, text: str) -> Iterator[tuple[str, str]]:
    codec = gate_codec(resource)
    target, limits = codec.read_target(text), codec.read_limits(text)
    coupled = target.build_coupling_map()
    yield "gate device", _size(target.num_qubits, coupled.get_edges() if coupled else ())
    yield "gates", " ".join(sorted(target.operation_names))
    if limits.max_shots:
        yield "most shots", f"{limits.max_shots:,}"


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
    size = _size(configuration.get("n_qubits"), configuration.get("coupling_map") or ())
    yield "gate device", f"{name}{simulator}: {size}"
    gates = configuration.get("supported_instructions") or configuration.get("basis_gates") or []
    yield "gates", " ".join(sorted(str(gate) for gate in gates)) or "not told"
    if configuration.get("max_shots"):
        yield "most shots", f"{configuration['max_shots']:,}"


def _size(qubits: int | None, couplings: Iterable[Sequence[int]]) -> str:
    pairs = {frozenset(pair) for pair in couplings}  # most devices list both directions
    links = f"{len(pairs)} coupled pairs" if pairs else "every qubit with every other"
    return "1 qubit" if qubits == 1 else f"{qubits or '?'} qubits, {links}"


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
