"""`qrmi slurm setup` writes what a Slurm needs; `qrmi slurm check` finds what is wrong with it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import is_installed, until
from setup_lab import Daemon, SetUpLab, called

from qrmi.schedulers.slurm.setup import slurm_conf
from qrmi.site.settings import SiteSettings

needs_slurm = [
    pytest.mark.slurm,
    pytest.mark.skipif(not is_installed(), reason="Slurm and MUNGE are not installed"),
]

# --- what is written ------------------------------------------------------------------------------


class Site:
    """A folder with qrmid.toml, qrmi_config.json and a slurm.conf, without any Slurm."""

    def __init__(self, folder: Path, conf: str = "ClusterName=c\n") -> None:
        self.folder = folder
        self.etc = folder / "slurm"
        self.etc.mkdir()
        self.etc.chmod(0o755)
        self.conf = self.etc / "slurm.conf"
        self.conf.write_text(conf)
        self.scontrol = folder / "scontrol"
        self.scontrol.write_text("#!/bin/sh\nexit 1\n")
        self.scontrol.chmod(0o755)
        self.settings = folder / "qrmid.toml"
        self.settings.write_text(
            f'config = "c.json"\nsocket = "run/sock"\n[slurm]\nscontrol = "{self.scontrol}"\n'
        )
        self.resources({"emu": 1, "fresnel": 2})

    def resources(self, slots: dict[str, int]) -> None:
        entries = [
            {"name": n, "type": "local", "environment": {}, "slots": c} for n, c in slots.items()
        ]
        (self.folder / "c.json").write_text(json.dumps({"resources": entries}))

    def setup(self, *more: str) -> tuple[int, dict[str, Any]]:
        line = ["slurm", "setup", "--config", str(self.settings), "--slurm-conf", str(self.conf)]
        code, text = called(*line, "--write", str(self.etc), "--json", *more)
        return code, json.loads(text) if code == 0 else {}

    def conf_values(self) -> dict[str, str]:
        return slurm_conf.read(self.etc / "qrmi.conf").values


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_is_written(site: Site) -> None:
    """Licenses are the slots and their pool; hooks are one program that others cannot change."""
    code, said = site.setup()
    assert code == 0
    assert site.conf_values() == {
        "licenses": "qpu_emu:1,qpu_fresnel:2,qpu:3",
        "jobsubmitplugins": "lua",
        "prologslurmctld": f"{site.etc}/qrmi-hook",
        "epilogslurmctld": f"{site.etc}/qrmi-hook",
        "taskprolog": f"{site.etc}/qrmi-hook",
        "grestypes": "qpu",
    }
    for row in said["files"]:
        mode = stat.S_IMODE(Path(row["path"]).stat().st_mode)
        assert mode == (0o755 if row["path"].endswith("qrmi-hook") else 0o644)
    assert f"Include {site.etc}/qrmi.conf" in said["steps"][0]
    assert said["steps"][-1] == "qrmi slurm check"


def test_the_program_needs_nothing_and_believes_nothing(site: Site) -> None:
    """It is one file, runs isolated, and has its socket written into it."""
    site.setup()
    hook = site.etc / "qrmi-hook"
    assert hook.read_text().splitlines()[0] == "#!/usr/bin/python3 -IS"
    assert str(site.folder / "run" / "sock") in hook.read_text()
    done = subprocess.run([hook], env={"PYTHONPATH": "/evil", "PYTHONHOME": "/evil"}, check=False)
    assert done.returncode == 0


def test_again_changes_nothing(site: Site) -> None:
    """A second run finds every file as it should be; a new slot changes the files it concerns."""
    site.setup()
    _, said = site.setup()
    assert {row["state"] for row in said["files"]} == {"unchanged"}
    site.resources({"emu": 4, "fresnel": 2})
    _, said = site.setup()
    changed = {Path(row["path"]).name for row in said["files"] if row["state"] == "changed"}
    assert changed == {"qrmi.conf", "qrmi_qpus"}
    assert site.conf_values()["licenses"] == "qpu_emu:4,qpu_fresnel:2,qpu:6"


def test_what_slurm_conf_says_is_joined(site: Site) -> None:
    """Licenses, plug-ins and accounting of the site stay, and the lines to remove are named."""
    site.conf.write_text(
        "ClusterName=c\nLicenses=matlab:2,qpu_old:1 # ours\njobsubmitplugins=require_timelimit\n"
        "GresTypes=gpu\nAccountingStorageType=accounting_storage/slurmdbd\n"
        "AccountingStorageTRES=gres/gpu,\\\nbilling\n"
    )
    _, said = site.setup()
    values = site.conf_values()
    assert values["licenses"] == "matlab:2,qpu_emu:1,qpu_fresnel:2,qpu:3"
    assert values["jobsubmitplugins"] == "require_timelimit,lua"
    assert values["grestypes"] == "gpu,qpu"
    tracked = "license/qpu_emu,license/qpu_fresnel,license/qpu"
    assert values["accountingstoragetres"] == f"gres/gpu,billing,{tracked}"
    removed = next(step for step in said["steps"] if step.startswith("remove"))
    assert "Licenses=matlab:2,qpu_old:1" in removed


def test_programs_and_filters_of_the_site_are_left_alone(site: Site) -> None:
    """Its own prolog and job_submit.lua are kept, and it is told how they call ours."""
    site.conf.write_text("ClusterName=c\nPrologSlurmctld=/site/prolog\n")
    own = site.etc / "job_submit.lua"
    own.write_text("-- the site's\n")
    _, said = site.setup()
    assert own.read_text() == "-- the site's\n"
    assert "prologslurmctld" not in site.conf_values()
    steps = "\n".join(said["steps"])
    assert f"exec {site.etc}/qrmi-hook" in steps
    assert f'dofile("{site.etc}/qrmi_submit.lua")' in steps


def test_a_file_that_is_not_ours_is_not_replaced(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing at all is written, unless it is forced."""
    (site.etc / "qrmi-hook").write_text("mine\n")
    code, _ = site.setup()
    assert code == 2
    assert "--force" in capsys.readouterr().err
    assert sorted(path.name for path in site.etc.iterdir()) == ["qrmi-hook", "slurm.conf"]
    assert site.setup("--force")[0] == 0


