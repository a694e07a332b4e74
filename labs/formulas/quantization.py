"""Uniform integer quantisation in plain Python: scale, zero point, rounding, exact storage, SQNR in theory.

Everything works on floats and short lists, so that a note, a form or a test can call it without torch.
The convention is that of Jacob et al. (arXiv 1712.05877, equation 1): ``x = scale * (q - zero_point)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, overload

Scheme = Literal["symmetric", "asymmetric"]
Granularity = Literal["tensor", "channel", "token", "group"]


def level_range(bits: int, scheme: Scheme) -> tuple[int, int]:
    """Smallest and largest code: ``(-7, 7)`` for 4-bit symmetric, ``(0, 15)`` for 4-bit asymmetric.

    The symmetric grid gives up its most negative code (-8) so that ``-x`` is representable whenever ``x`` is.
    """
    if bits < 2:
        raise ValueError(f"a symmetric grid needs at least 2 bits, got {bits}")
    if scheme == "symmetric":
        return 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1


def symmetric_scale(absmax: float, bits: int) -> float:
    """``absmax / (2**(bits-1) - 1)``: the largest magnitude gets the last code. 1.0 if all is zero."""
    scale = absmax / level_range(bits, "symmetric")[1]
    return scale if scale > 0 else 1.0


def asymmetric_scale_zero_point(low: float, high: float, bits: int) -> tuple[float, int]:
    """Scale and integer zero point of the range ``[low, high]``, first widened to contain 0.

    Zero must be a code of its own, or padding, ReLU output and masked positions would carry a constant error
    (Krishnamoorthi, arXiv 1806.08342, section 2.1). Rounding the zero point shifts the grid by at most half
    a step.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    first, last = level_range(bits, "asymmetric")
    # Divided before they are subtracted: high - low may overflow where the scale does not.
    scale = high / (last - first) - low / (last - first)
    if scale <= 0:
        return 1.0, first
    return scale, min(max(round(first - low / scale), first), last)


@overload
def quantize(x: float, scale: float, zero_point: int, low: int, high: int) -> int: ...
@overload
def quantize(x: Sequence[float], scale: float, zero_point: int, low: int, high: int) -> list[int]: ...
def quantize(
    x: float | Sequence[float], scale: float, zero_point: int, low: int, high: int
) -> int | list[int]:
    """``clamp(round(x / scale) + zero_point, low, high)``; ties go to the even multiple, as in torch."""
    if isinstance(x, Sequence):
        return [quantize(value, scale, zero_point, low, high) for value in x]
    # Clamped before rounding, which cannot round an infinity.
    return round(min(max(x / scale, low - zero_point), high - zero_point)) + zero_point


@overload
def dequantize(q: int, scale: float, zero_point: int = 0) -> float: ...
@overload
def dequantize(q: Sequence[int], scale: float, zero_point: int = 0) -> list[float]: ...
def dequantize(q: int | Sequence[int], scale: float, zero_point: int = 0) -> float | list[float]:
    """``scale * (q - zero_point)``."""
    if isinstance(q, Sequence):
        return [dequantize(code, scale, zero_point) for code in q]
    return scale * (q - zero_point)


def scale_count(rows: int, columns: int, granularity: Granularity, group_size: int = 128) -> int:
    """Number of scales of a ``[rows, columns]`` matrix.

    A row is an output channel of a weight ``[out, in]``, or a token of an activation ``[tokens, channels]``:
    "channel" and "token" both mean one scale a row. A group is ``group_size`` neighbours within a row; the
    last one of a row may be shorter.
    """
    if granularity == "tensor":
        return 1
    if granularity == "group":
        return rows * math.ceil(columns / group_size)
    return rows


def storage_bytes(
    rows: int,
    columns: int,
    bits: int,
    granularity: Granularity,
    group_size: int = 128,
    scale_bits: int = 16,
    zero_point_bits: int = 0,
) -> int:
    """Bytes of the packed codes, the scales and the zero points of a ``[rows, columns]`` matrix.

    Each of the three is packed without gaps and rounded up to whole bytes.
    """
    scales = scale_count(rows, columns, granularity, group_size)
    parts = (rows * columns * bits, scales * scale_bits, scales * zero_point_bits)
    return sum(math.ceil(part / 8) for part in parts)


def bits_per_weight(
    rows: int,
    columns: int,
    bits: int,
    granularity: Granularity,
    group_size: int = 128,
    scale_bits: int = 16,
    zero_point_bits: int = 0,
) -> float:
    """Average bits a weight, scales and zero points included.

    That is ``bits + (scale_bits + zero_point_bits) / group_size`` where the group size divides the row.
    """
    scales = scale_count(rows, columns, granularity, group_size)
    return bits + scales * (scale_bits + zero_point_bits) / (rows * columns)


def uniform_sqnr_db(bits: int, crest_factor: float, steps: int | None = None) -> float:
    """SQNR in dB of rounding to a uniform grid, in theory: ``6.02 bits + 4.77 - 20 log10(crest_factor)``.

    ``crest_factor`` is absmax / rms of what shares one scale. Derivation: ``steps`` steps span
    ``[-absmax, absmax]``, so a step is ``d = 2 absmax / steps``. If the values fill the steps evenly, the
    rounding error is uniform in ``[-d/2, d/2]`` with mean square ``d**2 / 12``. Hence

        SQNR = 10 log10(rms**2 / (d**2 / 12)) = 10 log10(3) + 20 log10(steps) - 20 log10(absmax / rms).

    ``steps`` is ``2**bits`` in the textbook form, with ``20 log10(2) = 6.02`` dB a bit. The grid of
    ``level_range(bits, "symmetric")`` has ``2**bits - 2`` steps: 1.2 dB less at 4 bits, 0.07 dB less at 8.
    The assumption fails where most values fall into the zero step: few bits, or a large crest factor.
    """
    count = 2**bits if steps is None else steps
    return 10 * math.log10(3) + 20 * math.log10(count) - 20 * math.log10(crest_factor)


def sqnr_db(reference: Sequence[float], approximation: Sequence[float]) -> float:
    """Signal-to-quantisation-noise ratio ``10 log10(sum x**2 / sum (x - y)**2)``; ``inf`` if both agree."""
    noise = math.fsum((x - y) ** 2 for x, y in zip(reference, approximation, strict=True))
    signal = math.fsum(x * x for x in reference)
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
