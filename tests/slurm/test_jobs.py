"""Jobs of every kind on a real Slurm: each finds its QPUs, and gives them back."""

from __future__ import annotations

import json
import subprocess

import pytest
from lab import until
from slurm_site import NAMES, SlurmSite

SAMPLE = """
from qiskit import QuantumCircuit
from qrmi.qiskit import SamplerV2, backend
device = backend()
circuit = QuantumCircuit(2)
circuit.x(0)
circuit.measure_all()
result = SamplerV2(device).run([circuit], shots=10).result()
print(device.name, result[0].data.meas.get_counts())
"""
PULSE = """
import numpy as np
from pulser import AnalogDevice, Pulse, Register, Sequence
from pulser.backend import QPUBackend
from qrmi.pulser import QRMIConnection
register = Register.rectangle(1, 2, spacing=5, prefix="q").with_automatic_layout(AnalogDevice)
sequence = Sequence(register, AnalogDevice)
sequence.declare_channel("drive", "rydberg_global")
sequence.add(Pulse.ConstantPulse(352, 2 * np.pi, 0, 0), "drive")
sequence.measure("ground-rydberg")
backend = QPUBackend(sequence, connection=QRMIConnection())
print(sum(backend.run([{"runs": 50}], wait=True)[0].final_bitstrings.values()), "shots")
"""
OPEN = """
import os, qrmi
resource = qrmi.open()
print(resource.resource_id(), resource.resource_type(), os.environ["QRMI_JOB_ID"])
"""


def test_a_batch_job_runs_a_program_on_its_qpu(site: SlurmSite) -> None:
    """`backend()` is the job's QPU: nothing is configured by the user, and a task runs."""
    job = site.submit(site.python(site.user, SAMPLE), "-L", "qpu_emu")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job)
    assert "{'01': 10}" in site.lab.output(job)
    assert "emu" in site.lab.output(job)


def test_a_program_runs_on_a_qpu_behind_warden(site: SlurmSite) -> None:
    """The job's user runs it, in the session that the site opened for the job."""
    job = site.submit(site.python(site.user, PULSE), "-L", "qpu_fresnel")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job) + site.log()
    assert "50 shots" in site.lab.output(job)
    assert site.warden.qpu.jobs[-1].session is site.warden.sessions[-1]
    assert site.warden.sessions[-1].user == str(site.user.uid)


def test_a_program_runs_where_only_the_site_has_a_key(site: SlurmSite) -> None:
    """The site's daemon speaks to the vendor for the job, which never sees the key."""
    job = site.submit(site.python(site.user, SAMPLE), "-L", "qpu_test_heron")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job) + site.log()
    assert "test_heron" in site.lab.output(job)
    assert "'01'" in site.lab.output(job)


def test_a_job_is_told_all_that_the_contract_has(site: SlurmSite) -> None:
    """Names, types, job, token and time limit are there under both spellings; no site key is."""
    job = site.submit("env", "-L", "qpu_emu,qpu_test_heron", "-t", "5")
    assert site.lab.until_over(job) == "COMPLETED"
    lines = [line for line in site.lab.output(job).splitlines() if "=" in line]
    told = dict(line.split("=", 1) for line in lines)
    for names in ("QRMI_JOB_QPU_RESOURCES", "SLURM_JOB_QPU_RESOURCES"):
        assert told[names] == "emu,test_heron"
    for types in ("QRMI_JOB_QPU_TYPES", "SLURM_JOB_QPU_TYPES"):
        assert told[types] == "local,ibm-quantum-compute-service"
    assert told["QRMI_JOB_ID"] == job
    assert told["QRMI_JOB_UID"] == str(site.user.uid)
    for name in ("emu", "test_heron"):
        assert told[f"{name}_QRMI_JOB_TIMEOUT_SECONDS"] == "300"
        assert told[f"{name}_QRMI_JOB_ACQUISITION_TOKEN"]
    key = site.compute.resource("test_heron")["environment"]["QRMI_IBM_QCS_IAM_APIKEY"]
    assert key not in site.lab.output(job)


def test_a_job_without_a_time_limit(site: SlurmSite) -> None:
    """No limit is 4294967295, as all programs of the contract know it."""
    job = site.submit("echo $emu_QRMI_JOB_TIMEOUT_SECONDS", "-L", "qpu_emu", "-t", "UNLIMITED")
    site.lab.until_over(job)
    assert site.lab.output(job).strip() == "4294967295"


