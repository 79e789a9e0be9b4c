"""Options of the primitives, checked when they are set."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Self

import attrs
from attrs.validators import and_, ge, gt, instance_of

from qrmi.qiskit.errors import InvalidPubTypeError, pub_errors

__all__ = ["EstimatorOptions", "SamplerOptions"]


def _integer(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be an integer, not {type(value).__name__}")


def _real(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be a real number, not {type(value).__name__}")


def _plain(value: Mapping[str, Any] | None) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"run_options must be a mapping, not {type(value).__name__}")
    return dict(value or {})


@attrs.define(kw_only=True)
class _Options:
    """What the options of both primitives share.

    Attributes:
        run_options: what the resource's service has beyond shots. IBM services and ``local`` get
            them unchanged, as the ``options`` of the payload, with the keys of IBM's schema, for
            example ``{"simulator": {"seed_simulator": 7}}``. Other services have fields of their
            own; one that a service does not have is refused, with those that it has.
        isa_check: refuse circuits that the device's target does not support before anything is
            sent.
    """

    run_options: dict[str, Any] = attrs.field(factory=dict, converter=_plain, repr=False)
    isa_check: bool = attrs.field(default=True, validator=instance_of(bool))

    @classmethod
    def coerce(cls, options: Self | Mapping[str, Any] | None) -> Self:
        """Options from a mapping, or a copy of other options.

        Raises:
            InvalidPubTypeError: an unknown key, or a value of the wrong type (a ``TypeError``).
            InvalidPubError: a value out of range (a ``ValueError``).
        """
        if options is None:
            return cls()
        if isinstance(options, cls):
            return attrs.evolve(options)
        if not isinstance(options, Mapping):
            raise InvalidPubTypeError(
                f"options must be a mapping or {cls.__name__}, not {type(options).__name__}"
            )
        known = [field.name for field in attrs.fields(cls)]
        if unknown := [str(key) for key in options if key not in known]:
            raise InvalidPubTypeError(
                f"no such option: {', '.join(unknown)}",
                hint=f"there are: {', '.join(known)}; what is for the service goes in run_options",
            )
        with pub_errors():
            return cls(**options)


@attrs.define(kw_only=True)
class SamplerOptions(_Options):
    """Options of `SamplerV2`.

    Attributes:
        default_shots: shots of pubs that name none, when ``run`` names none either.
    """

    default_shots: int = attrs.field(default=1024, validator=and_(_integer, gt(0)))


@attrs.define(kw_only=True)
class EstimatorOptions(_Options):
    """Options of `EstimatorV2`.

    Attributes:
        default_precision: target standard error of pubs that name none, when ``run`` names none
            either. The default is 1/64, about 4096 shots; 0 asks for exact values, which only a
            simulator has.
    """

    default_precision: float = attrs.field(default=0.015625, validator=and_(_real, ge(0)))
