"""The tiled walk: exact at any sizes and orders, and what it moves is what the formulas say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.attention.tiled import walk as walking
from labs.attention.tiled.walk import Matrix, Order, naive, walk
from labs.formulas.flash_attention import Shape, Tile, keys_outer, queries_outer

TOLERANCE = 1e-5  # relative, FP32: only the order of additions differs


def heads(queries: int, keys: int, dim: int, seed: int = 0) -> tuple[Matrix, Matrix, Matrix]:
    generator = np.random.default_rng(seed)
    made = (generator.standard_normal((rows, dim)) * 3 for rows in (queries, keys, keys))
    q, k, v = (one.astype(np.float32) for one in made)
    return q, k, v


def difference(found: Matrix, expected: Matrix) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@settings(max_examples=60, deadline=None)
@given(
    queries=st.integers(1, 20),
    more=st.integers(0, 9),
    rows=st.integers(1, 8),
    columns=st.integers(1, 8),
    causal=st.booleans(),
)
def test_both_orders_are_exact(queries: int, more: int, rows: int, columns: int, causal: bool) -> None:
    q, k, v = heads(queries, queries + more, 5)
    _, expected = naive(q, k, v, causal=causal)
    orders: tuple[Order, ...] = ("queries_outer", "keys_outer")
    for order in orders:
        found = walk(order, q, k, v, rows=rows, columns=columns, causal=causal)
        assert difference(found.out, expected) < TOLERANCE
        assert found.largest <= rows * columns


@pytest.mark.parametrize("causal", [False, True])
def test_what_crosses_the_bus_is_what_the_formulas_say(causal: bool) -> None:
    q, k, v = heads(16, 16, 8)
    shape, tile = Shape(1, 1, 1, 16, 16, 8), Tile(4, 4)
    one = walk("queries_outer", q, k, v, rows=4, columns=4, causal=causal)
    other = walk("keys_outer", q, k, v, rows=4, columns=4, causal=causal)
    assert 4 * one.moved == queries_outer(shape, tile, 4, causal=causal).moved
    assert 4 * other.moved == keys_outer(shape, tile, 4, causal=causal).moved


def test_scores_are_never_stored_and_large_ones_do_not_overflow() -> None:
    q, k, v = heads(8, 8, 4)
    found = walk("queries_outer", q * 200, k * 200, v, rows=4, columns=2)
    assert np.isfinite(found.out).all()
    touched = [access for access in found.accesses if access.tensor == walking.SCORES]
    assert touched and all(access.kind == walking.ON_CHIP for access in touched)


def test_the_running_maximum_only_rises_and_the_sum_is_that_of_all_tiles() -> None:
    q, k, v = heads(6, 12, 4)
    scores, _ = naive(q, k, v, causal=False)
    found = walk("queries_outer", q, k, v, rows=2, columns=3)
    for row in range(6):
        states = [state for state in found.states if state.row == row]
        assert all(state.now >= state.before and 0 <= state.factor <= 1 for state in states)
        assert states[-1].now == pytest.approx(scores[row].max(), rel=1e-6)
        assert states[-1].total == pytest.approx(np.exp(scores[row] - scores[row].max()).sum(), rel=1e-5)
