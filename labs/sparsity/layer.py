"""A real linear layer pruned, and what that does to its output on real text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F

from labs.quantization.layer_data import LayerData, layer_data
from labs.relative_error import relative_error
from labs.sparsity.patterns import Pattern, Score, mask_of, scores

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context


@dataclass(frozen=True)
class Pruned:
    """``weight`` is the layer's with zeros where ``mask`` is False."""

    data: LayerData
    mask: Tensor
    weight: Tensor

    @property
    def sparsity(self) -> float:
        return 1 - float(self.mask.float().mean())

    @property
    def error(self) -> float:
        return output_error(self.data, self.weight)


def pruned(
    ctx: Context, layer: int, module: str, pattern: Pattern, sparsity: float, score: Score, block: int
) -> Pruned:
    """Memoised; ``sparsity`` from 0 to 1."""

    def make() -> Pruned:
        data = layer_data(ctx, layer, module)
        mask = mask_of(scores(data.weight, data.inputs, score), pattern, sparsity, block)
        return Pruned(data, mask, data.weight.where(mask, 0.0))

    return ctx.memo(("pruned", layer, module, pattern, sparsity, score, block), make)


def output_error(data: LayerData, weight: Tensor) -> float:
    """Of the layer's output on real text, relative, by norms."""
    return relative_error(F.linear(data.inputs, weight), data.outputs)
