"""Weight bytes, intensity and roofline against parameter counts and limits worked out by hand."""

from __future__ import annotations

import pytest

from labs.formulas.memory import (
    arithmetic_intensity,
    bandwidth_bound_tokens_per_s,
    decoder_linear_parameters,
    gemm_bytes,
    gemm_flops,
    ridge_point,
    roofline_seconds,
    weight_bytes,
)


def test_parameters_add_up_to_the_published_totals() -> None:
    smollm2 = decoder_linear_parameters(layers=30, width=576, kv_width=192, ffn_width=1536)
    assert smollm2 + 49_152 * 576 + (2 * 30 + 1) * 576 == 134_515_008
    llama = decoder_linear_parameters(layers=32, width=4096, kv_width=1024, ffn_width=14336)
    assert llama + 2 * 128_256 * 4096 + (2 * 32 + 1) * 4096 == 8_030_261_248


def test_weight_bytes() -> None:
    assert weight_bytes(8e9, 16) == 16e9
    assert weight_bytes(8e9, 4.5) == 4.5e9


def test_gemm_counts() -> None:
    assert gemm_flops(2, 3, 5) == 60
    assert gemm_bytes(2, 3, 5) == (10 + 15 + 6) * 2
    assert gemm_bytes(2, 3, 5, weight_bits=4, activation_bits=8, output_bits=32) == 10 + 7.5 + 24


@pytest.mark.parametrize(("weight_bits", "limit"), [(16, 1), (8, 2), (4, 4)])
def test_gemv_intensity_approaches_sixteen_over_weight_bits(weight_bits: int, limit: int) -> None:
    intensity = arithmetic_intensity(1, 4096, 4096, weight_bits=weight_bits)
    assert intensity == pytest.approx(limit, rel=0.003)
    assert intensity < limit


def test_roofline_takes_the_slower_side() -> None:
    ridge = ridge_point(peak_flops=1000, bandwidth=10)
    assert ridge == 100
    assert roofline_seconds(flops=500, moved_bytes=10, peak_flops=1000, bandwidth=10) == 1
    assert roofline_seconds(flops=2000, moved_bytes=10, peak_flops=1000, bandwidth=10) == 2


def test_tokens_per_second_scale_with_the_batch() -> None:
    assert bandwidth_bound_tokens_per_s(bytes_per_step=2e9, bandwidth=1e12) == 500
    assert bandwidth_bound_tokens_per_s(bytes_per_step=2e9, bandwidth=1e12, batch=4) == 2000
