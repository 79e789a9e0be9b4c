"""JSON without `json`: it reads and writes the same."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.schedulers.plain_json import json_read, json_written

NUMBERS = st.integers() | st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=()))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
JUNK = st.text(st.sampled_from('{}[]",:\\ \n\t0123eE.-ntfux'), max_size=12) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")  # UTF-16, and its mark
)


@pytest.fixture(params=["own", "json"])
def _codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython's reader and writer, and an interpreter that has none."""
    if request.param == "json":
        monkeypatch.setitem(sys.modules, "_json", None)


@pytest.mark.usefixtures("_codec")
class TestPlainJson:
    def test_what_is_written_is_read(self) -> None:
        """By `json` too, and the other way round."""

        @given(VALUES)
        def check(value: Any) -> None:
            assert json.loads(json_written(value)) == value
            assert json_read(json_written(value)) == value
            assert json_read(json.dumps(value, indent=1).encode()) == value

        check()

    def test_what_is_no_json_is_a_value_error(self) -> None:
        """Whatever it is; and what `json` reads is read to the same."""

        @given(JUNK)
        def check(text: str) -> None:
            data = text.encode()
            try:
                expected = json.loads(data)
            except ValueError:
                with pytest.raises(ValueError):  # noqa: PT011 (of any kind)
                    json_read(data)
            else:
                assert repr(json_read(data)) == repr(expected)  # NaN is not equal to itself

        check()

    def test_odd_values(self) -> None:
        """As `json` has them."""
        assert math.isnan(json_read(b"NaN"))
        assert json_read(b"[-Infinity, 1e400]") == [-math.inf, math.inf]
        with pytest.raises(TypeError, match="set"):
            json_written({"a": {1}})
        with pytest.raises((ValueError, RecursionError)):
            json_read(b"[" * 100_000)
