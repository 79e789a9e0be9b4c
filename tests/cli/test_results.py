from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult

from qrmi.cli import results
from qrmi.codecs import gate


def _sampled(**registers: list[str]) -> str:
    arrays = {}
    for name, strings in registers.items():
        width = len(strings[0])
        rows = [list(int(s, 2).to_bytes((width + 7) // 8)) for s in strings]
        arrays[name] = BitArray(np.array(rows, dtype=np.uint8), width)
    return gate.encode_result(PrimitiveResult([SamplerPubResult(DataBin(**arrays, shape=()))]))


def _read(*texts: str) -> list[results.Counts | results.Values]:
    return results.read(texts, lambda texts: gate.decode_result(texts, {}))


def test_registers_share_one_outcome() -> None:
    """The first register is rightmost, as in Qiskit's joined counts; correlations are kept."""
    [part] = _read(_sampled(a=["01", "01", "10"], b=["1", "1", "0"]))
    assert isinstance(part, results.Counts)
    assert part.counts == {"1 01": 2, "0 10": 1}
    assert "b a" in part.order


@given(
    st.integers(1, 70).flatmap(
        lambda n: st.lists(st.text(alphabet="01", min_size=n, max_size=n), min_size=1, max_size=20)
    )
)
def test_counts_are_those_of_qiskit(strings: list[str]) -> None:
    """For any width the counts equal ``BitArray.get_counts``."""
    [part] = _read(_sampled(meas=strings))
    assert isinstance(part, results.Counts)
    assert part.counts == {s: strings.count(s) for s in strings}


def test_expectation_values() -> None:
    """An estimator's result gives values with their errors."""
    pub = PubResult(DataBin(evs=np.array([0.5, -1.0]), stds=np.array([0.1, 0.0]), shape=(2,)))
    [part] = _read(gate.encode_result(PrimitiveResult([pub])))
    assert part == results.Values(label="", values=[0.5, -1.0], errors=[0.1, 0.0])


def test_analog_results() -> None:
    """A counter and a batch of counters are read without any SDK."""
    [one] = _read(json.dumps({"counter": {"01": 3}}))
    assert isinstance(one, results.Counts)
    assert one.counts == {"01": 3}
    assert one.order == results.ANALOG_ORDER
    jobs = {"jobs": [{"counter": {"0": 1}}, {"status": "ERROR"}, {"counter": {"1": 2}}]}
    assert [part.label for part in _read(json.dumps(jobs))] == ["job 0", "job 2"]


@given(st.text(max_size=100) | st.dictionaries(st.text(max_size=9), st.none()).map(json.dumps))
def test_unknown_text_has_no_parts(text: str) -> None:
    """A result of no known form is left to be shown as it is."""
    assert _read(text) == []
