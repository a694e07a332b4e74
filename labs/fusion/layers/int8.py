"""W8A8 in a block: weights with a scale an output channel, activations with a scale a token.

Spelled out operator by operator here, as ``labs.formulas.decoder_block`` lists them; the fused kernels do
the same in one pass. Rounding as in ``labs.ops.norm_quantise``, but for exact halves.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labs.formulas.operators import LEAST_MAGNITUDE

if TYPE_CHECKING:
    from labs.models.llama import Block


class Codes(NamedTuple):
    """``numbers [T, C]`` int8 and ``scale [T, 1]`` fp32: their product is what they stand for."""

    numbers: Tensor
    scale: Tensor


class Projection(NamedTuple):
    """``weight [N, C]``, fp32; or int8 with its ``scale [N]``."""

    weight: Tensor
    scale: Tensor | None = None

    def split(self, widths: list[int]) -> list[Projection]:
        """Views of its rows."""
        scales = [None] * len(widths) if self.scale is None else torch.split(self.scale, widths)
        weights = torch.split(self.weight, widths)
        return [Projection(weight, scale) for weight, scale in zip(weights, scales, strict=True)]


def quantised_projection(weight: Tensor) -> Projection:
    codes = quantised(weight)
    return Projection(codes.numbers, codes.scale[:, 0].contiguous())


def quantised(rows: Tensor) -> Codes:
    """Symmetric, a row's largest magnitude is 127: seven operators."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=LEAST_MAGNITUDE) / 127
    return Codes((rows / scale).round().to(torch.int8), scale)


def scaled(sums: Tensor, codes: Codes, projection: Projection) -> Tensor:
    """``[T, N]`` fp32 of an integer product: a conversion and two scalings, each a pass of its own."""
    assert projection.scale is not None
    return sums.float() * codes.scale * projection.scale


def rounded_block(block: Block) -> Block:
    """A copy in plain modules that makes the same errors: what the INT8 block is checked against. Its five
    products after a norm have dequantised weights, and round their inputs by token."""
    twin = copy.deepcopy(block)
    for owner, names in (
        (twin.self_attn, ("q_proj", "k_proj", "v_proj")),
        (twin.mlp, ("gate_proj", "up_proj")),
    ):
        for name in names:
            setattr(owner, name, _RoundedLinear(getattr(owner, name).weight))
    return twin


class _RoundedLinear(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        codes = quantised(weight.detach())
        self.weight = codes.numbers.float() * codes.scale

    def forward(self, x: Tensor) -> Tensor:
        codes = quantised(x.flatten(0, -2))
        return F.linear((codes.numbers.float() * codes.scale).view(x.shape), self.weight)
