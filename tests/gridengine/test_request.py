"""What a job asks for, from what Grid Engine 8.1.9 said of real jobs, and from anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.schedulers.gridengine import request
from qrmi.site.terms import Want

_RECORDED = Path(__file__).parent / "recorded"
_TEXT = st.text(max_size=40)


def _recorded(name: str) -> str:
    return (_RECORDED / name).read_text()


def test_an_array_task_tells_its_start_its_time_and_its_limit() -> None:
    """The run is named by the second of its start; the job by that of its submission."""
    job = request.parse_job(_recorded("array_task.xml"), "1")
    assert job["starts"] == {"3": 1795394123}
    assert job["submitted"] == 1795394123
    assert job["asks"] == {"h_rt": "60", "qpu_emu": "1", "qpu_any": "1"}
    assert (job["uid"], job["name"]) == (5, "cal")
    wanted = request.want(job, {}, {})
    assert wanted == {"names": ["emu"], "slots": {"emu": 1}, "any": 0, "limit_seconds": 60.0}


def test_what_the_pool_counts_beyond_the_named_ones_is_any() -> None:
    """``qpu=fresnel+auto`` was submitted, with filters in the job's context."""
    job = request.parse_job(_recorded("named_and_any.xml"), "2")
    wanted = request.want(job, {}, {})
    assert wanted is not None
    assert (wanted["names"], wanted["any"]) == (["fresnel"], 1)
    assert wanted["filters"] == "num_qubits=20&status=online"
    Want.from_json(wanted)


def test_a_job_without_qpus_wants_nothing() -> None:
    """Also when its user says that it was granted some."""
    job = request.parse_job(_recorded("no_qpu.xml"), "3")
    assert request.want(job, {}, {"qpu": "emu", "qpu_emu": "1.000"}) is None


@pytest.mark.parametrize(
    ("asks", "granted", "expected"),
    [
        ({"qpu_a": "2"}, {}, {"a": 2}),
        ({"qpu_a": "1.000000", "qpu_b": "1"}, {}, {"a": 1, "b": 1}),
        ({"qpu_ibm_x": "1"}, {}, {"ibm-x": 1}),
        ({"qpu_a": "0", "qpu_b": "1"}, {}, {"b": 1}),
        ({"qpu": "2"}, {"qpu": "a b"}, {"a": 1, "b": 1}),
        ({"qpu": "2"}, {"qpu": "a a"}, {"a": 2}),
        ({"qpu": "emu", "qpu_slots": "3", "qpu_ready": "1"}, {}, {"emu": 3}),
        ({"qpu_a": "1"}, {"qpu": "forged"}, {"a": 1}),
    ],
)
def test_requests(asks: dict[str, str], granted: dict[str, str], expected: dict[str, int]) -> None:
    """Consumables count; ids that were granted count for a resource map that was asked for."""
    wanted = request.want({"asks": asks}, {"qpu_ibm_x": "ibm-x"}, granted)
    assert wanted is not None
    assert (wanted["slots"], wanted["any"]) == (expected, 0)
    Want.from_json(wanted)


@pytest.mark.parametrize("amount", ["1.5", "-1", "one", "nan", "inf", ""])
def test_an_amount_that_is_none_is_an_error(amount: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(request.WrongReplyError):
        request.want({"asks": {"qpu_a": amount}}, {}, {})


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("60", 60.0), ("1:00:00", 3600.0), ("0:1:5", 65.0), ("INFINITY", None), ("", None)],
)
def test_time_limits(limit: str, seconds: float | None) -> None:
    """Seconds or hours, minutes, seconds."""
    wanted = request.want({"asks": {"qpu_a": "1", "h_rt": limit}}, {}, {})
    assert wanted is not None
    assert wanted["limit_seconds"] == seconds


def _escaped(text: str) -> str:
    """As Grid Engine 8.1.9 escapes."""
    return text.replace("&", "&amp;").replace("<", "%lt;").replace(">", "&gt;")


def _reply(name: str, value: str, asks: dict[str, str]) -> str:
    hard = "".join(
        f"<qstat_l_requests><CE_name>{k}</CE_name><CE_stringval>{v}</CE_stringval>"
        "</qstat_l_requests>"
        for k, v in asks.items()
    )
    return (
        "<element><JB_job_number>7</JB_job_number><JB_submission_time>5</JB_submission_time>"
        f"<JB_job_name>{_escaped(name)}</JB_job_name>"
        f"<JB_hard_resource_list>{hard}</JB_hard_resource_list>"
        f"<JB_env_list><job_sublist><VA_variable>A</VA_variable><VA_value>{_escaped(value)}"
        "</VA_value></job_sublist></JB_env_list><JB_ja_tasks><ulong_sublist>"
        "<JAT_task_number>1</JAT_task_number><JAT_start_time>9</JAT_start_time>"
        "</ulong_sublist></JB_ja_tasks></element>"
    )


_HOSTILE = _TEXT | st.sampled_from(
    [
        "</JB_job_name><JB_hard_resource_list>",
        "<JB_ja_tasks>",
        "\n<JAT_start_time>1</JAT_start_time>",
    ]
)


@given(name=_HOSTILE, value=_HOSTILE, count=st.integers(1, 9))
def test_no_text_of_the_user_changes_what_is_read(name: str, value: str, count: int) -> None:
    """Names and variables are the user's; requests and times are Grid Engine's."""
    job = request.parse_job(_reply(name, value, {"qpu_a": str(count)}), "7")
    assert job["asks"] == {"qpu_a": str(count)}
    assert job["starts"] == {"1": 9}
    assert job["submitted"] == 5


@given(reply=_TEXT | st.text("<>/JB_joumnrla17 ", max_size=60), job=_TEXT)
def test_anything_else_is_an_error_of_ours(reply: str, job: str) -> None:
    """Whatever a broken qstat prints."""
    try:
        told: dict[str, Any] = request.parse_job(reply, job)
    except request.WrongReplyError:
        return
    assert told["asks"] == {}


@given(pairs=st.dictionaries(st.text("abc_", min_size=1), st.text("xyz= ", max_size=9)))
def test_the_spool_config_is_read_back(pairs: dict[str, str]) -> None:
    """``key=value`` by line; a value may hold the sign, too."""
    text = "".join(f"{key}={value}\n" for key, value in pairs.items())
    assert request.parse_config(text) == pairs


def test_a_task_that_failed_before_is_read_like_any_other() -> None:
    """Its messages are lists within the task's own element."""
    message = "<JAT_message_list><ulong_sublist><QIM_type>1</QIM_type></ulong_sublist>"
    reply = _reply("", "", {}).replace(
        "<JAT_start_time>", f"{message}</JAT_message_list><JAT_start_time>"
    )
    assert request.parse_job(reply, "7")["starts"] == {"1": 9}


def test_finer_clocks_come_down_to_seconds() -> None:
    """Newer versions count in micro- or milliseconds."""
    reply = (
        _reply("", "", {}).replace(">9<", ">1795394123000123<").replace(">5<", ">1795394123456<")
    )
    job = request.parse_job(reply, "7")
    assert (job["starts"]["1"], job["submitted"]) == (1795394123, 1795394123)
