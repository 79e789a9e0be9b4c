"""The daemon's side: whether runs are over, and what is switched off; from recorded replies."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import ResourceUnavailableError
from qrmi.site.gridengine.commands import Commands
from qrmi.site.gridengine.mending import QueueMender
from qrmi.site.gridengine.switch import GridEngineSwitch, complex_of, pools
from qrmi.site.gridengine.watch import GridEngineWatch, read_look
from qrmi.site.terms import Job
from qrmi.testing.clock import FakeClock

_RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture(autouse=True)
def qmasters_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replies were recorded in this one."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def _program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def _watch(folder: Path, **options: float) -> tuple[GridEngineWatch, FakeClock, Path]:
    """A watch whose qstat prints what stands in a file."""
    reply = folder / "reply.xml"
    qstat = _program(folder, "qstat", f"cat {reply}")
    clock = FakeClock()
    return GridEngineWatch(Commands(qstat=qstat), clock=clock, **options), clock, reply


def _job(task: str, started: int = 1795394123, **fields: str) -> Job:
    known = {"scheduler": "gridengine", "cluster": "qge", "id": task}
    return Job(**{**known, **fields}, restart=started, submitted=1795394123)


def _verdict(watch: GridEngineWatch, clock: FakeClock, job: Job) -> bool | None:
    """The second answer: the first may be older than the question."""
    watch.is_over(job)
    clock.sleep(6)
    return watch.is_over(job)


def test_a_run_that_is_on_a_host_goes_on(tmp_path: Path) -> None:
    """Of an array, each task for itself; tasks that wait hold nothing."""
    watch, clock, reply = _watch(tmp_path)
    reply.write_text((_RECORDED / "queues.xml").read_text())
    assert _verdict(watch, clock, _job("1.3")) is False
    assert _verdict(watch, clock, _job("2.1")) is False
    assert _verdict(watch, clock, _job("1.5")) is True
    assert _verdict(watch, clock, _job("99.1")) is True


def test_a_job_that_was_started_anew_is_another_run(tmp_path: Path) -> None:
    """Ids come back, and jobs are restarted: the second of the start tells."""
    watch, clock, reply = _watch(tmp_path)
    reply.write_text((_RECORDED / "queues.xml").read_text())
    assert _verdict(watch, clock, _job("2.1", started=1795394122)) is True


def test_others_jobs_are_not_judged(tmp_path: Path) -> None:
    """Another scheduler's job is unknown here, which says nothing of it."""
    watch, clock, reply = _watch(tmp_path)
    reply.write_text((_RECORDED / "queues.xml").read_text())
    assert _verdict(watch, clock, _job("99.1", scheduler="slurm")) is None


@pytest.mark.parametrize("reply", ["", "no xml", "<job_info>", "exit"])
def test_a_silent_qmaster_ends_nothing(tmp_path: Path, reply: str) -> None:
    """Only a whole answer counts."""
    watch, clock, file = _watch(tmp_path)
    if reply != "exit":
        file.write_text(reply)
    assert _verdict(watch, clock, _job("99.1")) is None


def test_a_lease_is_not_judged_by_an_older_answer(tmp_path: Path) -> None:
    """Between the answer and the question the job may have begun."""
    watch, clock, reply = _watch(tmp_path)
    reply.write_text((_RECORDED / "queues.xml").read_text())
    watch.is_over(_job("1.3"))
    clock.sleep(1)
    assert watch.is_over(_job("99.1")) is None


def test_a_host_that_is_lost(tmp_path: Path) -> None:
    """Its runs are over once it is unheard for long enough, and not before."""
    watch, clock, reply = _watch(tmp_path, lost_seconds=60)
    reply.write_text((_RECORDED / "unheard.xml").read_text())
    assert _verdict(watch, clock, _job("2.1")) is False
    clock.sleep(30)
    assert watch.is_over(_job("2.1")) is False
    clock.sleep(40)
    assert watch.is_over(_job("2.1")) is True


def test_a_host_that_is_heard_again_was_not_lost(tmp_path: Path) -> None:
    """The time begins anew."""
    watch, clock, reply = _watch(tmp_path, lost_seconds=60)
    for name, seconds in (("unheard.xml", 50), ("queues.xml", 50), ("unheard.xml", 50)):
        reply.write_text((_RECORDED / name).read_text())
        assert _verdict(watch, clock, _job("2.1")) is False
        clock.sleep(seconds)


