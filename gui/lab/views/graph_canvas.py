"""A graph on the screen: dragged, zoomed, pointed at, walked through with the keyboard."""

from __future__ import annotations

import html
import math
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.lab.views.block_look import owner_colour
from gui.lab.views.graph_layout import Box
from gui.lab.views.graph_look import GraphLook
from gui.lab.views.hover import HoverCard
from gui.lab.views.plot import hover_card, hover_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.lab.views.graph import GraphView
    from gui.lab.views.graph_layout import Drawing

SHORTEST, TALLEST = 140, 520
MARGIN = 10.0
ZOOM, LARGEST = 1.25, 3.0
# Below this scale names cannot be read: a graph that does not fit is begun at its top instead.
LEGIBLE = 0.55


class GraphCanvas(QWidget):
    """Arrow keys: along the layers to what needs a node and to what it needs, else within its layer."""

    moved = Signal()  # another part is in sight

    def __init__(self, view: GraphView) -> None:
        super().__init__()
        self._view = view
        self.drawings: list[Drawing] = []  # of one graph, of which the one that fits best is shown
        self.drawing: Drawing | None = None
        self._look: GraphLook | None = None
        self.scale = 1.0
        self.offset = QPointF()
        self.at: int | None = None
        self.whole = False  # for an export: names are drawn however small
        self._touched = False  # the reader has chosen what is in sight
        self._dragged: QPointF | None = None
        self._card = HoverCard(self)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_drawings(self, drawings: list[Drawing], *, same: bool) -> None:
        """``same``: it is the graph that was on show, and what the reader chose stays in sight. None: it is
        still being laid out."""
        self.drawings, self.drawing = drawings, self._best(drawings, self.width())
        if not same:
            self.at, self._touched = None, False
        self._card.restyle(self._view.theme)
        self.setAccessibleName(self.tr("Graph; arrow keys go from node to node, Ctrl with + and − zooms"))
        if not self._touched:
            self.begin()
        self.tell()
        self.updateGeometry()
        self.update()

    # Size

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        drawing = self._best(self.drawings, width)
        if drawing is None:
            return SHORTEST
        scale = max(LEGIBLE, scale_in(drawing, width, TALLEST))
        return math.ceil(max(SHORTEST, min(TALLEST, drawing.height * scale + 2 * MARGIN)))

    def _best(self, drawings: list[Drawing], width: float) -> Drawing | None:
        return max(drawings, key=lambda one: scale_in(one, width, TALLEST), default=None)

    def sizeHint(self) -> QSize:
        return QSize(380, self.heightForWidth(380))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 100)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self._touched:
            self.drawing = self._best(self.drawings, self.width())
            self.begin()
        self.moved.emit()

    # What is in sight

    def fitting(self) -> float:
        """The scale in which all is in sight, at most its own."""
        return scale_in(self.drawing, self.width(), self.height()) if self.drawing is not None else 1.0

    def begin(self) -> None:
        """All of it, or where that could not be read, its top."""
        scale = self.fitting()
        if scale < LEGIBLE and self.drawing is not None:
            width, height = self.width() - 2 * MARGIN, self.height() - 2 * MARGIN
            layers = height / self.drawing.height if self.drawing.across else width / self.drawing.width
            scale = max(LEGIBLE, min(1.0, layers))
        self._show(scale)

    def fit(self) -> None:
        """All of it."""
        self._touched = True
        self._show(self.fitting())

    def _show(self, scale: float) -> None:
        self.scale = scale
        if self.drawing is not None:
            left = (self.width() - self.drawing.width * scale) / 2
            top = (self.height() - self.drawing.height * scale) / 2
            first = self._first().center() * scale
            # Where it does not fit one begins at its first node.
            if left < 0:
                left = MARGIN if self.drawing.across else self.width() / 2 - first.x()
            if top < 0:
                top = self.height() / 2 - first.y() if self.drawing.across else MARGIN
            self.offset = QPointF(left, top)
        self.moved.emit()
        self.update()

    def _first(self) -> QRectF:
        """The box of the node from which one begins."""
        assert self.drawing is not None
        side = attrgetter("left" if self.drawing.across else "top")
        return QRectF(*min(self.drawing.nodes, key=side, default=Box(0, 0, 0, 0)))

    def zoom(self, factor: float, around: QPointF | None = None) -> None:
        centre = around or QPointF(self.width() / 2, self.height() / 2)
        scale = max(self.fitting() * 0.8, min(LARGEST, self.scale * factor))
        self.offset = centre - (centre - self.offset) * (scale / self.scale)
        self.scale, self._touched = scale, True
        self._card.hide()
        self.moved.emit()
        self.update()

    def move_to(self, x: float, y: float) -> None:
        """The middle of the widget to a place of the drawing."""
        self.offset = QPointF(self.width() / 2 - x * self.scale, self.height() / 2 - y * self.scale)
        self._touched = True
        self.moved.emit()
        self.update()

    @contextmanager
    def showing_all(self) -> Iterator[None]:
        """For a picture: all of it, with names however small, and then again what the reader chose."""
        before = (self.scale, self.offset, self._touched)
        self.whole = True
        self._show(self.fitting())
        yield
        self.whole = False
        self.scale, self.offset, self._touched = before
        self.moved.emit()

    def in_sight(self) -> QRectF:
        """The part of the drawing that is."""
        corner = -self.offset / self.scale
        return QRectF(corner.x(), corner.y(), self.width() / self.scale, self.height() / self.scale)

    def box(self, node: int) -> QRectF:
        """Where a node is on the widget."""
        assert self.drawing is not None
        box = self.drawing.nodes[node]
        left, top = box.left * self.scale + self.offset.x(), box.top * self.scale + self.offset.y()
        return QRectF(left, top, box.width * self.scale, box.height * self.scale)

    def node_at(self, position: QPointF) -> int | None:
        place = (position - self.offset) / self.scale
        for node, box in enumerate(self.drawing.nodes if self.drawing else []):
            if QRectF(*box).contains(place):
                return node
        return None

    # Drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self.drawing is None:
            painter.setPen(QColor(self._view.theme.muted))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.tr("Laying the graph out…"))
        else:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setClipRect(self.rect())
            painter.translate(self.offset)
            painter.scale(self.scale, self.scale)
            if self._look is None or self._look.drawing is not self.drawing:
                self._look = GraphLook(self._view, self.drawing)
            self._look.scale, self._look.whole, self._look.at = self.scale, self.whole, self.at
            self._look.paint(painter, self.in_sight())
        painter.end()

    # Pointer and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragged = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._dragged = None
        self.unsetCursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragged is None:
            self.point(self.node_at(event.position()))
            return
        self.offset += event.position() - self._dragged
        self._dragged, self._touched = event.position(), True
        self._card.hide()
        self.moved.emit()
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.fit() if self.scale > self.fitting() else self.zoom(1 / self.scale, event.position())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """With Ctrl; without, the page scrolls."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(ZOOM if event.angleDelta().y() > 0 else 1 / ZOOM, event.position())
        else:
            event.ignore()

    def leaveEvent(self, event: Any) -> None:
        if not self.hasFocus():
            self.point(None)

    def focusOutEvent(self, event: Any) -> None:
        self.point(None)
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, control = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if control and key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(ZOOM)
        elif control and key == Qt.Key.Key_Minus:
            self.zoom(1 / ZOOM)
        elif control and key == Qt.Key.Key_0:
            self.fit()
        elif key in ARROWS and self.drawing is not None and self.drawing.nodes:
            self._walk(ARROWS[Qt.Key(key)])
        elif key == Qt.Key.Key_Escape and self.at is not None:
            self.point(None)
        else:
            super().keyPressEvent(event)

    def _walk(self, way: str) -> None:
        assert self.drawing is not None
        if self.at is None:
            self.select(next(n for n, box in enumerate(self.drawing.nodes) if QRectF(*box) == self._first()))
            return
        found = self._view.neighbours(self.at, way, self.drawing)
        if found is not None:
            self.select(found)

    def select(self, node: int) -> None:
        """Bring a node into sight and tell what it is."""
        assert self.drawing is not None
        box = self.box(node)
        if not QRectF(self.rect()).contains(box):
            centre = QRectF(*self.drawing.nodes[node]).center()
            self.move_to(centre.x(), centre.y())
        self.point(node)

    def point(self, node: int | None) -> None:
        if node != self.at:
            self.at = node
            self.tell()
            self.update()

    def tell(self) -> None:
        """The card of the node pointed at, and the same for a screen reader."""
        if self.at is None or self.drawing is None:
            self._card.hide()
            self.setAccessibleDescription("")
            return
        title, lines = self._view.node_title(self.at), self._view.describe(self.at)
        self.setAccessibleDescription(f"{title}: " + ", ".join(f"{name} {value}" for name, value in lines))
        theme = self._view.theme
        colour = owner_colour(self._view.result["nodes"][self.at]["category"], theme)
        rows = [hover_row(colour, html.escape(name), html.escape(value)) for name, value in lines]
        box = self.box(self.at)
        place = QPointF(box.right() - 10, box.center().y())
        self._card.show_at(place, hover_card(html.escape(title), rows, theme.muted))


ARROWS = {
    Qt.Key.Key_Up: "up",
    Qt.Key.Key_Down: "down",
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
}


def scale_in(drawing: Drawing, width: float, height: float) -> float:
    """In which all of it is in sight, at most its own."""
    width, height = width - 2 * MARGIN, height - 2 * MARGIN
    return max(1e-3, min(1.0, width / max(1.0, drawing.width), height / max(1.0, drawing.height)))
