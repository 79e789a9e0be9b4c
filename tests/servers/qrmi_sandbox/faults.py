"""Faults on cue: what a server does wrong, to which requests, how often."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Literal

import attrs

__all__ = ["Fault", "FaultKind", "Faults"]

FaultKind = Literal[
    "status",  # answer with a status instead of handling the request
    "reset_before",  # read the request, then reset the connection without handling it
    "reset_after",  # handle the request, then reset the connection instead of answering
    "silence",  # read the request and say nothing for `seconds`; it is not handled
    "half_body",  # handle it and stop half-way through the answer's body
    "not_json",  # handle it and answer text that is no JSON
    "html",  # handle it and answer a web page
    "drop_fields",  # handle it and answer an empty JSON object
    "delay",  # handle it after `seconds`
]


@attrs.define(kw_only=True)
class Fault:
    """One fault.

    Attributes:
        kind: what goes wrong.
        match: ``"POST /v1/jobs"``: a method and the beginning of a path; either may be ``*``.
        times: how many requests it hits; ``None`` for all.
        status: of kind ``status``.
        retry_after: seconds in a ``Retry-After`` header, or ``None`` for no such header.
        body: of kind ``status``: what is answered, instead of a few words.
        content_type: of that body.
        headers: of kind ``status``: more headers.
        seconds: of kinds ``silence`` and ``delay``.
        hits: how many requests it has hit so far.
    """

    kind: FaultKind
    match: str = "* *"
    times: int | None = 1
    status: int = 500
    retry_after: float | None = None
    body: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    seconds: float = 5.0
    hits: int = 0

    def matches(self, method: str, path: str) -> bool:
        """Whether it has a hit left and the request is one that it is for."""
        wanted_method, _, wanted_path = self.match.partition(" ")
        return (
            (self.times is None or self.hits < self.times)
            and wanted_method in ("*", method)
            and (wanted_path in ("", "*") or path.startswith(wanted_path))
        )


class Faults:
    """The faults of one server. Safe to use from several threads."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Plant a fault; the first that matches a request is the one that hits it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Take all faults back."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, counted; ``None`` when there is none."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(method, path):
                    fault.hits += 1
                    return fault
        return None