@given(st.recursive(st.just("<job_list/>"), lambda inner: inner.map(lambda x: f"<a>{x}</a>")))
def test_any_xml_can_be_looked_at(text: str) -> None:
    """Elements that are missing are nobody's run."""
    assert read_look(ElementTree.fromstring(f"<x>{text}</x>"), 0.0).runs == {}


# --- the switch -------------------------------------------------------------------------------


@attrs.frozen
class _Fake:
    folder: Path
    commands: Commands

    @property
    def said(self) -> list[str]:
        """The commands that changed something."""
        path = self.folder / "said"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def fake(tmp_path: Path) -> _Fake:
    """Commands that print what was recorded, and note what they are told."""
    note = f'echo "$(basename $0) $*" >>{tmp_path}/said'
    show = f'[ "$1" = -se ] && exec cat {tmp_path}/host; {note}'
    (tmp_path / "host").write_text((_RECORDED / "host.txt").read_text())
    qconf = _program(tmp_path, "qconf", show)
    qstat = _program(tmp_path, "qstat", f"cat {_RECORDED}/pending.xml")
    _program(tmp_path, "qalter", note)
    return _Fake(tmp_path, Commands(qconf=qconf, qstat=qstat))


def _switch(fake: _Fake) -> GridEngineSwitch:
    return GridEngineSwitch(fake.commands, {"emu": 1, "many": 4, "fresnel": 1, "test_heron": 1})


def test_off_takes_it_from_the_pool_and_tells_those_who_wait(fake: _Fake) -> None:
    """One change of the host, and the reason for the jobs that ask for it."""
    _switch(fake).off("emu", "laser service, at noon", None)
    assert fake.said == [
        "qconf -mattr exechost complex_values qpu_emu=0,qpu_any=6 global",
        "qalter -ac qrmi_reason=waiting: emu is away: laser service; at noon 1",
    ]


def test_off_again_changes_nothing_but_the_reason(fake: _Fake) -> None:
    """It is told again after a restart, and for a new reason."""
    host = fake.folder / "host"
    text = host.read_text().replace("qpu_emu=1", "qpu_emu=0").replace("any=7", "any=6")
    host.write_text(text)
    _switch(fake).off("emu", "x", 1795394123.0)
    assert [line.split()[0] for line in fake.said] == ["qalter"]
    assert " until 20" in fake.said[0]


def test_on_gives_its_slots_back(fake: _Fake) -> None:
    """To what the configuration says, and the pool with it; jobs lose the reason."""
    host = fake.folder / "host"
    host.write_text(host.read_text().replace("qpu_many=4", "qpu_many=0").replace("any=7", "any=3"))
    _switch(fake).on("many")
    assert fake.said == ["qconf -mattr exechost complex_values qpu_many=4,qpu_any=7 global"]


def test_what_grid_engine_does_not_count_is_no_error(fake: _Fake) -> None:
    """A resource that no setup told it of."""
    _switch(fake).off("stranger", "x", None)
    _switch(fake).on("stranger")
    assert fake.said == []


def test_jobs_that_cannot_be_told_are_no_reason_to_fail(fake: _Fake) -> None:
    """What counts is that the QPU is off."""
    (fake.folder / "qalter").unlink()
    _switch(fake).off("emu", "x", None)
    assert fake.said == ["qconf -mattr exechost complex_values qpu_emu=0,qpu_any=6 global"]


def test_a_qmaster_that_does_not_do_it_is_an_error(fake: _Fake) -> None:
    """So that it is told again."""
    _program(fake.folder, "qconf", "echo unable to contact qmaster >&2; exit 1")
    with pytest.raises(ResourceUnavailableError, match="qmaster does not answer qconf"):
        _switch(fake).off("emu", "x", None)


@given(st.text(max_size=200))
def test_pools_of_anything(text: str) -> None:
    """Whatever qconf prints."""
    assert all(name.startswith("qpu_") for name in pools(text))