@pytest.mark.parametrize("name", ["a b", "1st", "é", "a,b", "a:b"])
def test_a_name_that_slurm_cannot_count(
    site: Site, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said which, and what names are good."""
    site.resources({name: 1})
    assert site.setup()[0] == 1
    assert "letters" in capsys.readouterr().err


def test_print_writes_nothing(site: Site) -> None:
    """Every file and what is left to do is shown; the folder stays as it was."""
    line = ["slurm", "setup", "--config", str(site.settings), "--slurm-conf", str(site.conf)]
    code, text = called(*line, "--print", "--nodes", "n[1-2]")
    assert code == 0
    assert "NodeName=n[1-2] Name=qpu Type=fresnel Count=2 Flags=CountOnly" in text
    assert "Gres=qpu:emu:1,qpu:fresnel:2" in text
    assert [path.name for path in site.etc.iterdir()] == ["slurm.conf"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- an installation ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installation() -> Iterator[SetUpLab]:
    """A Slurm that was set up by the printed steps, with its daemon."""
    with SetUpLab({"emu": 1, "fresnel": 2}, hooked=True) as lab, Daemon(lab):
        yield lab


def findings(lab: SetUpLab) -> tuple[int, list[dict[str, str]]]:
    code, text = called("slurm", "check", "--config", str(lab.settings), "--json")
    return code, json.loads(text)["findings"]


def wrong(lab: SetUpLab) -> list[dict[str, str]]:
    return [each for each in findings(lab)[1] if each["verdict"] != "ok"]


def told(lab: SetUpLab, words: str) -> dict[str, str]:
    """The one finding that has these words; and a check with it fails or warns."""
    found = [each for each in wrong(lab) if words in each["text"]]
    assert len(found) == 1, wrong(lab)
    assert found[0]["what to do"]
    return found[0]


class TestInstallation:
    pytestmark = needs_slurm

    def test_what_was_followed_to_the_letter_is_sound(self, installation: SetUpLab) -> None:
        """No failure, no warning; and a user's first job has its QPU."""
        code, found = findings(installation)
        assert [each for each in found if each["verdict"] != "ok"] == []
        assert code == 0
        user = installation.users[0]
        job = installation.submit(
            "echo $QRMI_JOB_QPU_RESOURCES", "--comment=qpu=emu,fresnel", user=user
        )
        assert installation.until_over(job) == "COMPLETED", installation.output(job)
        assert installation.output(job).strip() == "emu,fresnel"

    def test_a_job_that_leaves_the_choice_gets_what_is_free(self, installation: SetUpLab) -> None:
        """`auto` is settled at begin, and Slurm counts what was chosen: nobody else gets it."""
        held = installation.submit("sleep 60", "-L", "qpu_emu")
        installation.until_state(held, "RUNNING")
        job = installation.submit("echo $QRMI_JOB_QPU_RESOURCES; sleep 60", "--gres=qpu:1")
        until(lambda: installation.output(job).strip() == "fresnel", told=lambda: "")
        assert installation.fields(job)["Licenses"] == "qpu_fresnel:1,qpu:1"
        installation.run("scancel", held, job)
        installation.until_over(held)
        installation.until_over(job)

    def test_as_a_table(self, installation: SetUpLab) -> None:
        """A person reads the same."""
        code, text = called("slurm", "check", "--config", str(installation.settings))
        assert code == 0
        assert "0 failure(s), 0 warning(s)" in text
        assert "VERDICT" in text

    @pytest.mark.parametrize(
        ("mode", "words"),
        [(0o644, "not everybody can execute"), (0o777, "others can write"), (0o750, "execute")],
    )
    def test_permissions_of_the_hook(self, installation: SetUpLab, mode: int, words: str) -> None:
        """Slurm cannot start it, or somebody else could change what root runs."""
        hook = installation.etc / "qrmi-hook"
        hook.chmod(mode)
        try:
            assert any(words in each["text"] for each in wrong(installation))
            assert findings(installation)[0] == 1
        finally:
            hook.chmod(0o755)

    def test_the_folder_of_the_hook(self, installation: SetUpLab) -> None:
        """Whoever can write to its folder can put another in its place."""
        installation.etc.chmod(0o777)
        try:
            assert told(installation, f"others can write to {installation.etc}")
        finally:
            installation.etc.chmod(0o755)

    def test_a_hook_that_is_missing(self, installation: SetUpLab) -> None:
        """It is missed, and the command that writes it is named."""
        hook, aside = installation.etc / "qrmi-hook", installation.etc / "aside"
        hook.rename(aside)
        try:
            assert "setup --write" in told(installation, f"there is no {hook}")["what to do"]
        finally:
            aside.rename(hook)

    @pytest.mark.parametrize("python", ["/nowhere/python3", "/bin/true"])
    def test_an_interpreter_that_is_none(self, installation: SetUpLab, python: str) -> None:
        """What the hook's first line names has to be a Python."""
        hook = installation.etc / "qrmi-hook"
        text = hook.read_text()
        hook.write_text(text.replace("#!/usr/bin/python3", f"#!{python}", 1))
        try:
            assert "--python" in told(installation, python)["what to do"]
        finally:
            hook.write_text(text)

    def test_slots_that_slurm_does_not_count(self, installation: SetUpLab) -> None:
        """Licenses have to be what qrmi_config.json says; the file on disk is stale, too."""
        installation.slots["fresnel"] = 5
        installation.slots["third"] = 1
        installation.write_site()
        try:
            assert told(installation, "qpu_fresnel is counted 2 times, and has 5 slot(s)")
            assert told(installation, "qpu_third is missing")
            assert told(installation, "qrmi.conf is not what the present settings")
        finally:
            installation.slots.update(fresnel=2)
            del installation.slots["third"]
            installation.write_site()

    def test_users_who_could_read_keys(self, installation: SetUpLab) -> None:
        """A configuration with secrets is closed to them; the keys in it are no secret any more."""
        config = installation.folder / "qrmi_config.json"
        text = config.read_text()
        entry = {
            "name": "emu",
            "type": "pasqal-cloud",
            "environment": {"QRMI_PASQAL_CLOUD_AUTH_TOKEN": "hidden"},
        }
        config.write_text(json.dumps({"resources": [entry]}))
        config.chmod(0o644)
        try:
            found = told(installation, "qrmi_config.json holds secrets")
            assert "chmod 600" in found["what to do"]
            assert "hidden" not in json.dumps(findings(installation))
        finally:
            config.write_text(text)

    def test_a_change_after_the_start(self, installation: SetUpLab) -> None:
        """`scontrol reconfigure` takes up no new hook: whoever changed the file is told."""
        conf = installation.etc / "qrmi.conf"
        about = conf.stat()
        os.utime(conf, (about.st_atime + 3600, about.st_mtime + 3600))
        try:
            assert (
                "restart slurmctld" in told(installation, "after slurmctld started")["what to do"]
            )
        finally:
            os.utime(conf, (about.st_atime, about.st_mtime))

    def test_a_job_submit_lua_without_ours(self, installation: SetUpLab) -> None:
        """The site's own filter has to call ours."""
        own = installation.etc / "job_submit.lua"
        text = own.read_text()
        own.write_text("function slurm_job_submit() return slurm.SUCCESS end\n")
        try:
            assert told(installation, "does not use qrmi_submit.lua")
        finally:
            own.write_text(text)

    def test_a_slurm_without_the_setup(self) -> None:
        """A plain Slurm: hooks not set, licenses missing, no lua, no GRES, no daemon."""
        with SetUpLab({"emu": 1}) as lab:
            conf = [line for line in lab.conf.read_text().splitlines() if "Include" not in line]
            lab.conf.write_text("\n".join(conf) + "\n")
            lab.restart_daemon("slurmctld")
            until(lambda: lab.run("squeue", check=False).returncode == 0)
            code, found = findings(lab)
            assert code == 1
            failures = {each["check"] for each in found if each["verdict"] == "failure"}
            hooks = {"PrologSlurmctld", "EpilogSlurmctld", "TaskProlog"}
            assert failures == {*hooks, "licenses", "lua", "gres", "qrmid"}
            assert all(each["what to do"] for each in found if each["verdict"] == "failure")

    def test_a_foreign_prolog_and_no_controller(self) -> None:
        """A program that is not ours is a failure; a silent slurmctld is told as such."""
        with SetUpLab({"emu": 1}, options={"PrologSlurmctld": "/bin/true"}) as lab:
            found = told(lab, "is /bin/true, which is not ours")
            assert f"exec {lab.etc}/qrmi-hook" in found["what to do"]
            lab.kill("slurmctld")
            assert any("slurmctld" in each["text"] for each in wrong(lab))

    def test_nodes_of_a_qpu(self) -> None:
        """With `--nodes` the GRES binds a job to them, and still one QPU has one owner."""
        with SetUpLab({"emu": 1, "fresnel": 2}, nodes="n1") as lab:
            assert not [each for each in wrong(lab) if each["check"] == "gres"]
            job = lab.submit("sleep 60", "--gres=qpu:emu:1")
            lab.until_state(job, "RUNNING")
            assert lab.fields(job)["NodeList"] == "n1"
            assert lab.fields(job)["Licenses"] == "qpu_emu:1,qpu:1"
            other = lab.submit("true", "-L", "qpu_emu")
            lab.run("sleep", "2")
            assert lab.state(other) == "PENDING"

    def test_hosts_without_the_daemons_socket(self) -> None:
        """The same program serves them: over TCP, with MUNGE saying who asks."""
        lab = SetUpLab({"emu": 1}, hooked=True)
        address = f"127.0.0.1:{free_port()}"
        lab.more = f'listen = "{address}"\npublic_url = "http://{address}"\n'
        with lab, Daemon(lab):
            hook = lab.etc / "qrmi-hook"
            hook.write_text(hook.read_text().replace(str(lab.socket), "/nowhere/else.sock"))
            job = lab.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", "qpu_emu", user=lab.users[0])
            assert lab.until_over(job) == "COMPLETED", lab.output(job)
            assert lab.output(job).strip() == "emu"

    @pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no C compiler")
    @pytest.mark.skipif(not Path("/usr/include/slurm/spank.h").exists(), reason="no libslurm-dev")
    def test_the_spank_option(self) -> None:
        """Its one-line build works, and --qpu is an option of sbatch, of scripts and of srun."""
        with SetUpLab({"emu": 1, "fresnel": 2}) as lab:
            source = (lab.etc / "qrmi_spank.c").read_text()
            build = next(line for line in source.splitlines() if " gcc " in line).split()[1:]
            done = subprocess.run(build, cwd=lab.etc, capture_output=True, text=True, check=True)
            assert done.stderr == ""
            (lab.etc / "qrmi_spank.so").chmod(0o755)
            (lab.etc / "plugstack.conf").write_text(f"optional {lab.etc}/qrmi_spank.so\n")
            user = lab.users[0]
            ways = {
                lab.submit("true", "--hold", "--qpu=emu", user=user): "qpu_emu:1,qpu:1",
                lab.submit("#!/bin/sh\n#SBATCH --qpu=emu,fresnel:2\n", "-H", user=user): (
                    "qpu_emu:1,qpu_fresnel:2,qpu:3"
                ),
                lab.submit("true", "--hold", "--qpu", "auto", user=user): "qpu:1",
            }
            for job, licenses in ways.items():
                assert lab.fields(job)["Licenses"] == licenses
            show = "scontrol -o show job $SLURM_JOB_ID"
            shown = lab.run("srun", "--qpu=emu", "sh", "-c", show, user=user).stdout
            assert "Licenses=qpu_emu:1,qpu:1 " in shown
            assert "there is: emu, fresnel" in lab.refusal("--qpu=nosuch")
            assert "--qpu=NAME" in lab.run("sbatch", "--help").stdout


# --- a Slurm that says what it is told to say -----------------------------------------------------


class Told(Site):
    """A site whose scontrol answers from files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.setup()
        self.shown = folder / "shown"
        self.shown.mkdir()
        self.scontrol.write_text(
            f"#!/bin/sh\nfor word; do :; done\ncat {self.shown}/${{word#--}}\n"
        )
        hook = self.etc / "qrmi-hook"
        self.config = {
            "SLURM_CONF": str(self.conf),
            "SLURM_VERSION": "24.11.5",
            "SlurmUser": "root(0)",
            "BOOT_TIME": "99999999999",
            "JobSubmitPlugins": "lua",
            "GresTypes": "qpu",
            **dict.fromkeys(("PrologSlurmctld", "EpilogSlurmctld", "TaskProlog"), str(hook)),
        }
        self.licenses = {"qpu_emu": 1, "qpu_fresnel": 2, "qpu": 3}
        self.gres = "(null)"

    def problems(self) -> list[str]:
        """What a check finds wrong, but for the daemon, which is not there."""
        lines = [f"{key:<24}= {value}\n" for key, value in self.config.items()]
        (self.shown / "config").write_text("Configuration data as of now\n" + "".join(lines))
        lines = [
            f"LicenseName={name} Total={count} Used=0 Free={count} Reserved=0 Remote=no\n"
            for name, count in self.licenses.items()
        ]
        (self.shown / "licenses").write_text("".join(lines))
        (self.shown / "node").write_text(f"NodeName=n1 CPUs=2 Gres={self.gres} NodeAddr=n1\n")
        _, text = called("slurm", "check", "--config", str(self.settings), "--json")
        found = json.loads(text)["findings"]
        own = [each for each in found if each["about"] in ("slurm", "files")]
        return [each["text"] for each in own if each["verdict"] != "ok"]


@pytest.fixture
def told_site() -> Iterator[Told]:
    """In a folder that users can enter, as pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="qs", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield Told(folder)
    finally:
        shutil.rmtree(folder)


def test_nothing_is_wrong_with_what_is_right(told_site: Told) -> None:
    """Also of a newer Slurm."""
    assert told_site.problems() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SlurmUser": "nobody(65534)"}, "nobody, who runs the hooks, may not lend"),
        ({"SLURM_VERSION": "20.11.9"}, "Slurm 20.11.9"),
        ({"JobSubmitPlugins": "(null)"}, "has no lua"),
        ({"GresTypes": "gpu"}, "GresTypes lacks qpu"),
        ({"TaskProlog": "(null)"}, "is not set: jobs get no QPU"),
        ({"EpilogSlurmctld": "/bin/true"}, "is /bin/true, which is not ours"),
        ({"BOOT_TIME": "1"}, "after slurmctld started"),
    ],
)
def test_what_slurm_says_wrong(told_site: Told, change: dict[str, str], words: str) -> None:
    """Each is found, and nothing else is complained of."""
    told_site.config.update(change)
    problems = told_site.problems()
    assert problems
    assert all(words in each for each in problems), problems


