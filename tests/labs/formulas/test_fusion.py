"""Bytes and kernels of fused graphs, against counts by hand and what fusing may never do."""

from __future__ import annotations

import itertools

import pytest

from labs.formulas.decoder_block import INT8_STEPS, STEPS, block, groups
from labs.formulas.decoder_demand import Decoder
from labs.formulas.fusion import (
    Dataflow,
    Op,
    crossing,
    elementwise_chain_bytes,
    epilogue_slack,
    kernels,
    moved_bytes,
    saving_s,
)
from labs.formulas.operators import norm_quantise_bytes, rms_norm_bytes

SHAPE = Decoder(hidden=576, intermediate=1536, heads=9, kv_heads=3, head_dim=64, vocab=49152)
CHAIN = Dataflow(
    (
        Op("a", "elementwise", ("x",), ("y",)),
        Op("b", "elementwise", ("y",), ("z",)),
        Op("c", "elementwise", ("y", "z"), ("out",)),
    ),
    {"x": 10, "y": 20, "z": 40, "out": 80},
    frozenset({"out"}),
)


def test_what_lies_between_is_not_moved() -> None:
    assert moved_bytes(CHAIN) == (10 + 20) + (20 + 40) + (20 + 40 + 80)
    assert crossing(CHAIN, ["a", "b"]) == (10, 20 + 40), "c still reads both"
    assert crossing(CHAIN, ["a", "b", "c"]) == (10, 80)


def test_a_group_stands_where_it_starts() -> None:
    assert kernels(CHAIN, [["b", "c"]]) == [("a",), ("b", "c")]
    with pytest.raises(ValueError, match="two groups"):
        kernels(CHAIN, [["a", "b"], ["b", "c"]])


def test_a_chain_reads_and_writes_once() -> None:
    assert elementwise_chain_bytes(1000, 4, 2) == (16_000, 4_000)
    assert saving_s(1e9, 10, 1e12, 5e-6) == pytest.approx(1.05e-3)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("tokens", [1, 64])
def test_every_step_takes_kernels_and_bytes_away(tokens: int, int8: bool) -> None:
    flow = block(SHAPE, tokens, 64, int8=int8)
    for chosen in itertools.combinations(INT8_STEPS if int8 else STEPS, 3):
        before = groups(flow, frozenset(chosen[:2]))
        after = groups(flow, frozenset(chosen))
        assert len(kernels(flow, after)) < len(kernels(flow, before))
        assert moved_bytes(flow, after) < moved_bytes(flow, before)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("tokens", [1, 64])
def test_every_tensor_has_a_size(tokens: int, int8: bool) -> None:
    flow = block(SHAPE, tokens, 64, int8=int8)
    assert {name for op in flow.ops for name in (*op.reads, *op.writes)} <= set(flow.sizes)


def test_the_norm_in_one_kernel() -> None:
    """Residual, delta and weight in; the sum and its norm out."""
    flow = block(SHAPE, 64, 64)
    (first, _) = groups(flow, frozenset({"norm"}))
    assert crossing(flow, first) == ((2 * 64 * 576 + 576) * 4, 2 * 64 * 576 * 4)


def test_quantised_in_the_same_kernel_three_of_four_bytes_are_not_written() -> None:
    """In fp32: the codes take one byte for four, and a scale a row."""
    plain = rms_norm_bytes(64, 576, 4, residual=True)
    read, written = norm_quantise_bytes(64, 576, 4)
    assert read == plain[0] and plain[1] - written == 64 * (576 * 3 - 4)


def test_the_norm_goes_on_to_codes_in_the_same_kernel() -> None:
    """The graph's kernel moves what the operator's formula says; and it contains the norm's."""
    flow = block(SHAPE, 64, 64, int8=True)
    (first, _) = groups(flow, frozenset({"quantise"}))
    assert crossing(flow, first) == norm_quantise_bytes(64, 576, 4)
    assert groups(flow, frozenset({"norm", "quantise"})) == groups(flow, frozenset({"quantise"}))


def test_integer_products_scale_their_sums_joined_or_not() -> None:
    """Codes, weights and scales in, fp32 out; the INT32 sums are written nowhere."""
    flow, rows, columns = block(SHAPE, 64, 64, int8=True), 64, 960
    (joined,) = [one for one in groups(flow, frozenset({"qkv", "scales"})) if "q" in one]
    assert crossing(flow, joined) == (rows * 576 + 576 * columns + 4 * (rows + columns), 4 * rows * columns)
    apart = [one for one in groups(flow, frozenset({"scales"})) if one[0] in "qkv"]
    again = 2 * (rows * 576 + 4 * rows)  # codes and their scales, by each of the other two
    assert sum(sum(crossing(flow, one)) for one in apart) == sum(crossing(flow, joined)) + again


def test_a_fused_product_may_be_slower_by_what_it_spares() -> None:
    assert epilogue_slack(10e-6, 10e-6 + 3e-6, 11e-6) == pytest.approx(0.2)
