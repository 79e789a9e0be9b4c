"""Switching a recording or a replay on for a while: in this process and the ones it starts."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qrmi import config, journal
from qrmi.recording.conversation import Recording
from qrmi.recording.files import make_room, merge
from qrmi.recording.hooks import CLAIMS
from qrmi.recording.reading import load
from qrmi.recording.sink import shared_sink

__all__ = ["record", "replay"]


@contextlib.contextmanager
def record(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Record what is asked of all resources that are opened inside the ``with`` block.

    Processes that are started inside take part. The file is complete after the block, also when
    an error or Ctrl-C ends it.

    Args:
        path: where to write.
        overwrite: replace a file that is there.

    Raises:
        RecordingError: the file is there already, or it cannot be written.
    """
    file = Path(path).absolute()
    make_room(file, overwrite=overwrite)
    sink = shared_sink(file)
    sink.start()
    try:
        with config.changed_environment(QRMI_RECORD=str(file)):
            yield file
    finally:
        sink.close()
        merge(file)


@contextlib.contextmanager
def replay(path: str | os.PathLike[str]) -> Iterator[Recording]:
    """Answer everything from a recording inside the ``with`` block, from its beginning.

    Inside, there are the recorded resources and no others: configuration, credentials and the
    embedded simulator are not used, and tasks are journalled in a folder that is removed at the
    end. Processes that are started inside take part. Handles that were opened outside go on as
    they were.

    Raises:
        RecordingError: the file cannot be read.
    """
    file = Path(path).absolute()
    recording = load(file)
    with tempfile.TemporaryDirectory(prefix="qrmi-replay-") as name:
        folder = Path(name)
        (folder / CLAIMS).mkdir()
        nothing = folder / "qrmi_config.json"
        nothing.write_text(json.dumps({"resources": []}), encoding="utf-8")
        nothing.chmod(0o600)
        changes = {
            "QRMI_REPLAY": str(file),
            "QRMI_RECORD": None,
            "QRMI_STATE_DIR": str(folder),
            "QRMI_CONFIG": str(nothing),
            **_job_variables(recording),
        }
        with config.changed_environment(**changes):
            _journal(recording)
            yield recording


def _job_variables(recording: Recording) -> dict[str, str | None]:
    """What a scheduler sets for the QPUs of the recorded job."""
    names, types = [",".join(column) for column in zip(*recording.job, strict=True)] or ("", "")
    return {
        "QRMI_JOB_QPU_RESOURCES": names or None,
        "QRMI_JOB_QPU_TYPES": types or None,
        "SLURM_JOB_QPU_RESOURCES": None,
        "SLURM_JOB_QPU_TYPES": None,
        "QRMI_LIST_DELIMITER": None,
        "QRMI_PLUGIN_ERROR": None,
    }


def _journal(recording: Recording) -> None:
    """Make the tasks known that were started before the recording."""
    started = {call.answer for call in recording.calls if call.is_start}
    for task in (task for task in recording.tasks if task.task_id not in started):
        fields = task.fields
        journal.default().append("intent", **fields, settings={})
        journal.default().append(
            "started", key=fields["key"], resource=fields["resource"], task=task.task_id
        )
