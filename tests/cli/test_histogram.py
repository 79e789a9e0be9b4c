from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qrmi.cli.histogram import bars

counts = st.dictionaries(
    st.text(alphabet="01", min_size=1, max_size=120), st.integers(0, 10**6), max_size=40
)


@given(counts, st.integers(1, 12), st.integers(1, 60), st.booleans())
def test_lines_fit_and_are_sorted(
    counted: dict[str, int], top: int, width: int, ascii_only: bool
) -> None:
    """At most `top` bars, none longer than `width`, none longer than the one above it."""
    lines = bars(counted, top=top, width=width, ascii_only=ascii_only)
    drawn = [
        line.count("#") + line.count("█") for line in lines if "%" in line and "more" not in line
    ]
    assert len(drawn) <= top
    assert all(length <= width for length in drawn)
    assert drawn == sorted(drawn, reverse=True)
    if ascii_only:
        "\n".join(lines).encode("ascii")


def test_every_shot_is_accounted_for() -> None:
    """What is not shown is summed up in the last line."""
    lines = bars({"00": 50, "11": 30, "01": 15, "10": 5}, top=2, width=8)
    assert lines == [
        "00  ████████   50.0%  50",
        "11  ████▊      30.0%  30",
        "… 2 more outcomes with 20.0% together (20)",
    ]


def test_one_shot_is_seen() -> None:
    """An outcome that was seen has a bar, however short."""
    assert "▏" in bars({"0": 10**6, "1": 1})[1]


def test_nothing_was_seen() -> None:
    """No shots is no error."""
    assert bars({}) == bars({"0": 0}) == ["(no outcomes)"]
