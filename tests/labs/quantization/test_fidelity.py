"""Theory and measurement of quantisation noise agree where the assumptions hold."""

import math

import pytest
import torch

from labs.quantization.casting import cast
from labs.quantization.config import QuantizerConfig
from labs.quantization.fidelity import (
    float_sqnr_db,
    predicted_sqnr_db,
    sqnr_db,
    zeroed_share,
)
from labs.quantization.quantizer import quantize_dequantize
from labs.quantization.reduction import reduce_max


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "truncate"])
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_prediction_matches_evenly_spread_values(rounding, scheme, granularity):
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(64, 600, generator=generator) * 2 - 1
    config = QuantizerConfig(6, scheme, granularity, 128, rounding=rounding)
    quantized = quantize_dequantize(x, config, generator)
    assert sqnr_db(x, quantized.values) == pytest.approx(predicted_sqnr_db(x, quantized), abs=0.4)


def test_constant_blocks_do_not_spoil_the_prediction():
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(5)) * 1e-3
    x[3] = 0.0
    quantized = quantize_dequantize(x, QuantizerConfig(8, granularity="channel", scale_bits=32))
    assert sqnr_db(x, quantized.values) == pytest.approx(predicted_sqnr_db(x, quantized), abs=1.0)


@pytest.mark.parametrize(("name", "mantissa_bits"), [("bf16", 7), ("fp16", 10), ("fp8_e5m2", 2)])
def test_float_prediction_matches_values_even_on_a_log_axis(name, mantissa_bits):
    x = torch.exp2(torch.rand(200_000, generator=torch.Generator().manual_seed(6)) * 6)
    assert sqnr_db(x, cast(x, name)) == pytest.approx(float_sqnr_db(mantissa_bits), abs=0.3)


def test_measures_of_simple_cases():
    x = torch.tensor([[3.0, 4.0]])
    assert sqnr_db(x, x) == math.inf
    assert sqnr_db(torch.zeros(2), torch.ones(2)) == -math.inf
    assert sqnr_db(x, x * 0.9) == pytest.approx(20.0, abs=1e-4)
    assert zeroed_share(torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])) == 0.5


@pytest.mark.parametrize("shape", [(5, 7), (63, 100), (96, 192), (97, 2000)])
def test_reduction_keeps_the_largest_of_each_cell(shape):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(7))
    cells, row_step, column_step = reduce_max(x, 96, 192)
    assert cells.shape[0] <= 96 and cells.shape[1] <= 192
    for row in (0, cells.shape[0] - 1):
        for column in (0, cells.shape[1] - 1):
            block = x[
                row * row_step : (row + 1) * row_step, column * column_step : (column + 1) * column_step
            ]
            assert float(cells[row, column]) == float(block.max())
