"""Padding, steps and the knee, by hand and against brute force."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.batching import (
    bucket_waste,
    continuous_speedup_bound,
    continuous_steps_bound,
    decode_knee,
    distinct_experts,
    expected_longest,
    padding_waste,
    static_steps,
)
from labs.formulas.memory import roofline_seconds

lengths = st.lists(st.integers(1, 500), min_size=1, max_size=40)
batch_sizes = st.integers(1, 16)


def test_padding_by_hand() -> None:
    # [10, 30] pads to 60 slots, [20] needs none: 80 slots for 60 tokens.
    assert padding_waste([10, 30, 20], 2) == pytest.approx(20 / 80)
    assert padding_waste([], 4) == 0.0


@given(lengths=lengths, batch_size=batch_sizes)
def test_sorting_never_pads_full_batches_more(lengths: list[int], batch_size: int) -> None:
    full = lengths * batch_size  # a short batch at the end may pad less where it holds the longest
    assert padding_waste(sorted(full), batch_size) <= padding_waste(full, batch_size) + 1e-9


def test_buckets_by_hand() -> None:
    assert bucket_waste([10, 64, 65], [64, 128]) == pytest.approx(1 - 139 / 256)
    with pytest.raises(ValueError, match="129 tokens exceed the largest bucket, 128"):
        bucket_waste([129], [64, 128])


@given(lengths=lengths)
def test_a_bucket_for_each_length_wastes_nothing(lengths: list[int]) -> None:
    assert bucket_waste(lengths, sorted(set(lengths))) == pytest.approx(0, abs=1e-12)


def test_steps_by_hand() -> None:
    # Static: 100 + 90 steps. Continuous: 220 tokens over two places.
    answers = [100, 10, 20, 90]
    assert static_steps(answers, 2) == 190
    assert continuous_steps_bound(answers, 2) == 110
    assert continuous_speedup_bound(answers, 2) == pytest.approx(190 / 110)
    # One long answer: no schedule is shorter than it.
    assert continuous_steps_bound([100, 1, 1, 1], 2) == 100


def continuous_steps(answers: list[int], places: int) -> int:
    """First come first served, a place refilled as soon as it is free."""
    free_at = [0] * places
    for answer in answers:
        place = free_at.index(min(free_at))
        free_at[place] += answer
    return max(free_at)


@given(answers=lengths, batch_size=batch_sizes)
def test_a_real_schedule_lies_between_the_bound_and_static(answers: list[int], batch_size: int) -> None:
    steps = continuous_steps(answers, batch_size)
    assert continuous_steps_bound(answers, batch_size) <= steps <= static_steps(answers, batch_size)


@given(lengths=st.lists(st.integers(1, 99), min_size=1, max_size=5), batch_size=st.integers(1, 4))
def test_expected_longest_is_the_mean_over_all_draws(lengths: list[int], batch_size: int) -> None:
    draws = itertools.product(lengths, repeat=batch_size)
    assert expected_longest(lengths, batch_size) == pytest.approx(statistics.fmean(max(d) for d in draws))


def test_a_batch_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size = 0"):
        static_steps([1], 0)


def test_distinct_experts_by_hand() -> None:
    assert distinct_experts(8, 2, 1) == pytest.approx(2)
    # Each of 8 is left out by both of two tokens in 9 of 16 cases.
    assert distinct_experts(8, 2, 2) == pytest.approx(3.5)
    assert distinct_experts(256, 8, 10_000) == pytest.approx(256)


@pytest.mark.parametrize(("count", "chosen", "tokens"), [(8, 2, 3), (128, 8, 16), (32, 4, 30)])
def test_distinct_experts_are_what_even_routing_uses(count: int, chosen: int, tokens: int) -> None:
    draw = random.Random(5)
    used = [len({e for _ in range(tokens) for e in draw.sample(range(count), chosen)}) for _ in range(2000)]
    assert statistics.fmean(used) == pytest.approx(distinct_experts(count, chosen, tokens), rel=0.02)


def test_knee_by_hand() -> None:
    # Weights alone: 16 GB over 2 TB/s is 8 ms; a token computes 16 GFLOP at 320 TFLOP/s in 50 us.
    assert decode_knee(16e9, 16e9, 320e12, 2e12) == pytest.approx(160)
    # 50 MB of KV a sequence take 25 us of those 50.
    assert decode_knee(16e9, 16e9, 320e12, 2e12, kv_bytes_per_sequence=50e6) == pytest.approx(320)
    assert decode_knee(16e9, 16e9, 320e12, 2e12, kv_bytes_per_sequence=100e6) == math.inf


@given(kv=st.floats(0, 90e6))
def test_at_the_knee_both_sides_of_the_roofline_are_equal(kv: float) -> None:
    batch = decode_knee(16e9, 16e9, 320e12, 2e12, kv)
    compute_s = batch * 16e9 / 320e12
    memory_s = (16e9 + batch * kv) / 2e12
    assert compute_s == pytest.approx(memory_s)
    assert roofline_seconds(batch * 16e9, 16e9 + batch * kv, 320e12, 2e12) == pytest.approx(compute_s)
