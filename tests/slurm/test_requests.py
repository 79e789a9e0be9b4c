"""Every way in which a job asks for QPUs becomes licenses; what cannot be is refused at once."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import is_installed
from setup_lab import SetUpLab

from qrmi.errors import InvalidInputError
from qrmi.schedulers.slurm import licenses as slurm_licenses
from qrmi.schedulers.slurm.setup.fragments import fragments
from qrmi.schedulers.slurm.setup.plan import Plan, Qpu
from qrmi.schedulers.slurm.setup.request import command_line, licenses_for, of_script
from qrmi.schedulers.slurm.setup.slurm_conf import SlurmConf

needs_slurm = [
    pytest.mark.slurm,
    pytest.mark.skipif(not is_installed(), reason="Slurm and MUNGE are not installed"),
]
needs_lua = pytest.mark.skipif(shutil.which("lua5.1") is None, reason="lua is not installed")
SLOTS = {"emu": 1, "fresnel": 3, "ibm-x.1": 2}
NAMES = st.sampled_from(sorted(SLOTS))

LUA = """
slurm = {SUCCESS = 0, ERROR = -1, log_user = function(form, text) said = text end}
local qrmi = dofile(arg[1])
qrmi.files = {arg[2]}
for line in io.lines() do
   local job, key = {}, nil
   for word in (line .. "\\t"):gmatch("([^\\t]*)\\t") do
      if key then job[key] = word:gsub("\\\\n", "\\n"); key = nil else key = word end
   end
   said = ""
   local code = qrmi.submit(job, 1000)
   print(table.concat({code, job.licenses or "", job.tres_per_node or "", said}, "\\t"))
end
"""


# --- the command line (pure) --------------------------------------------------------------------


def test_a_wrapper_leaves_everything_else_as_it_is() -> None:
    """`--qpu` and `-L` before the script are ours; every other word stays, in its place."""
    given = shlex.split("-N 2 --qpu=emu:2,b -L matlab --wait job.sh --qpu=mine -L x")
    assert command_line("sbatch", given) == [
        "-L",
        "matlab:1,qpu_emu:2,qpu_b:1,qpu:3",
        *["-N", "2", "--wait", "job.sh", "--qpu=mine", "-L", "x"],
    ]
    assert command_line("sbatch", ["job.sh", "--qpu=mine"]) == ["job.sh", "--qpu=mine"]
    srun = ["--wait", "3", "-n4", "--qpu", "auto:2", "--", "prog", "--qpu=1"]
    assert command_line("srun", srun) == [
        *["-L", "qpu:2", "--wait", "3", "-n4", "--", "prog", "--qpu=1"]
    ]


def test_licenses_of_the_script_are_kept() -> None:
    """`-L` on the command line replaces the script's, so the wrapper repeats those."""
    script = "#!/bin/sh\n#SBATCH -N 1 -L matlab:2\n\necho\n#SBATCH -L late\n"
    assert of_script(script) == "matlab:2"
    made = command_line("sbatch", ["--qpu=emu", "job.sh"], read=lambda _: script)
    assert made == ["-L", "matlab:2,qpu_emu:1,qpu:1", "job.sh"]


@pytest.mark.parametrize("text", ["", ",", ":", "a:0", "a:x", "a b:", "a:1:2", "1", "-"])
def test_a_request_that_is_none(text: str) -> None:
    """What names no QPU is refused before Slurm is asked."""
    with pytest.raises(InvalidInputError, match="qpu"):
        licenses_for(text)


REQUESTS = st.lists(st.tuples(NAMES, st.integers(1, 5)), min_size=1, max_size=4)


@given(REQUESTS, st.integers(0, 3))
def test_what_is_asked_for_is_what_the_hook_reads(
    asked: Sequence[tuple[str, int]], auto: int
) -> None:
    """Request -> licenses -> request: the hook finds the same slots and the same free choice."""
    words = [f"{name}:{count}" for name, count in asked] + ["auto"] * auto
    named, more = slurm_licenses.wanted(slurm_licenses.text(licenses_for(",".join(words))))
    assert more == auto
    assert named == {n: sum(c for m, c in asked if m == n) for n, _ in asked}