def test_a_license_too_many(told_site: Told) -> None:
    """A QPU that was taken out of the site is still counted."""
    told_site.licenses["qpu_old"] = 1
    assert [each for each in told_site.problems() if "qpu_old is no resource" in each]


def test_a_program_of_the_sites_that_calls_ours(told_site: Told, tmp_path: Path) -> None:
    """That is as good."""
    own = tmp_path / "prolog"
    own.write_text(f"#!/bin/sh\nexec {told_site.etc}/qrmi-hook\n")
    told_site.config["PrologSlurmctld"] = str(own)
    assert told_site.problems() == []


def test_who_runs_the_hooks_may_lend(told_site: Told) -> None:
    """SlurmUser of slurm.conf need not be named as an admin, unless Slurm is not served."""
    told_site.conf.write_text(told_site.conf.read_text() + "SlurmUser=nobody\n")
    told_site.settings.write_text(
        f'{told_site.settings.read_text()}enabled = true\nconf = "{told_site.conf}"\n'
    )
    nobody = pwd.getpwnam("nobody").pw_uid
    assert nobody in SiteSettings.load(told_site.settings).admin_uids()
    told_site.config["SlurmUser"] = f"nobody({nobody})"
    assert told_site.problems() == []
    text = told_site.settings.read_text()
    told_site.settings.write_text(text.replace("enabled = true", "enabled = false"))
    assert nobody not in SiteSettings.load(told_site.settings).admin_uids()


def test_several_programs(told_site: Told) -> None:
    """A newer Slurm has several, each with its number: one of them has to be ours."""
    ours = told_site.config.pop("PrologSlurmctld")
    told_site.config |= {"PrologSlurmctld[0]": "/bin/true", "PrologSlurmctld[1]": ours}
    assert told_site.problems() == []


def test_a_folder_that_users_cannot_enter(told_site: Told) -> None:
    """Their tasks start the hook."""
    told_site.etc.chmod(0o700)
    (problem,) = told_site.problems()
    assert problem.endswith(f"cannot enter {told_site.etc}")


def test_nodes_offer_what_the_setup_does_not_know(told_site: Told) -> None:
    """Then both the node and the licenses would count."""
    told_site.gres = "qpu:emu:1,qpu:fresnel:2"
    assert [each for each in told_site.problems() if "the setup does not know it" in each]
