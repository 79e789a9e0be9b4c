"""The pulser-sequence format: programs to payloads, results back."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulser import Pulse, Register, Sequence
from pulser.backend import BitStrings, Callback, EmulationConfig, Occupation, Results, StateResult
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice

from qrmi.codecs import analog
from qrmi.errors import InvalidInputError, UnexpectedAnswerError, UnsupportedPayloadError
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi.tasks import BatchJob, TaskStatus

AHS = json.dumps({"setup": {"ahs_register": {}}, "hamiltonian": {"drivingFields": []}})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
near_results = st.dictionaries(
    st.sampled_from(["counter", "serialised_results", "jobs", "id", "status", "00", "1"]),
    json_values
    | st.dictionaries(st.text("01", max_size=3), st.integers())
    | st.lists(st.dictionaries(st.sampled_from(["id", "status", "counter"]), json_values)),
)
junk = st.text(max_size=40) | (json_values | near_results).map(json.dumps)
junk = junk | near_results.map(str)
counters = st.integers(1, 6).flatmap(
    lambda width: st.dictionaries(
        st.text("01", min_size=width, max_size=width), st.integers(1, 1000), min_size=1, max_size=9
    )
)


class Counting(Callback):  # type: ignore[misc]
    """A callback of a user's."""

    def __call__(self, *_: Any, **__: Any) -> None:
        """Called at each step."""


def sequence(*, parametrised: bool = False) -> Sequence:
    made = Sequence(Register({"left": (0, 0), "right": (8, 0)}), MockDevice)
    made.declare_channel("global", "rydberg_global")
    amplitude = made.declare_variable("amplitude") if parametrised else 3.0
    made.add(Pulse.ConstantPulse(200, amplitude, 0, 0), "global")
    made.measure("ground-rydberg")
    return made


def test_sequences_come_back_equal() -> None:
    """Decoding an encoded sequence gives the same abstract representation."""
    for made in (sequence(), sequence(parametrised=True)):
        payload = analog.encode(made, jobs=[{"runs": 5, "variables": {}}])
        again = analog.decode_sequence(payload.sequence)
        assert json.loads(again.to_abstract_repr()) == json.loads(made.to_abstract_repr())


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("device", None, r"'device' is a required property \(at \$\)"),
        ("measurement", "zz", r"'zz' is not one of .* \(at \$.measurement\)"),
        ("operations", [{"op": "pulse"}], r"required property \(at \$.operations\[0\]\)"),
        ("operations", [{"op": "x"}], r"none of the forms .* \(at \$.operations\[0\]\)"),
        ("channels", [list(range(99))], r"'type' demands \(at \$.channels\)"),
    ],
)
def test_what_breaks_the_schema_is_named(key: str, value: Any, reason: str) -> None:
    """A malformed sequence gets the place and the rule, and is not quoted back whole."""
    data = json.loads(sequence().to_abstract_repr())
    data[key] = value
    if value is None:
        del data[key]
    with pytest.raises(InvalidInputError, match=reason) as caught:
        analog.decode_sequence(json.dumps(data))
    assert len(caught.value.message) < 150


def test_a_device_that_breaks_the_schema() -> None:
    """A device that Pulser refuses without a word gets the reason behind it."""
    with pytest.raises(UnexpectedAnswerError, match="'channels' is a required property"):
        analog.read_devices('[{"device_type": "FRESNEL", "specs": {"name": "FRESNEL"}}]')


def test_callbacks_are_not_sent() -> None:
    """A callback would run in another process: it is refused by name, with what to do instead."""
    config = EmulationConfig(observables=[Occupation()], callbacks=[Counting()])
    with pytest.raises(InvalidInputError, match="callbacks") as caught:
        analog.encode(sequence(), configuration=config)
    assert "observables" in (caught.value.hint or "")


def test_a_text_is_taken_as_it_is() -> None:
    """A sequence that is text already is sent verbatim."""
    text = sequence().to_abstract_repr()
    assert analog.encode(text).sequence == text
    assert analog.encode_single(text, 3) == PasqalCloud(text, 3)


