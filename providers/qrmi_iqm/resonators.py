"""Two-qubit gates by way of a computational resonator.

On devices with resonators, qubits have no couplers of their own: the state of one is moved into a
resonator, which then has a ``cz`` with each of the others, and is moved back. A state stays there
as long as nothing but such gates happens to its qubit, which saves moves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from qrmi_iqm.architecture import Architecture, Detour

__all__ = ["Visits"]

_Append = Callable[[str, Sequence[str]], Any]


class Visits:
    """Which qubit's state is in which resonator, while a circuit is written.

    Args:
        architecture: of the device.
        append: adds an operation, given its name and locus.
    """

    def __init__(self, architecture: Architecture, append: _Append) -> None:
        self._architecture = architecture
        self._append = append
        self._inside: dict[str, str] = {}  # by resonator, the qubit

    def meet(self, first: str, second: str, restless: Collection[str]) -> bool:
        """A ``cz`` of two qubits, one of which visits a resonator; false when there is no way.

        Args:
            first: a qubit.
            second: another one.
            restless: those of the two that have another ``cz`` next, so that staying in the
                resonator pays.
        """
        for visitor, other in ((first, second), (second, first)):
            detour = self._architecture.detours.get((other, visitor))
            if detour is not None and self._inside.get(detour.resonator) == visitor:
                self.leave([other])
                self._meet(detour)
                return True
        found = [
            self._architecture.detours.get(pair) for pair in ((first, second), (second, first))
        ]
        ways = [detour for detour in found if detour is not None]
        if not ways:
            return False
        detour = next((way for way in ways if way.moves in restless), ways[0])
        self.leave([first, second, detour.resonator])
        self._append("move", (detour.moves, detour.resonator))
        self._inside[detour.resonator] = detour.moves
        self._meet(detour)
        return True

    def leave(self, components: Sequence[str] | None = None) -> None:
        """Move back what is in the way of an operation on these components; by default, all."""
        for resonator, qubit in list(self._inside.items()):
            if components is None or qubit in components or resonator in components:
                self._append("move", (qubit, resonator))
                del self._inside[resonator]

    def _meet(self, detour: Detour) -> None:
        locus = (detour.stays, detour.resonator)
        self._append("cz", locus if locus in self._architecture.loci("cz") else locus[::-1])