@given(st.dictionaries(NAMES, st.integers(1, 9), min_size=1), st.booleans())
def test_a_job_that_has_its_qpus_leaves_nothing_open(slots: dict[str, int], pooled: bool) -> None:
    """`bound` names what is held, keeps others' licenses, and leaves no free choice."""
    before = "matlab:4,qpu:2" if pooled else "matlab:4"
    after = slurm_licenses.bound(before, slots)
    assert slurm_licenses.wanted(after) == (slots, 0)
    assert slurm_licenses.parse(after)["matlab"] == 4


# --- the filter, by itself ----------------------------------------------------------------------


class Filter:
    """`qrmi_submit.lua` in a Lua of its own."""

    def __init__(self, folder: Path, *, nodes: str = "") -> None:
        plan = Plan(
            qpus=tuple(Qpu(name=name, slots=count) for name, count in SLOTS.items()),
            folder=folder,
            conf=folder / "slurm.conf",
            present=SlurmConf(),
            interpreter=Path("/usr/bin/python3"),
            socket=folder / "none" / "qrmid.sock",
            nodes=nodes,
        )
        for each in fragments(plan):
            (folder / each.name).write_text(each.content)
        (folder / "try.lua").write_text(LUA)
        self.folder = folder
        self.names = plan.names

    def submit(self, *jobs: dict[str, str]) -> list[tuple[int, str, str, str]]:
        """Code, licenses, GRES and what the user is told, of each job."""
        lines = [
            "\t".join(f"{key}\t{value}" for key, value in job.items()).replace("\n", "\\n")
            for job in jobs
        ]
        files = [str(self.folder / name) for name in ("try.lua", "qrmi_submit.lua")]
        done = subprocess.run(
            ["lua5.1", *files, str(self.names)],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        return [(int(code), licenses, gres, said) for code, licenses, gres, said in rows]


@pytest.fixture
def lua(tmp_path: Path) -> Filter:
    return Filter(tmp_path)


@needs_lua
def test_all_spellings_mean_the_same(lua: Filter) -> None:
    """Whichever way a QPU is asked for, and in two ways at once, it is counted once."""
    ways = [
        {"licenses": "qpu_emu"},
        {"licenses": "qpu_emu:1,qpu:1"},
        {"tres_per_node": "gres:qpu:emu:1"},
        {"tres_per_node": "gres/qpu:emu"},
        {"tres_per_job": "gres/qpu=emu:1"},
        {"comment": "qpu=emu"},
        {"script": "#!/bin/sh\n#QRMI --qpu=emu\ntrue"},
        {"script": "#!/bin/sh\n#SBATCH -N1 --qpu emu # mine\ntrue"},
        {"licenses": "qpu_emu:1", "tres_per_node": "gres:qpu:emu:1", "comment": "qpu=emu"},
    ]
    for way, (code, licenses, _, said) in zip(ways, lua.submit(*ways), strict=True):
        assert (code, licenses, said) == (0, "qpu_emu:1,qpu:1", ""), way


@needs_lua
def test_what_the_filter_leaves_alone(lua: Filter) -> None:
    """A job that asks for no QPU, and what it asks for beside one, stay as they are."""
    plain, late, both = lua.submit(
        {"licenses": "matlab:2", "tres_per_node": "gres:gpu:2", "comment": "about qpu=emu"},
        {"script": "#!/bin/sh\necho\n#QRMI --qpu=emu\n"},
        {"licenses": "matlab:2;ansys", "tres_per_node": "gres:gpu:2,gres:qpu:fresnel:2"},
    )
    assert plain == (0, "matlab:2", "gres:gpu:2", "")
    assert late == (0, "", "", "")
    assert both == (0, "matlab:2,ansys,qpu_fresnel:2,qpu:2", "gres:gpu:2", "")


@needs_lua
def test_nodes_that_offer_qpus_keep_their_gres(tmp_path: Path) -> None:
    """With a setup for nodes the GRES binds the job to them, and the license is counted, too."""
    ((_, licenses, gres, _),) = Filter(tmp_path, nodes="n1").submit(
        {"tres_per_node": "gres:qpu:emu:1"}
    )
    assert (licenses, gres) == ("qpu_emu:1,qpu:1", "gres:qpu:emu:1")


@needs_lua
@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"comment": "qpu=nosuch"}, "'nosuch'; there is: emu, fresnel, ibm-x.1"),
        ({"licenses": "qpu_nosuch"}, "'nosuch'; there is"),
        ({"tres_per_node": "gres:qpu:emu:2"}, "emu has 1 slot(s), 2 are asked for"),
        ({"comment": "qpu=auto:4"}, "4 different QPUs are asked for"),
        ({"comment": "qpu=emu,auto:3"}, "4 different QPUs are asked for"),
        ({"comment": "qpu=emu:0"}, "'emu:0' is no NAME or NAME:SLOTS"),
        ({"script": "#QRMI --qpu=,\n"}, "it names no QPU"),
    ],
)
def test_refused_at_submission(lua: Filter, job: dict[str, str], words: str) -> None:
    """What can never run is refused at once, and the user is told what there is."""
    ((code, licenses, _, said),) = lua.submit(job)
    assert code != 0
    assert words in said
    assert licenses == job.get("licenses", "")


