"""The connection on a service without batches, and what it refuses before sending."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pulser import QPUBackend, Sequence
from pulser.backend import BitStrings, EmulationConfig
from pulser.backend.remote import BatchStatus, RemoteConnection, RemoteResults, RemoteResultsError
from pulser.devices import AnalogDevice

from qrmi import QuantumResource
from qrmi.errors import (
    InvalidInputError,
    ResourceUnavailableError,
    UnsupportedFunctionError,
    UnsupportedPayloadError,
    WaitTimeoutError,
)
from qrmi.payloads import PasqalCloud, PulserBatch
from qrmi.pulser import QRMIConnection
from qrmi.tasks import TaskStatus

Make = Callable[..., Any]


def test_one_task_a_job(counting: Make, sweep: Sequence) -> None:
    """Without native batches each job is a task of the simplest form, and the ids are joined."""
    made = counting()
    jobs = [{"runs": n, "variables": {"t": 100 * n}} for n in (1, 2)]
    results = QPUBackend(sweep, QRMIConnection(made.resource)).run(jobs, wait=True)
    assert results.batch_id == "|".join(made.service.payloads)
    assert all(isinstance(sent, PasqalCloud) for sent in made.service.payloads.values())
    durations = [
        Sequence.from_abstract_repr(sent.sequence).get_duration()
        for sent in made.service.payloads.values()
    ]
    assert durations == [100, 200]
    assert results.get_batch_status() is BatchStatus.DONE


def test_counts_are_named_from_the_journal(counting: Make, sequence: Sequence) -> None:
    """A service that gives counts alone: atoms and duration come from the journal."""
    made = counting()
    batch_id = QRMIConnection(made.resource).submit(sequence, job_params=[{"runs": 6}]).batch_id
    results = RemoteResults(batch_id, QRMIConnection(made.resource))[0]
    assert results.atom_order == ("x", "y", "z")
    assert results.total_duration == 400
    assert results.final_bitstrings == {"100": 6}


def test_an_interrupted_wait_tells_the_batch(counting: Make, sequence: Sequence) -> None:
    """Ctrl-C in ``wait=True`` loses the results object: the traceback says how to come back."""
    made = counting(interrupted=True)
    with pytest.raises(KeyboardInterrupt) as caught:
        QRMIConnection(made.resource).submit(sequence, wait=True, job_params=[{"runs": 6}])
    (batch_id,) = made.service.payloads
    assert f"RemoteResults({batch_id!r}" in "".join(caught.value.__notes__)


def test_nothing_is_left_behind(counting: Make, sequence: Sequence) -> None:
    """When a later job cannot be started, the earlier ones are stopped and the error says so."""
    made = counting(fail_at=2)
    with pytest.raises(ResourceUnavailableError, match="the 2 before it were stopped") as e:
        QPUBackend(sequence, QRMIConnection(made.resource)).run([{"runs": 1}] * 4)
    assert e.value.hint == "come back tomorrow"
    assert made.service.stopped == list(made.service.payloads)


def test_what_could_not_be_stopped_is_named(counting: Make, sequence: Sequence) -> None:
    """Tasks that stay behind in spite of all are named in the error."""
    made = counting(fail_at=1, unstoppable=True)
    with pytest.raises(ResourceUnavailableError, match="not stopped") as caught:
        QPUBackend(sequence, QRMIConnection(made.resource)).run([{"runs": 1}] * 2)
    assert next(iter(made.service.payloads)) in str(caught.value)


def test_open_batches_need_a_resource_with_them(counting: Make, sequence: Sequence) -> None:
    """Pulser refuses `open_batch` by what the resource declares; `submit` does so by itself."""
    connection = QRMIConnection(counting().resource)
    with pytest.raises(NotImplementedError):
        QPUBackend(sequence, connection).open_batch()
    for arguments in ({"open": True}, {"batch_id": "b"}):
        with pytest.raises(UnsupportedFunctionError, match="no open batches"):
            connection.submit(sequence, **arguments)


def test_configurations_go_where_there_are_no_batches(counting: Make, sequence: Sequence) -> None:
    """An emulator's configuration and device type are sent, never dropped."""
    made = counting()
    connection = QRMIConnection(made.resource)
    config = EmulationConfig(observables=[BitStrings()])
    connection.submit(sequence, job_params=[{}], backend_configuration=config, device_type="EMU_SV")
    (sent,) = made.service.payloads.values()
    assert isinstance(sent, PulserBatch)
    assert sent.device_type == "EMU_SV"
    assert EmulationConfig.from_abstract_repr(sent.configuration).observables[0].tag == "bitstrings"


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        [{}],
        [{"runs": 2001, "variables": {"t": 100}}],
        [{"runs": 0, "variables": {"t": 100}}],
        [{"runs": 1}],
        [{"runs": 1, "variables": {"u": 100}}],
        [{"runs": 1, "variables": {"t": 100, "u": 1}}],
        [{"runs": 1, "variables": {"t": 100}}, {"runs": 1, "variables": {"t": -4}}],
        [{"runs": 1, "variables": {"t": 100}, "shots": 3}],
        [7],
        {"runs": 1},
    ],
)
def test_bad_jobs_send_nothing(counting: Make, sweep: Sequence, params: Any) -> None:
    """A job without sense is the user's error, and no job of its batch was sent."""
    made = counting()
    with pytest.raises(InvalidInputError):
        QRMIConnection(made.resource).submit(sweep, job_params=params)
    assert not made.service.payloads


