"""The formats against their published limits and against torch's own casts, bit for bit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.number_formats import (
    BF16,
    FLOAT_FORMATS,
    FP4_E2M1,
    FP8_E4M3,
    FP8_E5M2,
    FP16,
    FP32,
    TF32,
    FloatFormat,
    bit_fields,
    decode,
    encode,
    finite_values,
    round_to,
    spacing,
)

FORMATS = pytest.mark.parametrize("form", FLOAT_FORMATS.values(), ids=FLOAT_FORMATS.keys())


@pytest.mark.parametrize(
    ("form", "largest", "min_normal", "min_subnormal", "epsilon"),
    [
        (FP32, (2 - 2**-23) * 2.0**127, 2.0**-126, 2.0**-149, 2.0**-23),
        (TF32, (2 - 2**-10) * 2.0**127, 2.0**-126, 2.0**-136, 2.0**-10),
        (BF16, (2 - 2**-7) * 2.0**127, 2.0**-126, 2.0**-133, 2.0**-7),
        (FP16, 65504.0, 2.0**-14, 2.0**-24, 2.0**-10),
        (FP8_E4M3, 448.0, 2.0**-6, 2.0**-9, 2.0**-3),
        (FP8_E5M2, 57344.0, 2.0**-14, 2.0**-16, 2.0**-2),
        (FP4_E2M1, 6.0, 1.0, 0.5, 0.5),
    ],
)
def test_limits_are_the_published_ones(
    form: FloatFormat, largest: float, min_normal: float, min_subnormal: float, epsilon: float
) -> None:
    assert form.max == largest
    assert (form.min_normal, form.min_subnormal, form.epsilon) == (min_normal, min_subnormal, epsilon)


def test_sizes_count_what_memory_holds() -> None:
    assert [form.bytes_per_element for form in (FP32, TF32, BF16, FP8_E4M3, FP4_E2M1)] == [4, 4, 2, 1, 0.5]
    assert TF32.bits == 19


def test_fp4_has_eight_magnitudes() -> None:
    assert list(finite_values(FP4_E2M1)) == [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def test_overflow_saturates_only_where_there_is_no_infinity() -> None:
    assert round_to(1e6, FP8_E4M3) == 448
    assert round_to(-math.inf, FP4_E2M1) == -6
    assert round_to(1e6, FP8_E5M2) == math.inf
    assert round_to(65519.0, FP16) == 65504
    assert round_to(65520.0, FP16) == math.inf  # the tie goes to the even code, which is infinity


def test_ties_go_to_the_even_code() -> None:
    assert round_to(1 + 2**-8, BF16) == 1
    assert round_to(1 + 3 * 2**-8, BF16) == 1 + 2**-6
    assert round_to(2.5, FP4_E2M1) == 2
    assert round_to(2.0**-10, FP8_E4M3) == 0


def test_signed_zero_nan_and_bad_codes() -> None:
    assert encode(-0.0, BF16) == 0x8000
    assert math.copysign(1, decode(0x8000, BF16)) == -1
    assert encode(math.nan, BF16) == 0x7FC0
    assert math.isnan(round_to(math.nan, FP8_E4M3))
    with pytest.raises(ValueError, match="no NaN"):
        encode(math.nan, FP4_E2M1)
    with pytest.raises(ValueError, match="8 bits"):
        decode(256, FP8_E4M3)


def test_fields_and_spacing() -> None:
    assert bit_fields(encode(-1.5, FP16), FP16) == ("1", "01111", "1000000000")
    assert spacing(23700.0, BF16) == 128
    assert spacing(23700.0, FP16) == 16
    assert spacing(448.0, FP8_E4M3) == 32
    assert spacing(0.0, FP16) == FP16.min_subnormal


@FORMATS
def test_every_short_code_survives_a_round_trip(form: FloatFormat) -> None:
    codes = range(2**form.bits) if form.bits <= 16 else range(0, 2**form.bits, 2 ** (form.bits - 12) - 1)
    for code in codes:
        value = decode(code, form)
        if not math.isnan(value):
            assert encode(value, form) == code


@FORMATS
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_no_neighbour_is_nearer(form: FloatFormat, value: float) -> None:
    stored = round_to(value, form)
    if math.isinf(stored) or abs(stored) == form.max:
        assert abs(value) > form.max - spacing(form.max, form)
        return
    code = encode(abs(value), form)
    neighbours = [decode(other, form) for other in (code - 1, code + 1) if 0 <= other <= form.max_code]
    assert all(abs(abs(value) - abs(stored)) <= abs(abs(value) - other) for other in neighbours)


@pytest.mark.parametrize(
    ("form", "dtype", "integer"),
    [
        (BF16, "bfloat16", "int16"),
        (FP16, "float16", "int16"),
        (FP8_E4M3, "float8_e4m3fn", "uint8"),
        (FP8_E5M2, "float8_e5m2", "uint8"),
    ],
)
def test_codes_equal_torch_casts(form: FloatFormat, dtype: str, integer: str) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    exponents = torch.empty(4000).uniform_(-30, 20, generator=generator)
    values = torch.randn(4000, generator=generator) * torch.exp2(exponents)
    # Exact ties between neighbours, where a wrong rounding rule shows.
    grid = torch.tensor([value for value, _ in zip(finite_values(form), range(3000), strict=False)])
    values = torch.cat([values, (grid[1:] + grid[:-1]) / 2, -grid])
    cast = values.to(getattr(torch, dtype)).view(getattr(torch, integer)).to(torch.int32) & (2**form.bits - 1)
    assert [encode(value, form) for value in values.tolist()] == cast.tolist()
