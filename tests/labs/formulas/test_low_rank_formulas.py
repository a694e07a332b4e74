"""Low-rank costs: limits that must hold, and numbers that can be counted by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas import low_rank as lr

_FREE = lr.Roofs(peak=1e12, bandwidth=1e10)


def test_break_even_by_numbers_is_where_both_have_as_many() -> None:
    assert lr.parameter_break_even(576, 576) == 288
    assert lr.factor_parameters(576, 576, 288) == 576 * 576
    assert lr.low_rank_flops(1, 576, 576, 288) == 2 * 576 * 576


@given(n=st.integers(8, 4000), k=st.integers(8, 4000), m=st.integers(1, 2000), call=st.floats(0, 1e-4))
def test_break_even_is_the_last_rank_that_is_no_slower(n: int, k: int, m: int, call: float) -> None:
    roofs = lr.Roofs(peak=1e12, bandwidth=1e10, call_s=call)
    full, rank = lr.product_seconds(m, n, k, roofs), lr.break_even_rank(m, n, k, roofs)
    if rank:
        assert lr.low_rank_seconds(m, n, k, rank, roofs) <= full
    if rank < min(n, k):
        assert lr.low_rank_seconds(m, n, k, rank + 1, roofs) > full


def test_overhead_lowers_the_break_even_and_fusing_raises_it() -> None:
    slow = _FREE._replace(call_s=1e-5)
    plain = lr.break_even_rank(1, 576, 576, _FREE)
    assert plain == pytest.approx(288, abs=2)
    assert lr.break_even_rank(1, 576, 576, slow) < plain
    assert lr.break_even_rank(1, 576, 576, slow, fused=True) > lr.break_even_rank(1, 576, 576, slow)


def test_the_product_in_between_is_written_and_read() -> None:
    apart, fused = (lr.low_rank_bytes(100, 50, 60, 8, 4, fused=f) for f in (False, True))
    assert apart - fused == 2 * 100 * 8 * 4


def test_truncation_error_and_the_rank_that_meets_it() -> None:
    values = [3.0, 2.0, 1.0, 0.0]
    assert lr.truncation_error(values, 1) == pytest.approx(math.sqrt(5 / 14))
    assert lr.truncation_error(values, 3) == 0
    assert lr.rank_for_error(values, math.sqrt(5 / 14) + 1e-12) == 1
    assert lr.rank_for_error(values, 0) == 3


def test_what_never_pays_takes_for_ever_to_repay() -> None:
    assert lr.calls_to_repay(1.0, 0.3, 0.2) == pytest.approx(10)
    assert lr.calls_to_repay(1.0, 0.2, 0.2) == math.inf


def test_adapters_apart_share_one_base() -> None:
    assert lr.adapter_bytes(10, 20, 2, 5, 2, merged=True) == 5 * 200 * 2
    assert lr.adapter_bytes(10, 20, 2, 5, 2, merged=False) == (200 + 5 * 60) * 2


def test_the_sketch_passes_over_the_matrix_twice_and_twice_more_a_power_iteration() -> None:
    assert lr.randomized_svd_flops(10, 20, 3, 0) == 2 * 2 * 600
    assert lr.randomized_svd_flops(10, 20, 3, 2) == 6 * 2 * 600
