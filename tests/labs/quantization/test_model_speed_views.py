"""The speed lab's explanation: what it says where a measurement contradicts its bound."""

from __future__ import annotations

import pytest

from labs.measure import Timing
from labs.quantization.kernel_speed import KernelTime, Roofs
from labs.quantization.model_speed_views import explanation
from labs.quantization.speed_modes import LinearShape

ROOFS = Roofs(1e10, {"fp32": 4e10, "bf16": 4e10, "int8": 4e10})
SHAPE = LinearShape(("up",), 1536, 576, 30)


def said(*medians_s: float) -> str:
    """Of kernels with a bound of one second each."""
    kernels = [
        KernelTime(SHAPE, "decode", 1, 2**20, 2**20, 1.0, 1e-4, Timing(median, median, median, 9))
        for median in medians_s
    ]
    return explanation({("fp32", "decode"): kernels}, {}, ROOFS, 2).body.en


@pytest.mark.parametrize("median_s", [1.0, 0.95, 2.0])
def test_a_kernel_within_its_bound_is_no_news(median_s: float) -> None:
    assert "beat their bound" not in said(median_s)


def test_a_kernel_faster_than_its_bound_puts_the_bound_in_doubt() -> None:
    text = said(2.0, 0.5)
    assert "1 of 2 kernels beat their bound" in text and "reached 200 % of it" in text
