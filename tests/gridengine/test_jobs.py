"""Jobs of every kind on a real Grid Engine: each finds its QPUs, and gives them back."""

from __future__ import annotations

import json
import subprocess

import pytest
from ge_lab import until
from ge_site import OTHER, USER, GESite

from qrmi.site.gridengine.switch import pools

_SAMPLE = """
from qiskit import QuantumCircuit
from qrmi.qiskit import SamplerV2, backend
device = backend()
circuit = QuantumCircuit(2)
circuit.x(0)
circuit.measure_all()
result = SamplerV2(device).run([circuit], shots=10).result()
print(device.name, result[0].data.meas.get_counts())
"""
_OPEN = """
import os, qrmi
resource = qrmi.open()
print(resource.resource_id(), resource.type_name, os.environ["QRMI_JOB_ID"])
"""
_STAMPS = "date +%s.%N; sleep {seconds}; date +%s.%N"


def _variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _span(text: str) -> list[float]:
    return [float(line) for line in text.split()]


def test_a_job_runs_a_program_on_its_qpu(site: GESite) -> None:
    """`backend()` is the job's QPU: nothing is configured by the user, and a task runs."""
    job = site.submit(site.python(_SAMPLE), "-l", "qpu=emu")
    site.lab.wait_gone(job)
    assert "emu" in site.lab.output(job)
    assert "{'01': 10}" in site.lab.output(job)


def test_a_job_opens_the_qpu_of_a_site_with_a_key(site: GESite) -> None:
    """A QPU behind the site's key is opened through the daemon, and the key stays there."""
    job = site.submit(site.python(_OPEN) + "; env", "-l", "qpu=test_heron")
    site.lab.wait_gone(job)
    told = site.lab.output(job)
    assert f"test_heron ibm-quantum-compute-service {job}.1" in told
    key = site.compute.resource("test_heron")["environment"]["QRMI_IBM_QCS_IAM_APIKEY"]
    assert key not in told


def test_a_job_is_told_all_that_the_contract_has(site: GESite) -> None:
    """Names, types, job, token and time limit are there."""
    job = site.submit("env", "-l", "qpu=emu+test_heron,h_rt=300")
    site.lab.wait_gone(job)
    told = _variables(site.lab.output(job))
    assert told["QRMI_JOB_QPU_RESOURCES"] == "emu,test_heron"
    assert told["QRMI_JOB_QPU_TYPES"] == "local,ibm-quantum-compute-service"
    assert told["QRMI_JOB_ID"] == f"{job}.1"
    assert told["QRMI_JOB_UID"] == "5"
    for name in ("emu", "test_heron"):
        assert told[f"{name}_QRMI_JOB_TIMEOUT_SECONDS"] == "300"
        assert told[f"{name}_QRMI_JOB_ACQUISITION_TOKEN"]


def test_qrsh_has_its_qpu(site: GESite) -> None:
    """An interactive job is a job."""
    told = site.lab.run("qrsh", "-now", "n", "-l", "qpu=fresnel", "/usr/bin/env", seconds=40)
    found = _variables(told.stdout.replace("\r", ""))
    assert found["QRMI_JOB_QPU_RESOURCES"] == "fresnel"
    assert found["fresnel_QRMI_JOB_ACQUISITION_TOKEN"]


def test_two_jobs_take_turns(site: GESite) -> None:
    """Two users' jobs for one QPU never overlap, and Grid Engine starts no job in vain."""
    script = _STAMPS.format(seconds=0.5)
    jobs = [site.submit(script, "-l", "qpu=fresnel", user=user) for user in (USER, OTHER)]
    site.lab.wait_gone(*jobs)
    first, second = sorted(_span(site.lab.output(job)) for job in jobs)
    assert first[1] < second[0]


def test_jobs_share_what_has_slots(site: GESite) -> None:
    """Four slots are two jobs of two at once; the third waits."""
    script = _STAMPS.format(seconds=0.8)
    jobs = [site.submit(script, "-l", "qpu=many,qpu_slots=2") for _ in range(3)]
    site.lab.wait_gone(*jobs)
    one, two, three = sorted(_span(site.lab.output(job)) for job in jobs)
    assert two[0] < one[1]
    assert three[0] > one[1]


def test_auto_takes_what_is_free(site: GESite) -> None:
    """Named QPUs are left to those that name them; jobs that take any get others."""
    busy = site.submit("sleep 3", "-l", "qpu=emu+many,qpu_many=4")
    until(lambda: site.leases(), "the first job holds its QPUs")
    jobs = [site.submit("env; sleep 1", "-l", "qpu=auto") for _ in range(2)]
    site.lab.wait_gone(busy, *jobs)
    got = {_variables(site.lab.output(job))["QRMI_JOB_QPU_RESOURCES"] for job in jobs}
    assert got == {"fresnel", "test_heron"}


