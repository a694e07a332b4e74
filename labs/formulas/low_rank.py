"""What a product of two thin matrices costs against one full product, and from which rank it gains.

Shapes: ``y[m, n] = x[m, k] @ W``; low rank: ``(x @ A) @ B`` with ``A [k, r]`` and ``B [r, n]``. All times are
lower bounds under a roofline plus ``call_s`` for each launch or call of the framework.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Roofs(NamedTuple):
    """FLOP/s, bytes/s, seconds of a call that does nothing, and bytes of a number."""

    peak: float
    bandwidth: float
    call_s: float = 0.0
    element_bytes: float = 4


def factor_parameters(n: int, k: int, rank: int) -> int:
    """Numbers in ``A [k, r]`` and ``B [r, n]``."""
    return rank * (n + k)


def parameter_break_even(n: int, k: int) -> float:
    """Rank at which two factors have as many numbers, and as many FLOPs, as the full matrix: nk / (n + k)."""
    return n * k / (n + k)


def low_rank_flops(m: int, n: int, k: int, rank: int) -> int:
    """A multiply and an add for each of ``m r (n + k)`` products."""
    return 2 * m * rank * (n + k)


def low_rank_bytes(m: int, n: int, k: int, rank: int, element_bytes: float, *, fused: bool = False) -> float:
    """Bytes that cross memory once: x, A, B read, y written; unfused, x @ A is written and read again."""
    between = 0 if fused else 2 * m * rank
    return (m * k + factor_parameters(n, k, rank) + between + m * n) * element_bytes


def product_seconds(m: int, n: int, k: int, roofs: Roofs) -> float:
    """One call that reads both operands and writes the product, each number once."""
    moved = (m * k + k * n + m * n) * roofs.element_bytes
    return max(2 * m * n * k / roofs.peak, moved / roofs.bandwidth) + roofs.call_s


def low_rank_seconds(m: int, n: int, k: int, rank: int, roofs: Roofs, *, fused: bool = False) -> float:
    """Two calls one after the other; fused: one, and the product in between crosses no memory."""
    if not fused:
        return product_seconds(m, rank, k, roofs) + product_seconds(m, n, rank, roofs)
    moved = low_rank_bytes(m, n, k, rank, roofs.element_bytes, fused=True)
    flops = low_rank_flops(m, n, k, rank)
    return max(flops / roofs.peak, moved / roofs.bandwidth) + roofs.call_s


def break_even_rank(m: int, n: int, k: int, roofs: Roofs, *, fused: bool = False) -> int:
    """The largest rank whose low-rank product takes no longer than the full one; 0 where none does.

    Without overhead and with m small against n, k and r it approaches ``parameter_break_even``.
    """
    full = product_seconds(m, n, k, roofs)
    low, high = 0, min(n, k)  # the time grows with the rank
    while low < high:
        middle = (low + high + 1) // 2
        if low_rank_seconds(m, n, k, middle, roofs, fused=fused) <= full:
            low = middle
        else:
            high = middle - 1
    return low


def speedup(m: int, n: int, k: int, rank: int, roofs: Roofs, *, fused: bool = False) -> float:
    """How many times faster than the full product."""
    return product_seconds(m, n, k, roofs) / low_rank_seconds(m, n, k, rank, roofs, fused=fused)


def fused_loaded(m: int, n: int, k: int, rank: int, tile_m: int, parts: int, element_bytes: float) -> float:
    """Bytes that the fused kernel loads: ``parts`` programs a row of tiles each compute x @ A anew.

    x is loaded by each of them, A by all programs, B once a row of tiles.
    """
    tiles = math.ceil(m / tile_m)
    return (parts * m * k + tiles * parts * k * rank + tiles * rank * n) * element_bytes


def fused_flops(m: int, n: int, k: int, rank: int, parts: int) -> int:
    """FLOPs of the fused kernel: x @ A once for each of ``parts``."""
    return 2 * m * rank * (parts * k + n)


def truncation_error(singular_values: Sequence[float], rank: int) -> float:
    """Relative error, by Frobenius norms, of the best matrix of this rank.

    The root of the discarded squares' share (Eckart and Young, 1936). Values in descending order.
    """
    total = math.fsum(value * value for value in singular_values)
    return math.sqrt(math.fsum(value * value for value in singular_values[rank:]) / total) if total else 0.0


def rank_for_error(singular_values: Sequence[float], error: float) -> int:
    """The smallest rank whose relative truncation error is at most ``error``."""
    allowed = error**2 * math.fsum(value * value for value in singular_values)
    rest, rank = 0.0, len(singular_values)
    while rank and rest + singular_values[rank - 1] ** 2 <= allowed:
        rank -= 1
        rest += singular_values[rank] ** 2
    return rank


def randomized_svd_flops(n: int, k: int, columns: int, power_iterations: int) -> int:
    """FLOPs of the products with the matrix, the leading term: ``2 q + 2`` of them, ``columns`` wide.

    Halko, Martinsson, Tropp (0909.4061), algorithms 4.4 and 5.1: a sketch, q times back and forth, and Q^T A.
    """
    return (2 * power_iterations + 2) * 2 * n * k * columns


def calls_to_repay(once_s: float, before_s: float, after_s: float) -> float:
    """Products after which what was spent once is repaid by the time each then spares; infinite if none."""
    return once_s / (before_s - after_s) if before_s > after_s else math.inf


def adapter_bytes(n: int, k: int, rank: int, adapters: int, element_bytes: float, *, merged: bool) -> float:
    """Bytes of a weight and its adapters: merged, a full matrix each; apart, one base and thin factors."""
    if merged:
        return adapters * n * k * element_bytes
    return (n * k + adapters * factor_parameters(n, k, rank)) * element_bytes


def adapter_seconds(m: int, n: int, k: int, rank: int, roofs: Roofs) -> float:
    """``x W + (x A) B``: the full product, then two thin ones, the second adding to what is there."""
    reading_y = m * n * roofs.element_bytes / roofs.bandwidth
    return product_seconds(m, n, k, roofs) + low_rank_seconds(m, n, k, rank, roofs) + reading_y


def merge_seconds(n: int, k: int, rank: int, roofs: Roofs) -> float:
    """``W + A B`` in one call: the product's FLOPs, or W read and the sum written with the factors."""
    moved = (2 * n * k + factor_parameters(n, k, rank)) * roofs.element_bytes
    return max(2 * n * k * rank / roofs.peak, moved / roofs.bandwidth) + roofs.call_s
