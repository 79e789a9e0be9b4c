"""What a codec of gate programs offers, and how an adapter finds the one of a resource.

A codec is a module, registered in the entry-point group ``qrmi.codecs`` under its payload format.
It turns a program of Qiskit's into payloads of that format, and the texts of their results back
into Qiskit's result, so that an adapter need not know any vendor. This module loads no SDK.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import attrs

from qrmi import plugins
from qrmi.errors import UnsupportedResourceTypeError
from qrmi.payloads import PasqalCloud, Payload, QiskitPrimitive

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub
    from qiskit.transpiler import Target

    from qrmi.resource import QuantumResource

__all__ = ["ANALOG", "GATE", "Device", "Encoded", "GateCodec", "Limits", "gate_codec"]

GATE = "gate"
"""The ``KIND`` of a codec of gate programs."""

ANALOG = "analog"
"""The ``KIND`` of a codec of pulse sequences."""


def _payloads(payloads: Iterable[Payload]) -> tuple[Payload, ...]:
    return tuple(payloads)


@attrs.frozen(kw_only=True)
class Encoded:
    """A program, ready to be sent.

    Attributes:
        payloads: one task each, started in this order. Services that take one circuit a task
            need several for one program.
        notes: small JSON values that ``decode_result`` needs beyond the results' texts. They are
            journalled with the first task, so another process has them too; keep them below
            1.5 kB where possible.
    """

    payloads: tuple[Payload, ...] = attrs.field(converter=_payloads)
    notes: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Limits:
    """What a device takes at most, as its target says.

    Attributes:
        max_shots: the most shots of one circuit; ``None`` for no limit that is known.
        max_circuits: the most circuits of one program; ``None`` likewise.
        simulator: it computes instead of measuring, so exact values can be asked for.
    """

    max_shots: int | None = None
    max_circuits: int | None = None
    simulator: bool = False


class Device(Protocol):
    """What an adapter tells a codec of the resource that a program is for."""

    @property
    def resource(self) -> QuantumResource:
        """The handle, for its name and capabilities; a codec sends nothing through it."""

    @property
    def target_text(self) -> str:
        """``Target.value``: read at first use and kept."""


class GateCodec(Protocol):
    """The functions of a codec module for gate programs.

    All are pure but for what they read through a `Device`. Circuits are written in the device's
    own instructions: qubit i of a circuit is qubit i of the target.
    """

    KIND: str

    def read_target(self, text: str) -> Target:
        """What circuits have to fit.

        Raises:
            UnsupportedPayloadError: the text describes no device for circuits.
            UnexpectedAnswerError: it is malformed.
        """

    def read_limits(self, text: str) -> Limits:
        """What the device takes at most; what the text does not tell is left at its default.

        Raises:
            UnexpectedAnswerError: it is malformed.
        """

    def encode_sampler(
        self, pubs: Sequence[SamplerPub], *, device: Device, options: Mapping[str, Any]
    ) -> Encoded:
        """Write sampler pubs, each with its shots.

        Args:
            pubs: the pubs.
            device: what they are for.
            options: the adapter's ``run_options``, forwarded where the service has such fields.

        Raises:
            InvalidInputError: an option that the service does not have (the message names those
                that it has), values that are not finite, a circuit that cannot be written.
        """

    def encode_estimator(
        self, pubs: Sequence[EstimatorPub], *, device: Device, options: Mapping[str, Any]
    ) -> Encoded:
        """Write estimator pubs, each with its precision; as `encode_sampler`."""

    def decode_result(self, texts: Sequence[str], notes: Mapping[str, Any]) -> PrimitiveResult:
        """Read the results of all payloads.

        Args:
            texts: the results, in the order of the payloads.
            notes: those of the `Encoded`.

        Returns:
            One pub result for each pub. Values may be flattened where the pub's shape is not in
            the notes; the adapter gives them their shape again.

        Raises:
            UnexpectedAnswerError: a text is malformed.
        """


def gate_codec(resource: QuantumResource, *, instead: str = "") -> GateCodec:
    """The codec that gate programs for a resource go through.

    Where a resource takes several formats of gate programs, ``qiskit-primitive`` is preferred,
    then the first by name.

    Args:
        resource: the handle; nothing is asked of the service.
        instead: what else a user can do when there is none, for the error's hint.

    Raises:
        UnsupportedPayloadError: the resource takes no gate programs that a codec is known for.
        MissingExtraError: the SDK that the codec needs is not installed.
    """
    # Pulse sequences are no gate programs: their codec is not imported to learn that.
    formats = sorted(resource.payloads - {PasqalCloud.FORMAT}, key=_preference)
    payload_format = next((name for name in formats if _is_for_gates(name)), _NONE)
    resource.require(payload_format, "gate programs", instead=instead)
    return cast(GateCodec, plugins.codec(payload_format))


_NONE = ""  # a format that no resource takes


def _preference(payload_format: str) -> tuple[bool, str]:
    return payload_format != QiskitPrimitive.FORMAT, payload_format


def _is_for_gates(payload_format: str) -> bool:
    try:
        return getattr(plugins.codec(payload_format), "KIND", None) == GATE
    except UnsupportedResourceTypeError:  # a format without a codec
        return False
