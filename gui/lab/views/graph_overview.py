"""All of a graph in a narrow strip, with the part that is in sight: where one is, and a way elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.lab.views.block_look import mixed, owner_colour

if TYPE_CHECKING:
    from gui.lab.views.graph import GraphView

THICK = 72


class GraphOverview(QWidget):
    """Beside a graph that goes down, below one that goes ``across``; hidden where all is in sight anyway."""

    def __init__(self, view: GraphView, *, across: bool) -> None:
        super().__init__()
        self._view, self._across = view, across
        fixed, free = QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Ignored
        if across:
            self.setFixedHeight(THICK)
            self.setSizePolicy(free, fixed)
        else:
            self.setFixedWidth(THICK)
            self.setSizePolicy(fixed, free)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._picture: QPixmap | None = None
        self._key: tuple[object, ...] = ()
        self.hide()

    def sizeHint(self) -> QSize:
        return QSize(40, THICK) if self._across else QSize(THICK, 40)

    def check(self) -> None:
        canvas = self._view.canvas
        drawing = canvas.drawing
        if canvas.whole:
            return
        hidden = drawing is None or drawing.across != self._across
        if drawing is not None and not hidden:
            # It takes room itself: by what is in sight now it would come and go.
            hidden = canvas.scale <= canvas.fitting() * 1.001
        if self.isHidden() != hidden:
            self.setHidden(hidden)
        self.update()

    def _scales(self) -> tuple[float, float]:
        """Height and width have scales of their own: a graph is mostly a long ribbon."""
        drawing = self._view.canvas.drawing
        assert drawing is not None
        across = (self.width() - 8) / max(1.0, drawing.width)
        down = (self.height() - 8) / max(1.0, drawing.height)
        return min(across, 0.2), min(down, 0.2)

    def paintEvent(self, event: QPaintEvent) -> None:
        drawing, theme = self._view.canvas.drawing, self._view.theme
        if drawing is None:
            return
        painter = QPainter(self)
        ratio = painter.deviceTransform().m11()
        key = (id(drawing), theme.name, self.width(), self.height(), ratio)
        if self._picture is None or self._key != key:
            self._key, self._picture = key, self._drawn(ratio)
        painter.drawPixmap(0, 0, self._picture)
        x, y = self._scales()
        painter.translate(4, 4)
        seen = self._view.canvas.in_sight().intersected(QRectF(0, 0, drawing.width, drawing.height))
        painter.setPen(QPen(QColor(theme.accent), 1.5))
        ground = QColor(theme.accent)
        ground.setAlphaF(0.15)
        painter.setBrush(ground)
        size = (seen.width() * x, max(3.0, seen.height() * y))
        painter.drawRect(QRectF(seen.left() * x, seen.top() * y, *size))
        painter.end()

    def _drawn(self, ratio: float) -> QPixmap:
        """All groups and nodes: what is in sight changes with each frame, they do not."""
        drawing, theme = self._view.canvas.drawing, self._view.theme
        assert drawing is not None
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(mixed(theme.muted, theme.raised, 0.06))
        painter = QPainter(picture)
        x, y = self._scales()
        painter.translate(4, 4)
        for box in drawing.groups:
            if box is not None:
                area = QRectF(box.left * x, box.top * y, box.width * x, box.height * y)
                painter.fillRect(area, mixed(theme.muted, theme.raised, 0.25))
        for shown, place in zip(self._view.result["nodes"], drawing.nodes, strict=True):
            size = (max(2.0, place.width * x), max(1.5, place.height * y))
            colour = QColor(owner_colour(shown["category"], theme))
            painter.fillRect(QRectF(place.left * x, place.top * y, *size), colour)
        painter.end()
        return picture

    def refresh(self) -> None:
        """The result is another, though perhaps not its drawing."""
        self._picture = None
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._go(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event.position())

    def _go(self, position: QPointF) -> None:
        if self._view.canvas.drawing is not None:
            x, y = self._scales()
            self._view.canvas.move_to((position.x() - 4) / x, (position.y() - 4) / y)
