"""What a job asks for, read from what Slurm prints: recorded outputs, and anything else."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrmi.schedulers.slurm import jobs
from qrmi.schedulers.slurm.jobs import find, limit_seconds, submitted, want
from qrmi.site.terms import Want

RECORDED = Path(__file__).parent / "recorded"
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
COUNTS = st.integers(1, 9)
POOLS = st.dictionaries(NAMES, COUNTS, max_size=3)
TEXTS = st.text(max_size=40)


def read(name: str, job: str) -> dict[str, str]:
    return find((RECORDED / f"{name}.txt").read_text(), job, "sbatch")


def test_licenses_of_a_recorded_job() -> None:
    """Licenses name QPUs and slots; the comment adds nothing to them."""
    fields = read("licenses", "1")
    assert want(fields) == {
        "names": ["fresnel", "emu"],
        "slots": {"fresnel": 2, "emu": 1},
        "any": 0,
        "filters": "",
        "limit_seconds": None,
    }
    assert submitted(fields) == 1795393130
    assert fields["Requeue"] == fields["BatchFlag"] == "1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gres_two", ["emu", "fresnel"]), ("gres_any", ["emu"]), ("gres_named", ["emu"])],
)
def test_generic_resources_of_recorded_jobs(name: str, expected: list[str]) -> None:
    """Slurm's own choice counts, whether the job named a QPU or not."""
    text = (RECORDED / f"{name}.txt").read_text()
    job = text.split()[0].partition("=")[2]
    wish = want(find(text, job, "sbatch"))
    assert wish is not None
    assert (wish["names"], wish["any"]) == (expected, 0)


def test_a_recorded_job_without_a_qpu() -> None:
    """Most jobs want none."""
    assert want(read("two_nodes", "8")) is None


def test_the_tasks_of_a_recorded_array() -> None:
    """Each id has its own record; another id has none."""
    tasks = {job: read("array", job)["ArrayTaskId"] for job in ("5", "6", "7")}
    assert tasks == {"5": "2", "6": "0", "7": "1"}
    assert read("array", "8") == {}


def test_the_parts_of_a_recorded_heterogeneous_job() -> None:
    """Each part asks for itself."""
    leader, other = want(read("heterogeneous", "9")), want(read("heterogeneous", "10"))
    assert leader is not None
    assert other is not None
    assert (leader["names"], other["names"]) == (["emu"], ["fresnel"])


def shown(name: str, licenses: str, gres: str, command: str, comment: str) -> str:
    """A record as 22.05 prints it."""
    return (
        f"JobId=17 JobName={name} UserId=games(5) GroupId=games(60) Account=(null) "
        f"JobState=CONFIGURING Reason=None Requeue=1 Restarts=0 BatchFlag=1 "
        f"TimeLimit=00:10:00 SubmitTime=1795393130 JOB_GRES={gres or '(null)'}   Nodes=n1 "
        f"CPU_IDs=0 Mem=0 GRES= MinCPUsNode=1 Licenses={licenses or '(null)'} Network=(null) "
        f"Command={command} WorkDir=/tmp Comment={comment}  StdErr=/tmp/1.out Power= \n\n"
    )


@given(name=TEXTS, licenses=POOLS, gres=POOLS, command=TEXTS, comment=TEXTS)
def test_what_a_user_writes_is_no_field(
    name: str, licenses: dict[str, int], gres: dict[str, int], command: str, comment: str
) -> None:
    """Whatever the name and the paths hold, licenses and generic resources are Slurm's."""
    text = shown(
        name,
        ",".join(f"qpu_{k}:{v}" for k, v in licenses.items()),
        ",".join(f"qpu:{k}:{v}" for k, v in gres.items()),
        command,
        comment,
    )
    wish = want(find(text, "17", name))
    expected = {k: max(licenses.get(k, 0), gres.get(k, 0)) for k in {**licenses, **gres}}
    if expected:
        assert wish is not None
        assert wish["slots"] == expected
        assert Want.from_json(wish).limit_seconds == 600.0


@pytest.mark.parametrize(
    "name",
    ["x Licenses=qpu_emu:1", "x UserId=root(0) JOB_GRES=qpu:emu:1", "a\nJobId=17 JobName=y Z=1"],
)
def test_a_forged_name(name: str) -> None:
    """A name that looks like fields, or like another record, is a name."""
    assert want(find(shown(name, "", "", "(null)", "(null)"), "17", name)) is None


# --- the same, with the regular expressions that hooks have no time for --------------------------


def found_by_patterns(text: str, job: str, name: str | None) -> dict[str, str]:
    start = re.search(rf"^JobId={re.escape(job)} (?:[A-Za-z]+=\S* )*?JobName=", text, re.M)
    if start is None:
        return {}
    head, rest = text[start.start() : start.end()], text[start.end() :]
    if name is not None and rest.startswith(name + " "):
        rest = rest[len(name) :]
    rest = re.split(r"^JobId=\d+ ", rest, maxsplit=1, flags=re.M)[0]
    fields: dict[str, str] = {}
    for key, value in re.findall(r"(?:^| )([A-Za-z][\w/:.]*)=(\S*)", head + rest):
        fields.setdefault(key, value)
    comment = re.search(r" Comment=(.*?)(?=  | [A-Z][A-Za-z]+=|$)", rest, re.S)
    fields["Comment"] = comment[1].strip() if comment else ""
    return {k: "" if v in ("", "(null)", "N/A", "None") else v for k, v in fields.items()}