@needs_lua
def test_a_qpu_that_is_away_is_told_of_and_waited_for(lua: Filter) -> None:
    """The job is taken, and its user knows why it will wait."""
    lua.names.write_text("# written 5\nemu drained 1 0\nfresnel online 3 2\n")
    away, here = lua.submit({"comment": "qpu=emu"}, {"comment": "qpu=fresnel"})
    assert away[0] == 0
    assert "emu is drained" in away[3]
    assert here[3] == ""


@needs_lua
@settings(max_examples=20, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=20), st.text(max_size=80))
def test_filter_and_wrapper_agree(
    tmp_path_factory: pytest.TempPathFactory, many: list[list[tuple[str, int]]], junk: str
) -> None:
    """`--comment=qpu=R` and `qrmi sbatch --qpu=R` are the same request; no junk stops slurmctld."""
    lua = Filter(tmp_path_factory.mktemp("lua"))
    lua.names.write_text("".join(f"{name} online 99 0\n" for name in SLOTS))
    texts = [",".join(f"{name}:{count}" for name, count in each) for each in many]
    line = "".join(c for c in junk if c not in "\t\n\r\\" and c.isprintable())
    *answers, odd = lua.submit(
        *({"comment": f"qpu={text}"} for text in texts),
        {"script": f"#QRMI {line}", "comment": line, "licenses": line, "tres_per_node": line},
    )
    for text, (code, licenses, _, _) in zip(texts, answers, strict=True):
        assert code == 0
        assert slurm_licenses.parse(licenses) == licenses_for(text)
    assert odd[0] in (0, -1)


# --- the filter in slurmctld --------------------------------------------------------------------


@pytest.fixture(scope="module")
def slurm() -> Iterator[SetUpLab]:
    with SetUpLab({"emu": 1, "fresnel": 2}) as lab:
        yield lab


