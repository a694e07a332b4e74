"""Which range a block's codes cover: everything, all but a share of the tails, or what minimises the squared
error. A narrower range has finer steps and clips what lies outside."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from labs.quantization.grid import grid, round_to_grid

if TYPE_CHECKING:
    from torch import Tensor

    from labs.quantization.config import QuantizerConfig

# Shares of the min-max range that the MSE search tries. Below 0.2 no real layer gains, 2 bits included.
MSE_RATIOS = tuple(round(1.0 - 0.05 * index, 2) for index in range(17))


def clip_range(block: Tensor, config: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """Lowest and highest value that the grid of each block covers, ``[..., 1]`` each.

    Raises ValueError if ``block`` holds NaN or infinity: they have no place on a uniform grid.
    """
    low, high = block.amin(dim=-1, keepdim=True), block.amax(dim=-1, keepdim=True)
    if not bool(torch.isfinite(low).all() & torch.isfinite(high).all()):
        raise ValueError("a uniform grid has no code for NaN or infinity")
    if config.clipping == "percentile":
        return _percentile(block, low, high, config)
    if config.clipping == "mse":
        return _least_squares(block, low, high, config)
    return low, high


def _percentile(block: Tensor, low: Tensor, high: Tensor, config: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """The range that keeps ``percentile`` % of the values: of magnitudes if symmetric, else both tails alike.

    Whole values only, no interpolation: a group of 32 at 99.9 % clips nothing.
    """
    count = block.shape[-1]
    if config.scheme == "symmetric":
        kept = math.ceil(count * config.percentile / 100)
        if kept >= count:
            return low, high
        bound = block.abs().kthvalue(kept, dim=-1, keepdim=True).values
        return -bound, bound
    tail = math.floor(count * (100 - config.percentile) / 200)
    if tail == 0:
        return low, high
    return (
        block.kthvalue(tail + 1, dim=-1, keepdim=True).values,
        block.kthvalue(count - tail, dim=-1, keepdim=True).values,
    )


def _least_squares(
    block: Tensor, low: Tensor, high: Tensor, config: QuantizerConfig
) -> tuple[Tensor, Tensor]:
    """The ratio out of ``MSE_RATIOS`` of the min-max range with the least squared error, for each block."""
    best = torch.full_like(low, math.inf)
    best_ratio = torch.ones_like(low)
    scratch = torch.empty_like(block)
    # Stochastic rounding would blur the search, and cost a random number for each value and ratio.
    nearest = replace(config, rounding="nearest")
    for ratio in MSE_RATIOS:
        scale, zero_point = grid(low * ratio, high * ratio, config)
        round_to_grid(block, scale, zero_point, nearest, out=scratch)
        error = scratch.sub_(block).square_().sum(dim=-1, keepdim=True)
        better = error < best
        best = torch.where(better, error, best)
        best_ratio = torch.where(better, ratio, best_ratio)
    return low * best_ratio, high * best_ratio
