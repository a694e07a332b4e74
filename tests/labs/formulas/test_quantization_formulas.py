"""What every lab and note relies on: half a step of error, exact bytes, theory that predicts the noise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from labs.formulas.clipping import clipping_mse, gaussian_absmax, optimal_clip, rounding_mse
from labs.formulas.mixed_precision import average_bits, damage, optimal_bits, q4_k_m_promoted
from labs.formulas.quantization import (
    Scheme,
    asymmetric_scale_zero_point,
    bits_per_weight,
    dequantize,
    level_range,
    quantize,
    scale_count,
    sqnr_db,
    storage_bytes,
    symmetric_scale,
    uniform_sqnr_db,
)

BITS = st.integers(2, 8)
VALUES = st.floats(-1e6, 1e6, allow_subnormal=False)
LISTS = st.lists(VALUES, min_size=1, max_size=20)


@given(LISTS, BITS)
def test_symmetric_error_is_at_most_half_a_step(values: list[float], bits: int) -> None:
    scale = symmetric_scale(max(abs(value) for value in values), bits)
    restored = dequantize(quantize(values, scale, 0, *level_range(bits, "symmetric")), scale)
    for value, back in zip(values, restored, strict=True):
        assert abs(value - back) <= scale / 2 * (1 + 1e-9)


@given(LISTS, BITS)
def test_asymmetric_error_is_at_most_half_a_step_although_the_zero_point_is_rounded(
    values: list[float], bits: int
) -> None:
    scale, zero_point = asymmetric_scale_zero_point(min(values), max(values), bits)
    restored = dequantize(
        quantize(values, scale, zero_point, *level_range(bits, "asymmetric")), scale, zero_point
    )
    for value, back in zip(values, restored, strict=True):
        assert abs(value - back) <= scale / 2 * (1 + 1e-9)


@given(VALUES, VALUES, BITS)
def test_zero_is_exact(first: float, second: float, bits: int) -> None:
    scale, zero_point = asymmetric_scale_zero_point(min(first, second), max(first, second), bits)
    low, high = level_range(bits, "asymmetric")
    assert low <= zero_point <= high
    assert dequantize(quantize(0.0, scale, zero_point, low, high), scale, zero_point) == 0.0


@given(st.floats(allow_nan=False), BITS, st.sampled_from(["symmetric", "asymmetric"]))
def test_codes_stay_in_range_even_for_infinities(value: float, bits: int, scheme: Scheme) -> None:
    low, high = level_range(bits, scheme)
    assert low <= quantize(value, 0.01, 0, low, high) <= high


@given(BITS, st.data())
def test_quantising_a_grid_value_again_changes_nothing(bits: int, data: st.DataObject) -> None:
    low, high = level_range(bits, "symmetric")
    code = data.draw(st.integers(low, high))
    scale = data.draw(st.floats(1e-6, 1e6))
    assert quantize(dequantize(code, scale), scale, 0, low, high) == code


def test_level_ranges() -> None:
    assert level_range(8, "symmetric") == (-127, 127)
    assert level_range(4, "symmetric") == (-7, 7)
    assert level_range(4, "asymmetric") == (0, 15)
    with pytest.raises(ValueError, match="at least 2 bits"):
        level_range(1, "symmetric")


def test_ranges_without_zero_are_widened_and_empty_ones_survive() -> None:
    assert asymmetric_scale_zero_point(2.0, 3.0, 4) == (3.0 / 15, 0)
    assert asymmetric_scale_zero_point(-3.0, -2.0, 4) == (3.0 / 15, 15)
    assert asymmetric_scale_zero_point(0.0, 0.0, 4) == (1.0, 0)
    assert symmetric_scale(0.0, 4) == 1.0


def test_ties_go_to_the_even_code() -> None:
    assert quantize([0.5, 1.5, 2.5, -0.5], 1.0, 0, -7, 7) == [0, 2, 2, 0]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_ragged_last_group_gets_its_own_scale(rows: int, columns: int, group_size: int) -> None:
    groups = [range(start, min(start + group_size, columns)) for start in range(0, columns, group_size)]
    assert scale_count(rows, columns, "group", group_size) == rows * len(groups)


def test_storage_of_a_real_matrix() -> None:
    # q_proj of SmolLM2-135M: 576 columns are four groups of 128 and one of 64.
    codes = 576 * 576 * 4 // 8
    assert storage_bytes(576, 576, 4, "tensor") == codes + 2
    assert storage_bytes(576, 576, 4, "channel") == codes + 576 * 2
    assert storage_bytes(576, 576, 4, "token") == codes + 576 * 2
    assert storage_bytes(576, 576, 4, "group", 128) == codes + 576 * 5 * 2
    assert storage_bytes(576, 576, 4, "group", 128, zero_point_bits=4) == codes + 576 * 5 * 2 + 576 * 5 // 2


@given(st.integers(1, 64), st.integers(1, 64), BITS, st.sampled_from(["tensor", "channel", "group"]))
def test_bits_per_weight_agrees_with_storage(rows: int, columns: int, bits: int, granularity: str) -> None:
    arguments = (rows, columns, bits, granularity, 16, 16, bits)
    exact = bits_per_weight(*arguments) * rows * columns / 8  # type: ignore[arg-type]
    assert exact - 1e-6 <= storage_bytes(*arguments) <= exact + 2  # type: ignore[arg-type]


def test_block_formats_of_llama_cpp_follow_from_their_layout() -> None:
    # A super-block is 256 weights: Q4_K has 8 blocks with a 6-bit scale and minimum, two FP16 for them all;
    # Q6_K has 16 blocks with an 8-bit scale, and one FP16.
    assert bits_per_weight(1, 256, 4, "group", 32, scale_bits=6, zero_point_bits=6) + 32 / 256 == 4.5
    assert bits_per_weight(1, 256, 6, "group", 16, scale_bits=8) + 16 / 256 == 6.5625


def _round_trip_db(values: list[float], clip: float, bits: int) -> float:
    scale = symmetric_scale(clip, bits)
    return sqnr_db(values, dequantize(quantize(values, scale, 0, *level_range(bits, "symmetric")), scale))


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_theory_predicts_the_noise_of_normal_values(bits: int) -> None:
    generator = random.Random(bits)
    values = [generator.gauss(0, 1) for _ in range(20_000)]
    absmax = max(abs(value) for value in values)
    rms = math.sqrt(math.fsum(value * value for value in values) / len(values))
    predicted = uniform_sqnr_db(bits, absmax / rms, steps=2**bits - 2)
    assert _round_trip_db(values, absmax, bits) == pytest.approx(predicted, abs=0.2)


@given(BITS, st.floats(1.5, 100))
def test_a_bit_is_worth_6_db(bits: int, crest_factor: float) -> None:
    gain = uniform_sqnr_db(bits + 1, crest_factor) - uniform_sqnr_db(bits, crest_factor)
    assert gain == pytest.approx(20 * math.log10(2))


def test_sqnr_at_its_ends() -> None:
    assert sqnr_db([1.0, -2.0], [1.0, -2.0]) == math.inf
    assert sqnr_db([0.0], [1.0]) == -math.inf
    assert sqnr_db([1.0], [0.9]) == pytest.approx(20.0)


@pytest.mark.parametrize("count", [32, 128])
def test_typical_absmax_of_a_group(count: int) -> None:
    generator = random.Random(count)
    draws = [max(abs(generator.gauss(0, 1)) for _ in range(count)) for _ in range(1500)]
    rms = math.sqrt(math.fsum(draw * draw for draw in draws) / len(draws))
    assert gaussian_absmax(count) == pytest.approx(rms, rel=0.01)


def test_typical_absmax_of_one_sample_is_its_rms() -> None:
    assert gaussian_absmax(1) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_optimal_clip_is_a_minimum(bits: int) -> None:
    best = optimal_clip(bits)
    total = rounding_mse(best, bits) + clipping_mse(best)
    for other in (best * 0.97, best * 1.03):
        assert total < rounding_mse(other, bits) + clipping_mse(other)


def test_clipping_error_agrees_with_samples() -> None:
    generator = random.Random(0)
    values = [generator.gauss(0, 1) for _ in range(100_000)]
    sampled = math.fsum(max(abs(value) - 1.0, 0.0) ** 2 for value in values) / len(values)
    assert clipping_mse(1.0) == pytest.approx(sampled, rel=0.02)


LAYERS = st.lists(st.tuples(st.integers(1, 10**6), st.floats(1e-3, 1e3)), min_size=1, max_size=8)


@given(LAYERS, st.floats(2, 8))
def test_optimal_bits_keep_the_average(layers: list[tuple[int, float]], average: float) -> None:
    bits = optimal_bits(layers, average)
    parts = [(count, b) for (count, _), b in zip(layers, bits, strict=True)]
    assert average_bits(parts) == pytest.approx(average)


@given(LAYERS, st.floats(2, 8), st.data())
def test_no_mixture_of_the_same_size_does_less_damage(
    layers: list[tuple[int, float]], average: float, data: st.DataObject
) -> None:
    assume(len(layers) > 1)
    best = optimal_bits(layers, average)
    move = data.draw(st.floats(-1, 1))
    other = list(best)
    other[0] += move
    other[1] -= move * layers[0][0] / layers[1][0]
    assume(abs(other[1]) < 100)
    assert damage(layers, best) <= damage(layers, other) * (1 + 1e-9)


def test_four_times_the_sensitivity_deserves_one_bit_more() -> None:
    assert optimal_bits([(1, 1.0), (1, 4.0)], 4.0) == pytest.approx([3.5, 4.5])


def test_q4_k_m_promotes_half_of_32_layers() -> None:
    promoted = q4_k_m_promoted(32)
    assert promoted == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