class TestInSlurm:
    """The same through the real sbatch, srun and salloc."""

    pytestmark = needs_slurm

    @pytest.mark.parametrize(
        ("options", "script", "licenses"),
        [
            (["-L", "qpu_emu"], "", "qpu_emu:1,qpu:1"),
            (["--gres=qpu:fresnel:2"], "", "qpu_fresnel:2,qpu:2"),
            (["--gres=qpu:2"], "", "qpu:2"),
            (["--comment=qpu=emu,fresnel"], "", "qpu_emu:1,qpu_fresnel:1,qpu:2"),
            (["--comment=qpu=auto"], "", "qpu:1"),
            ([], "#QRMI --qpu=emu,fresnel:2", "qpu_emu:1,qpu_fresnel:2,qpu:3"),
            (["--array=1-2", "--gres=qpu:emu"], "", "qpu_emu:1,qpu:1"),
        ],
    )
    def test_licenses_of_a_job(
        self, slurm: SetUpLab, options: list[str], script: str, licenses: str
    ) -> None:
        """What Slurm has of the job is what the hook is going to read."""
        job = slurm.submit(f"#!/bin/sh\n{script}\ntrue\n", "--hold", *options)
        assert slurm.fields(job)["Licenses"] == licenses
        slurm.run("scancel", job)

    def test_the_environment_of_sbatch(self, slurm: SetUpLab) -> None:
        """`QRMI_QPU=emu sbatch` asks for emu."""
        job = slurm.submit("true", "--hold", env={"QRMI_QPU": "emu"})
        assert slurm.fields(job)["Licenses"] == "qpu_emu:1,qpu:1"
        slurm.run("scancel", job)

    def test_the_wrappers(self, slurm: SetUpLab) -> None:
        """`qrmi sbatch|srun|salloc --qpu` run the real command; its output and code are its own."""
        env = {"PATH": f"{Path(shutil.which('qrmi') or '').parent}:{slurm.environment()['PATH']}"}
        script = slurm.folder / "jobs" / "job.sh"
        script.write_text("#!/bin/sh\n#SBATCH -J named\ntrue\n")
        command = ["qrmi", "sbatch", "--parsable", "--hold", "--qpu=emu", str(script)]
        job = slurm.run(*command, env=env).stdout.strip()
        assert slurm.fields(job)["Licenses"] == "qpu_emu:1,qpu:1"
        assert slurm.fields(job)["JobName"] == "named"
        slurm.run("scancel", job)
        show = "scontrol -o show job $SLURM_JOB_ID"
        done = slurm.run(
            "qrmi", "srun", "--qpu=auto", "sh", "-c", f"{show}; exit 7", env=env, check=False
        )
        assert "Licenses=qpu:1 " in done.stdout
        assert done.returncode == 7
        done = slurm.run("qrmi", "salloc", "--qpu=fresnel:2", "sh", "-c", show, env=env)
        assert "Licenses=qpu_fresnel:2,qpu:2 " in done.stdout

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--comment=qpu=nosuch"], "no QPU is called 'nosuch'; there is: emu, fresnel"),
            (["--gres=qpu:nosuch:1"], "there is: emu, fresnel"),
            (["-L", "qpu_emu:2"], "emu has 1 slot(s), 2 are asked for"),
            (["--gres=qpu:3"], "3 different QPUs are asked for"),
        ],
    )
    def test_refused(self, slurm: SetUpLab, options: list[str], words: str) -> None:
        """The user is told what is wrong and what there is; no job is made."""
        assert words in slurm.refusal(*options)

    def test_both_ways_count_the_same_qpu(self, slurm: SetUpLab) -> None:
        """A job by GRES and one by license never have one QPU together."""
        first = slurm.submit("sleep 30", "--gres=qpu:emu:1")
        slurm.until_state(first, "RUNNING")
        second = slurm.submit("true", "-L", "qpu_emu")
        slurm.submit("true", "--comment=qpu=fresnel")
        slurm.until_state(second, "PENDING")
        assert slurm.reason(second) in ("Licenses", "None")
        slurm.run("scancel", first)
        assert slurm.until_over(second) == "COMPLETED"

    def test_any_qpu_waits_while_none_is_free(self, slurm: SetUpLab) -> None:
        """`auto` waits outside while every slot is taken, and starts when one is given back."""
        first = slurm.submit("sleep 30", "-L", "qpu_emu,qpu_fresnel:2")
        slurm.until_state(first, "RUNNING")
        second = slurm.submit("true", "--comment=qpu=auto")
        slurm.run("sleep", "2")
        assert slurm.state(second) == "PENDING"
        slurm.run("scancel", first)
        assert slurm.until_over(second) == "COMPLETED"
