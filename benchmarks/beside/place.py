"""The canned server and the two libraries, each a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import attrs

from benchmarks.beside.answers import VENDORS, Rule

__all__ = ["Library", "Place", "bytes_so_far", "requests_so_far", "server"]

_HERE = Path(__file__).parent
_UPSTREAM = "qrmi==0.26.4"


@contextmanager
def server(
    rules: list[Rule], folder: Path, *, delay_ms: float = 0.0, tls: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """The base URL of a server with these answers."""
    binary = folder / "server"
    if not binary.exists():
        compiler = shutil.which("cc") or sys.exit("these benchmarks need a C compiler and OpenSSL")
        source = str(_HERE / "server.c")
        command = [compiler, "-O2", "-o", str(binary), source, "-lssl", "-lcrypto"]
        subprocess.run(command, check=True)
    table = _table(rules, Path(tempfile.mkdtemp(dir=folder)))
    command = [str(binary), str(table), str(delay_ms), *(str(path) for path in tls or ())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def requests_so_far(base: str) -> int:
    """How many requests a server has had, this one among them."""
    return _told(base, "count") + 1


def bytes_so_far(base: str) -> int:
    """How many bytes a server has answered with, before this answer."""
    return _told(base, "bytes")


def _told(base: str, what: str) -> int:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE  # the server is our own child
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ours))
    opener = urllib.request.build_opener(*handlers)
    with opener.open(f"{base}/-/{what}") as answer:
        return int(answer.read())


def _table(rules: list[Rule], folder: Path) -> Path:
    lines = []
    for number, rule in enumerate(rules):
        body = "-"
        if rule.body is not None:
            file = folder / f"body-{number}"
            text = rule.body if isinstance(rule.body, str) else json.dumps(rule.body)
            file.write_text(text)
            body = str(file)
        columns = (rule.prefix, rule.status, rule.content_type, body, rule.after_ms)
        lines.append(" ".join(map(str, (rule.method, *columns))) + "\n")
    table = folder / "table"
    table.write_text("".join(lines))
    return table


class Library:
    """A worker process with one of the libraries.

    Args:
        python: its interpreter.
        name: what to call it in the table.
        extra: settings that only this library has, given to each resource.
    """

    def __init__(
        self, python: str, name: str, environment: Mapping[str, str], extra: Mapping[str, str]
    ) -> None:
        self.name = name
        self._extra = dict(extra)
        self._process = subprocess.Popen(
            [python, str(_HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
            cwd=tempfile.gettempdir(),
        )
        self.file = self._answer()["library"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, do: str, vendor: Mapping[str, Any], **order: Any) -> dict[str, Any]:
        """Have it do something and give its answer. Raises `RuntimeError` when it cannot."""
        chosen = {**vendor, "config": {**vendor["config"], **self._extra}}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "vendor": chosen, **order}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {do} on {vendor['type']} {order}: {answer['error']}")
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}


@attrs.frozen
class Place:
    """Where all of it runs.

    Attributes:
        folder: for files that are thrown away.
        upstream: the interpreter that has the Rust package.
    """

    folder: Path
    upstream: str

    @classmethod
    def made(cls, folder: Path) -> Place:
        """Find or make the environment of the Rust package (``QRMI_BENCHMARK_UPSTREAM``)."""
        given = os.environ.get("QRMI_BENCHMARK_UPSTREAM")
        if given:
            return cls(folder, given)
        place = folder / "upstream"
        venv.create(place, with_pip=True)
        python = str(place / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", _UPSTREAM], check=True)
        return cls(folder, python)

    def environment(self, **more: str) -> dict[str, str]:
        """What a worker sees: no proxy, no configuration, a state folder of its own."""
        state = tempfile.mkdtemp(dir=self.folder)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": state,
            "QRMI_STATE_DIR": state,
            "NO_PROXY": "*",
            "RUST_LOG": "off",
            **more,
        }

    def library(self, kind: str, **more: str) -> Library:
        """A worker: ``curl`` and ``requests`` are ours, ``upstream`` is the Rust package."""
        if kind == "upstream":
            return Library(self.upstream, kind, self.environment(**more), {})
        extra = {"QRMI_HTTP_TRANSPORT": kind}
        if "SSL_CERT_FILE" in more:
            extra["QRMI_HTTP_CA_BUNDLE"] = more["SSL_CERT_FILE"]
        return Library(sys.executable, kind, self.environment(**more), extra)

    @contextmanager
    def all(self, *kinds: str, **more: str) -> Iterator[list[Library]]:
        """Several workers at once."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.library(kind, **more)) for kind in kinds]


def all_rules() -> list[Rule]:
    """The answers of all vendors; their paths do not meet but for the token service's."""
    return [rule for vendor in VENDORS for rule in vendor.rules]
