"""Figures for Prometheus: their text, what is in them, and what must never be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from qrmi.site.books.metrics import Metrics
from qrmi.site.books.usage import JobUsage, ResourceUse
from qrmi.site.terms import Answer, Grant, Job, Outcome
from qrmi.site.watching.standing import Standing, State

NOW = 1_800_000_000.0
DOCS = Path(__file__).parents[2] / "docs"
JOB = Job(
    scheduler="slurm", cluster="c", id="4711", submitted=int(NOW) - 30, uid=1234, user="alice",
    account="physics", name="secret-project",
)  # fmt: skip
EMU = Grant(resource="emu", type="local", slots=2)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    """What a Prometheus server would read."""
    text, kind = metrics.exposition()
    assert kind.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """One figure."""
    return samples(metrics)[(name, frozenset(labels.items()))]


def standing(**changes: object) -> Standing:
    """The resource emu."""
    fields: dict[str, object] = {
        "name": "emu", "type": "local", "state": State.PAUSED, "slots": 4, "used": 2,
        "looked": NOW - 7, "pending": 3,
    }  # fmt: skip
    return Standing(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics(
        standings=lambda: [standing(), standing(name="new", looked=None, pending=None)],
        held=lambda: [[EMU], [EMU, Grant(resource="device", type="ibm")]],
        releases_pending=lambda: 5,
        untold=lambda: {"slurm": 1},
        now=lambda: NOW,
    )
    made.ready(["emu", "new"])
    return made


def used() -> JobUsage:
    """What a job used on a resource whose tasks are counted, and on one where nobody counts."""
    uses = (
        ResourceUse(
            resource="emu", type="local", held_seconds=60.0, tasks=2, shots=200, qpu_seconds=1.5,
            task_wait_seconds=0.5, errors={"vendor": 1},
        ),
        ResourceUse(resource="new", type="local", held_seconds=60.0),
    )  # fmt: skip
    return JobUsage(job=JOB, ended=NOW, wait_seconds=30.0, resources=uses)


def test_each_resource_is_in_one_state(metrics: Metrics) -> None:
    states = {
        state: value(metrics, "qrmi_resource_state", resource="emu", type="local", state=state)
        for state in State
    }
    assert states == {state: float(state is State.PAUSED) for state in State}


def test_what_is_looked_up_at_each_scrape(metrics: Metrics) -> None:
    assert value(metrics, "qrmi_resource_slots", resource="emu") == 4
    assert value(metrics, "qrmi_resource_slots_used", resource="emu") == 2
    assert value(metrics, "qrmi_resource_queue", resource="emu") == 3
    assert value(metrics, "qrmi_resource_poll_age_seconds", resource="emu") == 7
    assert value(metrics, "qrmi_leases", resource="emu") == 2
    assert value(metrics, "qrmi_leases", resource="new") == 0
    assert value(metrics, "qrmi_leases", resource="device") == 1
    assert value(metrics, "qrmi_releases_pending") == 5
    assert value(metrics, "qrmi_switch_pending", scheduler="slurm") == 1


def test_what_is_not_known_is_not_there(metrics: Metrics) -> None:
    """A service that never answered has no age, and one that tells no queue has none of 0."""
    names = {name for name, labels in samples(metrics) if ("resource", "new") in labels}
    assert not names & {"qrmi_resource_queue", "qrmi_resource_poll_age_seconds"}


def test_requests_by_outcome_and_jobs_waits(metrics: Metrics) -> None:
    metrics.acquired(JOB, Answer(outcome=Outcome.LATER, reason="busy"), seconds=0.01, now=NOW)
    granted = Answer(outcome=Outcome.GRANTED, grants=(EMU,))
    metrics.acquired(JOB, granted, seconds=0.2, now=NOW)
    assert value(metrics, "qrmi_acquires_total", outcome="later") == 1
    assert value(metrics, "qrmi_acquires_total", outcome="granted") == 1
    assert value(metrics, "qrmi_acquires_total", outcome="refused") == 0
    assert value(metrics, "qrmi_acquire_seconds_count") == 2
    assert value(metrics, "qrmi_lease_wait_seconds_sum", resource="emu") == 30
    assert value(metrics, "qrmi_lease_wait_seconds_bucket", resource="emu", le="15.0") == 0
    assert value(metrics, "qrmi_lease_wait_seconds_bucket", resource="emu", le="60.0") == 1


def test_what_jobs_used(metrics: Metrics) -> None:
    """Where nobody counts tasks, none are added."""
    metrics.booked(used())
    assert value(metrics, "qrmi_jobs_total", scheduler="slurm") == 1
    for name, amount in (("tasks", 2), ("shots", 200), ("qpu_seconds", 1.5), ("held_seconds", 60)):
        assert value(metrics, f"qrmi_{name}_total", resource="emu") == amount
    assert value(metrics, "qrmi_errors_total", resource="emu", owner="vendor") == 1
    assert value(metrics, "qrmi_errors_total", resource="emu", owner="site") == 0
    assert value(metrics, "qrmi_tasks_total", resource="new") == 0
    assert value(metrics, "qrmi_held_seconds_total", resource="new") == 60


def test_no_figure_names_a_user_or_a_job(metrics: Metrics) -> None:
    """Labels are few and of the site: a server that keeps them has no end of users and jobs."""
    metrics.acquired(JOB, Answer(outcome=Outcome.GRANTED, grants=(EMU,)), seconds=0.2, now=NOW)
    metrics.booked(used())
    before = len(samples(metrics))
    for number in range(50):
        job = Job(scheduler="slurm", cluster="c", id=str(number), submitted=1, user=f"u{number}")
        metrics.acquired(job, Answer(outcome=Outcome.GRANTED, grants=(EMU,)), seconds=0, now=NOW)
        metrics.booked(JobUsage(job=job, ended=NOW, resources=used().resources))
    assert len(samples(metrics)) == before
    text = metrics.exposition()[0].decode()
    for private in ("alice", "physics", "4711", "1234", "secret-project"):
        assert private not in text
    labels = {name for _, labels in samples(metrics) for name, _ in labels}
    assert labels == {"resource", "type", "state", "outcome", "owner", "scheduler", "le"}


def test_two_daemons_of_one_process_do_not_share_figures(metrics: Metrics) -> None:
    other = Metrics()
    metrics.booked(used())
    other.ready(["emu"])
    assert value(other, "qrmi_tasks_total", resource="emu") == 0


# --- what is shipped in docs/ ------------------------------------------------------------------


def _names(metrics: Metrics) -> set[str]:
    metrics.acquired(JOB, Answer(outcome=Outcome.GRANTED, grants=(EMU,)), seconds=0, now=NOW)
    metrics.booked(used())
    return {name for name, _ in samples(metrics)}


def _labels(metrics: Metrics, name: str) -> set[str]:
    return {label for other, own in samples(metrics) if other == name for label, _ in own}


def _queries() -> list[str]:
    board = json.loads((DOCS / "monitoring" / "dashboard.json").read_text())
    expressions = [t["expr"] for panel in board["panels"] for t in panel["targets"]]
    variables = [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
    rules = (DOCS / "monitoring" / "qrmid-alerts.yml").read_text()
    return expressions + variables + re.findall(r"expr: (.*)", rules)


def test_the_dashboard_and_the_alerts_name_figures_that_exist(metrics: Metrics) -> None:
    """Every name and every label in every query; and the dashboard shows every figure."""
    known, asked = _names(metrics), set()
    for query in _queries():
        for name, selector in re.findall(r"\b(qrmi_\w+)(?:\{([^}]*)\})?", query):
            assert name in known, query
            asked.add(re.sub("_(bucket|sum|count)$", "", name))
            used_labels = set(re.findall(r"(\w+)\s*=?[=~!]", selector))
            assert used_labels <= _labels(metrics, name), query
    shown = {re.sub("_(bucket|sum|count|created)$", "", name) for name in known}
    shown -= {re.sub("_total$", "", name) for name in shown if name.endswith("_total")}
    assert shown - asked <= {"qrmi_jobs_total", "qrmi_task_wait_seconds_total"}


def test_the_dashboard_is_in_order() -> None:
    """Panels have ids of their own and do not overlap; all ask the chosen data source."""
    board = json.loads((DOCS / "monitoring" / "dashboard.json").read_text())
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        own = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < 24
        cells |= own
        assert panel["datasource"]["uid"] == "${source}"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_page_explains_every_figure(metrics: Metrics) -> None:
    """docs/monitoring.md names each, and names none that does not exist."""
    page = (DOCS / "monitoring.md").read_text()
    told = set(re.findall(r"`(qrmi_\w+)`", page))
    text = metrics.exposition()[0].decode()
    exist = {re.sub("_total$", "", f.name) for f in text_string_to_metric_families(text)}
    exist = {name for name in exist if not name.endswith("_created")}
    assert {re.sub("_total$", "", name) for name in told} == exist
