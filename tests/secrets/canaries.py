"""Marked secrets, and everything that a program leaves behind: none of the first in the second."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import os
import re
import secrets
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import attrs

from qrmi_sandbox.server import Server

__all__ = ["Canaries", "Evidence", "command_lines", "watched"]

_HERE = str(Path(__file__).parents[1])
_PIECE = 12
_SIGNATURES = re.compile(r"(?i)signature[=\"': ]+([\w%+/=-]{16,})")
_CREDENTIAL_HEADERS = ("authorization", "q-api-token", "x-munge-cred", "cookie")


class Canaries:
    """Secrets that are like nothing else, and what gives them away."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self._needles: dict[str, None] = {}

    def make(self) -> str:
        """Another one: letters, digits, and signs that encodings change."""
        mark = f"cnry{len(self.made):03d}"
        text = f"{mark}/{secrets.token_hex(10)}+{secrets.token_hex(10)}={mark[::-1]}"
        return self.add(text)

    def make_key(self) -> str:
        """Another one: base64 of a user's name and a secret."""
        return self.add(base64.b64encode(f"someone:{self.make()}".encode()).decode())

    def make_url(self, host: str) -> str:
        """Another one: an address with a user's name and a secret."""
        password = self.make()
        return f"http://someone:{quote(password, safe='')}@{host}"

    def add(self, text: str) -> str:
        """Watch for a text that somebody else made."""
        if text not in self.made:
            self.made.append(text)
            for form in _forms(text):
                self._needles.update(dict.fromkeys(_pieces(form)))
        return text

    def add_sent(self, server: Server) -> None:
        """Watch for the credentials and signatures of all requests that came so far."""
        for request in list(server.requests):
            for name in _CREDENTIAL_HEADERS:
                value = request.headers.get(name, "").rpartition(" ")[2]
                self.add(value) if len(value) >= _PIECE else None
            texts = (str(dict(request.query)), request.body.decode("utf-8", "replace"))
            for found in _SIGNATURES.findall(" ".join(texts)):
                self.add(found)
        for token in getattr(server, "_good_until", None) or ():
            self.add(token)

    def found_in(self, text: str) -> list[str]:
        """The pieces of secrets that a text shows."""
        return [needle for needle in self._needles if needle in text]


def _forms(text: str) -> Iterator[str]:
    yield text
    yield quote(text, safe="")
    for offset, start in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(b"\0" * offset + text.encode()).decode().rstrip("=")[start:-2]
        yield coded
        yield coded.translate(str.maketrans("+/", "-_"))


def _pieces(form: str) -> list[str]:
    """The beginning, the middle and the end of a text: a part of a secret is one, too."""
    if len(form) < _PIECE:
        return [form]
    middle = (len(form) - _PIECE) // 2
    return [form[:_PIECE], form[middle : middle + _PIECE], form[-_PIECE:]]


@attrs.define
class Evidence:
    """What was left behind, by where it was.

    Attributes:
        texts: pairs of where it was and what it is.
        with_locals: whether tracebacks show the local variables of our frames.
    """

    texts: list[tuple[str, str]] = attrs.field(factory=list)
    with_locals: bool = True

    def add(self, where: str, text: str) -> None:
        """Keep a text."""
        self.texts.append((where, text))

    def add_error(self, error: BaseException) -> None:
        """Keep an error, its chain, and the local variables of our frames."""
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            self.add("error", f"{error!r} {error} {error.args!r} {vars(error)!r}")
            self.add("traceback", "".join(_formatted(error, with_locals=self.with_locals)))
            error = error.__cause__ or error.__context__  # type: ignore[assignment]

    def add_folder(self, folder: Path) -> None:
        """Keep all files below a folder, and their names."""
        for path in sorted(folder.rglob("*")):
            self.add("name of a file", str(path.relative_to(folder)))
            if path.is_file():
                self.add(
                    str(path.relative_to(folder)), path.read_bytes().decode("utf-8", "replace")
                )

    def must_be_clean(self, canaries: Canaries) -> None:
        """Nothing shows any of them."""
        shown = {}
        for where, text in self.texts:
            for needle in canaries.found_in(text):
                place = text.find(needle)
                shown.setdefault(where, text[max(place - 300, 0) : place + 80])
        report = "\n".join(f"--- {where}:\n{text}" for where, text in shown.items())
        assert not shown, f"secrets are shown in {len(shown)} places:\n{report}"

    def calling(self, call: Callable[[], Any]) -> Any:
        """Call, and keep what comes of it."""
        try:
            answer = call()
        except Exception as error:
            self.add_error(error)
            return None
        self.add("answer", repr(answer))
        return answer


def _formatted(error: BaseException, *, with_locals: bool) -> Iterable[str]:
    trace = error.__traceback__
    while trace is not None and _is_ours(trace):  # the test itself holds the secrets
        trace = trace.tb_next
    shown = traceback.TracebackException(
        type(error), error, trace, capture_locals=with_locals, lookup_lines=False
    )
    shown.__cause__ = shown.__context__ = None  # they are kept one by one
    return shown.format()


def _is_ours(trace: TracebackType) -> bool:
    name = trace.tb_frame.f_code.co_filename
    return name.startswith(_HERE) and "qrmi_sandbox" not in name


@contextlib.contextmanager
def watched(evidence: Evidence) -> Iterator[None]:
    """Keep every log line of every logger, and every warning."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s %(pathname)s"))
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "qrmi", "urllib3", "botocore")}
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    evidence.add("log", stream.getvalue())
    for warning in caught:
        evidence.add("warning", str(warning.message))


def command_lines(above: int) -> Iterator[str]:
    """The command lines of the processes below one, as any user of the machine sees them."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                parents[int(folder.name)] = int(
                    (folder / "stat").read_text().rsplit(")")[1].split()[1]
                )
    below = {above}
    for _ in range(5):
        below |= {child for child, parent in parents.items() if parent in below}
    for process in below - {os.getpid()}:
        with contextlib.suppress(OSError):
            yield Path(f"/proc/{process}/cmdline").read_text()