def test_jobs_become_plain_values() -> None:
    """Numpy's numbers and arrays in a job become what JSON has."""
    payload = analog.encode(
        sequence(parametrised=True),
        jobs=[
            {"runs": numpy.int64(7), "variables": {"amplitude": numpy.array([1.5])}},
            AnalogJob(runs=2),
            {},
        ],
        device_type="EMU_MPS",
    )
    assert isinstance(payload, PulserBatch)
    assert payload.jobs == (
        AnalogJob(runs=7, variables={"amplitude": [1.5]}),
        AnalogJob(runs=2),
        AnalogJob(),
    )
    assert payload.device_type == "EMU_MPS"


@pytest.mark.parametrize(
    "job", [{"runs": 0}, {"runs": -3}, {"runs": 2.5}, {"shots": 3}, {"variables": {"a": object()}}]
)
def test_malformed_jobs_are_refused(job: dict[str, Any]) -> None:
    """A job without sense is refused when it is encoded."""
    with pytest.raises(InvalidInputError):
        analog.encode(sequence(), jobs=[job])


def test_open_variables_need_a_batch() -> None:
    """A single run has no place for variables."""
    with pytest.raises(InvalidInputError, match="open variables"):
        analog.encode_single(sequence(parametrised=True), 3)


def test_configurations_travel() -> None:
    """An emulator's configuration can be read back from the payload."""
    config = EmulationConfig(observables=[BitStrings(num_shots=3), Occupation()])
    text = analog.encode(sequence(), configuration=config).configuration
    assert text is not None
    again = EmulationConfig.from_abstract_repr(text)
    assert [type(each).__name__ for each in again.observables] == ["BitStrings", "Occupation"]


def test_what_cannot_be_sent_is_refused() -> None:
    """Observables that Pulser cannot serialise are refused with its reason."""
    with pytest.raises(InvalidInputError, match="not supported in any remote backend"):
        analog.encode(sequence(), configuration=EmulationConfig(observables=[StateResult()]))


def test_program_kinds() -> None:
    """Pulser's sequences and CUDA-Q's programs are told apart; anything else is refused."""
    assert analog.program_kind(sequence().to_abstract_repr()) == "pulser"
    assert analog.program_kind(AHS) == "ahs"
    with pytest.raises(InvalidInputError):
        analog.program_kind('{"version": "1"}')


