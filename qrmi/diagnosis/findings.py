"""What a check found, and what to do about it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi.errors import QrmiError
from qrmi.secrecy.scrubbing import scrub

__all__ = ["Finding", "Verdict", "of_error"]


def _scrubbed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: scrub(v) if isinstance(v, str) else v for k, v in values.items()}


class Verdict(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: ``installation``, ``state``, ``configuration``, ``job``, or a resource's name.
        check: what was looked at, in a word or two.
        verdict: how it is.
        text: what there is; ids and names, never a secret.
        advice: what to do next; empty when there is nothing to do.
        values: the same as numbers and names, for machines.
    """

    subject: str
    check: str
    verdict: Verdict = Verdict.OK
    text: str = attrs.field(default="", converter=scrub)
    advice: str = ""
    values: Mapping[str, Any] = attrs.field(factory=dict, converter=_scrubbed)


def of_error(
    subject: str, check: str, error: QrmiError, *, verdict: Verdict = Verdict.PROBLEM
) -> Finding:
    """The finding that an error is."""
    return Finding(
        subject=subject,
        check=check,
        verdict=verdict,
        text=error.message,
        advice=error.hint,
        values={
            "error": type(error).__name__,
            "owner": str(error.owner),
            "retryable": error.retryable,
            "request_ids": list(error.request_ids),
        },
    )
