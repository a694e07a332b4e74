"""Spending a budget of bits unevenly: what a mixture costs on average, and which one theory calls best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def average_bits(parts: Sequence[tuple[int, float]]) -> float:
    """Bits per weight of a model whose parts are ``(weights, bits per weight)``."""
    weights = sum(count for count, _ in parts)
    return math.fsum(count * bits for count, bits in parts) / weights


def optimal_bits(layers: Sequence[tuple[int, float]], average: float) -> list[float]:
    """Bits for each layer ``(weights, sensitivity)`` that minimise the total damage at this average.

    The model is the one behind "6 dB a bit": b bits leave a damage of ``weights * sensitivity * 4**-b``. The
    sensitivity is the loss per weight at 0 bits: curvature times range squared (HAWQ-V2, arXiv 1911.03852,
    takes the average Hessian trace for the curvature). Making a bit worth the same everywhere gives

        b_i = average + log2(sensitivity_i / geometric mean) / 2,

    the mean being weighted by the number of weights. So four times the sensitivity deserves one bit more. The
    result is neither rounded nor kept positive: a format must still be chosen near it.
    """
    weights = sum(count for count, _ in layers)
    mean = math.fsum(count * math.log2(sensitivity) for count, sensitivity in layers) / weights
    return [average + (math.log2(sensitivity) - mean) / 2 for _, sensitivity in layers]


def damage(layers: Sequence[tuple[int, float]], bits: Sequence[float]) -> float:
    """Total of ``weights * sensitivity * 4**-bits``, which ``optimal_bits`` minimises."""
    return math.fsum(count * s * 4.0**-b for (count, s), b in zip(layers, bits, strict=True))


def q4_k_m_promoted(layers: int) -> list[int]:
    """Layers whose V and down projections llama.cpp's Q4_K_M stores as Q6_K instead of Q4_K.

    The first eighth, the last eighth, and every third between (``use_more_bits`` in src/llama-quant.cpp). The
    output matrix is Q6_K as well; everything else with two dimensions is Q4_K.
    """
    eighth = layers // 8
    return [i for i in range(layers) if i < eighth or i >= 7 * layers // 8 or (i - eighth) % 3 == 2]