def test_variables_without_a_use_are_refused(counting: Make, sequence: Sequence) -> None:
    """Values for a sequence that has no variables are refused, not ignored."""
    with pytest.raises(ValueError, match="no variables t"):
        QRMIConnection(counting().resource).submit(
            sequence, job_params=[{"runs": 1, "variables": {"t": 1}}]
        )


def test_the_resources_own_device_is_sent(counting: Make, sequence: Sequence) -> None:
    """What is sent is for the newest device, though Pulser hands over the old sequence."""
    made = counting(dataclasses.replace(AnalogDevice, max_runs=777))
    QPUBackend(sequence, QRMIConnection(made.resource)).run([{"runs": 1}])
    (sent,) = made.service.payloads.values()
    assert Sequence.from_abstract_repr(sent.sequence).device.max_runs == 777


def test_reasons_of_failed_tasks(counting: Make, sequence: Sequence) -> None:
    """The service's reason, the task's id and its status are in the message."""
    made = counting(ending=TaskStatus.FAILED)
    results = QRMIConnection(made.resource).submit(sequence, job_params=[{"runs": 1}])
    assert results.get_batch_status() is BatchStatus.ERROR
    with pytest.raises(RemoteResultsError, match="the laser is unlocked") as caught:
        results.results  # noqa: B018 (the property is the call)
    assert results.batch_id in str(caught.value)
    assert "ERROR" in str(caught.value)


def test_waiting_has_an_end(counting: Make, sequence: Sequence) -> None:
    """With a time limit, ``wait=True`` gives up and says how to come back."""
    made = counting(ending=TaskStatus.RUNNING)
    connection = QRMIConnection(made.resource, timeout_seconds=0.05)
    with pytest.raises(WaitTimeoutError, match="RemoteResults") as caught:
        connection.submit(sequence, wait=True, job_params=[{"runs": 1}] * 2)
    assert caught.value.task_id == "|".join(made.service.payloads)
    assert connection.get_results(caught.value.task_id).get_batch_status() is BatchStatus.RUNNING


def test_gate_resources_are_refused(gates_only: QuantumResource) -> None:
    """A resource without pulse sequences is refused at once, with what it takes."""
    with pytest.raises(UnsupportedPayloadError, match="qiskit-primitive"):
        QRMIConnection(gates_only)


def test_unknown_arguments_are_refused(counting: Make, sequence: Sequence) -> None:
    """An argument that a newer Pulser might pass is refused, not dropped."""
    with pytest.raises(InvalidInputError, match="priority"):
        QRMIConnection(counting().resource).submit(sequence, priority=1)


def test_it_is_a_pulser_connection(counting: Make) -> None:
    """Pulser's own class check passes, and a batch of several unknown jobs is an error."""
    connection = QRMIConnection(counting().resource)
    assert isinstance(connection, RemoteConnection)
    with pytest.raises(RuntimeError, match="does not contain"):
        connection.get_results("a|b", ["c"])


def test_without_pulser() -> None:
    """Without Pulser, the module can be imported and its names say which extra to install."""
    code = (
        "import sys; sys.modules['pulser'] = None\n"
        "import qrmi.pulser\n"
        "from qrmi.errors import MissingExtraError\n"
        "try: qrmi.pulser.QRMIConnection\n"
        "except MissingExtraError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'openqrmi[pulser]'"
