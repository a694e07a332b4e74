"""A linear layer with what really flows through it, captured once and then at hand for every slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.models.activations import capture
from labs.models.config import LINEARS
from labs.models.llama import linear
from labs.models.texts import load_text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.context import Context

CALIBRATION_TEXT = "calibration.en"
CALIBRATION_TOKENS = 128


@dataclass(frozen=True)
class LayerData:
    """``weight [out, in]``, ``inputs [tokens, in]`` and ``outputs [tokens, out]``: no bias, fp32, CPU."""

    weight: Tensor
    inputs: Tensor
    outputs: Tensor

    def matrix(self, target: str) -> Tensor:
        """The matrix that is quantised: ``weight`` or ``activation``."""
        return self.weight if target == "weight" else self.inputs


def layer_data(ctx: Context, layer: int, module: str) -> LayerData:
    """Memoised; the inputs are those of the first ``CALIBRATION_TOKENS`` tokens of the calibration text."""
    return ctx.memo(("layer data", layer, module), lambda: _layer_data(ctx, layer, module))


def calibration_ids(ctx: Context, tokens: int) -> list[int]:
    """The first ``tokens`` token ids of the calibration text, in which every run sees the same words."""
    ids = ctx.memo(("calibration ids",), lambda: ctx.model().tokenizer.encode(load_text(CALIBRATION_TEXT)))
    return ids[:tokens]


@torch.no_grad()
def _layer_data(ctx: Context, layer: int, module: str) -> LayerData:
    weight = linear(ctx.model().model, layer, module).weight.detach().contiguous()
    # One pass serves all seven modules of the layer: the next one that is looked at is then there at once.
    inputs = ctx.memo(("layer inputs", layer), lambda: _inputs(ctx, layer))[module]
    return LayerData(weight, inputs, F.linear(inputs, weight))


def _inputs(ctx: Context, layer: int) -> dict[str, Tensor]:
    ids = calibration_ids(ctx, CALIBRATION_TOKENS)
    found = capture(ctx.model().model, ids, [(layer, name) for name in LINEARS])
    return {name: x[0].contiguous() for (_, name), x in found.items()}


def most_values_in_a_block(ctx: Context, layer: int, module: str, block: int = 32) -> int:
    """The largest number of distinct values in any ``block`` neighbours of a row of the weight.

    At most 16 in every block betrays weights that come from a 4-bit block format, whatever the file says.
    """

    def count() -> int:
        weight = layer_data(ctx, layer, module).weight
        whole = weight.shape[1] - weight.shape[1] % block
        ordered = weight[:, :whole].reshape(-1, block).sort(dim=1).values
        return int((ordered.diff(dim=1) != 0).sum(dim=1).max()) + 1

    return ctx.memo(("most values in a block", layer, module, block), count)
