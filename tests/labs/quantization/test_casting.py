"""Casts equal torch's bit for bit where torch has the type, and the levels of the format elsewhere."""

import math
import statistics

import pytest
import torch

from labs.formulas.number_formats import TF32, round_to
from labs.quantization.casting import cast, cast_matrix, round_to_format
from labs.quantization.formats import BLOCK, FORMATS, NF4_LEVELS

TORCH = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}


def same_bits(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Signed zeros count, NaN payloads do not."""
    equal = ours.view(torch.int32) == theirs.view(torch.int32)
    return bool((equal | (ours.isnan() & theirs.isnan())).all())


def every_value(dtype: torch.dtype) -> torch.Tensor:
    """All finite values of a torch type, ascending."""
    codes = torch.arange(2 ** (8 * dtype.itemsize), dtype=torch.int32)
    values = codes.to({1: torch.uint8, 2: torch.uint16}[dtype.itemsize]).view(dtype).float()
    return values[values.isfinite()].sort().values


@pytest.mark.parametrize("name", TORCH)
def test_random_bits_round_as_torch_rounds_them(name):
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31, (400_003,), generator=generator, dtype=torch.int64)
    x = bits.to(torch.int32).view(torch.float32)
    assert same_bits(cast(x, name), x.to(TORCH[name]).float())


@pytest.mark.parametrize("name", TORCH)
def test_every_value_is_itself_and_every_midpoint_goes_where_torch_sends_it(name):
    values = every_value(TORCH[name])
    assert torch.equal(cast(values, name), values)
    middles = ((values[1:].double() + values[:-1].double()) / 2).float()
    assert same_bits(cast(middles, name), middles.to(TORCH[name]).float())


@pytest.mark.parametrize("name", TORCH)
def test_around_the_largest_value_and_at_infinity(name):
    top = every_value(TORCH[name])[-1]
    edges = [top * factor for factor in (1.0, 1.001, 1.02, 1.0625, 1.1, 1.5, 2.0)]
    x = torch.tensor([*edges, math.inf, math.nan])
    assert same_bits(cast(x, name), x.to(TORCH[name]).float())
    assert same_bits(cast(-x, name), (-x).to(TORCH[name]).float())


def test_e4m3_saturates_and_e5m2_overflows():
    x = torch.tensor([500.0, 1e6])
    assert cast(x, "fp8_e4m3").tolist() == [448.0, 448.0]
    assert cast(x, "fp8_e5m2").tolist() == [512.0, math.inf]


def test_tf32_equals_the_scalar_formula():
    x = torch.randn(500, generator=torch.Generator().manual_seed(2)) * 1e-3
    assert cast(x, "tf32").tolist() == [round_to(value, TF32) for value in x.tolist()]


@pytest.mark.parametrize("name", ["int8", "int4", "nf4", "fp4_e2m1", "mxfp4"])
def test_scaled_formats_pick_the_nearest_level(name):
    absmax = 0.7
    x = torch.linspace(-1.2 * absmax, 1.2 * absmax, 2001)
    levels = torch.tensor(FORMATS[name].unit_levels(), dtype=torch.float64) * FORMATS[name].scale(absmax)
    distance = (x.double()[:, None] - levels).abs().min(dim=1).values
    assert torch.allclose((cast(x, name, absmax).double() - x.double()).abs(), distance, atol=1e-7)


def test_nf4_levels_are_the_quantiles_that_the_paper_defines():
    normal = statistics.NormalDist().inv_cdf
    offset = 0.9677083

    def quantiles(count: int) -> list[float]:
        return [normal(offset + (0.5 - offset) * index / count) for index in range(count)]

    raw = sorted([*quantiles(8), 0.0, *(-value for value in quantiles(7))])
    assert len(raw) == 16
    expected = sorted(value / max(raw) for value in raw)
    assert list(NF4_LEVELS) == pytest.approx(expected, abs=1e-4)


def test_mxfp4_scales_are_powers_of_two_per_block():
    x = torch.randn(3, 2 * BLOCK + 5, generator=torch.Generator().manual_seed(3))
    stored = cast_matrix(x, "mxfp4")
    block = x[1, BLOCK : 2 * BLOCK]
    scale = 2.0 ** (math.floor(math.log2(float(block.abs().max()))) - 2)
    units = stored[1, BLOCK : 2 * BLOCK] / scale
    assert set(units.abs().tolist()) <= {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0}


@pytest.mark.parametrize("name", FORMATS)
def test_a_zero_matrix_stays_zero_at_a_ragged_width(name):
    assert torch.equal(cast_matrix(torch.zeros(2, 45), name), torch.zeros(2, 45))


def test_nan_is_refused_where_the_format_has_none():
    form = FORMATS["fp4_e2m1"].form
    assert form is not None
    with pytest.raises(ValueError, match="no NaN"):
        round_to_format(torch.tensor([math.nan]), form)
