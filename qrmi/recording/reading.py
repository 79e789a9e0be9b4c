"""Reading a recording: every line is checked, and every mistake names its line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from qrmi.driver import Capabilities
from qrmi.errors import RecordingError
from qrmi.interchange.values import Decoder, digest_of
from qrmi.interchange.verbs import ARGUMENTS
from qrmi.recording.conversation import Call, Discovered, KnownTask, Recording, Resource
from qrmi.recording.files import files_of
from qrmi.recording.header import FORMAT, VERSION

__all__ = ["load"]


@attrs.frozen
class _Line:
    path: Path
    number: int
    entry: dict[str, Any]

    def wrong(self, reason: str) -> RecordingError:
        return _wrong(self.path, self.number, reason)


def load(path: str | os.PathLike[str]) -> Recording:
    """Read a recording with all its parts.

    A last line that was cut off, by a crash or a full disk, is passed over.

    Raises:
        RecordingError: the file cannot be read, is none of ours, is of a newer version, or was
            damaged; the line is named.
    """
    reader = _Reader(Path(path))
    for file in files_of(Path(path)):
        reader.read(file)
    return reader.recording()


class _Reader:
    """Collects what the lines of a recording's files say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts: dict[str, str] = {}
        self._decoder = Decoder(self._texts)
        self._processes: dict[str, dict[str, Any]] = {}
        self._resources: dict[str, Resource] = {}
        self._calls: list[Call] = []
        self._opened: dict[str, str] = {}
        self._discovered: list[Discovered] = []
        self._tasks: list[KnownTask] = []
        self._torn = 0
        self._size = 0

    def read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RecordingError(
                f"cannot read {path}: {error.strerror or error}", hint="check the file's path"
            ) from error
        self._size += len(data)
        for line in self._lines(path, data):
            if line.number == 1:
                _check_first(line)
            read = self._READERS.get(str(line.entry.get("kind")))
            if read is not None:
                self._read(read, line)

    def _lines(self, path: Path, data: bytes) -> Iterator[_Line]:
        *whole, rest = data.split(b"\n")
        self._torn += bool(rest)
        if not whole:
            raise _wrong(path, 1, "not a recording of openqrmi")
        for number, raw in enumerate(whole, 1):
            yield _Line(path, number, _parsed(path, number, raw))

    def _read(self, read: Callable[[_Reader, dict[str, Any]], None], line: _Line) -> None:
        try:
            read(self, line.entry)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else type(error).__name__
            kind = line.entry["kind"]
            raise line.wrong(f"malformed entry of kind {kind}: {reason}") from error

    def recording(self) -> Recording:
        ordered = sorted(self._calls, key=lambda call: (call.at, call.process, call.number))
        header = next(iter(self._processes.values()))
        begun = min(each["started"] for each in self._processes.values())
        calls = (attrs.evolve(c, index=n, at=c.at - begun) for n, c in enumerate(ordered))
        return Recording(
            path=self._path,
            header=header,
            processes=self._processes,
            resources=self._resources,
            calls=tuple(calls),
            opened=self._opened,
            discovered=tuple(self._discovered),
            tasks=tuple(self._tasks),
            torn=self._torn,
            size=self._size,
        )

    # --- one method for each kind of line -----------------------------------------------------

    def _process(self, entry: dict[str, Any]) -> None:
        entry["started"] = float(entry["started"])
        entry["job"] = [(str(name), str(kind)) for name, kind in entry.get("job", [])]
        self._processes.setdefault(_text_of(entry, "process"), entry)

    def _text(self, entry: dict[str, Any]) -> None:
        text = _text_of(entry, "text")
        if digest_of(text) != entry["digest"]:
            raise ValueError("the text does not have its digest: it was changed")
        self._texts[entry["digest"]] = text

    def _resource(self, entry: dict[str, Any]) -> None:
        told = self._decoder.decode(entry)
        known = {field.name for field in attrs.fields(Capabilities)}
        able = {name: value for name, value in told["capabilities"].items() if name in known}
        settle = told.get("settle_seconds")
        resource = Resource(
            name=_text_of(told, "name"),
            type_name=_text_of(told, "type"),
            payloads=frozenset(map(str, told["payloads"])),
            capabilities=Capabilities(**able),
            settle_seconds=None if settle is None else float(settle),
            sending_seconds=float(told.get("sending_seconds", 60.0)),
            settings={str(key): str(value) for key, value in told.get("settings", {}).items()},
        )
        self._resources.setdefault(resource.name, resource)

    def _call(self, entry: dict[str, Any]) -> None:
        method = _text_of(entry, "method")
        if method not in ARGUMENTS:
            return  # of a newer version
        told = self._decoder.decode(entry)
        arguments, process = told["arguments"], _text_of(entry, "process")
        if not isinstance(arguments, dict) or not set(arguments) <= set(ARGUMENTS[method]):
            raise ValueError(f"wrong arguments of {method}")
        if not {"answer", "error", "interrupted"} & set(entry):
            raise ValueError("neither answer nor error")
        error = told.get("error")
        if error is not None:
            _text_of(error, "class")
        payload = entry["arguments"].get("payload")
        self._calls.append(
            Call(
                at=float(entry["at"]) + self._processes[process]["started"],
                took=float(entry["took"]),
                process=process,
                thread=_text_of(entry, "thread"),
                resource=_text_of(told, "resource"),
                method=method,
                arguments=arguments,
                answer=told.get("answer"),
                error=error,
                interrupted=str(entry.get("interrupted", "")),
                digest=_text_of(payload, "digest") if isinstance(payload, dict) else "",
                findable=bool(entry.get("findable", False)),
                mark=str(entry.get("mark", "")),
                number=int(entry["n"]),
            )
        )

    def _open(self, entry: dict[str, Any]) -> None:
        self._opened.setdefault(_text_of(entry, "name"), _text_of(entry, "resource"))

    def _discover(self, entry: dict[str, Any]) -> None:
        told = self._decoder.decode(entry)
        found = Discovered(
            type_name=_text_of(told, "type"),
            filters=dict(told["filters"]),
            names=tuple(map(str, told["resources"])),
        )
        self._discovered.append(found)

    def _task(self, entry: dict[str, Any]) -> None:
        told = self._decoder.decode(entry)
        names = ("key", "resource", "type", "format", "digest")
        fields = {
            **{name: _text_of(told, name) for name in names},
            "context": dict(told["context"]),
        }
        self._tasks.append(KnownTask(task_id=_text_of(told, "task"), fields=fields))

    _READERS: Mapping[str, Callable[[_Reader, dict[str, Any]], None]] = {
        "process": _process,
        "text": _text,
        "resource": _resource,
        "call": _call,
        "opened": _open,
        "discovered": _discover,
        "task": _task,
    }


def _text_of(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def _parsed(path: Path, number: int, raw: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, number, "not JSON") from error
    if not isinstance(entry, dict):
        raise _wrong(path, number, "not a JSON object")
    return entry


def _check_first(line: _Line) -> None:
    if line.entry.get("format") != FORMAT:
        raise line.wrong("not a recording of openqrmi")
    version = line.entry.get("version")
    if version != VERSION:
        raise _wrong(
            line.path,
            line.number,
            f"a recording of version {str(version)[:20]}, which cannot be read here",
            hint="read it with the version of openqrmi that wrote it, or a newer one",
        )


def _wrong(path: Path, number: int, reason: str, hint: str | None = None) -> RecordingError:
    return RecordingError(f"{path}, line {number}: {reason}", hint=hint)
