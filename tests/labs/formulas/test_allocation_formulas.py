"""Allocation and eviction formulas against counting."""

from __future__ import annotations

import math
import random

import pytest

from labs.formulas import allocation, eviction


def test_alignment_adds_half_of_it_on_average():
    for alignment in (1, 8, 512):
        added = [allocation.round_up(size, alignment) - size for size in range(1, 10 * alignment + 1)]
        assert sum(added) / len(added) == allocation.expected_rounding(alignment)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_class_waste_is_what_counting_finds(steps):
    draw = random.Random(0)
    sizes = [int(2 ** draw.uniform(12, 20)) for _ in range(40_000)]
    granted = sum(allocation.size_class(size, 512, steps) for size in sizes)
    assert 1 - sum(sizes) / granted == pytest.approx(allocation.mean_class_waste(steps), abs=0.004)


def test_the_buddy_system_has_one_class_to_a_doubling():
    assert [allocation.buddy_size(size) for size in (1, 2, 3, 4, 5, 1025)] == [1, 2, 4, 4, 8, 2048]
    assert all(allocation.buddy_size(n) == allocation.size_class(n, 1, 1) for n in range(1, 5000))
    assert allocation.buddy_size(3, 512) == 512


def test_pytorch_s_sizes():
    mib = allocation.MIB
    assert allocation.caching_rounded(1) == 512 and allocation.caching_rounded(513) == 1024
    segments = {1 * mib: 2, 1 * mib + 512: 20, 10 * mib - 512: 20, 10 * mib: 10, 11 * mib: 12}
    assert {size: allocation.caching_segment(size) // mib for size in segments} == segments


def test_external_fragmentation():
    assert allocation.external_fragmentation(25, 100) == 0.75
    assert allocation.external_fragmentation(0, 0) == 0


def test_no_allocator_is_safe_in_less():
    assert allocation.robson_arena(1024, 1) == 1024, "pieces of one size cannot be fragmented"
    assert allocation.robson_arena(1024, 16) == 1024 * 3 - 15


def test_long_answers_are_seen_longer():
    draw = random.Random(1)
    answers = [max(1, round(draw.expovariate(1 / 50))) for _ in range(20_000)]
    seen = sum(100 + token for answer in answers for token in range(answer)) / sum(answers)
    assert seen == pytest.approx(allocation.mean_live_length(100, 50, 1.0), rel=0.03)


def test_doubling_copies_less_than_twice():
    for final in (1, 2, 3, 100, 4096, 4097):
        assert allocation.doubling_copies(final) < 2 * final
    assert allocation.doubling_copies(5) == 1 + 2 + 4


def test_sectors():
    assert allocation.sectors_touched(0, 128) == 4
    assert allocation.sectors_touched(4, 128) == 5
    assert allocation.sectors_touched(31, 2) == 2


def test_zipf():
    shares = eviction.zipf_popularity(4, 1.0)
    assert math.fsum(shares) == pytest.approx(1)
    assert shares[0] / shares[3] == pytest.approx(4)
    assert eviction.zipf_popularity(3, 0) == pytest.approx([1 / 3] * 3)


def test_all_alike_lru_keeps_the_share_that_fits():
    """With equal popularity any cache of half the documents finds half of them."""
    popularity = eviction.zipf_popularity(1000, 0)
    assert eviction.lru_hit_ratio(popularity, [1] * 1000, 0, 500) == pytest.approx(0.5, abs=1e-6)
    assert eviction.lru_hit_ratio(popularity, [1] * 1000, 0, 1000) == 1.0


def test_blocks_of_their_own_take_room_and_are_never_found():
    popularity = eviction.zipf_popularity(100, 1)
    lifetime = eviction.lru_lifetime(popularity, [2] * 100, 1, 50)
    kept = sum(2 * (1 - math.exp(-p * lifetime)) for p in popularity)
    assert lifetime + kept == pytest.approx(50)
    assert eviction.lru_hit_ratio(popularity, [2] * 100, 1, 1e6) < 2 / 3 + 1e-9


def test_the_most_popular_are_the_best_that_counts_can_do():
    popularity = eviction.zipf_popularity(50, 1)
    best = eviction.most_popular_hit_ratio(popularity, [1] * 50, 0, 10)
    assert best == pytest.approx(math.fsum(popularity[:10]))
    assert best > eviction.lru_hit_ratio(popularity, [1] * 50, 0, 10)


def test_a_later_block_costs_more():
    first = eviction.block_prefill_flops(0, 512, 1e10, 1e6)
    assert first == 512 * 1e10 + 512 * 513 / 2 * 1e6
    assert eviction.block_prefill_flops(8, 512, 1e10, 1e6) - first == 8 * 512 * 512 * 1e6
    assert eviction.gdsf_priority(2.0, 3, 4.0, 6.0) == 4.0
