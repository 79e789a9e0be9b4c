"""Drains: planned maintenance that survives the daemon and ends by itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrmi.errors import ConfigError, InvalidInputError, Owner, ResourceUnavailableError
from qrmi.site.watching.drains import Drain, Drains

NOW = 1_800_000_000.0


class Time:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_drain_survives_a_restart(tmp_path: Path, time: Time) -> None:
    """The daemon that comes after it knows why, since when, until when and who asked."""
    Drains(tmp_path, now=time).drain("emu", "new fridge", NOW + 3600, by="uid 7")
    time.now += 60
    assert Drains(tmp_path, now=time).current() == {
        "emu": Drain(name="emu", reason="new fridge", until=NOW + 3600, since=NOW, by="uid 7")
    }


def test_a_drain_ends_by_itself(tmp_path: Path, time: Time) -> None:
    """At its end it is over, without anybody doing anything, also after a restart."""
    drains = Drains(tmp_path, now=time)
    drains.drain("emu", "calibration", NOW + 10)
    drains.drain("fresnel", "laser")
    time.now = NOW + 10
    assert list(drains.current()) == ["fresnel"]
    assert list(Drains(tmp_path, now=time).current()) == ["fresnel"]


def test_resume_ends_a_drain_for_good(tmp_path: Path, time: Time) -> None:
    drains = Drains(tmp_path, now=time)
    drains.drain("emu", "calibration")
    assert drains.resume("emu")
    assert not drains.resume("emu")
    assert Drains(tmp_path, now=time).current() == {}


def test_draining_again_changes_the_reason_and_keeps_the_start(tmp_path: Path, time: Time) -> None:
    drains = Drains(tmp_path, now=time)
    drains.drain("emu", "calibration", NOW + 100)
    time.now += 50
    assert drains.drain("emu", "takes longer", NOW + 500).since == NOW
    assert drains.current()["emu"].reason == "takes longer"


@pytest.mark.parametrize("until", [NOW, NOW - 1, float("nan"), float("inf"), 1e18])
def test_an_end_must_be_to_come(tmp_path: Path, time: Time, until: float) -> None:
    drains = Drains(tmp_path, now=time)
    with pytest.raises(InvalidInputError, match="cannot end then"):
        drains.drain("emu", "calibration", until)
    assert drains.current() == {}


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201, "bell\x07"])
def test_a_reason_is_one_line(tmp_path: Path, reason: str) -> None:
    """It goes into a scheduler's command and into a user's terminal."""
    with pytest.raises(InvalidInputError, match="a reason is one line"):
        Drains(tmp_path).drain("emu", reason)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"drains": [{"name": 1}]}', '{"drains": 3}'])
def test_a_damaged_file_is_an_error_and_stays(tmp_path: Path, text: str) -> None:
    """Nobody is lent a drained QPU because a file cannot be read."""
    file = tmp_path / "drains.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match="does not tell which resources are drained") as caught:
        Drains(tmp_path)
    assert caught.value.owner is Owner.SITE
    assert file.read_text() == text


def test_what_cannot_be_written_does_not_hold(tmp_path: Path) -> None:
    """A drain that would be lost at a restart is refused, and says so."""
    drains = Drains(tmp_path)
    (tmp_path / "drains.json").mkdir()
    with pytest.raises(ResourceUnavailableError, match=r"cannot write .*drains\.json"):
        drains.drain("emu", "calibration")
    assert drains.current() == {}


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A half-written new file that a crash left behind is no obstacle, and is not read."""
    drains = Drains(tmp_path)
    (tmp_path / ".drains.json.new").write_text("{half")
    drains.drain("emu", "calibration")
    assert [entry["name"] for entry in _entries(tmp_path)] == ["emu"]
    assert [file.name for file in tmp_path.iterdir()] == ["drains.json"]
    assert not stat.S_IMODE((tmp_path / "drains.json").stat().st_mode) & 0o022


def _entries(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / "drains.json").read_text())["drains"]
    return found


@settings(deadline=None)
@given(
    name=st.text(min_size=1, max_size=20),
    reason=st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=50),
    until=st.none() | st.floats(NOW + 1, NOW + 1e6),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, reason: str, until: float | None
) -> None:
    folder, time = tmp_path_factory.mktemp("drains"), Time()
    drain = Drains(folder, now=time).drain(name, reason, until)
    assert Drains(folder, now=time).current() == {name: drain}
