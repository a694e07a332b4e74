"""The roofline's bounds, and what a decoder's parts ask for: against the model counted in other ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.decoder_demand import PARTS, PRODUCTS, Bits, Decoder, part_demands, step_demand
from labs.formulas.memory import arithmetic_intensity, roofline_seconds
from labs.formulas.roofline import (
    Bounds,
    Demand,
    after_change,
    attainable,
    bounds,
    share_of_bound,
)
from labs.simulator.model_cost import decode_flops, kv_bytes, prefill_flops, streamed_parameters
from labs.simulator.models import model

SHAPES = ["llama-3.1-8b", "llama-2-7b", "smollm2-135m"]
positive = st.floats(1e-3, 1e15)


def decoder(name: str) -> Decoder:
    shape = model(name)
    return Decoder(shape.hidden, shape.intermediate, shape.heads, shape.kv_heads, shape.head_dim, shape.vocab)


@given(positive, positive, positive, positive)
def test_a_point_on_the_roof_takes_the_bounds_time(
    flops: float, moved: float, peak: float, bandwidth: float
) -> None:
    demand = Demand(flops, moved)
    least = bounds(demand, peak, bandwidth).least
    assert least == pytest.approx(roofline_seconds(flops, moved, peak, bandwidth))
    assert flops / least == pytest.approx(attainable(demand.intensity, peak, bandwidth))


def test_the_limit_is_the_largest_bound() -> None:
    assert bounds(Demand(1e3, 1e6), 1e9, 1e9).limit == "bandwidth"
    assert bounds(Demand(1e7, 1e6), 1e9, 1e9).limit == "compute"
    assert bounds(Demand(1e3, 1e3, calls=5), 1e9, 1e9, call_s=1e-5).limit == "overhead"
    assert Bounds(1.0, 2.0, 0.5).least == 2.0 and share_of_bound(8.0, 2.0) == 0.25


def test_a_change_buys_only_what_its_bound_was() -> None:
    before = bounds(Demand(1e6, 1e6), peak=1e12, bandwidth=1e9)  # memory: 1 ms against 1 us
    half = bounds(Demand(1e6, 5e5), 1e12, 1e9)
    assert after_change(0.004, before, half) == pytest.approx(0.002)  # at a quarter of the bound, as before
    faster = bounds(Demand(1e6, 1e6), 2e12, 1e9)
    assert after_change(0.004, before, faster) == pytest.approx(0.004)


@pytest.mark.parametrize("name", SHAPES)
def test_a_decode_step_computes_what_the_simulators_formula_says(name: str) -> None:
    shape = model(name)
    step = step_demand(decoder(name), shape.layers, batch=3, tokens=1, context=700, bits=Bits())
    assert step.flops == 3 * decode_flops(shape, 700)


@pytest.mark.parametrize("name", SHAPES)
def test_a_prefill_computes_what_the_simulators_formula_says(name: str) -> None:
    shape = model(name)
    step = step_demand(decoder(name), shape.layers, batch=1, tokens=129, context=129, bits=Bits())
    assert step.flops == prefill_flops(shape, 129)


@pytest.mark.parametrize("name", SHAPES)
def test_a_decode_step_moves_weights_and_kv_and_little_else(name: str) -> None:
    shape = model(name)
    step = step_demand(decoder(name), shape.layers, batch=2, tokens=1, context=1000, bits=Bits())
    needed = 2 * streamed_parameters(shape, 2) + 2 * kv_bytes(shape, 1000)
    assert needed * 0.999 < step.moved_bytes < needed * 1.02


def test_unfused_operators_add_bytes_and_calls_but_no_products() -> None:
    arguments = (decoder("llama-3.1-8b"), 32, 1, 512, 512, Bits())
    fused, split = step_demand(*arguments), step_demand(*arguments, fused=False)
    assert split.moved_bytes > fused.moved_bytes and split.calls > fused.calls
    assert 1 < split.flops / fused.flops < 1.005


@given(st.integers(1, 300), st.sampled_from([4.0, 8.0, 16.0, 32.0]))
def test_a_products_intensity_is_the_gemms(rows: int, weight_bits: float) -> None:
    shape = decoder("llama-3.1-8b")
    found = part_demands(shape, rows, 1, 512, Bits(weight_bits, 16, 16))["down"]
    expected = arithmetic_intensity(rows, shape.hidden, shape.intermediate, weight_bits, 16, 16)
    assert found.intensity == pytest.approx(expected)


def test_batching_raises_the_intensity_of_products_and_leaves_attentions() -> None:
    shape = decoder("llama-3.1-8b")
    one, many = (part_demands(shape, batch, 1, 2048, Bits()) for batch in (1, 64))
    assert set(one) == set(PARTS) and set(PRODUCTS) < set(PARTS)
    for name in PRODUCTS:
        assert many[name].intensity > 50 * one[name].intensity
    assert many["attention"].intensity == pytest.approx(one["attention"].intensity)
    # Each KV head serves heads / kv_heads = 4 query heads: 4 FLOPs a pair and head over 2 numbers of 2 bytes.
    assert one["attention"].intensity == pytest.approx(4, rel=0.01)
