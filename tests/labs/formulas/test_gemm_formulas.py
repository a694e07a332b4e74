"""The formulas of matrix products against counting, simulating and published figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.formulas.gemm import (
    Order,
    accumulator_registers,
    amdahl,
    cache_misses,
    chains_needed,
    compute_bound_rows,
    kernel_loads,
    linear_share,
    matrix_peak,
    packing_bytes,
    schedule,
    stage_bytes,
    stages_needed,
    step_seconds,
    strassen_break_even,
    strassen_error,
    strassen_flops,
    strassen_seconds,
    tile_count,
    tile_intensity,
    tile_share,
    tiled_bytes,
    wave_share,
    winograd_saving,
)
from labs.formulas.memory import gemm_bytes, gemm_flops
from labs.gemm.loop_nests import LINE_NUMBERS, record

ELEMENT = 4


def simulated(order: Order, size: int, tile: int, lines: int) -> tuple[int, ...]:
    ones = np.ones((size, size), np.float32)
    return tuple(record(order, ones, ones, tile, lines).lines[-1].tolist())


def by_formula(order: Order, size: int, tile: int, lines: int) -> tuple[float, ...]:
    line = LINE_NUMBERS * ELEMENT
    return tuple(cache_misses(order, size, size, size, lines * line, tile, line, ELEMENT))


@pytest.mark.parametrize(
    ("order", "size", "tile", "lines"),
    [
        ("ijk", 32, 8, 48),  # a column of B fits, all of B does not
        ("ijk", 32, 8, 160),  # everything of B fits
        ("ikj", 32, 8, 32),
        ("ikj", 32, 8, 160),
        ("tiled", 32, 8, 32),
        ("tiled", 32, 16, 48),
        ("tiled", 48, 16, 48),
    ],
)
def test_misses_are_those_of_an_ideal_cache(order: Order, size: int, tile: int, lines: int) -> None:
    assert simulated(order, size, tile, lines) == by_formula(order, size, tile, lines)


def test_a_column_that_does_not_fit_misses_at_every_number() -> None:
    found = simulated("ijk", 32, 8, 8)
    assert found == by_formula("ijk", 32, 8, 8)
    assert found[1] == 32**3


def test_a_tile_that_does_not_fit_is_read_again_for_every_row() -> None:
    fits, not_fitting = by_formula("tiled", 32, 8, 32), by_formula("tiled", 32, 16, 32)
    assert not_fitting[1] == 32 * fits[1]


def test_one_tile_of_everything_moves_what_must_be_moved() -> None:
    assert tiled_bytes(64, 96, 128, 64, 96) == gemm_bytes(64, 96, 128)


def test_tiles_of_twice_the_side_load_half() -> None:
    small, large = (tiled_bytes(4096, 4096, 4096, t, t, output_bytes=0) for t in (64, 128))
    assert small == 2 * large
    assert gemm_flops(4096, 4096, 4096) / large == tile_intensity(128, 128) == 64.0


def test_packing_one_rows_product_moves_three_times_its_bytes() -> None:
    row = gemm_bytes(1, 4096, 4096, 32, 32, 32)
    assert (row + packing_bytes(1, 4096, 4096, 4096)) / row == pytest.approx(3, rel=1e-3)
    square = gemm_bytes(4096, 4096, 4096, 32, 32, 32)
    assert packing_bytes(4096, 4096, 4096, 4096) / square == pytest.approx(4 / 3)


def test_the_micro_kernel_of_six_by_two_needs_two_loads_for_three_multiply_adds() -> None:
    assert kernel_loads(6, 2) == pytest.approx(2 / 3)
    assert kernel_loads(1, 1) == 2.0
    assert chains_needed(latency_cycles=4, a_cycle=2) == 8


def test_a_column_more_than_whole_tiles_costs_a_column_of_tiles() -> None:
    assert tile_share(256, 256, 128, 128) == 1
    assert tile_share(256, 257, 128, 128) == pytest.approx(257 / 384)


def test_a_tile_more_than_a_wave_costs_a_wave() -> None:
    # The 108 SMs of an A100: with one tile more about half the rate is left.
    assert wave_share(108, 108) == 1
    assert wave_share(109, 108) == pytest.approx(109 / 216)
    assert tile_count(4096, 4224, 128, 128) == 8 * 132


def test_matrix_units_make_the_published_peak() -> None:
    # A100: 432 Tensor Cores, 256 multiply-adds a clock each, 1.41 GHz; published: 312 TFLOP/s.
    assert matrix_peak(432, 256, 1.41e9) == pytest.approx(312e12, rel=1e-3)
    assert accumulator_registers(128, 128, 128) == 128


def test_at_the_compute_bound_rows_both_roofs_meet() -> None:
    rows, ridge = compute_bound_rows(4096, 4096, 295), 295
    moved = gemm_bytes(round(rows), 4096, 4096)
    assert gemm_flops(round(rows), 4096, 4096) / moved == pytest.approx(ridge, rel=1e-2)
    assert compute_bound_rows(64, 64, 1000) == float("inf")


def test_shared_memory_of_a_pipeline() -> None:
    assert stage_bytes(128, 128, 32, 3) == 48 * 1024


@settings(max_examples=50)
@given(st.floats(0, 1e-6), st.floats(1e-8, 1e-6), st.floats(1e-8, 1e-6), st.integers(1, 6))
def test_the_schedule_settles_at_the_formulas_step(
    latency: float, transfer: float, compute: float, stages: int
) -> None:
    turns = 6 * stages
    run = schedule(turns + 40, latency, transfer, compute, stages)
    steady = (run[-1][4] - run[-1 - 4 * stages][4]) / (4 * stages)
    assert steady == pytest.approx(step_seconds(latency, transfer, compute, stages), rel=1e-6)


@settings(max_examples=50)
@given(st.floats(0, 1e-6), st.floats(1e-8, 1e-6), st.floats(1e-8, 1e-6), st.integers(1, 6))
def test_no_buffer_is_refilled_while_it_is_needed(
    latency: float, transfer: float, compute: float, stages: int
) -> None:
    run = schedule(20, latency, transfer, compute, stages)
    for step, (asked, sent, arrived, begun, done) in enumerate(run):
        assert asked <= sent <= arrived <= begun <= done
        if step >= stages:
            assert asked >= run[step - stages][4]
        if step:
            assert sent >= run[step - 1][2] and begun >= run[step - 1][4]


def test_so_many_stages_hide_the_latency_and_one_fewer_does_not() -> None:
    needed = stages_needed(600e-9, 200e-9, 350e-9)
    assert step_seconds(600e-9, 200e-9, 350e-9, needed) == 350e-9
    assert step_seconds(600e-9, 200e-9, 350e-9, needed - 1) > 350e-9


def test_a_level_of_strassen_saves_an_eighth_of_the_products() -> None:
    n = 4096
    assert strassen_flops(n, 0) == gemm_flops(n, n, n)
    assert strassen_flops(n, 1) == 7 / 8 * gemm_flops(n, n, n) + 18 * (n / 2) ** 2


def test_at_the_break_even_size_one_level_takes_as_long_as_none() -> None:
    peak, bandwidth = 1e11, 2e10
    n = round(strassen_break_even(peak, bandwidth))
    plain = 2 * n**3 / peak
    assert strassen_seconds(n, 2 * (n / 2) ** 3 / peak, 1, bandwidth) == pytest.approx(plain, rel=1e-3)


def test_the_error_bound_grows_with_each_level() -> None:
    bounds = [strassen_error(1024, levels) for levels in range(4)]
    assert bounds == sorted(bounds) and bounds[0] == 1024**2
    assert strassen_error(1024, 1) == 12 * (512**2 + 5 * 512) - 5 * 1024


def test_winograd_saves_nothing_of_a_product() -> None:
    assert winograd_saving(2, 3) == 2.25 and winograd_saving(4, 3) == 4.0
    assert winograd_saving(4, 1) == 1.0


def test_attention_takes_over_with_length() -> None:
    shares = [linear_share(tokens, 2 * 7e9, 4 * 32 * 4096) for tokens in (128, 4096, 131072)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.99 > 0.5 > shares[2]


def test_amdahl() -> None:
    assert amdahl(1.0, 2.0) == 2.0 and amdahl(0.0, 2.0) == 1.0
    assert amdahl(0.5, 2.0) == pytest.approx(4 / 3)
