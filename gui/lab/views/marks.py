"""Upright dashed lines across a plot, each with its name near the top: one item for all of them.

A pyqtgraph InfiniteLine with a label takes 2 ms to make, and more whenever the view changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QTransform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtGui import QFont

# From the top of the plot to the middle of a name, as a share of its height, and around a name in px.
NAME_AT, MARGIN = 0.07, 4.0


class Marks(pg.GraphicsObject):  # type: ignore[misc]
    """``marks`` are plotted x coordinates and names, the name "" for a line without one."""

    def __init__(self, marks: Sequence[tuple[float, str]], font: QFont, colour: str, ground: QColor) -> None:
        super().__init__()
        self._marks, self._font, self._colour, self._ground = marks, font, QColor(colour), ground

    def boundingRect(self) -> QRectF:
        """All that is in view: the lines reach across it, and a name may stand out of its line's place."""
        return QRectF(self.viewRect() or QRectF())

    def viewTransformChanged(self) -> None:
        self.prepareGeometryChange()
        super().viewTransformChanged()

    # The names and arguments of the next one are pyqtgraph's.
    def dataBounds(self, ax: int, frac: float = 1.0, orthoRange: Any = None) -> tuple[Any, Any]:
        """Marks are to be seen, so they count across; up and down they have no extent."""
        places = [x for x, _ in self._marks]
        return (None, None) if ax else (min(places), max(places))

    def paint(self, painter: QPainter, *_: Any) -> None:
        on_screen = painter.transform()
        plot = on_screen.mapRect(self.boundingRect())
        painter.save()
        painter.setTransform(QTransform())
        for x, _name in self._marks:
            across = on_screen.map(QPointF(x, 0.0)).x()
            painter.setPen(QPen(self._colour, 1, Qt.PenStyle.DashLine))
            painter.drawLine(QLineF(across, plot.top(), across, plot.bottom()))
        painter.setFont(self._font)
        for x, name in self._marks:
            if name:
                across = on_screen.map(QPointF(x, 0.0)).x()
                self._paint_name(painter, name, QPointF(across, plot.top() + NAME_AT * plot.height()), plot)
        painter.restore()

    def _paint_name(self, painter: QPainter, name: str, middle: QPointF, plot: QRectF) -> None:
        """On the side of its line where there is more of the plot."""
        metrics = QFontMetricsF(self._font)
        width, height = metrics.horizontalAdvance(name) + 2 * MARGIN, metrics.height()
        left = middle.x() if middle.x() < plot.center().x() else middle.x() - width
        box = QRectF(left, middle.y() - height / 2, width, height)
        painter.fillRect(box, self._ground)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)
