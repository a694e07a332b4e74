"""Timing full and thin products as a model has them: weights that come from memory, not from a cache."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.caches import copies_beyond_cache, rotate
from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context
    from labs.measure import Timing

_BUDGET_S = 0.05
METHOD = Text(
    zh="FP32；每次换一份权重（总量超过末级缓存两倍）；两轮交错，取较快一轮的 20% 分位",
    en="fp32; each call takes another copy of the weights, twice the last-level cache in all; the 20th "
    "percentile of the faster of two interleaved rounds",
)


class Racer:
    """Full and low-rank products of one shape; keeps the faster of the rounds under a key of one's choice."""

    def __init__(self, ctx: Context, n: int, k: int) -> None:
        self.ctx, self.n, self.k = ctx, n, k
        self.times: dict[tuple[int, int], Timing] = {}
        size = 4 * n * k
        ctx.reserve(
            2 * size * copies_beyond_cache(size, ctx.device),
            Text(zh="轮换用的权重副本", en="the copies of weights to rotate over"),
        )
        self.full = rotate(lambda: self.random(n, k), size, ctx.device)

    def random(self, rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=self.ctx.device).div_(math.sqrt(columns))

    def seconds(self, m: int, rank: int = 0) -> float:
        """Rank 0 is the full product."""
        return self.times[m, rank].low_s

    def time(self, m: int, rank: int = 0) -> Timing:
        """One round."""
        x = self.random(m, self.k)
        if rank == 0:
            timing = self.ctx.measure(lambda: F.linear(x, self.full()), budget_s=_BUDGET_S)
        else:
            size = 4 * rank * (self.n + self.k)
            pair = rotate(
                lambda: (self.random(rank, self.k), self.random(self.n, rank)), size, self.ctx.device
            )
            timing = self.ctx.measure(lambda: low_rank(x, *pair()), budget_s=_BUDGET_S)
        old = self.times.get((m, rank))
        if old is None or timing.low_s < old.low_s:
            self.times[m, rank] = timing
        return self.times[m, rank]


def low_rank(x: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Two thin products: ``down [r, k]``, then ``up [n, r]``."""
    return F.linear(F.linear(x, down), up)
