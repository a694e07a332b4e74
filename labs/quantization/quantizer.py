"""Quantise and dequantise a matrix under any configuration, in one vectorised path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.quantization.blocks import blocks, join, spread
from labs.quantization.clipping import clip_range
from labs.quantization.grid import grid, round_to_grid
from labs.quantization.packing import pack

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from labs.quantization.config import QuantizerConfig


@dataclass(frozen=True)
class Quantized:
    """A quantised matrix and what it stands for.

    ``values`` and ``codes`` are ``[rows, columns]``; ``scale`` and ``zero_point`` hold one figure a block,
    laid out like the matrix: ``[1, 1]``, ``[rows, 1]``, ``[1, columns]`` or ``[rows, groups]``. ``step`` is
    the scale, but 0 for a block of equal values, which is stored without rounding error.
    """

    values: Tensor
    codes: Tensor
    scale: Tensor
    zero_point: Tensor
    step: Tensor
    config: QuantizerConfig

    def dequantized(self) -> Tensor:
        """The values again, from codes, scales and zero points alone."""
        columns = self.codes.shape[1]
        scale = spread(self.scale, columns, self.config)
        zero_point = spread(self.zero_point, columns, self.config)
        codes = self.codes.float()
        if self.config.has_float_minimum:
            return codes * scale + zero_point
        return (codes - zero_point) * scale

    def levels(self, row: int, column: int) -> Tensor:
        """Every value that the block of element ``(row, column)`` can take, ascending."""
        first, last = self.config.codes
        codes = torch.arange(first, last + 1, dtype=torch.float32)
        scale, zero_point = self._at(self.scale, row, column), self._at(self.zero_point, row, column)
        return codes * scale + zero_point if self.config.has_float_minimum else (codes - zero_point) * scale

    def _at(self, figures: Tensor, row: int, column: int) -> Tensor:
        if self.config.layout == "group":
            column //= self.config.group_size
        return figures[min(row, figures.shape[0] - 1), min(column, figures.shape[1] - 1)]

    def stored_bytes(self) -> dict[str, int]:
        """Bytes of each part when the matrix is really packed: ``codes``, ``scales``, ``zero_points``."""
        first, _ = self.config.codes
        zero_points = 0
        if self.config.has_float_minimum:
            zero_points = self.zero_point.numel() * self.config.scale_bits // 8
        elif self.config.scheme == "asymmetric":
            zero_points = pack(self.zero_point, self.config.bits).nbytes
        return {
            "codes": pack(self.codes - first, self.config.bits).nbytes,
            "scales": self.scale.numel() * self.config.scale_bits // 8,
            "zero_points": zero_points,
        }


def quantize_dequantize(x: Tensor, config: QuantizerConfig, generator: Generator | None = None) -> Quantized:
    """Quantise a float matrix ``[rows, columns]`` and read it back.

    Raises ValueError for NaN or infinity. ``generator`` serves stochastic rounding only.
    """
    x = x.contiguous()
    values, codes = torch.empty_like(x), torch.empty_like(x, dtype=torch.int16)
    scale, zero_point, step = _quantize(x, config, values, codes, generator)
    return Quantized(values, codes, scale, zero_point, step, config)


def round_matrix(
    x: Tensor, config: QuantizerConfig, out: Tensor, generator: Generator | None = None
) -> Tensor:
    """The values alone, into ``out``: the path for whole models. Both contiguous ``[rows, columns]``."""
    _quantize(x, config, out, None, generator)
    return out


def _quantize(
    x: Tensor, config: QuantizerConfig, values: Tensor, codes: Tensor | None, generator: Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    codes_views = blocks(codes, config) if codes is not None else [None, None]
    scales, zero_points, steps = [], [], []
    for block, out, out_codes in zip(blocks(x, config), blocks(values, config), codes_views, strict=False):
        low, high = clip_range(block, config)
        scale, zero_point = grid(low, high, config)
        round_to_grid(block, scale, zero_point, config, out=out, codes=out_codes, generator=generator)
        scales.append(scale)
        zero_points.append(zero_point)
        steps.append(torch.where(high > low, scale, 0.0))
    return join(scales, config), join(zero_points, config), join(steps, config)
