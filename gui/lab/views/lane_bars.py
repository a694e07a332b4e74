"""All bars of a timeline as one graphics item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QTransform

from gui.lab.views.block_look import mixed, owner_colour, owner_style, readable_on
from gui.lab.views.kept_picture import KeptPicture

if TYPE_CHECKING:
    from PySide6.QtGui import QFont

    from gui.theme import Theme

BAR_SHARE = 0.78  # of a lane's height
# Beyond this many in sight, bars that fall on the same pixels are drawn once.
MOST_DRAWN = 12_000
MOST_LABELS = 250
LEAST_LABELLED = 12.0  # height of a bar, in px
_BRUSHES = {"hatch": Qt.BrushStyle.BDiagPattern, "dots": Qt.BrushStyle.Dense6Pattern}


class LaneBars(pg.GraphicsObject):  # type: ignore[misc]
    """``lane``, ``start``, ``end``, ``category``: arrays, an entry a bar; lane n is drawn around y = n."""

    def __init__(self, bars: tuple[Any, Any, Any, Any], labels: list[str], font: QFont, theme: Theme) -> None:
        super().__init__()
        # By category: those of one colour are then neighbours in whatever part of them is in sight.
        order = np.argsort(bars[3], kind="stable")
        self._lane, self._start, self._end, self._category = (column[order] for column in bars)
        self._labels = [labels[place] for place in order.tolist()] if labels else []
        self._font, self._theme = font, theme
        self._kept = KeptPicture()
        self._array = pg.Qt.internals.PrimitiveArray(QRectF, 4)

    def boundingRect(self) -> QRectF:
        if not len(self._lane):
            return QRectF()
        left, right = float(self._start.min()), float(self._end.max())
        return QRectF(left, -0.5, right - left, float(self._lane.max()) + 1)

    # The names and arguments of the next are pyqtgraph's.
    def dataBounds(self, ax: int, frac: float = 1.0, orthoRange: Any = None) -> tuple[Any, Any]:
        if not len(self._lane):
            return None, None
        return (-0.5, self._lane.max() + 0.5) if ax else (self._start.min(), self._end.max())

    def paint(self, painter: QPainter, *_: Any) -> None:
        self._kept.paint(painter, None, self._paint_in_pixels)

    def _paint_in_pixels(self, painter: QPainter) -> None:
        place = painter.transform()
        painter.save()
        painter.setTransform(QTransform())
        self._paint_bars(painter, place, QRectF(painter.viewport()))
        painter.restore()

    def _paint_bars(self, painter: QPainter, place: QTransform, area: QRectF) -> None:
        left = place.m11() * self._start + place.dx()
        right = place.m11() * self._end + place.dx()
        height = abs(place.m22()) * BAR_SHARE
        top = place.m22() * self._lane + place.dy() - height / 2
        seen = np.flatnonzero(
            (right >= area.left())
            & (left <= area.right())
            & (top + height >= area.top())
            & (top <= area.bottom())
        )
        # Far beyond the edge a coordinate is more than a raster can hold.
        left, right = np.maximum(left[seen], area.left() - 2), np.minimum(right[seen], area.right() + 2)
        top, category = top[seen], self._category[seen]
        width = np.maximum(right - left, 1.0)
        self._paint_rects(painter, left, top, width, height, category)
        if self._labels and height >= LEAST_LABELLED:
            self._paint_labels(painter, seen, left, top, width, height)

    def _paint_rects(
        self, painter: QPainter, left: Any, top: Any, width: Any, height: float, category: Any
    ) -> None:
        # A gap of a pixel where there is room for one: neighbours of one kind stay two.
        width = np.where(width > 3, width - 1, width)
        if len(left) > MOST_DRAWN:
            edges = (np.ceil(edge - 0.5) for edge in (left, left + width, top))
            places = np.stack([*edges, category], axis=1)
            _, kept = np.unique(places, axis=0, return_index=True)
            kept.sort()
            left, top, width, category = left[kept], top[kept], width[kept], category[kept]
        ends = np.append(np.flatnonzero(np.diff(category)) + 1, len(category)).tolist()
        painter.setPen(Qt.PenStyle.NoPen)
        for first, end in zip([0, *ends], ends, strict=False):
            if first < end:
                rects = self._rects(left[first:end], top[first:end], width[first:end], height)
                for brush in self._brushes(int(category[first])):
                    painter.setBrush(brush)
                    painter.drawRects(*rects)

    def _rects(self, left: Any, top: Any, width: Any, height: float) -> tuple[Any, int]:
        """As QPainter takes many at once; good until the next call."""
        self._array.resize(len(left))
        rects = self._array.ndarray()
        rects[:, 0], rects[:, 1], rects[:, 2], rects[:, 3] = left, top, width, height
        arguments: tuple[Any, int] = self._array.drawargs()
        return arguments

    def _brushes(self, category: int) -> list[QBrush]:
        colour = owner_colour(category, self._theme)
        style = owner_style(category)
        brushes = [QBrush(QColor(colour))]
        if style in _BRUSHES:
            brushes.append(QBrush(mixed(self._theme.raised, colour, 0.75), _BRUSHES[style]))
        return brushes

    def _paint_labels(
        self, painter: QPainter, seen: Any, left: Any, top: Any, width: Any, height: float
    ) -> None:
        metrics = QFontMetricsF(self._font)
        painter.setFont(self._font)
        wide = np.flatnonzero(width >= metrics.averageCharWidth() + 6)
        for place in wide[:MOST_LABELS].tolist():
            text = self._labels[seen[place]]
            if metrics.horizontalAdvance(text) > width[place] - 6:
                continue
            colour = QColor(owner_colour(int(self._category[seen[place]]), self._theme))
            painter.setPen(readable_on(colour))
            box = QRectF(left[place], top[place], width[place], height)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
