from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

pulser = pytest.importorskip("pulser")

from pulser.backends import QutipBackendV2  # noqa: E402
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice  # noqa: E402

from qrmi.codecs import ahs  # noqa: E402
from qrmi.errors import InvalidInputError, IsaError, UnsupportedFunctionError  # noqa: E402

CUDAQ = json.dumps(
    {
        "setup": {
            "ahs_register": {
                "sites": [["0.00000500", "0.00000000"], ["0.00001100", "0.00000000"]],
                "filling": [1, 1],
            }
        },
        "hamiltonian": {
            "drivingFields": [
                {
                    "amplitude": {
                        "pattern": "uniform",
                        "time_series": {
                            "times": ["0.00000000", "0.00000100", "0.00000300"],
                            "values": ["0.00000000", "1000000.00000000", "1000000.00000000"],
                        },
                    },
                    "phase": {
                        "pattern": "uniform",
                        "time_series": {
                            "times": ["0.00000000", "0.00000300"],
                            "values": ["0.00000000", "0.00000000"],
                        },
                    },
                    "detuning": {
                        "pattern": "uniform",
                        "time_series": {
                            "times": ["0.00000000", "0.00000300"],
                            "values": ["-2000000.00000000", "2000000.00000000"],
                        },
                    },
                }
            ],
            "localDetuning": [],
        },
    }
)


def changed(**fields: Any) -> str:
    """CUDA-Q's program with other values at dotted paths."""
    data = json.loads(CUDAQ)
    for path, value in fields.items():
        *parents, last = [int(p) if p.isdigit() else p for p in path.split("__")]
        place = data
        for parent in parents:
            place = place[parent]
        place[last] = value
    return json.dumps(data)


def series(values: list[float], step_ns: int = 100, *, scale: float = 1.0) -> ahs.Series:
    times = [i * step_ns * 1e-9 for i in range(len(values))]
    return ahs.Series(times=times, values=[scale * value for value in values])


numbers = st.floats(min_value=-1e8, max_value=1e8)
points = st.lists(numbers, min_size=2, max_size=6)
levels = st.lists(st.floats(min_value=0, max_value=10), min_size=2, max_size=6)


def programs() -> st.SearchStrategy[ahs.Program]:
    sites = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4)
    build = st.builds(lambda values, step: series(values, step), points, st.integers(1, 500))
    return st.builds(
        lambda places, amplitude, detuning, phase: ahs.Program(
            sites=places, amplitude=amplitude, detuning=detuning, phase=phase
        ),
        sites, build, build, build,
    )  # fmt: skip


@given(programs())
def test_reading_what_was_written_gives_an_equal_program(program: ahs.Program) -> None:
    """``read(write(p)) == p``: nothing is rounded in the text."""
    assert ahs.read(ahs.write(program)) == program


@settings(deadline=None, max_examples=40)
@given(levels, st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.integers(2, 60))
def test_a_pulser_sequence_gives_the_same_functions_of_time_back(
    amplitude: list[float], detuning: list[float], step_ns: int
) -> None:
    """Through Pulser and back: amplitude and detuning agree, but for one step of a ramp."""
    program = ahs.Program(
        sites=[(0.0, 0.0), (6e-6, 0.0)],
        amplitude=series(amplitude, step_ns, scale=1e6),
        detuning=series(detuning, step_ns, scale=1e6),
        phase=series([0.0, 0.0], step_ns),
    )
    back = ahs.from_sequence(ahs.to_sequence(ahs.write(program), MockDevice))
    assert np.allclose(back.sites, program.sites)
    for before, after in (
        (program.amplitude, back.amplitude),
        (program.detuning, back.detuning),
    ):
        grid = np.arange(0, before.times[-1], 1e-9)
        slope = max(1e-3, np.abs(np.diff(before.values)).max() / max(step_ns - 1, 1))
        error = np.interp(grid, after.times, after.values) - np.interp(
            grid, before.times, before.values
        )
        assert np.abs(error).max() <= 1.01 * slope


KEYS = [
    "setup", "ahs_register", "sites", "filling", "hamiltonian", "drivingFields", "amplitude",
    "time_series", "times", "values", "pattern", "localDetuning",
]  # fmt: skip


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | numbers | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_junk_gets_our_error(junk: Any) -> None:
    """Whatever the JSON, `read` gives a program or one of our errors."""
    with contextlib.suppress(InvalidInputError, UnsupportedFunctionError):
        ahs.read(json.dumps(junk))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "{}", "null"])
def test_what_is_no_program_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        ahs.read(text)


