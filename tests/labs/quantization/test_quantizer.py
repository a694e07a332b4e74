"""Properties that any uniform quantiser must have, at odd shapes and with hostile values."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.formulas.quantization import asymmetric_scale_zero_point, quantize, symmetric_scale
from labs.quantization.config import QuantizerConfig
from labs.quantization.quantizer import quantize_dequantize, round_matrix

configs = st.builds(
    QuantizerConfig,
    bits=st.integers(2, 8),
    scheme=st.sampled_from(["symmetric", "asymmetric"]),
    granularity=st.sampled_from(["tensor", "channel", "token", "group"]),
    group_size=st.sampled_from([1, 7, 16, 32, 100, 128]),
    zero_point=st.sampled_from(["integer", "float"]),
    matrix=st.sampled_from(["weight", "activation"]),
    scale_bits=st.just(32),
)
shapes = st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 31, 63, 100, 257]))
seeds = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, max_examples=80)


def matrix(shape: tuple[int, int], seed: int) -> torch.Tensor:
    """Normal values with a few large ones, so that no block is well behaved."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    return torch.where(torch.rand(shape, generator=generator) < 0.02, 50 * x, x)


def element_scale(quantized) -> torch.Tensor:
    """The scale of each element."""
    scale = quantized.scale
    if quantized.config.layout == "group":
        scale = scale.repeat_interleave(quantized.config.group_size, dim=1)
        scale = scale[:, : quantized.values.shape[1]]
    return scale.expand(quantized.values.shape)


@quick
@given(configs, shapes, seeds)
def test_error_is_at_most_half_a_step(config, shape, seed):
    x = matrix(shape, seed)
    quantized = quantize_dequantize(x, config)
    slack = 1e-5 * x.abs().max()
    assert bool(((x - quantized.values).abs() <= element_scale(quantized) / 2 + slack).all())


@quick
@given(configs, shapes, seeds)
def test_values_follow_from_codes_scales_and_zero_points(config, shape, seed):
    x = matrix(shape, seed)
    quantized = quantize_dequantize(x, config)
    first, last = config.codes
    assert first <= int(quantized.codes.min()) and int(quantized.codes.max()) <= last
    assert torch.allclose(quantized.dequantized(), quantized.values, atol=1e-5 * float(x.abs().max()))


@quick
@given(configs, shapes, seeds)
def test_the_fast_path_gives_the_same_values(config, shape, seed):
    x = matrix(shape, seed)
    assert torch.equal(round_matrix(x, config, torch.empty_like(x)), quantize_dequantize(x, config).values)


@quick
@given(configs, shapes, seeds)
def test_symmetric_quantisation_is_idempotent(config, shape, seed):
    config = replace(config, scheme="symmetric")
    once = quantize_dequantize(matrix(shape, seed), config).values
    twice = quantize_dequantize(once, config).values
    assert torch.allclose(once, twice, rtol=1e-5, atol=0)


@quick
@given(configs, seeds)
def test_rounding_keeps_the_order_within_a_block(config, seed):
    row = matrix((1, 63), seed).sort(dim=1).values
    config = replace(config, granularity="tensor")
    assert bool((quantize_dequantize(row, config).values.diff(dim=1) >= 0).all())


@quick
@given(configs, shapes, seeds, st.sampled_from([2.0**-12, 0.25, 8.0, 2.0**10]))
def test_scaling_the_input_scales_the_output(config, shape, seed, factor):
    x = matrix(shape, seed)
    plain, scaled = quantize_dequantize(x, config).values, quantize_dequantize(factor * x, config).values
    assert torch.allclose(factor * plain, scaled, rtol=1e-6, atol=0)


@quick
@given(configs, shapes)
def test_bytes_counted_are_the_bytes_packed(config, shape):
    for scale_bits in (16, 32):
        config = replace(config, scale_bits=scale_bits)
        quantized = quantize_dequantize(matrix(shape, 0), config)
        assert sum(quantized.stored_bytes().values()) == config.storage_bytes(*shape)
        assert quantized.scale.numel() == config.scales(*shape)


