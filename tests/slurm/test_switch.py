"""While a QPU is away its jobs wait outside, and say why; everybody else goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import is_installed, until
from setup_lab import SetUpLab

from qrmi.errors import ConfigError, ResourceUnavailableError
from qrmi.site.running import CommandRefusedError
from qrmi.site.slurm.commands import SlurmCommands, records
from qrmi.site.slurm.switch import SlurmSwitch

needs_slurm = [
    pytest.mark.slurm,
    pytest.mark.skipif(not is_installed(), reason="Slurm and MUNGE are not installed"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SetUpLab]:
    with SetUpLab({"emu": 1, "fresnel": 2}) as lab:
        yield lab


@pytest.fixture
def slurm(cluster: SetUpLab) -> Iterator[SetUpLab]:
    """The cluster; after the test nothing is reserved and nothing runs."""
    yield cluster
    switch = SlurmSwitch(cluster.commands)
    for name in cluster.slots:
        switch.on(name)
    cluster.cancel_all()
    until(lambda: not cluster.queue(), told=lambda: str(cluster.queue()))
    assert "ReservationName" not in cluster.run("scontrol", "show", "reservations").stdout
    assert all(each["Reserved"] == "0" for each in licenses(cluster).values())


def licenses(slurm: SetUpLab) -> dict[str, dict[str, str]]:
    shown = records(slurm.run("scontrol", "-o", "show", "licenses").stdout)
    return {each["LicenseName"]: each for each in shown}


def remark(slurm: SetUpLab, job: str) -> tuple[str, str]:
    """A job's AdminComment and Comment."""
    found = next(records(slurm.run("scontrol", "-o", "show", "job", job).stdout))
    values = [found.get(key, "") for key in ("AdminComment", "Comment")]
    return tuple("" if value == "(null)" else value for value in values)  # type: ignore[return-value]


