"""``qrmi demo``: one handle, three SDKs."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qrmi import registry
from qrmi.cli import arguments, console, exits, output
from qrmi.cli.console import Progress
from qrmi.cli.demos.program import Demo, Report, Steps
from qrmi.cli.histogram import bars
from qrmi.errors import MissingExtraError, Owner, QrmiError
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource

__all__ = ["DEMOS", "add_commands"]

_SHOTS = 1000
_SHOWN = 6
_INSTALL_CUDAQ = (
    "pip install 'openqrmi[cudaq-cpu]' && "
    "pip install --no-deps cuda-quantum-cu13==0.16.0.post1   (without a GPU; "
    "with one: pip install 'openqrmi[cudaq]')"
)


def _takes_gates(payloads: frozenset[str]) -> bool:
    return bool(payloads - {PasqalCloud.FORMAT})


def _takes_pulses(payloads: frozenset[str]) -> bool:
    return PasqalCloud.FORMAT in payloads


DEMOS = (
    Demo(
        sdk="Qiskit",
        title="GHZ state of 5 qubits",
        expectation="all zeros or all ones, half and half",
        order="qubit 0 is the rightmost bit",
        module="qrmi.cli.demos.qiskit_demo",
        programs="gate programs",
        needs="qiskit",
        install="pip install 'openqrmi[qiskit]'",
        takes=_takes_gates,
    ),
    Demo(
        sdk="CUDA-Q",
        title="Grover's search for 101 among 8 items",
        expectation="101 in 94.5 % of the shots",
        order="qubit 0 is the leftmost bit",
        module="qrmi.cli.demos.cudaq_demo",
        programs="gate programs",
        needs="cudaq",
        install=_INSTALL_CUDAQ,
        takes=_takes_gates,
    ),
    Demo(
        sdk="Pulser",
        title="7 atoms swept through the Rydberg blockade",
        expectation="every second atom excited: 1010101 dominates",
        order="atom 0 is the leftmost bit",
        module="qrmi.cli.demos.pulser_demo",
        programs="pulse sequences",
        needs="pulser",
        install="pip install 'openqrmi[pulser]'",
        takes=_takes_pulses,
    ),
)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "demo",
        "run three programs, one a SDK, on one resource",
        details="The same handle is used from Qiskit, CUDA-Q and Pulser. An SDK that is not\n"
        "installed is passed over with the command that installs it.",
        examples="  qrmi demo\n  qrmi demo --plot demo.png\n"
        "  qrmi demo --resource my_qpu --shots 200",
    )
    parser.add_argument(
        "--resource",
        metavar="NAME",
        help="default: the job's QPU, else the configured one, else `local`",
    )
    parser.add_argument(
        "--shots", type=arguments.positive_int, default=_SHOTS, metavar="N", help="of each program"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the histograms (PNG)")
    arguments.json_flag(parser)
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    output.check_writable(args.plot)
    _check_plot(args.plot)
    resource = registry.open(args.resource)
    if not args.json:
        name = console.styled(resource.resource_id(), "bold")
        console.out(f"One handle, three SDKs: {name} ({resource.type_name}), {args.shots:,} shots")
    reports = []
    for demo in DEMOS:
        report = _run(demo, resource, args.shots, quiet=args.json)
        reports.append(report)
        if not args.json:
            _show(report)
    if args.plot is not None:
        _plot(args.plot, reports, resource, quiet=args.json)
    if args.json:
        console.out_json(_as_json(reports, resource, args))
    return _exit_code(reports)


def _check_plot(plot: Path | None) -> None:
    if plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("--plot needs matplotlib", hint="pip install 'openqrmi[plot]'")


def _run(demo: Demo, resource: QuantumResource, shots: int, *, quiet: bool) -> Report:
    if not demo.takes(resource.payloads):
        return Report(demo=demo, status="not supported")
    if importlib.util.find_spec(demo.needs) is None:
        return Report(demo=demo, status="not installed")
    with Progress(quiet=quiet, lines=False) as progress:
        steps = Steps(lambda name: progress.say(f"{demo.sdk}: {name}"))
        try:
            outcome = importlib.import_module(demo.module).run(resource, shots, steps)
        except QrmiError as error:
            return Report(demo=demo, status="failed", error=error, seconds=steps.seconds)
        except Exception as error:  # an SDK's own error; the other programs still run
            problem = QrmiError(
                f"{type(error).__name__}: {error}",
                owner=Owner.VENDOR,
                hint=f"the error is {demo.sdk}'s: `qrmi doctor` looks at what is installed",
            )
            return Report(demo=demo, status="failed", error=problem, seconds=steps.seconds)
    return Report(demo=demo, status="ok", outcome=outcome, seconds=steps.seconds)


# --- the terminal -----------------------------------------------------------------------------


def _show(report: Report) -> None:
    demo = report.demo
    console.out()
    console.out(f"{console.styled(demo.sdk, 'bold')}  {demo.title}")
    if report.status == "not installed":
        console.out(f"  {console.styled('not installed', 'yellow')}: {demo.install}")
    elif report.status == "not supported":
        console.out(
            f"  {console.styled('not for this resource', 'yellow')}: it takes no {demo.programs}"
        )
    elif report.error is not None:
        console.error(report.error, as_json=False)
    if report.outcome is None:
        return
    console.out(console.styled(f"  {demo.expectation}; {demo.order}", "dim"))
    for line in bars(report.outcome.counts, top=_SHOWN, ascii_only=console.ascii_only()):
        console.out(f"    {line}")
    times = " · ".join(f"{name} {_duration(s)}" for name, s in report.seconds.items())
    console.out(console.styled(f"  task {report.outcome.task_id} · {times}", "dim"))


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.0995 else f"{seconds * 1000:.0f} ms"


def _exit_code(reports: Sequence[Report]) -> int:
    failed = [report.error for report in reports if report.error is not None]
    if failed:
        return exits.of_error(failed[0])
    ran = any(report.status == "ok" for report in reports)
    return exits.Exit.OK if ran else exits.Exit.ERROR


def _plot(path: Path, reports: Sequence[Report], resource: QuantumResource, *, quiet: bool) -> None:
    from qrmi.cli.plot import Panel, draw

    panels = [
        Panel(
            title=f"{report.demo.sdk}: {report.demo.title}",
            caption=report.demo.order,
            counts=report.outcome.counts,
        )
        for report in reports
        if report.outcome is not None
    ]
    if not panels:
        console.notice("nothing to plot")
        return
    sdks = "one SDK" if len(panels) == 1 else f"{len(panels)} SDKs"
    draw(path, panels, heading=f"{sdks} through one handle to {resource.resource_id()}")
    if not quiet:
        console.notice(f"\nplot written to {path}")


# --- JSON -------------------------------------------------------------------------------------


def _as_json(
    reports: Sequence[Report], resource: QuantumResource, args: argparse.Namespace
) -> dict[str, Any]:
    return {
        "resource": resource.resource_id(),
        "type": resource.type_name,
        "shots": args.shots,
        "plot": str(args.plot) if args.plot is not None else None,
        "runs": [_report_fields(report) for report in reports],
    }


def _report_fields(report: Report) -> Mapping[str, Any]:
    outcome = report.outcome
    return {
        "sdk": report.demo.sdk,
        "title": report.demo.title,
        "status": report.status,
        "task_id": outcome.task_id if outcome else None,
        "counts": dict(outcome.counts) if outcome else None,
        "order": report.demo.order,
        "seconds": {name: round(value, 6) for name, value in report.seconds.items()},
        "install": report.demo.install if report.status == "not installed" else None,
        "error": console.error_fields(report.error) if report.error else None,
    }
