"""Offloading against small pipelines worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.offloading import (
    break_even_tokens,
    offloaded_bytes,
    prefetch_depth,
    prefetched_seconds,
    reload_speedup,
    serial_seconds,
    streamed_tokens_per_s,
)

times = st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=20)


def test_three_layers() -> None:
    assert serial_seconds([2, 2, 2], [3, 3, 3]) == 15
    assert prefetched_seconds([2, 2, 2], [3, 3, 3]) == 2 + 3 + 3 + 3  # compute is the bound
    assert prefetched_seconds([3, 3, 3], [2, 2, 2]) == 3 + 3 + 3 + 2  # loading is


@given(times)
def test_prefetch_is_never_slower_and_never_below_either_sum(pairs: list[tuple[float, float]]) -> None:
    load, compute = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    fast, slow = prefetched_seconds(load, compute), serial_seconds(load, compute)
    assert max(sum(load), sum(compute)) <= fast + 1e-9
    assert fast <= slow + 1e-9


def test_break_even_is_where_compute_takes_as_long_as_loading() -> None:
    tokens = break_even_tokens(2, 312e12, 32e9)
    assert tokens == 9750
    weights = 1e9
    assert 2 * weights * tokens / 312e12 == pytest.approx(2 * weights / 32e9)


def test_streamed_decode_is_bound_by_the_link() -> None:
    assert streamed_tokens_per_s(16e9, 0, 32e9, 2000e9) == 2
    assert streamed_tokens_per_s(0, 16e9, 32e9, 1600e9) == 100
    assert streamed_tokens_per_s(16e9, 0, 32e9, 2000e9, batch=64) == 128


def test_only_what_does_not_fit_is_offloaded() -> None:
    assert offloaded_bytes(10, 12) == 0
    assert offloaded_bytes(16, 12) == 4
    assert offloaded_bytes(16, 12, buffer_bytes=2) == 6
    assert offloaded_bytes(16, 0, buffer_bytes=2) == 16


def test_depth_covers_a_late_load() -> None:
    assert prefetch_depth(2, 3) == 1
    assert prefetch_depth(2, 3, jitter_s=5) == 3


def test_reload_speedup() -> None:
    assert reload_speedup(flops=312e12, kv_bytes=32e9, peak_flops=312e12, bandwidth=64e9) == 2