FIELD = "hamiltonian__drivingFields__0__"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hamiltonian__localDetuning", [{"magnitude": {}}]),
        ("hamiltonian__drivingFields", []),
        (FIELD + "amplitude__pattern", ["1.0", "0.5"]),
        (FIELD + "detuning__pattern", ["1.0", "0.5"]),
    ],
)
def test_what_has_no_equivalent_is_refused(path: str, value: Any) -> None:
    """Local detuning, patterns, and any number of driving fields but one are an error."""
    with pytest.raises(UnsupportedFunctionError):
        ahs.read(changed(**{path: value}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("setup__ahs_register__sites__0__0", "nan"),
        ("setup__ahs_register__sites__0", [1]),
        ("setup__ahs_register__filling", [1]),
        ("setup__ahs_register__filling", [0, 0]),
        (FIELD + "amplitude__time_series__values", ["1.0"]),
        (FIELD + "amplitude__time_series__times", ["0.0", "0.2", "0.1"]),
        (FIELD + "amplitude__time_series__times", ["0.1", "0.2", "0.3"]),
        (FIELD + "detuning__time_series__values", ["inf", "0.0"]),
    ],
)
def test_wrong_values_are_refused(path: str, value: Any) -> None:
    with pytest.raises(InvalidInputError):
        ahs.read(changed(**{path: value}))


def test_a_used_up_schedule_is_told_apart() -> None:
    """CUDA-Q sends empty series when a Schedule is used twice; the hint says what to do."""
    empty = {"times": [], "values": []}
    with pytest.raises(InvalidInputError, match=r"schedule\.reset\(\)"):
        ahs.read(changed(**{FIELD + "amplitude__time_series": empty}))


def test_seconds_taken_for_microseconds_are_an_error() -> None:
    """A sequence of one second would have 1e9 samples: the longest is 1 ms."""
    times = ["0.0", "0.5", "1.0"]
    text = changed(hamiltonian__drivingFields__0__amplitude__time_series__times=times)
    with pytest.raises(InvalidInputError, match="lasts 1 s") as caught:
        ahs.to_sequence(text, MockDevice)
    assert "2e-6" in caught.value.hint


def test_units_and_order() -> None:
    """Metres become micrometres, seconds nanoseconds, rad/s rad/µs; atoms keep their order."""
    sequence = ahs.to_sequence(CUDAQ, MockDevice)
    assert sequence.get_duration() == 3000
    positions = [np.asarray(place).tolist() for place in sequence.register.qubits.values()]
    assert np.allclose(positions, [[5, 0], [11, 0]])
    samples = pulser.sampler.sample(sequence).channel_samples["rydberg_global"]
    amplitude, detuning = np.asarray(samples.amp), np.asarray(samples.det)
    assert np.allclose(amplitude[[0, 500, 2000]], [0, 0.5, 1], atol=1e-3)
    assert np.allclose(detuning[[0, 1500, 2999]], [-2, 0, 2], atol=2e-3)


def test_an_empty_site_has_no_atom() -> None:
    sequence = ahs.to_sequence(changed(setup__ahs_register__filling=[0, 1]), MockDevice)
    assert np.allclose(np.asarray(sequence.register.qubits["q0"]), [11, 0])
    assert len(sequence.register.qubits) == 1


def test_points_move_to_the_clock() -> None:
    """On a device with a coarse clock the end of the program is moved up to a tick."""
    times = ["0.00000000", "0.00000101", "0.00000301"]
    sequence = ahs.to_sequence(
        changed(
            **{
                FIELD + "amplitude__time_series__times": times,
                FIELD + "detuning__time_series__times": ["0.0", "0.00000301"],
            }
        ),
        DigitalAnalogDevice,
    )
    clock = DigitalAnalogDevice.channels["rydberg_global"].clock_period
    assert sequence.get_duration() % clock == 0
    assert 0 <= sequence.get_duration() - 3010 < clock


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (FIELD + "amplitude__time_series__values", ["0.0", "1e9", "1e9"]),
        ("setup__ahs_register__sites", [[0, 0], [1e-7, 0]]),
        (FIELD + "amplitude__time_series__values", ["0.0", "-1e6", "0.0"]),
    ],
)
def test_what_a_device_cannot_play_is_an_isa_error(path: str, value: Any) -> None:
    """The error names the device and Pulser's reason."""
    with pytest.raises(IsaError, match="AnalogDevice"):
        ahs.to_sequence(changed(**{path: value}), AnalogDevice)


