"""What a matrix product moves, wastes and could save: tiles, cache misses, waves, pipelines, Strassen.

Shapes: ``C[m, n] = A[m, k] @ B[k, n]``, all row-major. FLOPs and compulsory bytes: ``labs.formulas.memory``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Order = Literal["ijk", "ikj", "tiled"]


class Misses(NamedTuple):
    """Cache lines that come from beyond a cache, of each matrix."""

    a: float
    b: float
    c: float

    @property
    def lines(self) -> float:
        return self.a + self.b + self.c


def tiled_bytes(
    m: int, n: int, k: int, tile_m: int, tile_n: int, element_bytes: float = 2, output_bytes: float = 2
) -> float:
    """Bytes from memory if each ``tile_m x tile_n`` tile of C loads its strips of A and B for itself.

    A is read once a column of tiles, B once a row of tiles, C written once; caches shared by tiles can only
    lower it.
    """
    a, b = m * k * math.ceil(n / tile_n), k * n * math.ceil(m / tile_m)
    return (a + b) * element_bytes + m * n * output_bytes


def tile_intensity(tile_m: int, tile_n: int, element_bytes: float = 2) -> float:
    """FLOPs a loaded byte of a tile of C: ``2 tm tn / (tm + tn)`` a number. The depth of the tile cancels."""
    return 2 * tile_m * tile_n / (tile_m + tile_n) / element_bytes


def stage_bytes(tile_m: int, tile_n: int, tile_k: int, stages: int, element_bytes: float = 2) -> float:
    """Shared memory of a pipeline: ``stages`` buffers, each a tile of A and one of B."""
    return stages * (tile_m + tile_n) * tile_k * element_bytes


def cache_misses(
    order: Order, m: int, n: int, k: int, cache_bytes: float, tile: int = 0, line: int = 64, element: int = 4
) -> Misses:
    """Lines that a loop order fetches into an ideal cache (LRU, fully associative), by which rows fit it.

    ``ijk`` walks down columns of B; ``ikj`` along rows of B and C; ``tiled`` is ``ikj`` with B in tiles of
    ``tile x tile``, the rows of A innermost. Sharp where something fits amply or not at all, rough between.
    """
    numbers = line / element
    lines = cache_bytes / line
    whole = k * n / numbers  # lines of B
    if order == "ijk":
        column = k + k / numbers  # lines that a column of B and a row of A hold
        if column > lines:  # by the next number of C all of them are gone
            return Misses(m * n * k / numbers, m * n * k, m * n)
        b = whole if whole + k / numbers + 1 <= lines else m * whole
        return Misses(m * k / numbers, b, m * n / numbers)
    if order == "ikj":
        row = 2 * n / numbers
        if row > lines:
            return Misses(m * k, m * whole, m * k * n / numbers)
        return Misses(m * k / numbers, whole if whole + n / numbers < lines else m * whole, m * n / numbers)
    wide, deep = min(tile, n), min(tile, k)
    held = (wide * deep + wide + deep) / numbers
    b = whole if held <= lines else m * whole
    return Misses(math.ceil(n / wide) * m * k / numbers, b, math.ceil(k / deep) * m * n / numbers)


def packing_bytes(m: int, n: int, k: int, block_n: int, element_bytes: float = 4) -> float:
    """Bytes that packing adds: B is written in another order and read again, A once a panel of ``block_n``.

    Little beside ``m * n * k`` multiply-adds when m is large; with one row more than the product itself.
    """
    return 2 * element_bytes * (k * n + m * k * math.ceil(n / block_n))


def kernel_loads(rows: int, vectors: int) -> float:
    """Loads (of vectors of B, broadcasts of A) a vector multiply-add of a tile ``rows x vectors``."""
    return (rows + vectors) / (rows * vectors)


def chains_needed(latency_cycles: float, a_cycle: float) -> float:
    """Multiply-adds that must be under way at once to keep the units busy (Little's law)."""
    return latency_cycles * a_cycle


def matrix_peak(units: int, multiply_adds_a_clock: int, clock_hz: float) -> float:
    """FLOP/s of ``units`` matrix units (Tensor Cores), a multiply-add being two."""
    return 2 * units * multiply_adds_a_clock * clock_hz


def accumulator_registers(tile_m: int, tile_n: int, threads: int) -> float:
    """32-bit registers of a thread that a tile of C takes, in fp32, shared by ``threads``."""
    return tile_m * tile_n / threads


def compute_bound_rows(
    n: int, k: int, ridge: float, element_bytes: float = 2, output_bytes: float = 2
) -> float:
    """Rows m at which ``2 m n k`` FLOPs take as long as moving A, B and C; infinite where they never do.

    ``ridge`` in FLOPs a byte. With wide matrices it is close to ``ridge * element_bytes / 2``.
    """
    spare = 2 * n * k - ridge * (element_bytes * k + output_bytes * n)
    return ridge * element_bytes * k * n / spare if spare > 0 else math.inf


def tile_share(m: int, n: int, tile_m: int, tile_n: int) -> float:
    """Useful share of what whole tiles compute: tile quantisation."""
    return m * n / (math.ceil(m / tile_m) * tile_m * math.ceil(n / tile_n) * tile_n)


def tile_count(m: int, n: int, tile_m: int, tile_n: int) -> int:
    """Tiles of C, one a thread block."""
    return math.ceil(m / tile_m) * math.ceil(n / tile_n)


def wave_share(tiles: int, slots: int) -> float:
    """Share of the processors' time in use when ``tiles`` run ``slots`` at a time: wave quantisation."""
    return tiles / (math.ceil(tiles / slots) * slots)


def step_seconds(latency_s: float, transfer_s: float, compute_s: float, stages: int) -> float:
    """Seconds a step of a software pipeline in its steady state.

    Bound by compute, by transfers one after the other, or by ``stages`` buffers each of which is taken from
    the request of a tile until the tile has been used.
    """
    return max(compute_s, transfer_s, (latency_s + transfer_s + compute_s) / stages)


def stages_needed(latency_s: float, transfer_s: float, compute_s: float) -> int:
    """The fewest buffers with which compute or transfers, not the latency, are the bound."""
    return math.ceil((latency_s + transfer_s + compute_s) / max(compute_s, transfer_s) - 1e-9)


def strassen_flops(n: int, levels: int) -> float:
    """FLOPs of ``n x n`` products with ``levels`` of Strassen's recursion: 7 products and 18 sums a level."""
    sums = sum(7.0**level * 18 * (n / 2.0 ** (level + 1)) ** 2 for level in range(levels))
    return 7.0**levels * 2 * (n / 2.0**levels) ** 3 + sums


def strassen_seconds(
    n: int, products_s: float, levels: int, bandwidth: float, element_bytes: float = 4
) -> float:
    """Seconds: the leaves' products (``products_s`` each, ``7 ** levels`` of them), and 18 sums a level.

    A sum reads two blocks and writes one, at ``bandwidth`` bytes/s.
    """
    blocks = sum(7.0**level * 18 * (n / 2.0 ** (level + 1)) ** 2 for level in range(levels))
    return 7.0**levels * products_s + 3 * element_bytes * blocks / bandwidth


def strassen_break_even(peak_flops: float, bandwidth: float, element_bytes: float = 4) -> float:
    """Size from which one level gains: ``54 e P / W``.

    It spares one product of eight, ``2 (n/2)^3 / P`` seconds, and pays 18 sums of ``3 e (n/2)^2`` bytes.
    """
    return 54 * element_bytes * peak_flops / bandwidth


def strassen_error(n: int, levels: int) -> float:
    """Bound of the largest error, in units of ``u * max|A| * max|B|``; ``n ** 2`` without Strassen.

    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 23.2, with threshold
    ``n0 = n / 2 ** levels``: ``(n / n0) ** log2(12) * (n0 ** 2 + 5 n0) - 5 n``.
    """
    leaf = n / 2.0**levels
    return 12.0**levels * (leaf**2 + 5 * leaf) - 5 * n if levels else float(n) ** 2


def winograd_saving(output: int, taps: int) -> float:
    """How many times fewer multiplications 2-D Winograd convolution ``F(m x m, r x r)`` needs.

    ``(m r)^2 / (m + r - 1)^2`` (Lavin and Gray, 1509.09308, section 4.1). With ``r = 1``, which a matrix
    product is, nothing is saved.
    """
    return (output * taps) ** 2 / (output + taps - 1) ** 2


def linear_share(tokens: int, linear_flops: float, pair_flops: float, head_flops: float = 0.0) -> float:
    """Share of a prompt's FLOPs in products with weights; the rest is attention's two products.

    ``linear_flops`` a token, ``pair_flops`` a pair of query and key, ``head_flops`` of one token's logits.
    """
    weights = tokens * linear_flops + head_flops
    return weights / (weights + tokens * (tokens + 1) / 2 * pair_flops)


def amdahl(share: float, speedup: float) -> float:
    """How much faster the whole is when ``share`` of its time becomes ``speedup`` times faster."""
    return 1 / (1 - share + share / speedup)


def schedule(
    steps: int, latency_s: float, transfer_s: float, compute_s: float, stages: int
) -> Sequence[tuple[float, float, float, float, float]]:
    """``(asked, sent, arrived, begun, done)`` of each step of a software pipeline, in seconds.

    A load is asked for once its buffer is free (the step ``stages`` before is done) and the loads before it
    have been asked for. Data arrive in order, ``latency_s`` after the request at the earliest, and
    transfers do not overlap.
    """
    found: list[tuple[float, float, float, float, float]] = []
    for step in range(steps):
        asked = found[step - stages][4] if step >= stages else 0.0
        sent = max(asked + latency_s, found[-1][2] if found else 0.0)
        arrived = sent + transfer_s
        begun = max(arrived, found[-1][4] if found else 0.0)
        found.append((asked, sent, arrived, begun, begun + compute_s))
    return found
