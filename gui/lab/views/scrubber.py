"""A trace from left to right: how dense its events are, those of the chosen kind marked, and the cursor that
one drags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.theme import theme_switch

if TYPE_CHECKING:
    from gui.lab.playback.clock import Clock
    from gui.theme import Theme

HEIGHT, MARGIN, BAR = 46, 7, 2


class Scrubber(QWidget):
    """Its left end is the trace's first moment; where all events share one moment, x is their number."""

    dragged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._clock: Clock | None = None
        self._chosen: Any = None
        self._theme: Theme = theme_switch.current
        self._picture: QPixmap | None = None
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(320, HEIGHT)

    def show_trace(self, clock: Clock, chosen: Any, theme: Theme) -> None:
        """``chosen``: the events to mark, None for none in particular."""
        self._clock, self._chosen, self._theme, self._picture = clock, chosen, theme, None
        self.update()

    def _positions(self) -> Any:
        """Each event's place from 0 to 1."""
        assert self._clock is not None
        times = self._clock.times
        if times[-1] > times[0]:
            return (times - times[0]) / (times[-1] - times[0])
        return np.linspace(0.0, 1.0, len(times))

    def _cursor_x(self) -> float:
        assert self._clock is not None
        times, room = self._clock.times, self.width() - 2 * MARGIN
        if times[-1] > times[0]:
            return float(MARGIN + room * (self._clock.now_s - times[0]) / (times[-1] - times[0]))
        return float(MARGIN + room * max(0, self._clock.cursor) / max(1, self._clock.last))

    def seek_to(self, x: float) -> None:
        if self._clock is None or not self._clock.running:
            return
        share = min(1.0, max(0.0, (x - MARGIN) / max(1, self.width() - 2 * MARGIN)))
        times = self._clock.times
        if share == 0.0:
            self._clock.seek(-1)
        elif times[-1] > times[0]:
            self._clock.seek_time(float(times[0] + share * (times[-1] - times[0])))
        else:
            self._clock.seek(round(share * self._clock.last))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.dragged.emit()
            self.seek_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.seek_to(event.position().x())

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    def resizeEvent(self, event: Any) -> None:
        self._picture = None
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        scale = painter.deviceTransform().m11()
        if self._clock is not None and self._clock.running:
            if self._picture is None or self._picture.devicePixelRatio() != scale:
                self._picture = self._density(scale)
            painter.drawPixmap(0, 0, self._picture)
            self._paint_cursor(painter)
        if self.hasFocus():
            painter.setPen(QPen(QColor(self._theme.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.end()

    def _density(self, scale: float) -> QPixmap:
        """Events a column, on a square-root scale: a single event shows beside a burst of thousands."""
        picture = QPixmap(self.size() * scale)
        picture.setDevicePixelRatio(scale)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        base = HEIGHT - 6
        painter.fillRect(QRectF(MARGIN, base, self.width() - 2 * MARGIN, 1), QColor(self._theme.rule))
        positions = self._positions()
        columns = max(1, (self.width() - 2 * MARGIN) // BAR)
        everything = np.bincount(np.minimum((positions * columns).astype(int), columns - 1))
        highest = max(1, int(everything.max()))
        layers = [(everything, self._theme.rule if self._chosen is not None else self._theme.muted)]
        if self._chosen is not None and len(self._chosen):
            marked = np.minimum((positions[self._chosen] * columns).astype(int), columns - 1)
            layers.append((np.bincount(marked), self._theme.accent))
        for counts, colour in layers:
            for column in np.flatnonzero(counts).tolist():
                height = max(2.0, (base - 8) * float(np.sqrt(counts[column] / highest)))
                bar = QRectF(MARGIN + column * BAR, base - height, BAR - 0.5, height)
                painter.fillRect(bar, QColor(colour))
        painter.end()
        return picture

    def _paint_cursor(self, painter: QPainter) -> None:
        x, colour = self._cursor_x(), QColor(self._theme.accent)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour, 1.5))
        painter.drawLine(QPointF(x, 6), QPointF(x, HEIGHT - 4))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([QPointF(x - 6, 0), QPointF(x + 6, 0), QPointF(x, 9)]))
