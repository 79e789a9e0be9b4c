"""The gates of Quake as Qiskit's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from qiskit.circuit import Gate, library

__all__ = ["GATES", "controlled", "exp_pauli", "phase"]

GATES: dict[str, Callable[..., Gate]] = {
    "quake.h": library.HGate,
    "quake.x": library.XGate,
    "quake.y": library.YGate,
    "quake.z": library.ZGate,
    "quake.s": library.SGate,
    "quake.t": library.TGate,
    "quake.rx": library.RXGate,
    "quake.ry": library.RYGate,
    "quake.rz": library.RZGate,
    "quake.r1": library.PhaseGate,
    "quake.phased_rx": library.RGate,
    "quake.u2": lambda phi, lam: library.U2Gate(phi, lam),
    "quake.u3": library.UGate,
    "quake.swap": library.SwapGate,
}
"""By the name of the operation; called with its angles (rad)."""


def controlled(gate: Gate, count: int, state: str) -> Gate:
    """The gate under ``count`` controls; ``state`` has the first control rightmost."""
    return gate.control(count, ctrl_state=state, annotated=False) if count else gate


def phase(
    angle: float, controls: Sequence[int], state: str
) -> Iterator[tuple[Gate, tuple[int, ...]]]:
    """The phase exp(i angle) when the controls, at least one, are in their state."""
    flips = [qubit for qubit, bit in zip(controls, reversed(state), strict=True) if bit == "0"]
    yield from ((library.XGate(), (qubit,)) for qubit in flips)
    others = len(controls) - 1
    yield controlled(library.PhaseGate(angle), others, "1" * others), tuple(controls)
    yield from ((library.XGate(), (qubit,)) for qubit in flips)


def exp_pauli(
    angle: float, word: str, targets: Sequence[int], controls: Sequence[int], state: str
) -> Iterator[tuple[Gate, tuple[int, ...]]]:
    """exp(i angle P) for a word with at least one letter but I, the first target's leftmost.

    Into the basis of Z, the rotation of the parity, which alone is controlled, and back.
    """
    pairs = [(letter, qubit) for letter, qubit in zip(word, targets, strict=True) if letter != "I"]
    support = [qubit for _letter, qubit in pairs]
    ladder = list(itertools.pairwise(support))
    into = {"X": library.HGate, "Y": library.SXGate}
    back = {"X": library.HGate, "Y": library.SXdgGate}
    yield from ((into[letter](), (qubit,)) for letter, qubit in pairs if letter in into)
    yield from ((library.CXGate(), pair) for pair in ladder)
    rotation = controlled(library.RZGate(-2.0 * angle), len(controls), state)
    yield rotation, (*controls, support[-1])
    yield from ((library.CXGate(), pair) for pair in reversed(ladder))
    yield from ((back[letter](), (qubit,)) for letter, qubit in pairs if letter in back)