def test_steps_share_the_jobs_lease(site: SlurmSite) -> None:
    """Eight ranks of a step, and the batch script, have one session at the vendor."""
    script = "echo $fresnel_QRMI_JOB_ACQUISITION_TOKEN; srun -n 8 sh -c " + (
        "'echo $fresnel_QRMI_JOB_ACQUISITION_TOKEN'"
    )
    job = site.submit(script, "-L", "qpu_fresnel", "-n", "8")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job)
    tokens = site.lab.output(job).split()
    assert len(tokens) == 9
    assert len(set(tokens)) == 1


def test_srun_alone(site: SlurmSite) -> None:
    """A direct srun has its QPU, in every rank."""
    command = ["srun", "-n", "2", "-L", "qpu_fresnel", "sh", "-c", "echo $QRMI_JOB_QPU_RESOURCES"]
    done = site.lab.run(*command, user=site.user)
    assert done.stdout.split() == ["fresnel", "fresnel"]


def test_salloc(site: SlurmSite) -> None:
    """The steps of an allocation have its QPU; it is given back when the shell ends."""
    inner = "srun -n1 sh -c 'echo $QRMI_JOB_QPU_RESOURCES'; srun -n2 sh -c 'echo $QRMI_JOB_ID'"
    done = site.lab.run("salloc", "-n2", "-L", "qpu_fresnel", "sh", "-c", inner, user=site.user)
    name, *ids = done.stdout.split()
    assert name == "fresnel"
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_two_jobs_want_one_qpu(site: SlurmSite) -> None:
    """Two users' jobs run one after the other: Slurm keeps the second one waiting."""
    script = "date +%s.%N; sleep 0.4; date +%s.%N"
    jobs = [site.submit(script, "-L", "qpu_emu", user=user) for user in (site.user, site.other)]
    assert [site.lab.until_over(job) for job in jobs] == ["COMPLETED"] * 2
    first, second = sorted([float(t) for t in site.lab.output(job).split()] for job in jobs)
    assert first[1] < second[0]


def test_any_qpu(site: SlurmSite) -> None:
    """`--gres=qpu:N` gives N different QPUs, whichever are free."""
    script = "echo $QRMI_JOB_QPU_RESOURCES; sleep 1"
    one = site.submit(script, "--gres=qpu:1")
    two = site.submit(script, "--gres=qpu:1")
    both = site.submit(script, "--gres=qpu:2")
    assert [site.lab.until_over(job) for job in (one, two, both)] == ["COMPLETED"] * 3
    found = {site.lab.output(job).strip() for job in (one, two)}
    assert found == {"emu", "fresnel"}
    assert sorted(site.lab.output(both).strip().split(",")) == ["emu", "fresnel"]


def test_any_qpu_by_the_pool_of_licenses(site: SlurmSite) -> None:
    """The site picks what is free, and Slurm learns which it was: it goes on counting right."""
    holder = site.submit("echo on; sleep 20", "-L", "qpu_emu:1,qpu:1")
    until(lambda: site.lab.output(holder), told=site.log)
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES; sleep 20", "-L", "qpu:2")
    names = until(lambda: site.lab.output(job).strip(), told=site.log).split(",")
    assert len(set(names)) == 2
    assert "emu" not in names
    licenses = dict(item.split(":") for item in site.lab.fields(job)["Licenses"].split(","))
    assert licenses == {"qpu": "2", **{f"qpu_{name}": "1" for name in names}}


def test_slots_of_one_qpu(site: SlurmSite) -> None:
    """Jobs share a QPU that has several slots; each has as many as it asks for."""
    script = "echo $QRMI_JOB_QPU_SLOTS; sleep 2"
    jobs = [site.submit(script, "-L", "qpu_many:2") for _ in range(2)]
    until(lambda: all(site.held(job) for job in jobs), seconds=15, told=site.log)
    assert [site.lab.until_over(job) for job in jobs] == ["COMPLETED"] * 2
    assert {site.lab.output(job).strip() for job in jobs} == {"2"}


