"""The JSV: what becomes of requests, in its own words and over its protocol."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.schedulers.gridengine.jsv import ASKED, RejectedError, serve, translate

_NAMES = {"a": "qpu_a", "b": "qpu_b", "ibm-x": "qpu_ibm_x"}


def _pairs(text: str | None) -> dict[str, str]:
    assert text is not None
    return dict(each.partition("=")[::2] for each in text.split(","))


@pytest.mark.parametrize(
    ("asked", "becomes"),
    [
        ("qpu=a", "qpu_a=1,qpu_any=1"),
        ("qpu=a+b", "qpu_a=1,qpu_b=1,qpu_any=2"),
        ("qpu=auto", "qpu_any=1"),
        ("qpu=auto+auto", "qpu_any=2"),
        ("qpu=a+auto,h_rt=60", "h_rt=60,qpu_a=1,qpu_any=2"),
        ("qpu=a,qpu_slots=3,qpu_ready=1", "qpu_a=3,qpu_any=3"),
        ("qpu_a=2", "qpu_a=2,qpu_any=2"),
        ("qpu_a=2,qpu_any=2", "qpu_a=2,qpu_any=2"),
        ("qpu=ibm-x,exclusive", "exclusive,qpu_ibm_x=1,qpu_any=1"),
        ("qpu=a,qpu_a=1", "qpu_a=1,qpu_any=1"),
    ],
)
def test_translations(asked: str, becomes: str) -> None:
    """Each QPU is counted, and all of them together; translating twice changes nothing."""
    assert _pairs(translate(asked, _NAMES)) == _pairs(becomes)
    assert _pairs(translate(becomes, _NAMES)) == _pairs(becomes)


@pytest.mark.parametrize(
    "asked",
    [
        "qpu=c",
        "qpu=a+c",
        "qpu=",
        "qpu=a+",
        "qpu_c=1",
        "qpu_a=x",
        "qpu_a=-1",
        "qpu=a+b,qpu_slots=2",
        "qpu=auto,qpu_slots=2",
    ],
)
def test_rejections(asked: str) -> None:
    """Unknown names, and amounts that make no sense, never reach the queue."""
    with pytest.raises(RejectedError):
        translate(asked, _NAMES)


def test_a_rejection_lists_the_names() -> None:
    """The user can mend the command from the message alone."""
    with pytest.raises(
        RejectedError, match=r"no QPU is called c; there are: a, b, ibm-x; qpu=auto"
    ):
        translate("qpu=c", _NAMES)


@given(st.lists(st.sampled_from(["h_rt=60", "mem=2G", "arch=lx*", "gpu=1", "q", "queue=a"])))
def test_other_requests_are_left_alone(requests: list[str]) -> None:
    """A job that asks for no QPU is never changed."""
    assert translate(",".join(requests), _NAMES) is None


@given(
    named=st.dictionaries(st.sampled_from(["a", "b", "ibm-x"]), st.just(1), min_size=1),
    autos=st.integers(0, 4),
    rest=st.lists(st.sampled_from(["h_rt=60", "mem=2G"]), unique=True),
)
def test_the_pool_counts_all(named: dict[str, int], autos: int, rest: list[str]) -> None:
    """What the pool counts beyond the named ones is exactly the number of autos."""
    asked = ",".join([*rest, "qpu=" + "+".join([*named, *["auto"] * autos])])
    found = _pairs(translate(asked, _NAMES))
    assert int(found.pop("qpu_any")) == len(named) + autos
    assert {k for k in found if k.startswith("qpu_")} == {_NAMES[name] for name in named}
    assert [each for each in rest if each.partition("=")[0] not in found] == []


def _talk(*lines: str) -> list[str]:
    sink = io.StringIO()
    serve(_NAMES, io.StringIO("".join(f"{line}\n" for line in lines)), sink)
    return sink.getvalue().splitlines()


def test_the_protocol() -> None:
    """Several jobs in one conversation; nothing of one is left for the next."""
    told = _talk(
        *("START", "PARAM VERSION 1.0", "PARAM l_hard qpu=a+b,h_rt=9", "BEGIN"),
        *("START", "PARAM CLIENT qsub", "BEGIN"),
        *("START", "PARAM l_hard qpu=zz", "BEGIN"),
        *("QUIT", "START"),
    )
    assert told == [
        "STARTED",
        "PARAM l_hard h_rt=9,qpu_a=1,qpu_b=1,qpu_any=2",
        f"ENV ADD {ASKED} 1",
        "RESULT STATE CORRECT",
        "STARTED",
        "RESULT STATE ACCEPT",
        "STARTED",
        "RESULT STATE REJECT no QPU is called zz; there are: a, b, ibm-x; qpu=auto takes any",
    ]


@given(st.lists(st.text(max_size=30), max_size=8))
def test_whatever_qmaster_says_it_goes_on(lines: list[str]) -> None:
    """A JSV that dies refuses everybody's jobs."""
    told = _talk(*[line for line in lines if line.strip() != "QUIT"], "START", "BEGIN")
    assert told[-1].startswith("RESULT STATE ")