class TestAway:
    pytestmark = needs_slurm

    def test_jobs_wait_and_running_ones_go_on(self, slurm: SetUpLab) -> None:
        """Off: waiting and new jobs stay pending; the running one and other QPUs are untouched."""
        running = slurm.submit("sleep 60", "-L", "qpu_emu")
        slurm.until_state(running, "RUNNING")
        waiting = slurm.submit("true", "-L", "qpu_emu")
        switch = SlurmSwitch(slurm.commands)
        switch.off("emu", "paused: calibration")
        new = slurm.submit("true", "--gres=qpu:emu:1")
        other = slurm.submit("true", "-L", "qpu_fresnel:2")
        assert slurm.until_over(other) == "COMPLETED"
        assert slurm.state(running) == "RUNNING"
        slurm.run("scancel", running)
        slurm.until_over(running)
        slurm.run("sleep", "2")
        for job in (waiting, new):
            assert slurm.state(job) == "PENDING"
            assert slurm.fields(job)["NodeList"] == ""
        switch.on("emu")
        assert slurm.until_over(waiting) == "COMPLETED"
        assert slurm.until_over(new) == "COMPLETED"

    def test_the_reason_is_shown_and_taken_back(self, slurm: SetUpLab) -> None:
        """`scontrol show job` and `squeue -o %k` tell it; after `on` it is gone."""
        switch = SlurmSwitch(slurm.commands)
        switch.off("emu", "paused: mode=x; back at 12:00")
        job = slurm.submit("true", "--hold", "-L", "qpu_emu")
        own = slurm.submit("true", "--hold", "-L", "qpu_emu", "--comment=of my own")
        else_ = slurm.submit("true", "--hold", "-L", "qpu_fresnel")
        switch.off("emu", "paused: mode=x; back at 12:00")
        text = "qrmi: emu is paused: mode:x; back at 12:00"
        assert remark(slurm, job) == (text, text)
        assert remark(slurm, own) == (text, "of my own")
        assert remark(slurm, else_) == ("", "")
        assert text in slurm.run("squeue", "-h", "-o", "%i %T %r %k", "-j", job).stdout
        switch.off("emu", "offline: worse")
        assert remark(slurm, job)[0] == "qrmi: emu is offline: worse"
        switch.on("emu")
        assert remark(slurm, job) == ("", "")
        assert remark(slurm, own) == ("", "of my own")

    def test_many_waiting_jobs(self, slurm: SetUpLab) -> None:
        """Each of them says why, with few commands; an array is one."""
        jobs = [slurm.submit("true", "--hold", "-L", "qpu_emu") for _ in range(24)]
        array = slurm.submit("true", "--hold", "--array=1-500", "-L", "qpu_emu")
        SlurmSwitch(slurm.commands).off("emu", "paused")
        assert {remark(slurm, job)[0] for job in [*jobs, array]} == {"qrmi: emu is paused"}
        SlurmSwitch(slurm.commands).on("emu")
        assert {remark(slurm, job)[0] for job in [*jobs, array]} == {""}

    def test_any_qpu_leaves_out_what_is_away(self, slurm: SetUpLab) -> None:
        """`auto` waits while all that is not away is taken, and takes what comes back."""
        switch = SlurmSwitch(slurm.commands)
        switch.off("emu", "offline")
        held = slurm.submit("sleep 60", "-L", "qpu_fresnel:2")
        slurm.until_state(held, "RUNNING")
        job = slurm.submit("true", "--comment=qpu=auto")
        slurm.run("sleep", "2")
        assert slurm.state(job) == "PENDING"
        switch.on("emu")
        assert slurm.until_over(job) == "COMPLETED"

    def test_what_is_away_and_held_is_not_counted_twice(self, slurm: SetUpLab) -> None:
        """A QPU that is away while a job holds it takes nothing of the pool from the others."""
        held = slurm.submit("sleep 60", "-L", "qpu_emu")
        slurm.until_state(held, "RUNNING")
        switch = SlurmSwitch(slurm.commands)
        switch.off("emu", "paused")
        assert licenses(slurm)["qpu"]["Reserved"] == "0"
        job = slurm.submit("true", "-L", "qpu_fresnel:2")
        assert slurm.until_over(job) == "COMPLETED"
        slurm.run("scancel", held)
        slurm.until_over(held)
        switch.off("emu", "paused")
        assert licenses(slurm)["qpu"]["Reserved"] == "1"

    def test_repeats_and_restarts(self, slurm: SetUpLab) -> None:
        """Either call may be repeated, by another daemon, and after a restart of slurmctld."""
        SlurmSwitch(slurm.commands).off("emu", "paused")
        SlurmSwitch(slurm.commands).off("emu", "paused")
        slurm.restart_daemon("slurmctld")
        until(lambda: slurm.run("squeue", check=False).returncode == 0)
        again = SlurmSwitch(slurm.commands)
        assert licenses(slurm)["qpu_emu"]["Reserved"] == "1"
        again.off("emu", "paused")
        again.off("nobody", "no such QPU")
        again.on("nobody")
        assert licenses(slurm)["qpu_emu"]["Reserved"] == "1"
        again.on("emu")
        again.on("emu")
        assert licenses(slurm)["qpu_emu"]["Reserved"] == "0"

    def test_two_away_and_a_daemon_that_has_forgotten(self, slurm: SetUpLab) -> None:
        """A new daemon that brings one back leaves the other, and what its jobs say, alone."""
        first = SlurmSwitch(slurm.commands)
        first.off("emu", "paused")
        first.off("fresnel", "drained: cooling")
        job = slurm.submit("true", "--hold", "-L", "qpu_fresnel")
        first.off("fresnel", "drained: cooling")
        SlurmSwitch(slurm.commands).on("emu")
        assert licenses(slurm)["qpu_emu"]["Reserved"] == "0"
        assert licenses(slurm)["qpu_fresnel"]["Reserved"] == "2"
        assert licenses(slurm)["qpu"]["Reserved"] == "2"
        assert remark(slurm, job)[0] == "qrmi: fresnel is drained: cooling"

    def test_the_end_that_is_told_is_slurms_to_plan_with(self, slurm: SetUpLab) -> None:
        """`until` is the reservation's end; without one it lasts."""
        switch = SlurmSwitch(slurm.commands)

        def left() -> float:
            shown = slurm.commands.run("scontrol", "-o", "show", "reservations")
            return float(next(records(shown))["EndTime"]) - time.time()

        switch.off("emu", "drained", until=time.time() + 7200)
        assert left() == pytest.approx(7200, abs=30)
        switch.off("emu", "drained")
        assert left() > 300 * 86400

    def test_a_silent_controller(self, slurm: SetUpLab) -> None:
        """It is said, within the time-out, so that the daemon asks again later."""
        slurm.kill("slurmctld")
        try:
            commands = SlurmCommands(conf=str(slurm.conf), timeout_seconds=1)
            with pytest.raises(ResourceUnavailableError, match=r"did not answer|does not answer"):
                SlurmSwitch(commands).off("emu", "paused")
        finally:
            slurm.start_daemon("slurmctld")
            until(lambda: slurm.run("squeue", check=False).returncode == 0)

    def test_what_slurm_refuses(self, slurm: SetUpLab) -> None:
        """Slurm's own words are in the error."""
        with pytest.raises(CommandRefusedError, match="Invalid job id"):
            slurm.commands.run("scontrol", "show", "job", "99999")


WORDS = st.text(alphabet="abJ =,:_\t\n", max_size=60)


@given(WORDS, WORDS)
def test_nobody_can_forge_another_jobs_id(name: str, comment: str) -> None:
    """Whatever a user calls a job, or writes to it, its record is the job's own; junk is none."""
    line = f"JobId=17 JobName={name} JobState=PENDING Comment={comment} JobId=18".replace("\n", " ")
    assert next(records(line))["JobId"] == "17"
    assert all(isinstance(value, str) for each in records(name) for value in each.values())


def test_no_command() -> None:
    """A host without Slurm is told so, with the key to set."""
    with pytest.raises(ConfigError, match="there is no command") as caught:
        SlurmCommands(scontrol="/nowhere/scontrol").run("scontrol", "ping")
    assert "[slurm]" in caught.value.hint


def test_the_environment_is_not_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is set where the daemon was started changes nothing of what its commands do."""
    program = tmp_path / "scontrol"
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)
    monkeypatch.setenv("SLURM_CONF", "/evil")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/evil")
    shown = SlurmCommands(scontrol=str(program), conf="/good").run("scontrol")
    assert "SLURM_CONF=/good" in shown
    assert "evil" not in shown
