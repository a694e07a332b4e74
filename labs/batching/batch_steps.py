"""A decode step of the real engine at growing batch sizes, beside what the roofline says of it.

A step reads the weights once, whoever shares them, and each sequence's own KV; it computes each token anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from labs.engine.model_runner import ModelRunner
from labs.engine.work import Work
from labs.formulas.kv_cache import bytes_per_token
from labs.formulas.memory import roofline_seconds
from labs.models.config import linear_shapes
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.engine.precision import Weights
    from labs.measure import Timing
    from labs.models.config import ModelConfig
    from labs.quantization.kernel_speed import Roofs
    from labs.quantization.roofs import Compute

_BLOCK = 16
_BUDGET_S = 0.35
# By which multiplication the kernels of each type are bound at best.
_COMPUTE: dict[Weights, Compute] = {"fp32": "fp32", "bf16": "bf16", "int8": "int8", "int4": "int8"}


@dataclass(frozen=True)
class BatchStep:
    """``bound_s``: no less by the roofline of this machine, as measured in this run."""

    batch: int
    timing: Timing
    bound_s: float

    @property
    def tokens_per_s(self) -> float:
        return self.batch / self.timing.median_s


@dataclass(frozen=True)
class Roofline:
    """Of one model in one type on this machine: bytes, FLOPs and both roofs."""

    weight_bytes: float
    kv_bytes: float  # of one sequence
    flops: float  # of one token
    bandwidth: float
    peak: float

    def step_s(self, batch: float) -> float:
        moved = self.weight_bytes + batch * self.kv_bytes
        return roofline_seconds(batch * self.flops, moved, self.peak, self.bandwidth)

    def doubled_at(self) -> float:
        """The batch whose step takes twice as long as a step of one sequence."""
        limit = 2 * self.step_s(1)
        return min(
            limit / (self.flops / self.peak),
            (limit * self.bandwidth - self.weight_bytes) / self.kv_bytes if self.kv_bytes else math.inf,
        )


def batch_steps(
    ctx: Context, weights: Weights, sizes: Sequence[int], context: int, roofs: Roofs
) -> Iterator[tuple[BatchStep, Roofline]]:
    """Times a step of each size with ``context`` tokens before each sequence's newest; what they are does
    not change the time, so nothing is prefilled."""
    config = ctx.model_config()
    each = -(-(context + 1) // _BLOCK)
    kv_bytes = max(sizes) * each * _BLOCK * _token_bytes(config)
    ctx.reserve(kv_bytes, Text(zh="最大一批的 KV", en="the largest batch's KV"))
    runner = ModelRunner(
        ctx.model().model, blocks=max(sizes) * each, block_size=_BLOCK, weights=weights, device=ctx.device
    )
    roofline = Roofline(
        weight_bytes=runner.weight_bytes,
        kv_bytes=(context + 1) * _token_bytes(config),
        flops=token_flops(config, context),
        bandwidth=roofs.bandwidth,
        peak=roofs.peak(_COMPUTE[weights]),
    )
    for size in sizes:
        works = [
            Work([7 + row], context, list(range(row * each, (row + 1) * each)), sample=True)
            for row in range(size)
        ]
        timing = ctx.measure(lambda works=works: runner.step(works), budget_s=_BUDGET_S)  # type: ignore[misc]
        yield BatchStep(size, timing, roofline.step_s(size)), roofline


def doubled_at(steps: Sequence[BatchStep]) -> float | None:
    """The batch whose step takes twice the time of the first, between the measured ones; None: none does."""
    limit = 2 * steps[0].timing.median_s
    for before, after in pairwise(steps):
        low, high = before.timing.median_s, after.timing.median_s
        if high >= limit:
            share = (limit - low) / (high - low) if high > low else 0.0
            return before.batch + max(0.0, share) * (after.batch - before.batch)
    return None


def token_flops(config: ModelConfig, context: int) -> float:
    """FLOPs of one decoded token: linear layers, the output head, attention to ``context + 1`` tokens."""
    linear = 2 * config.layers * sum(rows * columns for rows, columns in linear_shapes(config).values())
    attention = 4 * config.layers * config.heads * config.head_dim * (context + 1)
    return linear + 2 * config.vocab * config.hidden + attention


def _token_bytes(config: ModelConfig) -> int:
    return int(
        bytes_per_token(
            layers=config.layers, kv_heads=config.kv_heads, head_dim=config.head_dim, bytes_per_element=4
        )
    )
