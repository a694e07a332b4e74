"""A tensor's cells as an image: what is touched now is bright, what was touched before is fainter by age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtGui import QColor, QImage

from gui.lab.views.block_look import mixed, owner_colour
from gui.lab.views.tile_state import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gui.lab.views.tile_state import Cells
    from gui.theme import Theme

# How much of its category's colour a cell has, by the events since it was touched; the last stays for good.
STRENGTHS = (1.0, 0.62, 0.55, 0.5, 0.46, 0.42, 0.39, 0.36, 0.33)


def untouched(theme: Theme) -> QColor:
    return mixed(theme.rule, theme.raised, 0.55)


def category_colour(category: int, faults: Sequence[int], theme: Theme) -> str:
    return theme.bad if category in faults else owner_colour(category, theme)


def faint(colour: str, theme: Theme) -> QColor:
    """What was touched long ago."""
    return mixed(colour, theme.raised, STRENGTHS[-1])


def colour_table(categories: Sequence[str], theme: Theme) -> Any:
    """From the categories' colours, colours by index: 0 is a cell that was not touched, then each category
    from bright to faint."""
    colours = [untouched(theme)]
    for colour in categories:
        colours += [mixed(colour, theme.raised, strength) for strength in STRENGTHS]
    return np.array([colour.rgb() for colour in colours], dtype=np.uint32)


def colour_indices(cells: Cells, cursor: int | None) -> Any:
    """An index of ``colour_table`` a cell, in a flat array. Without a cursor all touches are bright."""
    last = cells.last.at(cursor)  # -1, the last entry, where there was no touch
    indices = cells.look.take(last, mode="wrap")
    if cursor is not None:
        age = np.subtract(cursor, cells.event.take(last, mode="wrap"))
        indices += np.clip(age, 0, LEVELS - 1, out=age)
    return indices


class Picture:
    """Of one tensor; the image belongs to an array that is kept with it."""

    def __init__(self, cells: Cells, cursor: int | None, table: Any) -> None:
        self.cells = cells
        self._pixels = table.take(colour_indices(cells, cursor)).reshape(cells.rows, -1)
        width, height = cells.columns, cells.rows
        self.image = QImage(self._pixels.data, width, height, width * 4, QImage.Format.Format_RGB32)

    def colour(self, row: int, column: int) -> QColor:
        return QColor.fromRgb(int(self._pixels[row, column]))
