"""A box of curves with an axis on its left and one below it: what the plots need of pyqtgraph's PlotItem.

That one also makes two more axes, a title, a button and a menu of some sixty widgets, all of them unseen: a
new plot took twice as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from PySide6.QtWidgets import QGraphicsGridLayout, QSizePolicy

if TYPE_CHECKING:
    from gui.lab.views.axis import UnitAxis

# Behind the view box, which stands at -100: an axis draws the grid, and curves and points are to lie on it.
AXIS_Z = -101


class PlotArea(pg.GraphicsWidget):  # type: ignore[misc]
    """``items`` are what was added, in order; they live in the view box ``vb``."""

    def __init__(self, bottom: UnitAxis, left: UnitAxis) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.items: list[Any] = []
        self.vb = pg.ViewBox(parent=self, enableMenu=False)
        self._bottom, self._left = bottom, left
        grid = QGraphicsGridLayout()
        grid.setContentsMargins(0, 4, 8, 0)
        grid.setSpacing(0)
        grid.addItem(left, 0, 0)
        grid.addItem(self.vb, 0, 1)
        grid.addItem(bottom, 1, 1)
        grid.setRowStretchFactor(0, 100)
        grid.setColumnStretchFactor(1, 100)
        self.setLayout(grid)
        for axis in (bottom, left):
            axis.linkToView(self.vb)
            axis.setZValue(AXIS_Z)

    def addItem(self, item: Any, ignoreBounds: bool = False) -> None:
        self.items.append(item)
        self.vb.addItem(item, ignoreBounds=ignoreBounds)

    def clear(self) -> None:
        for item in self.items:
            self.vb.removeItem(item)
        self.items = []

    def show_grid(self, alpha: float) -> None:
        """Lines across the plot at both axes' ticks, from none (0) to opaque (1)."""
        for axis in (self._bottom, self._left):
            axis.setGrid(round(255 * alpha) or False)
