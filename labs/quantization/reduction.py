"""A matrix made small enough for the screen by each cell's maximum, so that no outlier vanishes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


def reduce_max(matrix: Tensor, rows: int, columns: int) -> tuple[Tensor, int, int]:
    """``(cells, row_step, column_step)``: at most ``rows`` by ``columns`` cells, each the maximum of
    ``row_step`` by ``column_step`` entries; those at the far edges may stand for fewer."""
    row_step = math.ceil(matrix.shape[0] / rows)
    column_step = math.ceil(matrix.shape[1] / columns)
    if row_step == column_step == 1:
        return matrix, 1, 1
    cells = F.max_pool2d(matrix[None, None], (row_step, column_step), ceil_mode=True)
    return cells[0, 0], row_step, column_step
