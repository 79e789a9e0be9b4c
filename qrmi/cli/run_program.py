"""``qrmi run``: a program file on a resource."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrmi import registry
from qrmi.cli import arguments, console, exits, output, programs, waiting
from qrmi.cli.programs import DEFAULT_SHOTS, GateProgram, PayloadProgram
from qrmi.codecs.group import TaskGroup
from qrmi.errors import IsaError, MissingExtraError
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus

__all__ = ["add_commands"]

_DETAILS = """Its content says what the file is:
  OpenQASM 2 or 3, QPY        sampled; adapted to the device where its gates do not fit
  Pulser sequence             abstract representation, JSON
  task_runner payload         JSON with program_id and parameters, sequence and job_runs, …
A circuit that measures nothing has all its qubits measured."""
_EXAMPLES = """\
  qrmi run local ghz.qasm --shots 2000
  qrmi run local sequence.json --out result.json
  qrmi run local ghz.qasm --json | jq .parts[0].counts
  ID=$(qrmi run local ghz.qasm --no-wait); qrmi result $ID --wait
  generate-circuit | qrmi run local -"""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands, "run", "run a program file on a resource", details=_DETAILS, examples=_EXAMPLES
    )
    parser.add_argument("name", metavar="NAME", help="a resource, as `qrmi resources` lists it")
    parser.add_argument("file", metavar="FILE", type=Path, help="the program; - is standard input")
    parser.add_argument(
        "--shots", type=arguments.positive_int, metavar="N", help=f"default: {DEFAULT_SHOTS}"
    )
    parser.add_argument(
        "--seed", type=arguments.seed, metavar="N", help="seed for adapting and simulating"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the raw result here")
    parser.add_argument(
        "--top",
        type=arguments.positive_int,
        default=10,
        metavar="N",
        help="outcomes to show, default: 10",
    )
    arguments.timeout_flag(parser)
    parser.add_argument("--no-wait", action="store_true", help="print the task's id and leave")
    parser.add_argument(
        "--stop-on-interrupt",
        action="store_true",
        help="Ctrl-C, SIGTERM and SIGHUP stop the task, not only the waiting",
    )
    arguments.json_flag(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    output.check_writable(args.out)
    program = programs.load(args.file, args.shots)
    resource = registry.open(args.name)
    if args.stop_on_interrupt:
        return waiting.stopping(resource, lambda: _carry_out(resource, program, args))
    return _carry_out(resource, program, args)


def _carry_out(
    resource: QuantumResource, program: GateProgram | PayloadProgram, args: argparse.Namespace
) -> int:
    tasks = TaskGroup(resource, _start(resource, program, args))
    head = {"task_id": tasks.id, "resource": resource.resource_id()}
    if args.no_wait:
        if args.json:
            console.out_json({**head, "status": "started"})
        else:
            console.out(tasks.id)
            console.notice(waiting.how_to_come_back(tasks.id))
        return exits.Exit.OK
    status = waiting.wait(tasks, args.timeout, quiet=args.json)
    texts = tasks.texts()  # raises the reason when a task did not complete
    head["status"] = status.name.lower()
    output.emit(tasks, texts, head=head, out=args.out, as_json=args.json, top=args.top)
    return exits.of_status(TaskStatus.COMPLETED)


def _start(
    resource: QuantumResource, program: GateProgram | PayloadProgram, args: argparse.Namespace
) -> str:
    if isinstance(program, PayloadProgram):
        _tell(args, f"{program.form} on {resource.resource_id()}")
        context = {"sdk": "cli", "kind": "run", "file": args.file.name[:200]}
        return resource.task_start(program.payload, context=context)
    for notice in program.notices:
        _tell(args, notice)
    return _sample(resource, program, args)


def _sample(resource: QuantumResource, program: GateProgram, args: argparse.Namespace) -> str:
    try:
        from qrmi.qiskit import SamplerV2, backend
        from qrmi.qiskit.run import registered
    except ImportError as error:
        raise MissingExtraError(
            "circuit files need Qiskit", hint="pip install 'openqrmi[qiskit]'"
        ) from error
    device = backend(resource)
    circuits = _fitted([registered(circuit) for circuit in program.circuits], device, args)
    shots = args.shots or DEFAULT_SHOTS
    _tell(args, f"{program.form}, {shots:,} shots on {resource.resource_id()}")
    seeds = {} if args.seed is None else {"simulator": {"seed_simulator": args.seed}}
    return str(
        SamplerV2(device, options={"run_options": seeds}).run(circuits, shots=shots).job_id()
    )


def _fitted(circuits: Sequence[Any], device: Any, args: argparse.Namespace) -> list[Any]:
    """The circuits in the device's own gates; those that fit already are left as they are."""
    from qrmi.codecs import isa

    fitted = []
    for index, circuit in enumerate(circuits):
        try:
            isa.check(circuit, device.target)
        except IsaError as error:
            if circuit.num_qubits > (device.target.num_qubits or circuit.num_qubits):
                raise
            subject = "the circuit" if len(circuits) == 1 else f"circuit {index}"
            reason = error.message.partition(";")[0]  # without the list of what it has
            _tell(args, f"{subject} is adapted to the device ({reason})")
            fitted.append(_adapted(circuit, device, args.seed))
        else:
            fitted.append(circuit)
    return fitted


def _adapted(circuit: Any, device: Any, seed: int | None) -> Any:
    from qiskit.exceptions import QiskitError
    from qiskit.transpiler import generate_preset_pass_manager

    manager = generate_preset_pass_manager(1, backend=device, seed_transpiler=seed)
    try:
        return manager.run(circuit)
    except QiskitError as error:
        raise IsaError(
            f"the circuit cannot be adapted to {device.name}: {error.message}",
            hint=f"`qrmi show {device.name}` lists the device's gates",
        ) from error


def _tell(args: argparse.Namespace, text: str) -> None:
    if not args.json:
        console.notice(text)
