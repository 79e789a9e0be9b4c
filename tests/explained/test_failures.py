"""Every planted failure ends in the error that the table fixed in advance."""

from __future__ import annotations

import pickle

import pytest
from failures import FAILURES, Row
from planting import Planting

from qrmi.cli import console
from qrmi.errors import QrmiError


@pytest.mark.parametrize("row", FAILURES, ids=str)
def test_a_planted_failure_is_explained(row: Row, planting: Planting) -> None:
    """Class, owner, retry, hint and ids are the table's; the error says what it is about."""
    with pytest.raises(row.error) as caught:
        row.plant(planting)
    error = caught.value
    assert isinstance(error, QrmiError)
    assert (error.owner, error.retryable) == (row.owner, row.retryable), error
    assert row.hint in error.hint, error
    if row.ids == "given":
        assert set(error.request_ids) & set(planting.given), error.request_ids
    elif row.ids == "body":
        assert error.request_ids
    elif row.ids:
        assert row.ids in error.request_ids
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error)
    assert console.error_fields(error)["request_ids"] == list(error.request_ids)


def test_the_table_is_large_enough() -> None:
    """At least 60 failures, none twice, every area and every owner among them."""
    assert len({str(row) for row in FAILURES}) == len(FAILURES) >= 60
    assert {row.owner for row in FAILURES} == {"user", "site", "vendor", "network"}
