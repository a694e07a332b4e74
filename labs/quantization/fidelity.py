"""How close a quantised tensor is to the original, measured and in theory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.quantization import uniform_sqnr_db
from labs.quantization.blocks import spread

if TYPE_CHECKING:
    from torch import Tensor

    from labs.quantization.quantizer import Quantized

# Mean squared rounding error in units of step**2 / 12: uniform in [-1/2, 1/2] step, twice that on average for
# stochastic rounding (a coin's variance f (1 - f), averaged over the fraction f, is 1/6), uniform in [0, 1].
ROUNDING_NOISE = {"nearest": 1.0, "stochastic": 2.0, "truncate": 4.0}


def sqnr_db(reference: Tensor, approximation: Tensor) -> float:
    """``10 log10(sum x^2 / sum (x - y)^2)``; ``inf`` if both agree, ``-inf`` if the reference is all zero."""
    noise = float((reference - approximation).square().sum())
    signal = float(reference.square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def zeroed_share(reference: Tensor, approximation: Tensor) -> float:
    """Share, 0 to 1, of the values that are not zero but became zero."""
    lost = (reference != 0) & (approximation == 0)
    return float(lost.sum()) / max(1, int((reference != 0).sum()))


def predicted_sqnr_db(x: Tensor, quantized: Quantized) -> float:
    """What ``uniform_sqnr_db`` says of ``x`` under these steps, clipping losses not included.

    The crest factor of several blocks is the root mean square of their half ranges over the rms of all
    values, because noise power adds up in squares.
    """
    first, last = quantized.config.codes
    steps = last - first
    step = spread(quantized.step, x.shape[1], quantized.config)
    half_range = math.sqrt(float(step.double().square().mean())) * steps / 2
    rms = math.sqrt(float(x.double().square().mean()))
    if half_range == 0 or rms == 0:
        return math.inf
    noise = ROUNDING_NOISE[quantized.config.rounding]
    return uniform_sqnr_db(quantized.config.bits, half_range / rms, steps) - 10 * math.log10(noise)


def float_sqnr_db(mantissa_bits: int) -> float:
    """SQNR of rounding to a floating-point format, in theory: ``6.02 mantissa_bits + 14.1`` dB.

    The step of a value ``s 2**e``, ``1 <= s < 2``, is ``2**(e - mantissa_bits)``, so noise over signal is
    ``4**-mantissa_bits / (12 mean(s**2))``; with magnitudes spread evenly over the logarithm, mean(s**2) is
    ``3 / (2 ln 2)``. Holds for any scale of the values, as long as none is subnormal or out of range.
    """
    return 10 * math.log10(12 * 4**mantissa_bits * 3 / (2 * math.log(2)))
