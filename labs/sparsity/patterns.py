"""Which weights stay: by magnitude anywhere, two of every four, or whole blocks.

Wanda's score (Sun et al., ICLR 2024, arXiv:2306.11695, section 3) is a weight's magnitude times the norm of
its input channel, compared within a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from labs.ops.sparse_24 import two_four_mask

if TYPE_CHECKING:
    from torch import Tensor

Pattern = Literal["unstructured", "two_four", "block"]
Score = Literal["magnitude", "wanda"]


def scores(weight: Tensor, inputs: Tensor, score: Score) -> Tensor:
    """``weight [n, k]``, ``inputs [tokens, k]``; the larger, the rather kept."""
    magnitude = weight.abs()
    return magnitude if score == "magnitude" else magnitude * inputs.norm(dim=0)


def mask_of(values: Tensor, pattern: Pattern, sparsity: float, block: int = 16) -> Tensor:
    """Booleans in the shape of the scores ``values``; 2:4 is half, whatever ``sparsity``."""
    if pattern == "two_four":
        return two_four_mask(values)
    if pattern == "unstructured":
        return _largest(values, sparsity)
    rows, columns = values.shape
    sums = values.reshape(rows // block, block, columns // block, block).square().sum(dim=(1, 3))
    kept = _largest(sums.flatten()[None], sparsity).view_as(sums)
    return kept.repeat_interleave(block, 0).repeat_interleave(block, 1)


def _largest(values: Tensor, sparsity: float) -> Tensor:
    """The same number of each row, so that the sparsity is what was asked for."""
    dropped = round(sparsity * values.shape[1])
    kept = torch.ones_like(values, dtype=torch.bool)
    order = values.argsort(dim=1, stable=True)
    return kept.scatter_(1, order[:, :dropped], False)
