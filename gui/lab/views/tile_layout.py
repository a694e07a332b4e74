"""Where the tensors of a tiles result stand: all in one scale, row by row like words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QRectF

if TYPE_CHECKING:
    from collections.abc import Sequence

# Pixels an element, from the largest that helps to the smallest that may be needed.
LARGEST = 22.0
WITH_VALUES = 38.0
SHRINK = 0.85
THINNEST = 10.0  # px: a row of thousands is still seen
NAME, GAP, LEFT = 18.0, 22.0, 1.0
WIDEST_NAME = 200.0


class Place(NamedTuple):
    """A tensor's grid (with its margins) and the line for its name above; ``x`` and ``y`` are px an
    element."""

    name: QRectF
    grid: QRectF
    x: float
    y: float


class Placed(NamedTuple):
    places: list[Place]
    width: float
    height: float
    scale: float


class Sized(NamedTuple):
    """A tensor's rows and columns, margins included, and how wide its name is, in px."""

    rows: int
    columns: int
    name: float = 0.0


def fitting_scale(tensors: Sequence[Sized], width: float, height: float, largest: float) -> float:
    """The largest scale in which the tensors fit."""
    scale = largest
    while scale > 1e-6:
        placed = laid_out(tensors, width, scale)
        if placed.height <= height and placed.width <= width:
            return scale
        shrunk = scale * SHRINK
        # Whole pixels where elements are told apart: all cells are then of one size.
        scale = math.floor(shrunk) if shrunk >= 4 else shrunk
    return scale


def laid_out(tensors: Sequence[Sized], width: float, scale: float) -> Placed:
    """Wrapped at ``width``; a tensor that is wider stands alone and sticks out."""
    places: list[Place] = []
    x, y, line, right = LEFT, 0.0, 0.0, 0.0
    for rows, columns, name in tensors:
        across, down = max(THINNEST, columns * scale), max(THINNEST, rows * scale)
        taken = min(max(across, min(name, WIDEST_NAME)), max(across, width - 2 * LEFT))
        if x > LEFT and x + taken > width:
            x, y, line = LEFT, y + line + GAP / 2, 0.0
        grid = QRectF(x, y + NAME, across, down)
        places.append(Place(QRectF(x, y, taken, NAME), grid, across / columns, down / rows))
        x, line, right = x + taken + GAP, max(line, NAME + down), max(right, x + across)
    return Placed(places, right + LEFT, y + line + 1, scale)


def elements_a_cell(px: float) -> int:
    """How many elements make a cell of a pixel at least: a power of two."""
    return 1 if px >= 1 else 2 ** math.ceil(math.log2(1 / px))