def test_pools_in_several_lines() -> None:
    """Where qconf breaks long lines."""
    text = "complex_values   slots=4,qpu_a=1, \\\n                 qpu_b=0\nload_values qpu_a=9\n"
    assert pools(text) == {"qpu_a": 1, "qpu_b": 0}


def test_names_that_grid_engine_cannot_spell() -> None:
    """Its names have letters, digits and underscores."""
    assert complex_of("ibm-x.1") == "qpu_ibm_x_1"


# --- queues that stopped --------------------------------------------------------------------------

_STOPPED = """<?xml version='1.0'?>
<job_info><queue_info>{queues}</queue_info><job_info></job_info></job_info>
"""
_QUEUE = """<Queue-List><name>{name}</name><slots_total>8</slots_total><state>E</state>
<message>queue all.q marked QERROR as result of job {job}&apos;s failure at host vm</message>
</Queue-List>"""
_JOB = """\
job_number:                 1
hard resource_list:         {asked}
env_list:                   TERM=NONE,OPENQRMI_ASKED=1
error reason          1:      11/23/2026 04:05:28 [0:31540]: {reason}
"""


def _mender(
    folder: Path, jobs: dict[str, str], queues: dict[str, str]
) -> tuple[QueueMender, FakeClock, Path]:
    """A mender before queues in error, each by the failure of a job that qmaster may know."""
    cells = "".join(_QUEUE.format(name=name, job=job) for name, job in queues.items())
    (folder / "stopped.xml").write_text(_STOPPED.format(queues=cells))
    for number, text in jobs.items():
        (folder / f"job{number}").write_text(text)
    qstat = _program(
        folder,
        "qstat",
        f'[ "$1" = -j ] && {{ cat {folder}/job$2 2>/dev/null || exit 1; exit 0; }}\n'
        f"cat {folder}/stopped.xml",
    )
    _program(folder, "qmod", f'echo "$*" >> {folder}/cleared')
    clock = FakeClock()
    qconf = _program(folder, "qconf", "true")
    return QueueMender(Commands(qstat=qstat, qconf=qconf), clock), clock, folder / "cleared"


def _killed(what: str = "prolog", asked: str = "qpu_any=1,qpu_emu=1", code: int = 137) -> str:
    return _JOB.format(asked=asked, reason=f"exit_status of {what} = {code}")


@pytest.mark.parametrize("what", ["prolog", "epilog"])
def test_a_queue_goes_on_after_a_hook_was_killed(tmp_path: Path, what: str) -> None:
    mender, _, cleared = _mender(tmp_path, {"1": _killed(what)}, {"all.q@vm": "1"})
    assert mender.step() == ["all.q@vm"]
    assert cleared.read_text() == "-cq all.q@vm\n"


@pytest.mark.parametrize(
    "job",
    [
        _killed(code=127),  # the hook is not there
        _killed(code=143),
        _killed(asked="h_vmem=1G"),  # none of our jobs
        _JOB.format(asked="qpu_emu=1", reason="can't chdir to /home/alice: No such file"),
        _killed() + 'error reason          2:      [0:1]: can\'t stat() "/x" as stdout_path\n',
        "hard resource_list:         qpu_emu=1\n",
        None,  # it was deleted
    ],
)
def test_what_else_stops_a_queue_is_for_people(tmp_path: Path, job: str | None) -> None:
    mender, _, cleared = _mender(tmp_path, {} if job is None else {"1": job}, {"all.q@vm": "1"})
    assert mender.step() == []
    assert not cleared.exists()


def test_one_queue_of_several(tmp_path: Path) -> None:
    """Each for what stopped it; none where all is well."""
    jobs = {"1": _killed(), "2": _killed(code=1)}
    mender, _, _ = _mender(tmp_path, jobs, {"a.q@vm": "2", "b.q@vm": "1"})
    assert mender.step() == ["b.q@vm"]
    (tmp_path / "stopped.xml").write_text(_STOPPED.format(queues=""))
    assert mender.step() == []


def test_a_host_that_kills_every_hook_is_for_people_in_the_end(tmp_path: Path) -> None:
    """Five times an hour, no more."""
    mender, clock, _ = _mender(tmp_path, {"1": _killed()}, {"all.q@vm": "1"})
    assert [len(mender.step()) for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]
    clock.sleep(3700)
    assert mender.step() == ["all.q@vm"]
