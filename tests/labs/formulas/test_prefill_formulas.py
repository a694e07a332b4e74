"""Chunks, cached prefixes and preemptions against counting pair by pair."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.prefill import (
    causal_pairs,
    chunks,
    generation_flops,
    prefill_flops,
    prefix_saving,
    recompute_seconds,
    reread_kv_tokens,
    reusable_prefix,
    swap_seconds,
    token_flops_ratio,
)

tokens = st.integers(1, 200)


@given(tokens=tokens, share=st.floats(0, 1))
def test_pairs_counted_one_by_one(tokens: int, share: float) -> None:
    cached = int(share * tokens)
    assert causal_pairs(tokens, cached) == sum(position + 1 for position in range(cached, tokens))


@given(tokens=tokens, share=st.floats(0, 1), window=st.integers(1, 220))
def test_a_window_bounds_what_each_query_sees(tokens: int, share: float, window: int) -> None:
    cached = int(share * tokens)
    seen = sum(min(position + 1, window) for position in range(cached, tokens))
    assert causal_pairs(tokens, cached, window) == seen


@given(tokens=tokens, chunk=st.integers(1, 64))
def test_chunks_compute_the_same_and_read_more(tokens: int, chunk: int) -> None:
    starts = range(0, tokens, chunk)
    assert chunks(tokens, chunk) == len(starts)
    assert reread_kv_tokens(tokens, chunk) == sum(starts)
    done = sum(prefill_flops(min(s + chunk, tokens), 7.0, 3.0, cached=s) for s in starts)
    assert done == pytest.approx(prefill_flops(tokens, 7.0, 3.0))


def test_by_hand() -> None:
    assert chunks(8192, 512) == 16
    assert reread_kv_tokens(8192, 512) == 512 * 120
    assert reread_kv_tokens(8192, 8192) == 0
    assert prefill_flops(3, linear_flops=10.0, pair_flops=1.0) == 36
    assert prefix_saving(3, linear_flops=10.0, pair_flops=1.0, cached=2) == pytest.approx(23 / 36)


@given(tokens=st.integers(2, 5000), share=st.floats(0.01, 0.99))
def test_a_prefix_saves_less_than_its_share(tokens: int, share: float) -> None:
    cached = max(1, int(share * tokens))
    assert 0 < prefix_saving(tokens, 100.0, 1.0, cached) <= cached / tokens
    assert prefix_saving(tokens, 100.0, 0.0, cached) == pytest.approx(cached / tokens)


@pytest.mark.parametrize(
    ("shared", "tokens", "reused"),
    [(100, 200, 96), (96, 96, 80), (97, 97, 96), (15, 200, 0), (200, 200, 192), (0, 1, 0)],
)
def test_whole_blocks_are_reused_and_never_the_last_token(shared: int, tokens: int, reused: int) -> None:
    assert reusable_prefix(shared, tokens, 16) == reused


def test_preemption_by_hand() -> None:
    # 1,000 tokens of 128 KiB, out and in at 25 GB/s.
    assert swap_seconds(1000 * 131_072, 25e9) == pytest.approx(0.01048576)
    model = {"linear_flops": 16e9, "pair_flops": 0.5e6, "weight_bytes": 16e9}
    device = {"peak_flops": 320e12, "bandwidth": 2e12}
    assert recompute_seconds(1000, **model, **device) == pytest.approx((16e12 + 0.5e6 * 500_500) / 320e12)
    # Below 160 tokens reading the weights once takes longer.
    assert recompute_seconds(10, **model, **device) == pytest.approx(0.008)


@given(prompt=st.integers(1, 30), new=st.integers(1, 30))
def test_an_answer_token_by_token(prompt: int, new: int) -> None:
    first = prefill_flops(prompt, 3, 2)
    rest = sum(prefill_flops(length, 3, 2, cached=length - 1) for length in range(prompt + 1, prompt + new))
    assert generation_flops(prompt, new, 3, 2, head_flops=5) == first + rest + 5 * new
    again = sum(prefill_flops(length, 3, 2) for length in range(prompt, prompt + new))
    assert generation_flops(prompt, new, 3, 2, head_flops=5, kv_cache=False) == again + 5 * new


def test_a_token_without_a_cache_costs_as_many_times_as_there_are_tokens() -> None:
    assert token_flops_ratio(1, 10, 1) == 1
    assert token_flops_ratio(100, 10, 0) == 100
    assert token_flops_ratio(100, 10, 0, head_flops=10) == (1000 + 10) / (10 + 10)
