"""Results of the ``pulser-sequence`` format: one job's, and a batch's.

See `qrmi.codecs.analog` for the forms. Only `decode_result` and `encode_result` need Pulser.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qrmi.codecs.analog_text import guarded, import_pulser, json_object
from qrmi.errors import InvalidInputError, UnexpectedAnswerError
from qrmi.tasks import BatchJob, TaskStatus

if TYPE_CHECKING:
    from pulser.backend import Results

__all__ = ["decode_batch", "decode_counter", "decode_result", "encode_batch", "encode_result"]

_STATUS_WORDS = {
    TaskStatus.QUEUED: "PENDING",
    TaskStatus.RUNNING: "RUNNING",
    TaskStatus.COMPLETED: "DONE",
    TaskStatus.FAILED: "ERROR",
    TaskStatus.CANCELLED: "CANCELED",
}
# The services' words, with those that Pulser's own enum of job states lacks: a job that is being
# cancelled or is paused has not ended; one that ran out of time has, without a result.
_STATUSES = {
    **{word: status for status, word in _STATUS_WORDS.items()},
    "CANCELING": TaskStatus.RUNNING,
    "PAUSED": TaskStatus.RUNNING,
    "TIMED_OUT": TaskStatus.FAILED,
}


def encode_result(results: Results) -> str:
    """One job's result; the counter is empty when no bit strings were taken at the end."""
    counter: dict[str, int] = {}
    if "bitstrings" in results.get_result_tags() and 1.0 in results.get_result_times("bitstrings"):
        counter = {bits: int(count) for bits, count in results.final_bitstrings.items()}
    return json.dumps(
        {"counter": counter, "serialised_results": results.to_abstract_repr(skip_validation=True)}
    )


def decode_counter(text: str) -> dict[str, int]:
    """The counts of a job's result, by bit string with the first atom leftmost.

    Raises:
        UnexpectedAnswerError: the text holds no counts.
    """
    return _counter(_result_object(text))


def decode_result(
    text: str, *, atoms: Sequence[str] | None = None, duration: int | None = None
) -> Results:
    """Pulser's results of one job.

    A service that gives counts alone gets `Results.from_final_bitstrings`; the forms of all
    Warden generations are read (JSON, or the Python literal that version 0.1 writes).

    Args:
        text: the job's result.
        atoms: names of the register's atoms, for counts alone; the first ones are used when the
            bit strings are shorter (a mappable register). ``None`` for Pulser's own ``q0``, ….
        duration: the sequence's duration in ns, for counts alone; ``None`` is recorded as 0.

    Raises:
        UnexpectedAnswerError: the text is no such result.
    """
    data = _result_object(text)
    serialised = data.get("serialised_results")
    if isinstance(serialised, str) and serialised not in ("", "{}"):
        with _of_the_service():
            return guarded("the serialised results", _results, serialised)
    counter = _counter(data)
    width = len(next(iter(counter), ""))
    names = [f"q{index}" for index in range(width)] if atoms is None else list(atoms)
    if not counter or len(names) < width:
        raise UnexpectedAnswerError(f"the result's {width} bits do not fit {len(names)} atoms")
    import_pulser()
    from pulser.backend import Results

    arguments = (names[:width], duration or 0, counter)
    with _of_the_service():
        return guarded("the result's counts", Results.from_final_bitstrings, *arguments)


@contextmanager
def _of_the_service() -> Iterator[None]:
    """A result that makes no sense is its service's error, not its reader's."""
    try:
        yield
    except InvalidInputError as error:
        raise UnexpectedAnswerError(f"malformed result: {error.message}") from error


def encode_batch(jobs: Iterable[BatchJob]) -> str:
    """A batch's result, from its jobs in their order."""
    return json.dumps({"jobs": [_batch_entry(job) for job in jobs]})


def decode_batch(text: str) -> list[BatchJob]:
    """The jobs of a batch's result; `decode_result` reads the result of each.

    Raises:
        UnexpectedAnswerError: the text is no batch's result.
    """
    with _of_the_service():
        entries = json_object(text, "the batch's result").get("jobs")
    if not isinstance(entries, list):
        raise UnexpectedAnswerError("the batch's result has no list of jobs")
    return [_batch_job(entry) for entry in entries]


def _batch_entry(job: BatchJob) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": job.id, "status": _STATUS_WORDS[job.status]}
    if job.result is not None:
        entry.update(_result_object(job.result))
    if job.reason:
        entry["reason"] = job.reason
    return entry


def _batch_job(entry: Any) -> BatchJob:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise UnexpectedAnswerError("a job of the batch's result has no id")
    status = _STATUSES.get(str(entry.get("status")))
    if status is None:
        raise UnexpectedAnswerError(f"unknown job status {str(entry.get('status'))[:40]!r}")
    result = {key: entry[key] for key in ("counter", "serialised_results") if key in entry}
    return BatchJob(
        id=entry["id"],
        status=status,
        result=json.dumps(result) if result else None,
        reason=str(entry.get("reason", "")),
    )


def _results(text: str) -> Results:
    from pulser.backend import Results

    results = Results.from_abstract_repr(text)
    results.get_tagged_results()  # a tag without values would only show when it is used
    return results


def _result_object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = _literal(text)
    if not isinstance(data, dict):
        raise UnexpectedAnswerError("the job's result is not an object")
    known = "counter" in data or "serialised_results" in data
    return data if known else {"counter": data}


def _literal(text: str) -> Any:
    """A Python literal: Warden 0.1 passes its QPU's ``str(dict)`` through."""
    try:
        return ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        raise UnexpectedAnswerError("the job's result is not JSON") from error


def _counter(data: dict[str, Any]) -> dict[str, int]:
    counter = data.get("counter")
    if not isinstance(counter, dict) or not all(map(_is_count, counter.items())):
        raise UnexpectedAnswerError("the result's counts are not whole numbers by bit string")
    if len({len(bits) for bits in counter}) > 1:
        raise UnexpectedAnswerError("the result's bit strings differ in length")
    return counter


def _is_count(item: tuple[Any, Any]) -> bool:
    bits, count = item
    return (
        isinstance(bits, str)
        and bits != ""
        and set(bits) <= {"0", "1"}
        and type(count) is int
        and count >= 0
    )