def items_by_patterns(text: str) -> list[list[str]]:
    items = re.sub(r"\([^)]*\)", "", text).split(",")
    return [re.sub(r"^gres[:/]", "", item.strip()).replace("=", ":").split(":") for item in items]


_PIECES = (
    *(
        "JobId=17 ",
        "JobId=18 ",
        "JobId=1",
        "\nJobId=17 ",
        "JobId=\u0663 ",
        "JobName=",
        "JobName=x ",
    ),
    *(
        " Comment=",
        "Comment=",
        " Account=",
        " a/b:c.d=",
        " ab1=",
        " é=",
        "=",
        "==",
        "(null)",
        "N/A",
    ),
    *(" ", "  ", "\n", "\t", "\u2003", "\x1c", "\x85", "A", "b", "Ab", "é", "_", "1", "qpu=a;b"),
)
_RECORDS = st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=25).map("".join)


@settings(max_examples=1000)
@given(_RECORDS, st.none() | _RECORDS)
def test_records_are_read_as_patterns_would(text: str, name: str | None) -> None:
    """Character for character, whatever stands there."""
    for each in (
        text,
        f"JobId=17 {text}",
        f"JobId=17 JobName={text}",
        f"\nJobId=17 JobName={text}",
    ):
        assert find(each, "17", name) == found_by_patterns(each, "17", name)


@given(st.text("gresqpu:/=,()1a \t"), st.text("qpu=a,; \t\x1fé"))
def test_items_are_read_as_patterns_would(text: str, comment: str) -> None:
    """Of generic resources, and the words of a comment."""
    counted = [parts for parts in items_by_patterns(text) if parts[0] == "qpu"]
    assert len(jobs._items(text)) <= len(counted)
    plain = ",".join(":".join(parts) for parts in items_by_patterns(text))
    assert jobs._items(text) == jobs._items(plain)
    words = [word.partition("=") for word in re.split(r"[\s;]+", comment)]
    expected = {key: value for key, _, value in words if key in ("qpu", "qpu_filters")}
    assert jobs._words(comment) == expected


@given(TEXTS, TEXTS)
def test_any_text_is_read(text: str, job: str) -> None:
    """Whatever is printed, there is an answer."""
    fields = find(text, job)
    assert want(fields) is None or want(fields)
    assert submitted(fields) >= 0


@pytest.mark.parametrize(
    ("comment", "names", "several", "filters"),
    [
        ("qpu=emu,fresnel", ["emu", "fresnel"], 0, ""),
        ("qpu=auto", [], 1, ""),
        ("note qpu=auto,auto qpu_filters=num_qubits=20&status=online", [], 2,
         "num_qubits=20&status=online"),
        ("project=x;qpu=emu", ["emu"], 0, ""),
    ],
)  # fmt: skip
def test_comments(comment: str, names: list[str], several: int, filters: str) -> None:
    """Where there is neither license nor generic resource, the comment may name QPUs."""
    wish = want(find(shown("n", "", "", "(null)", comment), "17", "n"))
    assert wish is not None
    assert (wish["names"], wish["any"], wish["filters"]) == (names, several, filters)


def test_a_comment_without_a_request() -> None:
    """Other comments are no request."""
    assert want(find(shown("n", "", "", "(null)", "aqpu=emu quick"), "17", "n")) is None


def test_the_pool_of_licenses() -> None:
    """What a job takes of the pool beyond its named slots is left to the site."""
    wish = want(find(shown("n", "qpu_emu:1,qpu:3", "", "(null)", ""), "17", "n"))
    assert wish is not None
    assert (wish["names"], wish["any"]) == (["emu"], 2)


def test_a_pool_that_generic_resources_bind() -> None:
    """A license of the pool and a generic resource are one and the same request."""
    wish = want(find(shown("n", "qpu:1", "qpu:emu:1", "(null)", ""), "17", "n"))
    assert wish is not None
    assert (wish["names"], wish["any"]) == (["emu"], 0)


def test_different_qpus_for_a_request_without_names() -> None:
    """Where Slurm binds one QPU twice to a request for any two, another one is found."""
    text = shown("n", "", "qpu:emu:2", "(null)", "").replace(
        "Power= ", "Power= TresPerNode=gres:qpu:2 "
    )
    wish = want(find(text, "17", "n"))
    assert wish is not None
    assert (wish["names"], wish["slots"], wish["any"]) == (["emu"], {"emu": 1}, 1)


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_time_limits(days: int, hours: int, minutes: int, seconds: int) -> None:
    """Days, hours, minutes and seconds, as Slurm prints them."""
    clock = f"{hours:02}:{minutes:02}:{seconds:02}"
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert limit_seconds(f"{days}-{clock}" if days else clock) == expected


@pytest.mark.parametrize("text", ["UNLIMITED", "Partition_Limit", "", "1:b"])
def test_no_time_limit(text: str) -> None:
    """What is no time is no limit."""
    assert limit_seconds(text) is None


@given(st.integers(1_000_000_000, 2_000_000_000))
def test_times_of_submission(epoch: int) -> None:
    """Epoch seconds, or local time where Slurm prints that."""
    local = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(epoch))
    assert submitted({"SubmitTime": str(epoch)}) == epoch
    assert time.localtime(submitted({"SubmitTime": local})) == time.localtime(epoch)
