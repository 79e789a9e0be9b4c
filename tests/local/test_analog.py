"""Pulse sequences on the embedded emulators, against physics that is known."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
from importlib import resources
from typing import Any

import numpy
import pulser.devices
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulser import NoiseModel, Pulse, Register, Sequence
from pulser.abstract_repr import deserialize_device
from pulser.backend import BitStrings, EmulationConfig, Energy, Occupation, StateRepr
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice
from pulser.register.special_layouts import TriangularLatticeLayout
from pulser_simulation import QutipConfig

from qrmi.codecs import analog as codec
from qrmi.errors import InvalidInputError, IsaError, MissingExtraError, UnsupportedPayloadError
from qrmi.payloads import AnalogJob, PulserBatch
from qrmi_local.pulses import check as analog_check
from qrmi_local.pulses import run as analog
from qrmi_local.pulses.configuration import MAX_DENSITY_ATOMS

RABI = 2 * numpy.pi  # rad/us: a full Rabi cycle takes 1 us
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["qid", "qubits", "ahs_register", "filling"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
LAYOUT = TriangularLatticeLayout(61, 5.0)


def driven(
    register: Any,
    duration: Any,
    *,
    device: Any = MockDevice,
    rabi: float = RABI,
    detuning: float = 0,
) -> Sequence:
    made = Sequence(register, device)
    made.declare_channel("global", "rydberg_global")
    made.add(Pulse.ConstantPulse(duration, rabi, detuning, 0), "global")
    return made


def chain(atoms: int) -> Register:
    return Register({f"q{index}": (8.0 * index, 0.0) for index in range(atoms)})


def counts(sequence: Sequence, runs: int, **settings: Any) -> dict[str, int]:
    text = analog.run(codec.encode_single(sequence, runs), **{"seed": 5, **settings})
    return codec.decode_counter(text)


def fraction(counter: dict[str, int], bits: str) -> float:
    return counter.get(bits, 0) / sum(counter.values())


def emulated(sequence: Sequence, config: EmulationConfig, **job: Any) -> Any:
    batch = codec.encode(sequence, jobs=[job], configuration=config)
    return codec.decode_result(analog.run(batch, seed=5))


def test_a_pi_pulse_excites_an_atom() -> None:
    """Half a Rabi cycle takes the ground state to the Rydberg state."""
    assert counts(driven(chain(1), 500), 200) == {"1": 200}


def test_a_half_pi_pulse_is_a_coin() -> None:
    """A quarter of a Rabi cycle gives both outcomes, within six standard deviations."""
    assert abs(fraction(counts(driven(chain(1), 250), 4000), "1") - 0.5) < 6 * 0.5 / 4000**0.5


@pytest.mark.parametrize("duration", [100, 200, 352])
def test_blockaded_atoms_oscillate_faster(duration: int) -> None:
    """Two blockaded atoms share one excitation, and oscillate at sqrt(2) times the frequency."""
    near = Register({"a": (0, 0), "b": (4.5, 0)})
    counter = counts(driven(near, duration), 4000)
    excited = numpy.sin(2**0.5 * RABI * duration / 2000) ** 2
    assert counter.get("11", 0) == 0
    measured = fraction(counter, "10") + fraction(counter, "01")
    assert measured == pytest.approx(excited, abs=0.05)
    assert fraction(counter, "10") == pytest.approx(excited / 2, abs=0.05)


def test_the_first_atom_is_leftmost() -> None:
    """A pulse on the first atom alone sets the first character."""
    made = Sequence(Register({"first": (0, 0), "b": (40, 0), "c": (80, 0)}), MockDevice)
    made.declare_channel("one", "rydberg_local", initial_target="first")
    made.add(Pulse.ConstantPulse(500, RABI, 0, 0), "one")
    results = codec.decode_result(analog.run(codec.encode_single(made, 50), seed=1))
    assert results.final_bitstrings == {"100": 50}
    assert results.atom_order == ("first", "b", "c")


def test_digital_and_mixed_bases() -> None:
    """With several bases the measured one decides what reads as 1, and must be named."""
    made = Sequence(chain(1), MockDevice)
    made.declare_channel("raman", "raman_global")
    made.declare_channel("rydberg", "rydberg_global")
    made.add(Pulse.ConstantPulse(500, RABI, 0, 0), "raman")
    made.add(Pulse.ConstantPulse(100, 1e-3, 0, 0), "rydberg")
    with pytest.raises(InvalidInputError, match="not measured"):
        counts(made, 10)
    made.measure("digital")
    assert counts(made, 100) == {"1": 100}
    config = EmulationConfig(observables=[BitStrings(num_shots=10), Occupation()])
    results = emulated(made, config)
    assert results.final_bitstrings == {"1": 10}
    assert results.occupation[0][0] == pytest.approx(1, abs=1e-3)


def test_a_seed_repeats_the_outcome() -> None:
    """The same seed gives the same counts; no seed gives new ones, even after a seeded run."""
    made = driven(chain(3), 250, rabi=5)
    assert counts(made, 500, seed=1) == counts(made, 500, seed=1)
    assert counts(made, 500, seed=1) != counts(made, 500, seed=2)
    assert counts(made, 500, seed=None) != counts(made, 500, seed=None)


def test_variables_and_mappable_registers() -> None:
    """A job's variables build the sequence; its qubits choose the traps of a mappable register."""
    made = Sequence(LAYOUT.make_mappable_register(3), AnalogDevice)
    made.declare_channel("global", "rydberg_global")
    duration = made.declare_variable("duration", dtype=int)
    made.add(Pulse.ConstantPulse(duration, RABI, 0, 0), "global")
    job = {"runs": 20, "variables": {"duration": 500, "qubits": {"q0": 30}}}
    text = analog.run(codec.encode(made, jobs=[job]), seed=1)
    assert codec.decode_counter(text) == {"1": 20}


