"""Writing a task's result: to the terminal, as JSON, and to a file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrmi.cli import console, results
from qrmi.codecs.group import TaskGroup
from qrmi.errors import InvalidInputError, QrmiError

__all__ = ["check_writable", "emit", "write"]


def check_writable(out: Path | None) -> None:
    """Refuse, before anything is sent, a result file that could not be written.

    Raises:
        InvalidInputError: its folder is missing or not writable, or it is a folder itself.
    """
    if out is None:
        return
    folder = out.absolute().parent
    taken = out.is_dir() or (out.exists() and not os.access(out, os.W_OK))
    if taken or not os.access(folder, os.W_OK):
        raise InvalidInputError(f"{out} cannot be written", hint="choose another file")


def write(out: Path, text: str, task_id: str) -> None:
    """Write the result's text, verbatim, to a file.

    Raises:
        QrmiError: it could not be written; the task keeps its result.
    """
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise QrmiError(
            f"cannot write {out}: {error.strerror or error}",
            hint=f"the task keeps its result: `qrmi result {task_id} --out FILE`",
            task_id=task_id,
        ) from error


def emit(
    tasks: TaskGroup,
    texts: Sequence[str],
    *,
    head: dict[str, Any],
    out: Path | None,
    as_json: bool,
    top: int,
) -> None:
    """Show a completed program's result, and write it to ``out`` when that is given.

    Args:
        tasks: the program.
        texts: the results as the resource wrote them, one a task.
        head: the ids that go first in JSON; ``task_id`` among them.
        out: where to write the text verbatim, several as one JSON list; or ``None``.
        as_json: one JSON value on stdout: ``head``, ``parts`` (counts or values) and ``result``
            (what the resource wrote); the last is left out when ``out`` has it.
        top: how many outcomes a histogram shows.
    """
    if out is not None:
        write(out, _joined(texts), head["task_id"])
    parts = results.of_program(tasks, texts)
    if as_json:
        values = [_value(text) for text in texts]
        raw = {"result": values[0] if len(values) == 1 else values}
        if out is not None:
            raw = {"out": str(out)}
        console.out_json({**head, "parts": results.as_json(parts), **raw})
        return
    if parts:
        results.show(parts, top=top)
    elif out is None:
        console.out(_joined(texts))
    if out is not None:
        console.notice(f"result written to {out}")


def _joined(texts: Sequence[str]) -> str:
    """One text as it is; several as a JSON list of them."""
    if len(texts) == 1:
        return texts[0]
    return json.dumps([_value(text) for text in texts], ensure_ascii=False)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