def test_kinds_are_told_without_pulser() -> None:
    """Looking at programs and counts does not load Pulser."""
    code = (
        "import sys; from qrmi.codecs import analog\n"
        f"analog.program_kind({AHS!r}); analog.decode_counter('{{\"01\": 3}}')\n"
        "analog.decode_batch('{\"jobs\": []}'); print('pulser' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@given(counters)
def test_results_come_back_equal(counter: dict[str, int]) -> None:
    """Decoding encoded results gives equal results, and the same counts without Pulser."""
    atoms = [f"atom{index}" for index in range(len(next(iter(counter))))]
    results = Results.from_final_bitstrings(atoms, 1000, counter)
    text = analog.encode_result(results)
    assert analog.decode_result(text) == results
    assert analog.decode_counter(text) == counter


@given(counters)
def test_counts_alone_are_results_too(counter: dict[str, int]) -> None:
    """All forms that services write counts in give the same results, in Pulser's bit order."""
    width = len(next(iter(counter)))
    wanted = Results.from_final_bitstrings([f"q{index}" for index in range(width)], 0, counter)
    forms = [
        json.dumps({"counter": counter}),
        json.dumps({"counter": counter, "raw": ["1"], "serialised_results": "{}"}),
        json.dumps({"counter": counter, "serialised_results": None}),
        json.dumps(counter),
        str({"counter": counter}),
        str(counter),
    ]
    for form in forms:
        assert analog.decode_result(form) == wanted


def test_atoms_are_named_by_the_sequence() -> None:
    """The first names are used when a mappable register was filled only in part."""
    results = analog.decode_result('{"counter": {"10": 4}}', atoms=["a", "b", "c"], duration=52)
    assert results.atom_order == ("a", "b")
    assert results.total_duration == 52
    with pytest.raises(UnexpectedAnswerError):
        analog.decode_result('{"counter": {"101": 4}}', atoms=["a", "b"])


def test_observables_without_bit_strings() -> None:
    """Results without bit strings have an empty counter and keep their values."""
    results = Results(atom_order=("a",), total_duration=10)
    results._store(observable=Occupation(), time=0.5, value=[0.25])
    text = analog.encode_result(results)
    assert json.loads(text)["counter"] == {}
    assert analog.decode_result(text).occupation == [[0.25]]


@given(
    st.lists(
        st.builds(
            BatchJob,
            id=st.text(min_size=1, max_size=9),
            status=st.sampled_from(TaskStatus),
            result=st.none() | counters.map(lambda c: json.dumps({"counter": c})),
            reason=st.text(max_size=9),
        ),
        max_size=4,
    )
)
def test_batches_come_back_equal(jobs: list[BatchJob]) -> None:
    """Decoding an encoded batch gives the same jobs in the same order."""
    assert analog.decode_batch(analog.encode_batch(jobs)) == jobs


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("TIMED_OUT", "FAILED"),
        ("CANCELING", "RUNNING"),
        ("PAUSED", "RUNNING"),
        ("DONE", "COMPLETED"),
    ],
)
def test_words_of_services(word: str, status: str) -> None:
    """Job words that Pulser's enum lacks are translated; a paused job has not ended."""
    text = json.dumps({"jobs": [{"id": "1", "status": word}]})
    assert analog.decode_batch(text)[0].status is TaskStatus[status]


@pytest.mark.parametrize(
    "read",
    [
        analog.decode_result,
        analog.decode_counter,
        analog.decode_batch,
        analog.decode_sequence,
        analog.read_devices,
        analog.program_kind,
        lambda text: analog.encode(text, configuration=text),
    ],
)
@given(text=junk)
def test_junk_is_our_error(read: Callable[[str], object], text: str) -> None:
    """Whatever the text, reading it gives a value, or an error that says whose fault it is."""
    with contextlib.suppress(InvalidInputError, UnexpectedAnswerError):
        read(text)


@pytest.mark.parametrize("key", ["operations", "register", "device", "channels"])
def test_damaged_sequences_are_our_error(key: str) -> None:
    """A sequence with a part replaced is refused as a sequence."""
    data = json.loads(sequence().to_abstract_repr()) | {key: [{"op": "nonsense"}]}
    with pytest.raises(InvalidInputError, match="Pulser refuses"):
        analog.decode_sequence(json.dumps(data))


def test_devices_of_either_form() -> None:
    """Devices are read from Pasqal's list and from the embedded simulator's object."""
    listed = [
        {"device_type": device.name, "specs": device.to_abstract_repr()}
        for device in (AnalogDevice, DigitalAnalogDevice, MockDevice)
    ]
    for text in (json.dumps(listed), json.dumps({"configuration": None, "devices": listed})):
        assert analog.read_devices(text) == {
            "AnalogDevice": AnalogDevice,
            "DigitalAnalogDevice": DigitalAnalogDevice,
            "MockDevice": MockDevice,
        }


def test_one_unreadable_device_hides_no_other() -> None:
    """A device of a newer service is left out; only when none is left is that an error."""
    good = {"device_type": "A", "specs": AnalogDevice.to_abstract_repr()}
    bad = {"device_type": "B", "specs": "{}"}
    assert list(analog.read_devices(json.dumps([bad, good]))) == ["A"]
    with pytest.raises(UnexpectedAnswerError, match="no device"):
        analog.read_devices(json.dumps([bad]))


def test_gate_resources_have_no_devices() -> None:
    """A target without devices says that its resource runs no pulse sequences."""
    with pytest.raises(UnsupportedPayloadError, match="gates only"):
        analog.read_devices('{"configuration": {"n_qubits": 5}, "devices": []}')