@pytest.mark.parametrize(
    "variables", [{}, {"duration": 100, "other": 1}, {"duration": "long"}, {"duration": -8}]
)
def test_wrong_variables_are_refused(variables: dict[str, Any]) -> None:
    """Missing, unknown and senseless values are the user's error."""
    made = Sequence(chain(1), MockDevice)
    made.declare_channel("global", "rydberg_global")
    made.add(Pulse.ConstantPulse(made.declare_variable("duration", dtype=int), 1, 0, 0), "global")
    with pytest.raises(InvalidInputError):
        analog.run(codec.encode(made, jobs=[{"runs": 1, "variables": variables}]))


def test_a_configuration_is_replayed() -> None:
    """Observables, times, shots and the initial state come through; runs replace the shots."""
    config = EmulationConfig(
        observables=[
            BitStrings(),
            BitStrings(num_shots=7, tag_suffix="few"),
            Occupation(evaluation_times=[0.5, 1.0]),
            Energy(),
        ],
        default_num_shots=30,
        initial_state=StateRepr.from_state_amplitudes(eigenstates=("r", "g"), amplitudes={"r": 1}),
    )
    results = emulated(driven(chain(1), 500), config)
    assert results.final_bitstrings == {"0": 30}
    assert results.bitstrings_few == [{"0": 7}]
    assert results.get_result_times("occupation") == [0.5, 1.0]
    assert results.occupation[0] == pytest.approx([0.5], abs=0.01)
    assert results.energy[0] == pytest.approx(0, abs=0.01)
    assert emulated(driven(chain(1), 500), config, runs=12).final_bitstrings == {"0": 12}


def test_options_of_other_emulators_are_logged() -> None:
    """Options that QuTiP has no use for are dropped, and the log names them; its own are kept."""
    lines: list[str] = []
    config = EmulationConfig(observables=[BitStrings()], num_gpus_to_use=1, autosave_dt=numpy.inf)
    batch = codec.encode(driven(chain(1), 500), jobs=[{}], configuration=config)
    analog.run(batch, log=lines.append)
    assert any("autosave_dt, num_gpus_to_use" in line for line in lines)
    lines.clear()
    own = QutipConfig(observables=[BitStrings()], sampling_rate=0.5)
    analog.run(codec.encode(driven(chain(1), 500), jobs=[{}], configuration=own), log=lines.append)
    assert not any("ignored" in line for line in lines)


def test_what_qutip_cannot_replay_is_refused() -> None:
    """A custom interaction matrix is refused, not ignored."""
    config = EmulationConfig(observables=[BitStrings()], interaction_matrix=numpy.zeros((2, 2)))
    with pytest.raises(InvalidInputError, match="interaction matrix"):
        emulated(driven(chain(2), 100), config)


@pytest.mark.parametrize("text", ["{}", "[]", '{"observables": 3}', '{"observables": [3]}'])
def test_malformed_configurations_are_refused(text: str) -> None:
    """A configuration that Pulser cannot read is the user's error."""
    payload = PulserBatch(
        sequence=driven(chain(1), 100).to_abstract_repr(),
        jobs=[codec.encode_job({"runs": 1})],
        configuration=text,
    )
    with pytest.raises(InvalidInputError):
        analog.run(payload)