def test_of_several_devices_the_one_without_limits_is_taken() -> None:
    devices = {"AnalogDevice": AnalogDevice, "MockDevice": MockDevice}
    assert ahs.choose_device(devices) is MockDevice
    assert ahs.choose_device({"AnalogDevice": AnalogDevice}) is AnalogDevice


def test_other_sequences_have_no_program() -> None:
    """Local channels, the digital basis and open variables are refused."""
    register = pulser.Register({"a": (0, 0), "b": (8, 0)})
    pulse = pulser.Pulse.ConstantPulse(100, 1.0, 0.0, 0.0)
    local = pulser.Sequence(register, MockDevice)
    local.declare_channel("ch", "rydberg_local", initial_target="a")
    local.add(pulse, "ch")
    digital = pulser.Sequence(register, MockDevice)
    digital.declare_channel("ch", "raman_global")
    digital.add(pulse, "ch")
    variable = pulser.Sequence(register, MockDevice)
    variable.declare_channel("ch", "rydberg_global")
    length = variable.declare_variable("length", dtype=int)
    variable.add(pulser.Pulse.ConstantPulse(length, 1.0, 0.0, 0.0), "ch")
    for sequence in (local, digital, variable):
        with pytest.raises(UnsupportedFunctionError):
            ahs.from_sequence(sequence)


def exact(program: ahs.Program, c6: float) -> np.ndarray:
    """Probabilities of the bit strings, by integrating the Hamiltonian of AHS itself.

    Sum over atoms of amplitude/2 (exp(i phase) |g><r| + h.c.) - detuning |r><r|, plus C6/R^6
    between pairs; site 0 is the leftmost bit, and 1 is r.
    """
    count = len(program.sites)
    lower = np.array([[0, 1], [0, 0]], dtype=complex)  # |g><r|
    excited = np.diag([0, 1]).astype(complex)

    def on(operator: np.ndarray, index: int) -> np.ndarray:
        parts = [operator if i == index else np.eye(2) for i in range(count)]
        total = parts[0]
        for part in parts[1:]:
            total = np.kron(total, part)
        return total

    down = sum(on(lower, i) for i in range(count))
    number = sum(on(excited, i) for i in range(count))
    interaction = np.zeros_like(number)
    for i in range(count):
        for j in range(i):
            distance = math.dist(program.sites[i], program.sites[j]) * 1e6
            interaction += c6 / distance**6 * on(excited, i) @ on(excited, j)

    def derivative(time: float, state: np.ndarray) -> np.ndarray:
        seconds = time * 1e-6
        amplitude = np.interp(seconds, program.amplitude.times, program.amplitude.values) * 1e-6
        detuning = np.interp(seconds, program.detuning.times, program.detuning.values) * 1e-6
        index = np.searchsorted(program.phase.times, seconds, side="right") - 1
        phase = program.phase.values[index]
        drive = amplitude / 2 * np.exp(1j * phase) * down
        hamiltonian = drive + drive.conj().T - detuning * number + interaction
        return -1j * hamiltonian @ state

    start = np.zeros(2**count, dtype=complex)
    start[0] = 1
    end = program.amplitude.times[-1] * 1e6
    solution = solve_ivp(derivative, (0, end), start, rtol=1e-8, atol=1e-10, max_step=0.005)
    return np.abs(solution.y[:, -1]) ** 2


@pytest.mark.parametrize("turn", [0.0, 1.1, -1.1])
def test_the_physics_is_that_of_the_program(turn: float) -> None:
    """Pulser's simulation of the sequence agrees with the program's own Hamiltonian.

    Asymmetric atoms, a ramped detuning and a phase that jumps: a wrong sign of phase or detuning,
    or a reversed order of atoms, fails.
    """
    program = ahs.Program(
        sites=[(0.0, 0.0), (6.5e-6, 0.0), (15e-6, 0.0)],
        amplitude=series([4e6, 6e6, 3e6], 400),
        detuning=series([-3e6, 5e6, 2e6], 400),
        phase=ahs.Series(times=[0, 300e-9, 800e-9], values=[0.0, turn, turn]),
    )
    sequence = ahs.to_sequence(ahs.write(program), MockDevice)
    backend = QutipBackendV2(sequence)
    shots = 20_000
    counter = backend.run().final_state.sample(num_shots=shots)
    expected = exact(program, MockDevice.interaction_coeff)
    found = np.array([counter.get(f"{i:03b}", 0) / shots for i in range(8)])
    assert np.abs(found - expected).max() < 5 * math.sqrt(0.25 / shots)
