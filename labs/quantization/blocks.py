"""Which elements share a scale: views of a matrix with one block along the last dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from labs.quantization.config import QuantizerConfig


def blocks(matrix: Tensor, config: QuantizerConfig) -> list[Tensor]:
    """Views ``[..., block length]`` that together hold every element of ``matrix`` (contiguous) exactly once.

    Two of them only where rows end in a ragged group: short groups then need no padding, which would have to
    be kept out of minima, percentiles and errors. Writing to a view writes to the matrix.
    """
    columns = matrix.shape[1]
    if config.layout == "tensor":
        return [matrix.view(1, -1)]
    if config.layout == "row":
        return [matrix]
    if config.layout == "column":
        return [matrix.t()]
    whole = columns - columns % config.group_size
    views = []
    if whole:
        views.append(torch.unflatten(matrix[:, :whole], 1, (-1, config.group_size)))
    if whole < columns:
        views.append(matrix[:, None, whole:])
    return views


def join(figures: list[Tensor], config: QuantizerConfig) -> Tensor:
    """One figure a block, ``[..., 1]`` for each view, laid out like the matrix: ``[1, 1]``, ``[rows, 1]``,
    ``[1, columns]`` or ``[rows, groups]``."""
    if config.layout == "group":
        return torch.cat(figures, dim=1).squeeze(-1)
    return figures[0].t() if config.layout == "column" else figures[0]


def spread(figures: Tensor, columns: int, config: QuantizerConfig) -> Tensor:
    """The result of ``join``, broadcastable against the matrix ``[rows, columns]``."""
    if config.layout != "group":
        return figures
    return figures.repeat_interleave(config.group_size, dim=1)[:, :columns]
