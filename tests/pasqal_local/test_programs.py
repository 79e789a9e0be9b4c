"""What becomes of payloads: batches, variables, AHS programs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pulser
import pytest

from qrmi.codecs import analog
from qrmi.errors import InvalidInputError, TaskStartUncertainError, UnsupportedPayloadError
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch, QiskitPrimitive
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.warden import WardenServer

Opened = Callable[..., QuantumResource]


def sent(server: WardenServer) -> dict[str, object]:
    """The body of the last job."""
    bodies = [r.body for r in server.requests if (r.method, r.path) == ("POST", "/jobs")]
    return json.loads(bodies[-1])


def open_sequence() -> str:
    """A sequence with a variable."""
    from pulser.register.special_layouts import TriangularLatticeLayout

    register = TriangularLatticeLayout(61, 5.0).define_register(30)
    sequence = pulser.Sequence(register, pulser.AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    amplitude = sequence.declare_variable("amplitude", dtype=float)
    sequence.add(pulser.Pulse.ConstantPulse(500, amplitude, 0.0, 0.0), "ising")
    sequence.measure("ground-rydberg")
    return str(sequence.to_abstract_repr())


def test_variables_are_given_their_values_here(newer: WardenServer, opened: Opened) -> None:
    """Warden takes built sequences alone: a pi pulse arrives, and excites the atom."""
    job = AnalogJob(runs=20, variables={"amplitude": 6.2832})
    with opened(newer) as handle:
        handle.acquire()
        task = handle.task_start(PulserBatch(sequence=open_sequence(), jobs=[job]))
        assert handle.task_wait(task, 30) is TaskStatus.COMPLETED
        counts = analog.decode_counter(handle.task_result(task).value)
    assert counts.get("1", 0) >= 18
    body = sent(newer)
    assert body["shots"] == 20
    assert not analog.decode_sequence(str(body["sequence"])).is_parametrized()


def test_a_batch_of_one_built_job(newer: WardenServer, opened: Opened, sequence: str) -> None:
    """A sequence without variables is passed on verbatim."""
    handle = opened(newer)
    handle.acquire()
    handle.task_start(PulserBatch(sequence=sequence, jobs=[AnalogJob(runs=7)], device_type="QPU"))
    assert sent(newer) == {"sequence": sequence, "shots": 7}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"jobs": [AnalogJob(runs=1)] * 3}, InvalidInputError, "this batch has 3"),
        ({"jobs": []}, InvalidInputError, "this batch has 0"),
        ({"jobs": [AnalogJob()]}, InvalidInputError, "number of runs"),
        ({"jobs": [AnalogJob(runs=1, variables={"x": 1})]}, InvalidInputError, "variables"),
        ({"configuration": "{}"}, UnsupportedPayloadError, "emulator"),
        ({"device_type": "EMU_MPS"}, UnsupportedPayloadError, "EMU_MPS"),
    ],
)
def test_what_one_job_on_one_qpu_is_not(
    newer: WardenServer,
    opened: Opened,
    changes: dict[str, object],
    error: type[Exception],
    words: str,
) -> None:
    """Refused before anything is sent, by name, with what to do instead."""
    values = {"sequence": open_sequence(), "jobs": [AnalogJob(runs=1)], **changes}
    handle = opened(newer)
    handle.acquire()
    with pytest.raises(error, match=words):
        handle.task_start(PulserBatch(**values))  # type: ignore[arg-type]
    assert newer.tasks_made() == 0


def test_gate_programs_are_refused(newer: WardenServer, opened: Opened) -> None:
    """A QPU for pulse sequences takes no circuits."""
    with pytest.raises(UnsupportedPayloadError, match="pulser-sequence"):
        opened(newer).task_start(QiskitPrimitive("{}", "sampler"))


# --- AHS programs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ahs_program() -> str:
    """A pi pulse on one atom, as CUDA-Q writes it."""

    def series(*values: float) -> dict[str, object]:
        times = [f"{index * 1e-6:.8f}" for index in range(len(values))]
        return {
            "time_series": {"values": [f"{value:.8f}" for value in values], "times": times},
            "pattern": "uniform",
        }

    register = {"sites": [["0.0", "0.0"]], "filling": [1]}
    field = {
        "amplitude": series(3.1415927e6, 3.1415927e6),
        "detuning": series(0.0, 0.0),
        "phase": series(0.0, 0.0),
    }
    return json.dumps(
        {
            "setup": {"ahs_register": register},
            "hamiltonian": {"drivingFields": [field], "localDetuning": []},
        }
    )


def test_a_newer_warden_gets_the_ahs_program(
    newer: WardenServer, opened: Opened, ahs_program: str
) -> None:
    """It converts the program itself; that it can is asked once."""
    handle = opened(newer)
    handle.acquire()
    for _ in range(2):
        handle.task_start(PasqalCloud(ahs_program, 10))
        assert sent(newer) == {"sequence": ahs_program, "shots": 10}
    assert [r.path for r in newer.requests].count("/openapi.json") == 1


def test_an_older_warden_gets_a_pulser_sequence(
    older: WardenServer, opened: Opened, ahs_program: str
) -> None:
    """The program is converted here for the site's device, and runs."""
    handle = opened(older)
    handle.acquire()
    task = handle.task_start(PasqalCloud(ahs_program, 20))
    assert analog.program_kind(str(sent(older)["sequence"])) == "pulser"
    assert handle.task_wait(task, 30) is TaskStatus.COMPLETED
    assert analog.decode_counter(handle.task_result(task).value).get("1", 0) >= 18


def test_a_warden_that_does_not_describe_itself(
    newer: WardenServer, opened: Opened, ahs_program: str
) -> None:
    """It is taken for a newer one."""
    newer.described = False
    handle = opened(newer)
    handle.acquire()
    handle.task_start(PasqalCloud(ahs_program, 10))
    assert sent(newer)["sequence"] == ahs_program


def test_sequences_cost_no_question(
    older: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Only AHS programs make us ask what the server takes."""
    handle = opened(older)
    handle.acquire()
    handle.task_start(program)
    assert [r.path for r in older.requests] == ["/sessions", "/jobs"]


def test_a_lost_answer_is_not_sent_again(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Warden keeps no key of ours: the start is uncertain, and `list_tasks` shows what is there."""
    handle = opened(newer)
    handle.acquire()
    newer.faults.add(Fault(kind="reset_after", match="POST /jobs"))
    with pytest.raises(TaskStartUncertainError):
        handle.task_start(program)
    assert newer.tasks_made() == len(handle.list_tasks()) == 1