def test_noise_of_a_configuration() -> None:
    """A configuration's noise is applied: an atom that is never excited reads as 1 at times."""
    config = EmulationConfig(
        observables=[BitStrings(num_shots=2000)], noise_model=NoiseModel(p_false_pos=0.25)
    )
    results = emulated(driven(chain(1), 100, rabi=1e-6), config)
    assert fraction(results.final_bitstrings, "1") == pytest.approx(0.25, abs=0.06)


def test_density_matrices_have_a_limit() -> None:
    """Noise with collapse operators is refused beyond what fits, with the limit in the message."""
    config = EmulationConfig(observables=[BitStrings()], noise_model=NoiseModel(dephasing_rate=0.1))
    with pytest.raises(InvalidInputError, match="dephasing"):
        emulated(driven(chain(MAX_DENSITY_ATOMS + 3), 100), config)


def imitated(**changes: Any) -> Any:
    return dataclasses.replace(AnalogDevice, **changes)


def test_an_imitated_device_adds_its_noise() -> None:
    """Readout errors of the device's noise model show in exactly as many runs as were asked."""
    model = NoiseModel(p_false_pos=0.2, amp_sigma=0.01, runs=15, samples_per_run=2)
    noisy = imitated(default_noise_model=model)
    made = driven(LAYOUT.define_register(30), 100, device=AnalogDevice, rabi=1e-3)
    counter = counts(made, 1000, device=noisy.to_abstract_repr())
    assert sum(counter.values()) == 1000
    assert fraction(counter, "1") == pytest.approx(0.2, abs=0.08)
    assert counts(made, 1000, device=noisy.to_abstract_repr(), noise=False) == {"0": 1000}


def test_an_imitated_device_refuses_what_it_would_refuse() -> None:
    """Too many runs or atoms, no layout, no such channel, an amplitude out of range."""
    device = imitated(max_runs=50, max_atom_num=4).to_abstract_repr()
    fine = driven(LAYOUT.define_register(30), 100, device=AnalogDevice)
    assert counts(fine, 50, device=device, noise=False)
    with pytest.raises(IsaError, match="51 runs"):
        counts(fine, 51, device=device)
    with pytest.raises(IsaError, match="5 atoms"):
        counts(
            driven(LAYOUT.define_register(*range(5)), 100, device=AnalogDevice), 5, device=device
        )
    with pytest.raises(IsaError, match="RegisterLayout"):
        counts(driven(chain(2), 100, device=AnalogDevice), 5, device=device)
    strong = driven(LAYOUT.define_register(30), 100, device=MockDevice, rabi=100)
    with pytest.raises(IsaError, match="refuses the sequence"):
        counts(strong, 5, device=device)
    local = Sequence(LAYOUT.define_register(30), DigitalAnalogDevice)
    local.declare_channel("raman", "raman_local", initial_target="q0")
    local.add(Pulse.ConstantPulse(100, 1, 0, 0), "raman")
    with pytest.raises(IsaError, match="refuses the sequence"):
        counts(local, 5, device=device)


@pytest.mark.parametrize("device", [None, AnalogDevice])
def test_programs_of_cudaq(device: Any) -> None:
    """An AHS program runs as it is, on an imitated device too; empty sites have no bit."""
    flat = {"times": [0, 1e-6], "values": [numpy.pi * 1e6, numpy.pi * 1e6]}
    none = {"times": [0, 1e-6], "values": [0, 0]}
    driving = {name: {"time_series": none, "pattern": "uniform"} for name in ("phase", "detuning")}
    driving["amplitude"] = {"time_series": flat, "pattern": "uniform"}
    sites = [["0.0", "0.0"], ["5e-6", "0"], ["30e-6", "0"]]
    text = json.dumps(
        {
            "setup": {"ahs_register": {"sites": sites, "filling": [1, 0, 1]}},
            "hamiltonian": {"drivingFields": [driving], "localDetuning": []},
        }
    )
    specs = None if device is None else device.to_abstract_repr()
    result = analog.run(codec.encode_single(text, 40), specs, 1, noise=False)
    assert codec.decode_counter(result) == {"11": 40}


