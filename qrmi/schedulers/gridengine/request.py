"""What a Grid Engine job asks for, read from what Grid Engine says of it. Pure, and quick to load.

A QPU is asked for by its consumable, ``-l qpu_NAME=N``, which is what the JSV writes for
``-l qpu=NAME+NAME``; ``-l qpu_any=N`` counts all of a job's QPUs, so that what it counts beyond the
named ones is any. Open Cluster Scheduler also counts by name: ``qpu`` is then a resource map, and
the ids that were granted are in ``SGE_HGR_qpu``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ANY",
    "FILTERS",
    "MAP",
    "PREFIX",
    "WrongReplyError",
    "parse_config",
    "parse_job",
    "want",
]

PREFIX = "qpu_"
"""How the name of a QPU's consumable begins."""
ANY = "qpu_any"
"""The consumable that counts the slots of all QPUs together."""
MAP = "qpu"
"""The word that users write; in Open Cluster Scheduler possibly a resource map."""
WORDS = ("qpu_slots", "qpu_ready")
"""Words of Open Cluster Scheduler that go with it."""
FILTERS = "qrmi_filters"
"""The job context in which a user may say what any QPU has to be able to do."""

_NOT_NAMES = frozenset({ANY, *WORDS})
_LATEST_SECONDS = 100_000_000_000  # later stamps count in milli- or microseconds
_ENTITIES = (("&lt;", "<"), ("%lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"))


class WrongReplyError(ValueError):
    """Grid Engine's reply is not understood."""


def parse_job(reply: str, job: str) -> dict[str, Any]:
    """Read the reply to ``qstat -xml -j JOB``.

    Returns:
        ``submitted``: epoch seconds. ``uid``: a number, -1 when it is not said. ``account``,
        ``name``. ``starts``: of each task that runs, by its number as text, the epoch second in
        which it was started. ``asks``: the hard requests by complex, as text. ``filters``.

    Raises:
        WrongReplyError: it does not describe this job.
    """
    if _one(reply, "JB_job_number").strip() != job:
        raise WrongReplyError(f"qstat does not describe job {job}")
    tasks = _one(reply, "JB_ja_tasks").split("<JAT_task_number>")[1:]
    hard = _inside(_one(reply, "JB_hard_resource_list"), "qstat_l_requests", "CE_name")
    context = _inside(_one(reply, "JB_context"), "context_list", "VA_variable")
    return {
        "submitted": _stamp(_one(reply, "JB_submission_time")),
        "uid": _number(_one(reply, "JB_uid"), -1),
        "account": _text(_one(reply, "JB_account")),
        "project": _text(_one(reply, "JB_project")),
        "name": _text(_one(reply, "JB_job_name")),
        "starts": {
            each.partition("<")[0].strip(): start
            for each in tasks
            if (start := _stamp(_one(each, "JAT_start_time")))
        },
        "asks": {name: _text(_one(each, "CE_stringval")) for name, each in hard.items()},
        "filters": _text(_one(context.get(FILTERS, ""), "VA_value")),
    }


def parse_config(text: str) -> dict[str, str]:
    """Read the file ``config`` of a job's spool folder: ``key=value`` by line."""
    pairs = (line.partition("=") for line in text.split("\n"))
    return {key: value for key, mark, value in pairs if mark}


def want(
    job: Mapping[str, Any], names: Mapping[str, str], granted: Mapping[str, str]
) -> dict[str, Any] | None:
    """What the job wants, as `qrmi.site.terms.Want` writes it; ``None`` when it wants no QPU.

    Args:
        job: from `parse_job`.
        names: resources by consumable, where the consumable is not `PREFIX` and the name.
        granted: what Grid Engine granted by id: complex to ids with blanks between. It counts
            only for what the job asks for.

    Raises:
        WrongReplyError: an amount is no whole number.
    """
    asks = {name: value for name, value in job["asks"].items() if _is_ours(name)}
    slots = _named(asks, names)
    for name, count in _mapped(asks, granted).items():
        slots[name] = slots.get(name, 0) + count
    anys = max(_amount(asks.get(ANY, "0")) - sum(slots.values()), 0)
    if not slots and not anys:
        return None
    wanted: dict[str, Any] = {"names": list(slots), "slots": slots, "any": anys}
    if anys and job.get("filters"):
        wanted["filters"] = job["filters"]
    limit = _seconds(job["asks"].get("h_rt", ""))
    return {**wanted, "limit_seconds": limit}


def _is_ours(name: str) -> bool:
    return name == MAP or name.startswith(PREFIX)


def _named(asks: Mapping[str, str], names: Mapping[str, str]) -> dict[str, int]:
    found = {}
    for complex_name, value in asks.items():
        if complex_name != MAP and complex_name not in _NOT_NAMES and _amount(value):
            found[names.get(complex_name, complex_name.removeprefix(PREFIX))] = _amount(value)
    return found


def _mapped(asks: Mapping[str, str], granted: Mapping[str, str]) -> dict[str, int]:
    """What ``qpu`` itself asks for: granted ids, or one name with ``qpu_slots``."""
    if MAP not in asks:
        return {}
    ids = granted.get(MAP, "").split()
    if ids:
        return {name: ids.count(name) for name in ids}
    asked = asks[MAP].strip()
    if not asked or asked.replace(".", "").isdecimal():
        return {}
    return {asked: max(_amount(asks.get("qpu_slots", "1")), 1)}


def _amount(value: str) -> int:
    """A count, which newer versions write as ``1.000000``."""
    try:
        number = float(value)
        whole = int(number)
    except (ValueError, OverflowError):
        raise WrongReplyError(f"an amount is no number: {value[:40]!r}") from None
    if whole != number or whole < 0:
        raise WrongReplyError(f"an amount is no whole number: {value[:40]!r}")
    return whole


def _seconds(value: str) -> float | None:
    """A time limit: seconds, or ``H:M:S``; ``None`` for none."""
    total = 0.0
    for part in value.split(":"):
        if part and not part.replace(".", "", 1).isdecimal():
            return None
        total = total * 60 + float(part or 0)
    return total if 0 < total < 2**32 - 1 else None


# --- XML as Grid Engine writes it: no attributes, texts escaped -----------------------------------


def _one(text: str, tag: str) -> str:
    """What the first element of that name holds; empty when there is none."""
    _, found, rest = text.partition(f"<{tag}>")
    inside, closed, _ = rest.partition(f"</{tag}>")
    return inside if found and closed else ""


def _inside(text: str, tag: str, key: str) -> dict[str, str]:
    """The elements of that name, by the text of their element ``key``; the first one counts."""
    found: dict[str, str] = {}
    for each in text.split(f"<{tag}>"):
        name = _one(each, key).strip()
        if name:
            found.setdefault(_text(name), each)
    return found


def _text(value: str) -> str:
    for entity, character in _ENTITIES:
        value = value.replace(entity, character)
    return value.replace("&amp;", "&").strip()


def _number(value: str, otherwise: int) -> int:
    value = value.strip()
    return int(value) if value.isascii() and value.isdecimal() else otherwise


def _stamp(value: str) -> int:
    """Epoch seconds; newer versions count finer."""
    number = _number(value, 0)
    while number >= _LATEST_SECONDS:
        number //= 1000
    return number