@pytest.mark.slow
def test_several_qpus_are_all_or_nothing(site: SlurmSite) -> None:
    """A job that wants what is held beside what is free gets nothing, and neither QPU is kept."""
    holder = site.submit("sleep 3", "-L", "qpu_emu")
    until(lambda: site.held(holder) == ["emu"], told=site.log)
    both = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "--comment=qpu=fresnel,emu")
    until(lambda: site.lab.fields(both).get("Restarts") == "1", told=lambda: str(site.leases()))
    until(lambda: not site.sessions())
    assert site.held(both) == []
    assert site.lab.until_over(both) == "COMPLETED", site.lab.output(both)
    assert site.lab.output(both).strip() == "fresnel,emu"


def test_an_array(site: SlurmSite) -> None:
    """Each task of an array has a lease of its own, one after the other."""
    job = site.submit("echo $QRMI_JOB_ID", "--array=0-2", "-L", "qpu_fresnel", "--output=%a.task")
    until(lambda: not site.lab.queue(), seconds=30)
    told = [(site.lab.folder / "jobs" / f"{task}.task").read_text().strip() for task in range(3)]
    assert len(set(told)) == 3
    assert job in told


def test_a_job_of_several_parts(site: SlurmSite) -> None:
    """Each part of a heterogeneous job holds what it asked for, until the job ends."""
    job = site.submit("sleep 1", "-L", "qpu_emu", ":", "-L", "qpu_fresnel")
    held = until(
        lambda: (now := site.leases()) and len(now) == 2 and now, seconds=15, told=site.log
    )
    grants = [grant["resource"] for row in held.values() for grant in row["grants"]]
    assert sorted(grants) == ["emu", "fresnel"]
    assert site.lab.until_over(job) == "COMPLETED"


def test_an_unknown_qpu_fails_the_job_alone(site: SlurmSite) -> None:
    """What can never be had is said in the job's own output; no node is drained."""
    job = site.submit("echo never", "--comment=qpu=nosuch")
    assert site.lab.until_over(job) == "FAILED"
    output = site.lab.output(job)
    assert "qrmi: " in output
    assert "nosuch" in output
    assert "never" not in output.splitlines()
    assert "emu" in output, "the hint lists what there is"
    site.lab.until_idle(seconds=5)


def test_srun_hears_of_an_unknown_qpu(site: SlurmSite) -> None:
    """A direct srun fails at once and prints why."""
    done = site.lab.run("srun", "--comment=qpu=nosuch", "true", user=site.user, check=False)
    assert done.returncode != 0
    assert "nosuch" in done.stderr


def test_a_busy_qpu_puts_a_batch_job_back(site: SlurmSite) -> None:
    """Busy is no error: the job goes back into the queue, and runs later."""
    holder = site.submit("sleep 3", "-L", "qpu_emu")
    until(lambda: site.held(holder), told=site.log)
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES $SLURM_RESTART_COUNT", "--comment=qpu=emu")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job)
    assert site.lab.output(job).split() == ["emu", "1"]


def test_srun_waits_for_a_busy_qpu(site: SlurmSite) -> None:
    """Slurm cannot put an srun back, so it waits in its place."""
    holder = site.submit("sleep 2", "-L", "qpu_emu")
    until(lambda: site.held(holder), told=site.log)
    command = ["srun", "--comment=qpu=emu", "sh", "-c", "echo $QRMI_JOB_QPU_RESOURCES"]
    assert site.lab.run(*command, user=site.other).stdout.strip() == "emu"


def test_srun_gives_up_with_a_reason(site: SlurmSite) -> None:
    """After the site's time it ends, and says who is in the way; nothing is left behind."""
    holder = site.submit("sleep 9", "-L", "qpu_emu")
    until(lambda: site.held(holder), told=site.log)
    done = site.lab.run("srun", "--comment=qpu=emu", "true", user=site.other, check=False)
    assert done.returncode != 0
    assert "qrmi: emu" in done.stderr


def test_a_job_that_must_not_be_put_back_waits(site: SlurmSite) -> None:
    """With --no-requeue the hook waits in place, for it has one attempt."""
    holder = site.submit("sleep 2", "-L", "qpu_emu")
    until(lambda: site.held(holder), told=site.log)
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "--comment=qpu=emu", "--no-requeue")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job)
    assert site.lab.output(job).strip() == "emu"


