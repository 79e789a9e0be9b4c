"""Settings of the embedded simulator."""

from __future__ import annotations

import attrs

from qrmi.settings import Settings, setting

__all__ = ["LocalSettings"]


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1e9:  # also refuses NaN
        raise ValueError("expected a number greater than 0")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("expected a whole number, 0 or more")
    return value


@attrs.frozen(kw_only=True)
class LocalSettings(Settings):
    """What a resource of type ``local`` can be told.

    Attributes:
        device: a device to imitate: the path of a JSON file, or the JSON text itself; ``None``
            for the ideal simulators.
        seed: makes results repeatable; ``None`` for fresh randomness in each task.
        noise: whether the imitated device's noise is applied.
        idle_seconds: how long the simulator's processes stay after their last task.
        keep_days: how long tasks are kept after their end, with their results.
    """

    device: str | None = setting(
        "QRMI_LOCAL_DEVICE",
        default=None,
        help="Device to imitate: path of a JSON file, or JSON text: IBM configuration and "
        "properties, or a Pulser device.",
    )
    seed: int | None = setting(
        "QRMI_LOCAL_SEED", default=None, convert=_seed, help="Seed; the same task then repeats."
    )
    noise: bool = setting(
        "QRMI_LOCAL_NOISE",
        default=True,
        convert=bool,
        help="Whether the imitated device's noise is applied.",
    )
    idle_seconds: float = setting(
        "QRMI_LOCAL_IDLE_SECONDS",
        default=600.0,
        convert=_positive,
        help="Seconds without work after which the simulator's processes leave.",
    )
    keep_days: float = setting(
        "QRMI_LOCAL_KEEP_DAYS",
        default=30.0,
        convert=_positive,
        help="Days for which tasks that have ended are kept, with their results.",
    )
