"""What the FlashAttention lab claims: exact ways, memory by order, counts by formula, schedules, FP8."""

from __future__ import annotations

import importlib.util
import itertools
import math
from typing import TYPE_CHECKING

import pytest
import torch

from labs.attention.tiled import fp8
from labs.attention.tiled.counting import counted
from labs.attention.tiled.heads import typed_numbers
from labs.attention.tiled.overlap import CHIPS, SOFTMAX, durations, matrix_share, schedule
from labs.attention.tiled.walk import naive
from labs.attention.tiled.ways import BLOCK, WAYS, Way, eager, looped, measure
from labs.context import Context
from labs.formulas.flash_attention import Shape, Tile, keys_outer, queries_outer
from labs.inspection.process import KernelProcess
from labs.memory.live_storage import allocator_peak
from labs.ops.flash_attention import naive_flash_attention
from labs.registry import load_catalog
from labs.relative_error import relative_error
from labs.results import Metric, Table, Trace
from labs.runner import execute
from labs.spec import LabError
from labs.text import same

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def heads(tokens: int, seen: int | None = None, dim: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (1, 4, tokens, dim), (1, 2, seen or tokens, dim), (1, 2, seen or tokens, dim)
    q, k, v = (torch.randn(shape, generator=generator) for shape in shapes)
    return q, k, v


@pytest.mark.parametrize("call", [eager, looped])
@pytest.mark.parametrize(("tokens", "seen"), [(1, 1), (3, 200), (BLOCK + 1, BLOCK + 1), (2 * BLOCK, 300)])
def test_the_ways_in_torch_are_exact(
    call: Callable[[Tensor, Tensor, Tensor], Tensor], tokens: int, seen: int
) -> None:
    q, k, v = heads(tokens, seen)
    assert relative_error(call(q, k, v), naive_flash_attention(q, k, v, causal=True)) < 1e-5


def test_extra_memory_is_quadratic_for_naive_and_at_most_linear_in_tiles() -> None:
    def extra(call: Callable[[Tensor, Tensor, Tensor], Tensor], tokens: int) -> int:
        q, k, v = heads(tokens)
        return allocator_peak(lambda: call(q, k, v)) - q.nbytes

    assert extra(eager, 1024) > 3.5 * extra(eager, 512)
    assert extra(looped, 1024) < 2.1 * extra(looped, 512)


def test_a_way_that_fails_its_check_has_no_time() -> None:
    wrong = Way("wrong", same("wrong"), same("wrong"), lambda ctx: lambda q, k, v: eager(q, k, 2 * v))
    inputs = heads(64)
    found = measure(Context(), wrong, inputs, naive_flash_attention(*inputs, causal=True), budget_s=0.01)
    assert found.timing is None and found.reason is not None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_triton_way_says_that_it_did_not_run() -> None:
    (triton,) = (way for way in WAYS if way.name == "triton")
    inputs = heads(64)
    assert measure(Context(), triton, inputs, inputs[0], budget_s=0.01).reason is not None


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux only")
def test_bytes_of_both_kernels_equal_the_formulas_at_any_tile() -> None:
    process, shape = KernelProcess("interpret"), Shape(1, 1, 1, 128, 128, 64)
    try:
        for tile in (Tile(32, 16), Tile(16, 64)):
            one, other = (
                process.ask(
                    counted,
                    order=order,
                    length=128,
                    dim=64,
                    rows=tile.rows,
                    columns=tile.columns,
                    causal=True,
                )
                for order in ("queries_outer", "keys_outer")
            )
            assert one.passed and other.passed
            assert one.moved == queries_outer(shape, tile, 2, causal=True).moved
            assert other.moved == keys_outer(shape, tile, 2, causal=True).moved
            assert (one.programs, other.programs) == (128 // tile.rows, 1)
    finally:
        process.close()


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("overlap", [False, True])
def test_a_schedule_does_all_work_and_no_unit_two_things_at_once(chip: str, overlap: bool) -> None:
    work = durations(CHIPS[chip], 64, 128, 64)
    bars = schedule(work, 5, 2, overlap=overlap)
    assert len({(bar.warpgroup, bar.tile, bar.what) for bar in bars}) == len(bars) == 5 * 2 * 3
    groups = [[bar for bar in bars if bar.warpgroup == group] for group in (0, 1)]
    units = [[bar for bar in bars if (bar.what == SOFTMAX) == exp] for exp in (False, True)]
    for line in (*groups, *(units if overlap else [bars])):
        assert all(one.end <= other.start for one, other in itertools.pairwise(line))


def test_ping_pong_hides_what_is_shorter() -> None:
    """At most what the longer unit allows; in turn, products over everything."""
    for chip, dim in (("a100", 128), ("h100", 128), ("b200", 64)):
        product, softmax, _ = work = durations(CHIPS[chip], 64, 128, dim)
        apart, together = (matrix_share(schedule(work, 8, 2, overlap=one)) for one in (False, True))
        assert apart == pytest.approx(2 * product / (2 * product + softmax))
        assert apart < together <= min(1.0, 2 * product / softmax)


def test_the_rotation_is_orthogonal_and_leaves_scores_alone() -> None:
    for dim in (64, 80):
        turn = fp8.rotation(dim, torch.Generator().manual_seed(0))
        torch.testing.assert_close(turn @ turn.T, torch.eye(dim, dtype=torch.float64))


def test_rotating_helps_where_there_are_outliers() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (fp8.with_outliers(256, 64, generator) for _ in range(3))
    errors = {name: fp8.error(q, k, v, name, torch.Generator().manual_seed(1)) for name in fp8.METHODS}
    assert errors["incoherent"] < 0.8 * errors["tensor"]


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ("1", "has 1; it takes 2 to 32"),
        ("1 two", "'two'"),
        ("1 nan", "'nan'"),
        ("1 " * 33, "has 33"),
        ("", "0"),
    ],
)
def test_numbers_that_cannot_be_scores_are_refused_by_name(numbers: str, told: str) -> None:
    with pytest.raises(LabError) as raised:
        typed_numbers(numbers)
    assert told in raised.value.text.en


def test_numbers_may_stand_apart_as_one_types_them_in_chinese() -> None:
    assert typed_numbers("1，3、2, 8")[1].tolist() == [[1], [3], [2], [8]]


def test_the_walk_of_typed_numbers_ends_where_naive_does() -> None:
    lab = load_catalog().labs["operator/flash_attention"]
    params = lab.params(mode="walk", source="typed", numbers="1 3 2 8 4 12 5 6", keys=2, block=1)
    found = {result.id: result for result in execute(lab, params, Context())}
    table, trace, largest = found["row_states"], found["walk_steps"], found["largest"]
    assert isinstance(table, Table) and isinstance(trace, Trace) and isinstance(largest, Metric)
    assert largest.value == largest.predicted == 2
    assert len(table.rows) == 4 + 1
    last, expected = table.rows[-2], table.rows[-1]
    assert last[3] == expected[3] == 12 and last[5] == pytest.approx(expected[5])
    assert last[7] == pytest.approx(expected[7])
    factor = table.rows[2][4]
    assert factor == pytest.approx(math.exp(8 - 12))
    q, k, v, _ = typed_numbers("1 3 2 8 4 12 5 6")
    assert naive(q, k, v, causal=False)[1][0, 0] == pytest.approx(expected[7])