def test_a_job_is_requeued(site: SlurmSite) -> None:
    """Each run has a lease of its own; the first is given back before the second is asked for."""
    job = site.submit("echo $QRMI_JOB_ID $SLURM_RESTART_COUNT; sleep 60", "-L", "qpu_fresnel")
    first = until(lambda: site.leases().get(job) and site.sessions(), told=site.log)
    site.lab.until_state(job, "RUNNING")
    site.lab.run("scontrol", "requeue", job)
    second = until(
        lambda: (now := site.sessions()) and now != first and now, seconds=30, told=site.log
    )
    assert site.leases()[job]["job"]["restart"] == 1
    assert not set(first) & set(second)


def test_a_job_inside_a_job_inherits_no_qpu(site: SlurmSite) -> None:
    """What a job submits does not carry the variables of the QPU that the job has."""
    script = "sbatch --parsable --output=%j.out --wrap 'env' > inner; sleep 3"
    outer = site.submit(script, "-L", "qpu_emu")
    site.lab.until_state(outer, "RUNNING", "COMPLETED")
    path = site.lab.folder / "jobs" / "inner"
    inner = until(lambda: path.exists() and path.read_text().strip())
    assert site.lab.until_over(inner) == "COMPLETED"
    names = [line.split("=")[0] for line in site.lab.output(inner).splitlines()]
    assert not [name for name in names if "QPU" in name or name.endswith("TOKEN")]


def test_every_entry_of_the_library_finds_the_qpu(site: SlurmSite) -> None:
    """`qrmi.open()` and `QRMIService` speak of the same QPU."""
    program = OPEN + (
        "from qrmi import QRMIService\nprint([r.resource_id() for r in QRMIService().resources()])"
    )
    job = site.submit(site.python(site.user, program), "-L", "qpu_emu")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job)
    assert site.lab.output(job).splitlines() == [f"emu local {job}", "['emu']"]


def test_a_name_full_of_fields(site: SlurmSite) -> None:
    """What a user calls a job is no request, and no other job's record."""
    name = "x Licenses=qpu_emu:1 JOB_GRES=qpu:emu:1\nJobId=1 JobName=y UserId=root(0)"
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES $QRMI_JOB_UID", "-J", name, "-L", "qpu_fresnel")
    until(lambda: not site.lab.queue(), told=site.log)
    assert site.lab.output(job).split() == ["fresnel", str(site.user.uid)]


def test_the_queue_as_people_see_it(site: SlurmSite) -> None:
    """A lease names its job, its user and its time limit."""
    job = site.submit("sleep 5", "-L", "qpu_emu", "-J", "ghz", "-t", "7")
    until(lambda: site.held(job), told=site.log)
    row = site.leases()[job]
    assert row["job"]["user"] == site.user.name
    assert row["job"]["name"] == "ghz"
    assert row["limit_seconds"] == 420
    assert json.dumps(row).count("TOKEN") == 0
    assert set(NAMES) >= {grant["resource"] for grant in row["grants"]}


def test_a_job_without_a_qpu_is_left_alone(site: SlurmSite) -> None:
    """No lease, no variable."""
    job = site.submit("env | grep -c QRMI; true")
    assert site.lab.until_over(job) == "COMPLETED"
    assert site.lab.output(job).strip() == "0"


def test_nodes_that_are_not_the_daemons_host(site: SlurmSite) -> None:
    """Where the daemon's socket is not, the hook speaks to its port, and MUNGE says who asks."""
    site.write_hook(socket="/nonexistent/sock", url=f"http://{site.listen}",
                    munge_socket=str(site.lab.munge_socket))  # fmt: skip
    try:
        job = site.submit("echo $QRMI_JOB_QPU_RESOURCES $QRMI_JOB_UID", "-L", "qpu_emu")
        assert site.lab.until_over(job) == "COMPLETED", site.log()
        assert site.lab.output(job).split() == ["emu", str(site.user.uid)]
        site.until_free()
    finally:
        site.write_hook()


def test_the_hook_is_one_file(site: SlurmSite) -> None:
    """It needs no library of ours: an isolated Python without site packages runs it."""
    first = site.lab.hook.read_text().splitlines()[0]
    assert first == "#!/usr/bin/python3 -IS"
    done = subprocess.run([site.lab.hook, "unknown"], env={}, check=False)
    assert done.returncode == 0