@pytest.mark.parametrize("clipping", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("zero_point", ["integer", "float"])
def test_zero_and_constant_groups_survive(clipping, scheme, zero_point):
    x = torch.zeros(3, 70)
    x[1] = 2.5
    x[2] = -0.75
    config = QuantizerConfig(8, scheme, "group", 32, zero_point, clipping=clipping, percentile=95)
    values = quantize_dequantize(x, config).values
    assert torch.equal(values[0], x[0])
    assert torch.allclose(values, x, rtol=1e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_nan_and_infinity_are_refused(bad, granularity):
    x = torch.randn(4, 100)
    x[2, 97] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        quantize_dequantize(x, QuantizerConfig(granularity=granularity))


def test_agrees_with_the_formulas_for_single_numbers():
    x = matrix((1, 200), 3)
    values = x[0].double().tolist()
    scale = symmetric_scale(max(map(abs, values)), 4)
    symmetric = quantize_dequantize(x.double(), QuantizerConfig(4, "symmetric", "tensor", scale_bits=32))
    assert symmetric.codes[0].tolist() == quantize(values, scale, 0, -7, 7)
    scale, zero_point = asymmetric_scale_zero_point(min(values), max(values), 4)
    config = QuantizerConfig(4, "asymmetric", "tensor", scale_bits=32)
    asymmetric = quantize_dequantize(x.double(), config)
    assert float(asymmetric.zero_point) == zero_point
    assert asymmetric.codes[0].tolist() == quantize(values, scale, zero_point, 0, 15)


def test_stochastic_rounding_is_right_on_average_and_repeatable():
    x = torch.full((1, 40_000), 0.3)
    x[0, 0] = 7.0  # the scale becomes 1
    config = QuantizerConfig(4, "symmetric", "tensor", rounding="stochastic")
    values = quantize_dequantize(x, config, torch.Generator().manual_seed(1)).values
    again = quantize_dequantize(x, config, torch.Generator().manual_seed(1)).values
    assert set(values[0, 1:].tolist()) == {0.0, 1.0}
    assert float(values[0, 1:].mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(values, again)


def test_truncation_moves_towards_zero():
    x = torch.tensor([[7.0, 1.9, -1.9, 0.99]])
    values = quantize_dequantize(x, QuantizerConfig(4, "symmetric", "tensor", rounding="truncate")).values
    assert values.tolist() == [[7.0, 1.0, -1.0, 0.0]]


def test_least_squares_never_does_worse_than_min_max():
    x = matrix((16, 256), 5)
    for bits in (2, 3, 4, 8):
        errors = []
        for clipping in ("mse", "minmax"):
            config = QuantizerConfig(bits, granularity="channel", clipping=clipping)
            errors.append((quantize_dequantize(x, config).values - x).square().sum(dim=1))
        assert bool((errors[0] <= errors[1]).all())
        assert bool((errors[0] < errors[1]).any()) or bits == 8


def test_percentile_clips_the_stated_share():
    x = torch.arange(1, 1001, dtype=torch.float32)[None]
    config = QuantizerConfig(8, "symmetric", "tensor", clipping="percentile", percentile=99)
    assert float(quantize_dequantize(x, config).values.max()) == pytest.approx(990, rel=1e-3)


def test_levels_are_what_the_block_can_hold():
    x = matrix((5, 100), 9)
    for scheme in ("symmetric", "asymmetric"):
        for granularity in ("tensor", "channel", "group"):
            quantized = quantize_dequantize(x, QuantizerConfig(3, scheme, granularity, 32))
            for row, column in ((0, 0), (4, 99), (2, 40)):
                levels = quantized.levels(row, column)
                assert bool((levels - quantized.values[row, column]).abs().min() < 1e-6)


@pytest.mark.parametrize("bad", [{"bits": 1}, {"bits": 9}, {"group_size": 0}, {"percentile": 50.0}])
def test_impossible_configurations_are_refused(bad):
    with pytest.raises(ValueError):
        QuantizerConfig(**bad)
