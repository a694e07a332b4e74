"""All points of a series, or all their names, as one graphics item, drawn at a fixed size on the screen.

One item instead of pyqtgraph's: a ScatterPlotItem keeps an atlas of pictures and a record for each point, a
TextItem is one for each name, and a plot with a dozen series of them took 40 ms to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QTransform

if TYPE_CHECKING:
    from PySide6.QtGui import QFont

# Up to this many, each point has a rim that parts it from its neighbours.
MOST_RIMMED = 300
# Around a name, and from the name to its point, in px.
NAME_MARGIN, NAME_GAP = 4.0, 7.0


class Points(pg.GraphicsObject):  # type: ignore[misc]
    """Discs of ``size`` px at the finite ``xs``, ``ys``; those too many for a rim are drawn smaller."""

    def __init__(self, xs: Any, ys: Any, size: float, colour: str, rim: str) -> None:
        super().__init__()
        self._xs, self._ys = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
        self._rimmed = len(self._xs) <= MOST_RIMMED
        self._size = size if self._rimmed else 4.0
        self._colour, self._rim = QColor(colour), QColor(rim)

    def reach(self) -> tuple[float, float]:
        """How far beyond its points the item draws, across and up or down, in px."""
        return self._size, self._size

    def boundingRect(self) -> QRectF:
        if not len(self._xs):
            return QRectF()
        left, top = float(self._xs.min()), float(self._ys.min())
        right, bottom = float(self._xs.max()), float(self._ys.max())
        pixel_x, pixel_y = self.pixelVectors()
        across, along = self.reach()
        wide = across * pixel_x.length() if pixel_x is not None else 0.0
        high = along * pixel_y.length() if pixel_y is not None else 0.0
        return QRectF(left - wide, top - high, right - left + 2 * wide, bottom - top + 2 * high)

    def viewTransformChanged(self) -> None:
        """Pixels are now of another size in the plot's own units."""
        self.prepareGeometryChange()
        super().viewTransformChanged()

    # The names and arguments of the next two are pyqtgraph's.
    def dataBounds(self, ax: int, frac: float = 1.0, orthoRange: Any = None) -> tuple[Any, Any]:
        values = self._ys if ax else self._xs
        return (values.min(), values.max()) if len(values) else (None, None)

    def pixelPadding(self) -> float:
        return self._size / 2

    def paint(self, painter: QPainter, *_: Any) -> None:
        xs, ys = self.on_screen(painter)
        painter.save()
        painter.setTransform(QTransform())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, len(xs) <= 10 * MOST_RIMMED)
        if self._rimmed:
            painter.setPen(QPen(self._rim, 1))
            painter.setBrush(self._colour)
            for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
                painter.drawEllipse(QPointF(x, y), self._size / 2, self._size / 2)
        else:
            line, cap = Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap
            painter.setPen(QPen(self._colour, self._size, line, cap))
            painter.drawPointsNp(xs, ys)
        painter.restore()

    def on_screen(self, painter: QPainter) -> tuple[Any, Any]:
        """The points where ``painter`` has them without its transformation."""
        map_ = painter.transform()
        return map_.m11() * self._xs + map_.dx(), map_.m22() * self._ys + map_.dy()


class PointNames(Points):
    """A name above each point, or below it at the upper edge, on a ground that lets it be read over what lies
    behind. One that would cover a point or an earlier name is left to the pointer to ask for."""

    def __init__(self, xs: Any, ys: Any, names: list[str], font: QFont, ink: str, ground: QColor) -> None:
        super().__init__(xs, ys, 0.0, ink, ink)
        self._names, self._font, self._ground = names, font, ground
        metrics = QFontMetricsF(font)
        self._widths = [metrics.horizontalAdvance(name) for name in names]
        self._height = metrics.height()

    def reach(self) -> tuple[float, float]:
        return max(self._widths, default=0.0), 2 * NAME_GAP + self._height + 2 * NAME_MARGIN

    def pixelPadding(self) -> float:
        return 0.0

    def paint(self, painter: QPainter, *_: Any) -> None:
        xs, ys = self.on_screen(painter)
        room = painter.transform().mapRect(self.viewRect())
        painter.save()
        painter.setTransform(QTransform())
        painter.setFont(self._font)
        painter.setPen(self._colour)
        taken = [QRectF(x - 4, y - 4, 8, 8) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]
        for x, y, name, width in zip(xs.tolist(), ys.tolist(), self._names, self._widths, strict=True):
            box = self._inside(room, x, y, width)
            if any(box.intersects(other) for other in taken):
                continue
            taken.append(box)
            painter.fillRect(box.adjusted(-NAME_MARGIN, -1, NAME_MARGIN, 1), self._ground)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)
        painter.restore()

    def _inside(self, room: QRectF, x: float, y: float, width: float) -> QRectF:
        """The name's place, moved so that no edge of the plot cuts it."""
        box = QRectF(x - width / 2, y - NAME_GAP - NAME_MARGIN - self._height, width, self._height)
        if box.top() < room.top():
            box.moveTop(y + NAME_GAP + NAME_MARGIN)
        if width < room.width():
            box.moveLeft(min(max(box.left(), room.left()), room.right() - width))
        return box
