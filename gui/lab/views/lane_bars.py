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
        self._lane, self._start, self._end, self._category = bars
        self._labels, self._font, self._theme = labels, font, theme
        self._kept = KeptPicture()
        self._arrays: dict[int, Any] = {}

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
        if len(left) > MOST_DRAWN:
            places = np.stack([left.astype(int), top.astype(int), width.astype(int), category], axis=1)
            _, kept = np.unique(places, axis=0, return_index=True)
            left, top, width, category = left[kept], top[kept], width[kept], category[kept]
        painter.setPen(Qt.PenStyle.NoPen)
        for one in np.unique(category).tolist():
            chosen = category == one
            count = int(chosen.sum())
            array = self._arrays.setdefault(one, pg.Qt.internals.PrimitiveArray(QRectF, 4))
            array.resize(count)
            rects = array.ndarray()
            # A gap of a pixel where there is room for one: neighbours of one kind stay two.
            gap = np.where(width[chosen] > 3, 1.0, 0.0)
            rects[:, 0], rects[:, 1] = left[chosen], top[chosen]
            rects[:, 2], rects[:, 3] = width[chosen] - gap, height
            for brush in self._brushes(one):
                painter.setBrush(brush)
                painter.drawRects(*array.drawargs())

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