def test_too_many_atoms_are_refused_at_once() -> None:
    """More than emu-sv can hold on CPUs is refused; without emu-sv, more than QuTiP can."""
    with pytest.raises(IsaError, match="at most 20"):
        analog_check.check(codec.encode_single(driven(chain(21), 100), 5))
    payload = codec.encode_single(driven(chain(13), 100), 5)
    if importlib.util.find_spec("emu_sv") is None:
        with pytest.raises(MissingExtraError, match=r"openqrmi\[emu\]"):
            analog_check.check(payload)
    else:
        analog_check.check(payload)


def test_other_device_types_are_refused() -> None:
    """Emulators' types are taken, and the imitated device's, or without one the sequence's own."""
    specs = AnalogDevice.to_abstract_repr()
    for kind, device in (("EMU_MPS", None), ("AnalogDevice", specs), ("MockDevice", None)):
        analog_check.check(codec.encode(driven(chain(1), 100), device_type=kind), device)
    for kind, device in (("FRESNEL", None), ("AnalogDevice", None), ("MockDevice", specs)):
        with pytest.raises(UnsupportedPayloadError, match=kind):
            analog_check.check(codec.encode(driven(chain(1), 100), device_type=kind), device)


@given(
    program=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["version", "operations", "register", "variables", "setup", "hamiltonian"], JSON_VALUES
        ),
    ),
    variables=JSON_VALUES,
    device_type=st.none() | st.just("EMU_MPS") | JSON_VALUES,
)
def test_junk_is_our_error(program: Any, variables: Any, device_type: Any) -> None:
    """Whatever is in a payload, looking at it passes or raises an InvalidInputError."""
    payload = PulserBatch(
        sequence=json.dumps(program),
        jobs=[AnalogJob(runs=1, variables=variables)],
        device_type=device_type,
    )
    with contextlib.suppress(InvalidInputError, MissingExtraError):
        analog_check.check(payload)
        if program.keys() >= {"version", "operations", "register"}:
            with pytest.raises(InvalidInputError):
                analog.run(payload)


@pytest.mark.skipif(importlib.util.find_spec("emu_sv") is None, reason="needs emu-sv")
def test_larger_registers_run_on_emu_sv() -> None:
    """Thirteen distant atoms under a pi pulse are all excited, and a seed repeats the outcome."""
    far = Register({f"q{index}": (60.0 * index, 0.0) for index in range(13)})
    assert counts(driven(far, 500), 50) == {"1" * 13: 50}
    half = driven(far, 250)
    assert counts(half, 50, seed=3) == counts(half, 50, seed=3)
    results = emulated(driven(far, 500), EmulationConfig(observables=[Occupation()]))
    assert results.occupation[0] == pytest.approx([1] * 13, abs=1e-2)


@pytest.mark.skipif(importlib.util.find_spec("emu_sv") is None, reason="needs emu-sv")
def test_a_seed_repeats_the_noise_of_emu_sv() -> None:
    """Readout errors and fluctuations follow the seed on emu-sv too."""
    noise = NoiseModel(p_false_pos=0.1, amp_sigma=0.05)
    observables = [BitStrings(num_shots=10)]
    config = EmulationConfig(observables=observables, noise_model=noise, n_trajectories=2)
    made = driven(chain(13), 100)
    once, again = (emulated(made, config).final_bitstrings for _ in range(2))
    assert once == again


@pytest.mark.skipif(importlib.util.find_spec("emu_sv") is None, reason="needs emu-sv")
@pytest.mark.parametrize("channel", ["raman_global", "mw_global"])
def test_what_emu_sv_cannot(channel: str) -> None:
    """Larger registers with other than Rydberg channels, or at all times, are refused in words."""
    made = Sequence(chain(13), MockDevice)
    made.declare_channel("other", channel)
    made.add(Pulse.ConstantPulse(100, RABI, 0, 0), "other")
    with pytest.raises(IsaError, match="Rydberg channels alone"):
        counts(made, 5)
    config = EmulationConfig(observables=[Occupation()], default_evaluation_times="Full")
    with pytest.raises(InvalidInputError, match="evaluation times"):
        emulated(driven(chain(13), 100), config)


@pytest.mark.parametrize("name", ["AnalogDevice", "DigitalAnalogDevice", "MockDevice"])
def test_shipped_devices_are_those_of_pulser(name: str) -> None:
    """The device files are what the installed Pulser writes, but for its version number."""
    text = (resources.files("qrmi_local") / "devices" / f"{name}.json").read_text("utf-8")
    of_pulser = getattr(pulser.devices, name)
    assert deserialize_device(text) == of_pulser
    shipped, written = json.loads(text), json.loads(of_pulser.to_abstract_repr())
    for specs in (shipped, written):
        del specs["pulser_version"]
    assert shipped == written
