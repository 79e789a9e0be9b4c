"""JSON texts are the standard library's, without blanks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import json_text

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _pure() -> Callable[[object], str]:
    with mock.patch.object(json.encoder, "c_make_encoder", None):
        return json_text.writer()


@given(value=_VALUES)
def test_it_writes_what_json_writes(value: object) -> None:
    """Character for character, with and without the interpreter's own encoder."""
    wanted = json.dumps(value, separators=(",", ":"))
    assert json_text.writer()(value) == wanted
    assert _pure()(value) == wanted


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite(number: float) -> None:
    """They are refused where that is asked for."""
    assert json_text.writer()([number]) == json.dumps([number])
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text.writer(allow_nan=False)({"a": [number]})


@pytest.mark.parametrize("write", [json_text.writer(), _pure()])
def test_what_has_no_form(write: Callable[[object], str]) -> None:
    """The error names its type; the writer is as good as before afterwards."""
    with pytest.raises(TypeError, match="complex is not a JSON value"):
        write({"a": 1j})
    itself: list[object] = []
    itself.append(itself)
    with pytest.raises(ValueError, match="contains itself"):
        write(itself)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        write(deep)
    assert write({"a": [1, "é"]}) == '{"a":[1,"\\u00e9"]}'