def test_several_are_all_or_nothing(site: GESite) -> None:
    """``a+b`` are both held, in one job."""
    job = site.submit("env", "-l", "qpu=fresnel+emu+auto")
    site.lab.wait_gone(job)
    got = _variables(site.lab.output(job))["QRMI_JOB_QPU_RESOURCES"].split(",")
    assert {"fresnel", "emu"} < set(got)
    assert len(set(got)) == 3


def test_each_task_of_an_array_has_a_lease(site: GESite) -> None:
    """Three tasks, three leases, one after the other where there is one QPU."""
    before = len(site.warden.sessions)
    job = site.submit("env", "-l", "qpu=fresnel", "-t", "1-3")
    site.lab.wait_gone(job)
    told = [_variables(site.lab.output(job, str(task))) for task in (1, 2, 3)]
    assert [each["QRMI_JOB_ID"] for each in told] == [f"{job}.{task}" for task in (1, 2, 3)]
    assert len({each["fresnel_QRMI_JOB_ACQUISITION_TOKEN"] for each in told}) == 3
    assert len(site.warden.sessions) == before + 3


def test_a_classical_job_is_left_alone(site: GESite) -> None:
    """It gets nothing, and says nothing; the hooks end before they load anything."""
    job = site.submit("env | grep -c QRMI_JOB; true")
    site.lab.wait_gone(job)
    assert site.lab.output(job) == "0\n"


def test_unknown_names_are_refused_at_once(site: GESite) -> None:
    """The user is told the names that there are, by qsub itself."""
    for asked in ("qpu=nosuch", "qpu=emu+nosuch"):
        told = site.submit("true", "-l", asked, check=False)
        assert "there are: emu, fresnel, many, test_heron" in told


def test_usage_is_booked_with_the_job(site: GESite) -> None:
    """The site's books have the run under its user."""
    job = site.submit("sleep 1", "-l", "qpu=emu")
    site.lab.wait_gone(job)
    site.until_free()

    def booked() -> bool:
        rows = site.daemon.ask("GET", "/v1/usage?by=user")
        return any(USER in json.dumps(row) for row in rows)

    until(booked, "the books have it")


def test_usage_is_written_where_grid_engine_keeps_it(site: GESite) -> None:
    """The epilog adds what the books say to the run's ``usage``, as ``qrmi_*``."""
    file = site.hooks / "site.json"
    text = file.read_text()
    copy = site.lab.folder / "usage"
    with site.hooked("epilog", after=f"cp $SGE_JOB_SPOOL_DIR/usage {copy}"):
        try:
            file.write_text(text.replace('"usage_seconds": 0', '"usage_seconds": 5'))
            job = site.submit("sleep 1", "-l", "qpu=emu")
            site.lab.wait_gone(job)
        finally:
            file.write_text(text)
    told = _variables(copy.read_text())
    assert told["exit_status"] == "0"
    assert 1 <= float(told["qrmi_held_seconds"]) < 20
    assert float(told["qrmi_wait_seconds"]) >= 0


def test_check_is_content(site: GESite) -> None:
    """What setup wrote and apply.sh told is what check expects; JSON is for machines."""
    folder = ["--folder", str(site.hooks)]
    told = json.loads(site.qrmi("gridengine", "check", "--json", *folder).stdout)
    assert told["problems"] == 0
    assert {each["state"] for each in told["findings"]} == {"ok"}


def test_check_finds_what_is_missing(site: GESite) -> None:
    """A queue without hooks, or another folder, is a problem with its remedy; exit code 1."""
    site.lab.qconf("-mattr", "queue", "prolog", "NONE", "all.q")
    try:
        done = site.qrmi("gridengine", "check", "--folder", str(site.hooks), check=False)
    finally:
        site.apply()
    assert done.returncode == 1
    assert "prolog is NONE, not ours: run apply.sh again" in done.stdout


def test_apply_leaves_a_hook_of_the_sites_own(site: GESite) -> None:
    """Nothing of the site's is replaced; the script says what is left to do, and its exit code."""
    site.lab.qconf("-mattr", "queue", "epilog", "root@/bin/true", "all.q")
    try:
        done = subprocess.run(
            [str(site.hooks / "apply.sh")], capture_output=True, text=True, check=False
        )
        assert "epilog" in done.stderr
        assert "root@/bin/true" in site.lab.qconf("-sq", "all.q")
    finally:
        site.lab.qconf("-mattr", "queue", "epilog", "NONE", "all.q")
        site.apply()
    assert done.returncode == 1


@pytest.mark.parametrize("how", ["twice", "removed"])
def test_setup_can_be_repeated_and_taken_back(site: GESite, how: str) -> None:
    """Applying again changes nothing; removing leaves qmaster as it was, for classical jobs."""
    before = site.lab.qconf("-sc"), pools(site.lab.qconf("-se", "global"))
    if how == "removed":
        site.apply("remove.sh")
        assert "qpu" not in site.lab.qconf("-sc") + site.lab.qconf("-sq", "all.q")
        job = site.submit("echo classical")
        site.lab.wait_gone(job)
        assert site.lab.output(job) == "classical\n"
    site.apply()
    assert (site.lab.qconf("-sc"), pools(site.lab.qconf("-se", "global"))) == before
