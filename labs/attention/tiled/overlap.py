"""Matrix products and exponentials of two warpgroups on one multiprocessor: in turn, or ping-pong.

FlashAttention-3 (2407.08608, section 3.1): while one warpgroup has the softmax, the other has the Tensor
Cores. Durations by rates per clock and multiprocessor; nothing else is modelled.
"""

from __future__ import annotations

from typing import NamedTuple

from labs.formulas.flash_attention import Tile


class Rates(NamedTuple):
    """Of one multiprocessor and clock: FP16 FLOPs of matrix products, and exponentials."""

    name: str
    products: int
    exponentials: int


# Products: the data sheet's peak over multiprocessors and boost clock. Exponentials: 16 on Hopper and
# Blackwell by the FlashAttention-4 paper (section 2), on Ampere by the CUDA C++ Programming Guide.
CHIPS = {
    "a100": Rates("A100", 2048, 16),
    "h100": Rates("H100", 4096, 16),
    "b200": Rates("B200", 8192, 16),
}
SCORES, SOFTMAX, MIX = range(3)
WARPGROUP_TILE = Tile(64, 128)


class Bar(NamedTuple):
    """A piece of work, in clocks."""

    warpgroup: int
    tile: int
    what: int
    start: float
    end: float


def durations(rates: Rates, rows: int, columns: int, dim: int) -> tuple[float, float, float]:
    """Clocks of the scores, of their exponentials and of the mix of values of one tile."""
    product = 2 * rows * columns * dim / rates.products
    return product, rows * columns / rates.exponentials, product


def schedule(work: tuple[float, float, float], tiles: int, warpgroups: int, *, overlap: bool) -> list[Bar]:
    """``tiles`` of each warpgroup. With ``overlap`` a unit takes who is ready first, of equals who is behind,
    which is what barriers make of it; without, one piece of work runs at a time."""
    bars: list[Bar] = []
    ready = [0.0] * warpgroups
    free = {SCORES: 0.0, SOFTMAX: 0.0}  # the matrix unit, the exponential unit
    left = [[(tile, what) for tile in range(tiles) for what in (SCORES, SOFTMAX, MIX)] for _ in ready]
    while any(left):

        def begins(group: int) -> float:
            unit = SOFTMAX if left[group][0][1] == SOFTMAX else SCORES
            return max(ready[group], free[unit] if overlap else max(free.values()))

        group = min(
            (one for one in range(warpgroups) if left[one]),
            key=lambda one: (begins(one), -len(left[one]), one),
        )
        start = begins(group)
        tile, what = left[group].pop(0)
        end = start + work[what]
        bars.append(Bar(group, tile, what, start, end))
        ready[group] = free[SOFTMAX if what == SOFTMAX else SCORES] = end
    return bars


def matrix_share(bars: list[Bar]) -> float:
    """Share of the time in which the matrix unit works."""
    busy = sum(bar.end - bar.start for bar in bars if bar.what != SOFTMAX)
    return busy / max(bar.end for bar in bars)
