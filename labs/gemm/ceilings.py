"""What this processor can do at best, measured: multiply-adds in registers, and reading from each cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from labs.caches import Cache, cpu_caches
from labs.measure import time_calls
from labs.memory_budget import reserve
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.context import Context
    from labs.gemm.native import Chain, Kernels
    from labs.measure import Timing

_STEPS: dict[Chain, int] = {"dot": 20_000, "scalars": 1_000_000, "vectors": 1_000_000}
_BUDGET_S = 0.12
_READ_BYTES = 2**24  # a sample reads so much, however small the buffer


@dataclass(frozen=True)
class Ceilings:
    """FLOP/s of chains in one thread, ``peak_all`` of vectors in all, and bytes/s of reading in one thread.

    ``read`` has the cache levels, then 0 for memory. ``lanes`` are the numbers of a vector.
    """

    dot: float
    scalars: float
    peak: float
    peak_all: float
    threads: int
    lanes: int
    read: dict[int, float]

    @property
    def memory_instructions(self) -> float:
        """Vector loads a second from L1, the rate of scalar ones too."""
        return self.read[1] / (4 * self.lanes)


def cpu_time(ctx: Context, call: Callable[[], object], budget_s: float = _BUDGET_S) -> Timing:
    """Wall time, also where there is a GPU: the ladder runs on the CPU."""
    return time_calls(call, budget_s=budget_s, check=ctx.check)


def measure_ceilings(ctx: Context, kernels: Kernels, threads: int) -> Ceilings:
    """Takes about a second. Rates are the fastest fifth's: a ceiling is what nothing exceeds."""
    ctx.progress(0.0, Text(zh="测量上限：乘加、各级缓存", en="Ceilings: multiply-adds, each cache"))

    def rate(kind: Chain, count: int) -> float:
        steps = _STEPS[kind]
        flops = kernels.chain(kind, steps, count)
        return flops / cpu_time(ctx, lambda: kernels.chain(kind, steps, count)).low_s

    return Ceilings(
        dot=rate("dot", 1),
        scalars=rate("scalars", 1),
        peak=rate("vectors", 1),
        peak_all=rate("vectors", threads),
        threads=threads,
        lanes=kernels.lanes,
        read={level: _read(ctx, kernels, size) for level, size in _buffers()},
    )


def measured_again(ctx: Context, kernels: Kernels, before: Ceilings) -> Ceilings:
    """The peaks once more, after the rungs; the higher counts, for a neighbour may have held either down."""
    steps = _STEPS["vectors"]

    def higher(old: float, count: int) -> float:
        flops = kernels.chain("vectors", steps, count)
        return max(old, flops / cpu_time(ctx, lambda: kernels.chain("vectors", steps, count)).low_s)

    return replace(before, peak=higher(before.peak, 1), peak_all=higher(before.peak_all, before.threads))


def caches() -> dict[int, Cache]:
    return {cache.level: cache for cache in cpu_caches()}


def _buffers() -> list[tuple[int, int]]:
    """A buffer that fits each level and not the one before; for memory twice the last level."""
    known = cpu_caches()
    fitting = [(cache.level, min(cache.size_bytes // 2, 2**23)) for cache in known]
    return [*fitting, (0, 2 * known[-1].size_bytes)]


def _read(ctx: Context, kernels: Kernels, size: int) -> float:
    reserve(size, Text(zh="带宽测试的缓冲区", en="the buffer that bandwidth is measured on"), "cpu")
    data, times = torch.ones(size // 4), max(1, _READ_BYTES // size)
    return times * size / cpu_time(ctx, lambda: kernels.read(data, times)).low_s
