"""Policies against naive ones and a bound; what theory says of them; references in the engine's manager."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.eviction import lru_hit_ratio
from labs.memory.eviction import PrefixCache, belady_hits
from labs.memory.prefix_trace import make_trace
from labs.memory.shared_prefixes import serve_chains
from labs.simulator.deployment import Deployment
from labs.simulator.hardware import device
from labs.simulator.models import model

POLICIES = ("lru", "fifo", "lfu", "gdsf")


def flat(depth: int) -> float:
    return 1.0


def trace(**changes):
    values = {
        "requests": 400,
        "documents": 30,
        "skew": 1.0,
        "mean_blocks": 4.0,
        "own": 1,
        "one_off": 0.0,
        "fashion": 0,
        "seed": 1,
    }
    return make_trace(**{**values, **changes})


def hits(chains, capacity, policy, ends_only=True) -> int:
    cache = PrefixCache(capacity, policy, flat, ends_only)
    return sum(cache.request(chain).hits for chain in chains)


# Single blocks (prefixes of length one) are an ordinary cache.
SINGLES = st.lists(st.integers(0, 8).map(lambda block: (block,)), max_size=80)


@given(chains=SINGLES, capacity=st.integers(1, 6))
def test_lru_is_an_ordered_list(chains, capacity):
    kept: list[tuple[int]] = []
    expected = 0
    for chain in chains:
        if chain in kept:
            kept.remove(chain)
            expected += 1
        elif len(kept) == capacity:
            kept.pop(0)
        kept.append(chain)
    assert hits(chains, capacity, "lru") == expected


@given(chains=SINGLES, capacity=st.integers(1, 6))
def test_fifo_is_a_queue(chains, capacity):
    kept: list[tuple[int]] = []
    expected = 0
    for chain in chains:
        if chain in kept:
            expected += 1
            continue
        if len(kept) == capacity:
            kept.pop(0)
        kept.append(chain)
    assert hits(chains, capacity, "fifo") == expected


@given(chains=st.lists(st.integers(0, 4).map(lambda block: (block,)), max_size=9), capacity=st.integers(1, 3))
def test_belady_is_the_best_there_is(chains, capacity):
    """Of all that may be kept after each request, the best choice, found by trying all."""
    best = {frozenset(): 0}
    for (block,) in chains:
        after: dict[frozenset[int], int] = {}
        for kept, found in best.items():
            count = found + (block in kept)
            for size in range(min(capacity, len(kept) + 1) + 1):
                for choice in itertools.combinations(sorted(kept | {block}), size):
                    after[frozenset(choice)] = max(after.get(frozenset(choice), 0), count)
        best = after
    assert sum(belady_hits(chains, capacity)) == max(best.values())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("ends_only", [True, False])
@pytest.mark.parametrize("capacity", [8, 40, 200])
def test_no_policy_beats_the_bound_and_the_cache_keeps_its_size(policy, ends_only, capacity):
    chains = trace(one_off=0.2, fashion=100).chains
    cache = PrefixCache(capacity, policy, flat, ends_only)
    found = 0
    for chain in chains:
        request = cache.request(chain)
        assert request.hits <= request.blocks and request.saved <= request.cost
        found += request.hits
        assert len(cache.blocks) <= capacity
        if ends_only:
            parents = {block.parent for block in cache.blocks.values() if block.parent is not None}
            assert parents <= set(cache.blocks), "a block without what stands before it"
    assert 0 < found <= sum(belady_hits(chains, capacity))


@pytest.mark.parametrize("policy", POLICIES)
def test_with_room_for_all_each_policy_is_perfect(policy):
    chains = trace().chains
    assert hits(chains, 10_000, policy) == sum(belady_hits(chains, 10_000))


def test_counts_win_while_popularity_stays_and_lose_when_it_moves():
    still, moving = trace(requests=3000), trace(requests=3000, fashion=150)
    assert hits(still.chains, 40, "lfu") > hits(still.chains, 40, "lru")
    assert hits(moving.chains, 40, "lfu") < hits(moving.chains, 40, "gdsf")


def test_ends_only_makes_fifo_lru_where_requests_hang_on_their_documents():
    chains = trace().chains
    assert hits(chains, 40, "fifo") == hits(chains, 40, "lru")
    assert hits(chains, 40, "fifo", ends_only=False) < hits(chains, 40, "lru", ends_only=False)


def test_che_predicts_lru():
    one = trace(requests=6000, documents=100, mean_blocks=1.0, own=0)
    for capacity in (10, 30, 60):
        # The first requests find an empty cache, of which the prediction knows nothing.
        warm = PrefixCache(capacity, "lru", flat)
        requests = [warm.request(chain) for chain in one.chains][1000:]
        ratio = sum(r.hits for r in requests) / sum(r.blocks for r in requests)
        assert ratio == pytest.approx(lru_hit_ratio(one.popularity, one.sizes, 0, capacity), abs=0.02)


def test_a_costlier_block_of_the_same_use_stays():
    cache = PrefixCache(2, "gdsf", lambda depth: 1.0)
    cheap, dear, new = (1,), (2,), (3,)
    cache.request(cheap)
    cache.request(dear)
    cache.blocks[2].cost = 10.0
    cache.request(dear)
    cache.request(new)
    assert set(cache.blocks) == {2, 3}


def test_references_in_the_engine_s_own_manager():
    deployment = Deployment(model=model("llama-3-8b"), device=device("a100-80gb-sxm"))
    chains = trace(requests=24, documents=4, mean_blocks=6.0).chains
    run = serve_chains(chains, deployment, blocks=90, rate_per_s=20.0, seed=0, check=lambda: None)
    assert run.most_shared.most > 1
    assert all(one.owned + one.cached <= run.blocks for one in run.counts)
    assert all(one.references >= one.owned for one in run.counts)
    last = run.counts[-1]
    assert (last.owned, last.references) == (0, 0) and last.cached > 0
