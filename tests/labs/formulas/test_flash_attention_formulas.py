"""Traffic of tiled attention. That loads, stores and FLOPs equal what the kernels do is held by
``tests/labs/ops/test_operators.py``; here is what the formulas say about each other."""

from __future__ import annotations

import math

import pytest

from labs.formulas.flash_attention import (
    Shape,
    Tile,
    accumulator_registers,
    exponential_share,
    joined,
    keys_outer,
    queries_outer,
    score_bytes,
    statistics_bytes,
    three_kernels,
    tile_bytes,
    tile_intensity,
    visited,
)

SHAPE = Shape(batch=2, heads=4, kv_heads=2, queries=1024, keys=1024, dim=64)


def test_visited_tiles_are_those_that_a_mask_leaves() -> None:
    """Counted pair by pair."""

    def counted(shape: Shape, tile: Tile, causal: bool, window: int) -> int:
        before, pairs = shape.keys - shape.queries, 0
        for low in range(0, shape.queries, tile.rows):
            for start in range(0, shape.keys, tile.columns):
                pairs += any(
                    (not causal or key <= row + before) and (not window or key > row + before - window)
                    for row in range(low, min(low + tile.rows, shape.queries))
                    for key in range(start, min(start + tile.columns, shape.keys))
                )
        return pairs

    for queries, keys in ((40, 40), (17, 40), (1, 33)):
        shape = Shape(1, 1, 1, queries, keys, 16)
        for tile in (Tile(8, 8), Tile(8, 4), Tile(4, 8)):
            for causal, window in ((False, 0), (True, 0), (True, 9), (True, 1)):
                assert visited(shape, tile, causal=causal, window=window) == counted(
                    shape, tile, causal, window
                )


def test_larger_blocks_of_queries_load_keys_less_often() -> None:
    """K and V are loaded once for every block of queries: twice the rows, half the loads."""
    read = SHAPE.planes * SHAPE.queries * SHAPE.dim * 2  # Q, once
    small, large = (queries_outer(SHAPE, Tile(rows, 64), 2).loaded - read for rows in (64, 128))
    assert small == 2 * large
    assert queries_outer(SHAPE, Tile(128, 32), 2).loaded == queries_outer(SHAPE, Tile(128, 64), 2).loaded


def test_both_orders_beat_three_kernels_and_queries_outer_stores_the_least() -> None:
    tile = Tile(64, 64)
    outer, inner, naive = queries_outer(SHAPE, tile, 2), keys_outer(SHAPE, tile, 2), three_kernels(SHAPE, 2)
    assert outer.moved < inner.moved < naive.moved
    assert outer.stored == SHAPE.compulsory(2)[1]
    assert outer.matrix_flops == inner.matrix_flops == naive.matrix_flops
    assert outer.vector_flops < inner.vector_flops


def test_one_tile_moves_what_must_be_moved() -> None:
    whole = Shape(1, 1, 1, 64, 64, 64)
    found = queries_outer(whole, Tile(64, 64), 2)
    assert found.moved == sum(whole.compulsory(2)) == found.read + found.written


def test_traffic_falls_as_the_paper_says() -> None:
    """N^2 d^2 / M: four times the chip, a quarter of what keys-outer moves beyond K and V, for sizes of
    algorithm 1 whose blocks of queries are as tall as the head dim."""
    shape = Shape(1, 1, 1, 8192, 8192, 64)
    # Of M numbers on the chip ceil(M / 4d) columns: M of 24 Ki and of 96 Ki.
    moved = [keys_outer(shape, Tile(64, columns), 2).moved for columns in (96, 384)]
    assert moved[0] / moved[1] == pytest.approx(4, rel=0.05)


def test_sizes_on_the_chip() -> None:
    assert tile_bytes(Tile(128, 64), 128, 2, stages=2) == 96 * 1024
    assert tile_bytes(Tile(128, 64), 128, 2, stages=2, queries_in_registers=True) == 64 * 1024
    assert accumulator_registers(Tile(128, 64), 128, threads=256) == 96
    assert tile_intensity(128, 2) == 128
    assert score_bytes(SHAPE, 2) == 2 * 4 * 1024 * 1024 * 2


def test_exponentials_against_products() -> None:
    """H100 in FP16: 989 TFLOP/s of products, 3.9 T exponentials/s; with heads of 128 half the time."""
    assert exponential_share(128, 989e12, 3.9e12) == pytest.approx(0.495, abs=0.001)


def test_pieces_of_a_row_join_in_any_order() -> None:
    scores = [1.0, 3.0, 2.0, 8.0, 700.0]

    def state(part: list[float]) -> tuple[float, float]:
        return max(part), sum(math.exp(score - max(part)) for score in part)

    for cut in range(1, len(scores)):
        left, right = state(scores[:cut]), state(scores[cut:])
        assert joined(left, right) == joined(right, left) == pytest.approx(state(scores))


def test_the_backward_pass_keeps_a_number_a_row() -> None:
    assert statistics_bytes(SHAPE) * SHAPE.keys == score_bytes(SHAPE, 4)
