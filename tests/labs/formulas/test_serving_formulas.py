"""Latency definitions on a request worked out by hand, and against numpy's percentiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.serving import (
    attainment,
    end_to_end,
    goodput,
    inter_token_latencies,
    meets_slo,
    percentile,
    tpot,
    ttft,
)

# Arrived at 1 s; a stall of 2 s before the third token.
ARRIVAL, TIMES = 1.0, [1.5, 1.75, 3.75, 4.0]


def test_one_request_by_hand() -> None:
    assert ttft(ARRIVAL, TIMES) == 0.5
    assert inter_token_latencies(TIMES) == [0.25, 2.0, 0.25]
    assert tpot(TIMES) == pytest.approx(2.5 / 3)
    assert end_to_end(ARRIVAL, TIMES) == 3.0


def test_one_token_has_no_gap() -> None:
    assert tpot([2.0]) is None
    assert inter_token_latencies([2.0]) == []


@given(gaps=st.lists(st.floats(1e-3, 10), min_size=2, max_size=30), arrival=st.floats(0, 100))
def test_latency_is_the_first_token_and_the_gaps(gaps: list[float], arrival: float) -> None:
    times = list(np.cumsum([arrival, *gaps]))[1:]
    mean_gap = tpot(times)
    assert mean_gap is not None
    assert end_to_end(arrival, times) == pytest.approx(ttft(arrival, times) + mean_gap * (len(times) - 1))
    assert mean_gap == pytest.approx(sum(inter_token_latencies(times)) / (len(times) - 1))


def test_both_objectives_must_be_kept() -> None:
    assert meets_slo(0.5, 0.05, ttft_slo_s=0.5, tpot_slo_s=0.05)
    assert not meets_slo(0.51, 0.05, ttft_slo_s=0.5, tpot_slo_s=0.05)
    assert not meets_slo(0.5, 0.06, ttft_slo_s=0.5, tpot_slo_s=0.05)
    assert meets_slo(0.5, None, ttft_slo_s=0.5, tpot_slo_s=0.05)


def test_goodput_counts_only_what_was_kept() -> None:
    assert goodput([True, False, True, True], duration_s=2.0) == 1.5
    assert attainment([True, False, True, True]) == 0.75
    assert attainment([]) == 1.0


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), percent=st.floats(0, 100))
def test_percentiles_are_numpys(values: list[float], percent: float) -> None:
    expected = float(np.percentile(values, percent))
    assert percentile(values, percent) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_impossible_percentiles_are_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)
