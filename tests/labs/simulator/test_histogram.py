"""Percentiles within the stated error, and a ramp that counts as its values do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.simulator.histogram import RELATIVE_ERROR, Histogram, bin_of

values = st.integers(0, 10**15)


@given(st.lists(values, min_size=1), st.floats(0, 100))
def test_percentiles_are_within_the_stated_error(added: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in added:
        histogram.add(value)
    exact = sorted(added)[max(0, math.ceil(percent / 100 * len(added)) - 1)]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=0)
    assert histogram.mean == sum(added) / len(added)
    assert (histogram.count, histogram.most) == (len(added), max(added))


@given(values, st.integers(0, 10**12), st.integers(1, 60), st.integers(1, 9))
def test_a_ramp_counts_as_its_values_do(first: int, step: int, count: int, weight: int) -> None:
    ramp, plain = Histogram(), Histogram()
    ramp.add_ramp(first, step, count, weight)
    for index in range(count):
        plain.add(first + index * step, weight)
    assert ramp == plain


@given(st.lists(values), st.lists(values))
def test_merged_is_as_if_added(one: list[int], other: list[int]) -> None:
    merged, both, plain = Histogram(), Histogram(), Histogram()
    for value in one:
        merged.add(value)
        plain.add(value)
    for value in other:
        both.add(value)
        plain.add(value)
    merged.merge(both)
    assert merged == plain


@given(values, values)
def test_bins_rise_with_values(one: int, other: int) -> None:
    assert (bin_of(one) <= bin_of(other)) or one > other


def test_of_nothing_there_is_no_figure() -> None:
    empty = Histogram()
    assert math.isnan(empty.mean) and math.isnan(empty.percentile(50))
    with pytest.raises(ValueError, match="percentile 101"):
        empty.percentile(101)
