"""The tensors of a tiles result, drawn; pointed at with the mouse or the keyboard."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPaintEngine,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from gui.lab.views.block_look import readable_on
from gui.lab.views.hover import HoverCard
from gui.lab.views.plot import hover_card, hover_row
from gui.lab.views.tile_layout import Place, Placed, elements_a_cell, laid_out
from gui.lab.views.tile_picture import Picture, colour_table
from gui.lab.views.view import pick

if TYPE_CHECKING:
    from gui.lab.views.tiles import TilesView

LEAST_LINED = 6.0  # px a cell from which cells are told apart by lines
LEAST_VALUED = (30.0, 14.0)  # and from which their values are printed
# An SVG of more rectangles is too large for what shows it.
MOST_VECTORS = 4000


class Element(NamedTuple):
    """Rows and columns may lie outside the tensor."""

    tensor: int
    row: int
    column: int


class TileCanvas(QWidget):
    """Arrow keys move from cell to cell, and over the edge of a tensor to its neighbour."""

    zoomed = Signal(int)

    def __init__(self, view: TilesView) -> None:
        super().__init__()
        self._view = view
        self.placed = Placed([], 0, 0, 1)
        self.at: Element | None = None
        self._pictures: list[Picture] | None = None  # made when they are needed
        self._table: Any = None
        self._card = HoverCard(self)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def place(self, width: float, scale: float) -> None:
        """Lay the tensors out for a width; the widget then has the size that they need."""
        self.placed = laid_out(self._view.sized(), width, scale)
        size = QSize(round(max(width, self.placed.width)), round(self.placed.height))
        if size != self.size():
            self.setFixedSize(size)
        self.refresh()

    def refresh(self) -> None:
        """The result, the theme or the language is another."""
        self._card.restyle(self._view.theme)
        colours = [self._view.colour(place) for place in range(len(self._view.result["categories"]))]
        self._table = colour_table(colours, self._view.theme)
        if self.at is not None and self.at.tensor >= len(self._view.touches):
            self.at = None
        self.setAccessibleName(self.tr("Tensors; arrow keys move, Space plays"))
        self.move_clock()

    def move_clock(self) -> None:
        self._pictures = None
        self.tell()
        self.update()

    @property
    def pictures(self) -> list[Picture]:
        """How the tensors stand at the cursor."""
        if self._pictures is None:
            cursor = self._view.follower.cursor
            self._pictures = [
                Picture(one.cells(elements_a_cell(place.y), elements_a_cell(place.x)), cursor, self._table)
                for one, place in zip(self._view.touches, self.placed.places, strict=True)
            ]
        return self._pictures

    # Drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = QRectF(event.rect())
        for tensor, place in enumerate(self.placed.places):
            if place.grid.united(place.name).intersects(area):
                self._paint_tensor(painter, tensor, place, area)
        if self.at is not None:
            painter.setPen(QPen(QColor(self._view.theme.ink), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.box(self.at).adjusted(-1, -1, 0, 0))
        painter.end()

    def _paint_tensor(self, painter: QPainter, tensor: int, place: Place, area: QRectF) -> None:
        picture, theme = self.pictures[tensor], self._view.theme
        self._paint_name(painter, tensor, place)
        self._paint_cells(painter, picture, place)
        cell = self._cell(picture, place)
        if min(cell.width(), cell.height()) >= LEAST_LINED:
            self._paint_lines(painter, picture, place, area)
        inside = self.inside(tensor)
        if inside != place.grid:
            self._hatch_outside(painter, place.grid, inside)
        painter.setPen(QPen(QColor(theme.muted), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(inside.adjusted(-0.5, -0.5, 0.5, 0.5))
        if self._view.result["tensors"][tensor].get("values") is not None:
            self._paint_values(painter, tensor, place, area)

    def _name_fonts(self) -> tuple[QFont, QFont]:
        """Of a tensor's name and of its shape."""
        bold = self._font(12)
        bold.setWeight(QFont.Weight.DemiBold)
        return bold, self._font(11)

    def name_width(self, tensor: dict[str, Any]) -> float:
        bold, plain_font = (QFontMetricsF(font) for font in self._name_fonts())
        return bold.horizontalAdvance(pick(tensor["name"])) + 8 + plain_font.horizontalAdvance(_shape(tensor))

    def _paint_name(self, painter: QPainter, tensor: int, place: Place) -> None:
        theme, shown = self._view.theme, self._view.result["tensors"][tensor]
        bold, plain_font = self._name_fonts()
        metrics = QFontMetricsF(bold)
        shape = _shape(shown)
        room = place.name.width() - QFontMetricsF(plain_font).horizontalAdvance(shape) - 6
        name = metrics.elidedText(pick(shown["name"]), Qt.TextElideMode.ElideRight, max(20.0, room))
        middle = int(Qt.AlignmentFlag.AlignVCenter)
        painter.setFont(bold)
        painter.setPen(QColor(theme.ink))
        painter.drawText(place.name, middle, name)
        painter.setFont(plain_font)
        painter.setPen(QColor(theme.muted))
        painter.drawText(place.name.adjusted(metrics.horizontalAdvance(name) + 6, 0, 99, 0), middle, shape)

    def _paint_cells(self, painter: QPainter, picture: Picture, place: Place) -> None:
        cells = picture.cells
        cell = self._cell(picture, place)
        # The last cells may stand for fewer elements: what is beyond the tensor is cut.
        target = QRectF(place.grid.topLeft(), cell * 1)
        target.setSize(QRectF(0, 0, cell.width() * cells.columns, cell.height() * cells.rows).size())
        engine = painter.paintEngine()
        painter.save()
        painter.setClipRect(place.grid)
        if engine is not None and engine.type() == QPaintEngine.Type.SVG:
            self._paint_vectors(painter, picture, target)
        else:
            painter.drawImage(target, picture.image)
        painter.restore()

    def _paint_vectors(self, painter: QPainter, picture: Picture, target: QRectF) -> None:
        """Viewers of SVG blur an image that is drawn larger than it is."""
        rows, columns = picture.cells.rows, picture.cells.columns
        if rows * columns > MOST_VECTORS:
            size = (target.size() * 2).toSize()
            painter.drawImage(target, picture.image.scaled(size))
            return
        width, height = target.width() / columns, target.height() / rows
        for row in range(rows):
            for column in range(columns):
                box = QRectF(target.left() + column * width, target.top() + row * height, width, height)
                painter.fillRect(box, picture.colour(row, column))

    def _cell(self, picture: Picture, place: Place) -> QSize | Any:
        """A cell's size in px."""
        return QRectF(0, 0, picture.cells.across * place.x, picture.cells.down * place.y).size()

    def _paint_lines(self, painter: QPainter, picture: Picture, place: Place, area: QRectF) -> None:
        cell, grid = self._cell(picture, place), place.grid
        seen = grid.intersected(area)
        painter.setPen(QPen(QColor(self._view.theme.raised), 1))
        for x in np.arange(grid.left() + cell.width(), grid.right() - 1, cell.width()):
            painter.drawLine(QPointF(x - 0.5, seen.top()), QPointF(x - 0.5, seen.bottom()))
        for y in np.arange(grid.top() + cell.height(), grid.bottom() - 1, cell.height()):
            painter.drawLine(QPointF(seen.left(), y - 0.5), QPointF(seen.right(), y - 0.5))

    def _hatch_outside(self, painter: QPainter, grid: QRectF, inside: QRectF) -> None:
        colour = QColor(self._view.theme.muted)
        colour.setAlphaF(0.55)
        brush = QBrush(colour, Qt.BrushStyle.BDiagPattern)
        for strip in (
            QRectF(grid.left(), grid.top(), grid.width(), inside.top() - grid.top()),
            QRectF(grid.left(), inside.bottom(), grid.width(), grid.bottom() - inside.bottom()),
            QRectF(grid.left(), inside.top(), inside.left() - grid.left(), inside.height()),
            QRectF(inside.right(), inside.top(), grid.right() - inside.right(), inside.height()),
        ):
            painter.fillRect(strip, brush)

    def _paint_values(self, painter: QPainter, tensor: int, place: Place, area: QRectF) -> None:
        if place.x < LEAST_VALUED[0] or place.y < LEAST_VALUED[1]:
            return
        values, margins = self._view.result["tensors"][tensor]["values"], self._view.touches[tensor].margins
        picture = self.pictures[tensor]
        painter.setFont(self._font(10))
        first, last = self._element_in(tensor, area.topLeft()), self._element_in(tensor, area.bottomRight())
        for row in range(max(0, first.row), min(len(values), last.row + 1)):
            for column in range(max(0, first.column), min(len(values[0]), last.column + 1)):
                painter.setPen(readable_on(picture.colour(row + margins.top, column + margins.left)))
                box = self.box(Element(tensor, row, column))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, short(float(values[row][column])))

    def _font(self, size: int) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(size)
        return font

    # Places

    def inside(self, tensor: int) -> QRectF:
        """The tensor's own elements, without the margins."""
        place, margins = self.placed.places[tensor], self._view.touches[tensor].margins
        return place.grid.adjusted(
            margins.left * place.x,
            margins.top * place.y,
            -margins.right * place.x,
            -margins.bottom * place.y,
        )

    def box(self, element: Element) -> QRectF:
        """Where an element is drawn: the cell in which it lies."""
        place, margins = self.placed.places[element.tensor], self._view.touches[element.tensor].margins
        down, across = self.step(element.tensor)
        row = (element.row + margins.top) // down * down
        column = (element.column + margins.left) // across * across
        left, top = place.grid.left() + column * place.x, place.grid.top() + row * place.y
        return QRectF(left, top, across * place.x, down * place.y)

    def step(self, tensor: int) -> tuple[int, int]:
        """Rows and columns of a cell."""
        cells = self.pictures[tensor].cells
        return cells.down, cells.across

    def element_at(self, position: QPointF) -> Element | None:
        for tensor, place in enumerate(self.placed.places):
            if place.grid.contains(position):
                return self._element_in(tensor, position)
        return None

    def _element_in(self, tensor: int, position: QPointF) -> Element:
        place, touches = self.placed.places[tensor], self._view.touches[tensor]
        row = int((position.y() - place.grid.top()) // place.y)
        column = int((position.x() - place.grid.left()) // place.x)
        row, column = max(0, min(row, touches.height - 1)), max(0, min(column, touches.width - 1))
        return Element(tensor, row - touches.margins.top, column - touches.margins.left)

    # Pointer and keys

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.point(self.element_at(event.position()))

    def leaveEvent(self, event: Any) -> None:
        if not self.hasFocus():
            self.point(None)

    def focusOutEvent(self, event: Any) -> None:
        self.point(None)
        super().focusOutEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(1 if event.angleDelta().y() > 0 else -1)
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, clock = event.key(), self._view.follower.clock
        steps = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }
        step = steps.get(Qt.Key(key))
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and key in ZOOM_KEYS:
            self.zoomed.emit(ZOOM_KEYS[Qt.Key(key)])
        elif step is not None and self._view.touches:
            self._move(*step)
        elif key == Qt.Key.Key_Escape and self.at is not None:
            self.point(None)
        elif clock is None or not clock.player.take_key(event):
            super().keyPressEvent(event)

    def _move(self, down: int, across: int) -> None:
        if self.at is None:
            self.point(Element(0, 0, 0))
            return
        tensor, row, column = self.at
        cell_rows, cell_columns = self.step(tensor)
        touches = self._view.touches[tensor]
        row, column = row + down * cell_rows, column + across * cell_columns
        margins = touches.margins
        if not -margins.left <= column < touches.columns + margins.right:
            beside = tensor + across
            if 0 <= beside < len(self._view.touches):
                other = self._view.touches[beside]
                edge = 0 if across > 0 else other.columns - 1
                self.point(Element(beside, min(row, other.rows - 1), edge))
        elif -margins.top <= row < touches.rows + margins.bottom:
            self.point(Element(tensor, row, column))

    def point(self, element: Element | None) -> None:
        if element != self.at:
            self.at = element
            self.tell()
            self.update()

    def tell(self) -> None:
        """The card of the element pointed at, and the same for a screen reader."""
        if self.at is None:
            self._card.hide()
            self.setAccessibleDescription("")
            return
        view, box = self._view, self.box(self.at)
        if self.hasFocus():
            view.area.ensureVisible(round(box.center().x()), round(box.center().y()), 40, 40)
        title, lines = view.element_title(self.at), view.describe(self.at)
        told = ", ".join(f"{name} {value}" for name, value, _ in lines)
        self.setAccessibleDescription(f"{title}: {told}")
        rows = [hover_row(colour, html.escape(name), html.escape(value)) for name, value, colour in lines]
        self._card.show_at(box.center(), hover_card(html.escape(title), rows, view.theme.muted))


def _shape(tensor: dict[str, Any]) -> str:
    return f"{tensor['rows']} × {tensor['columns']}"


ZOOM_KEYS = {Qt.Key.Key_Plus: 1, Qt.Key.Key_Equal: 1, Qt.Key.Key_Minus: -1, Qt.Key.Key_0: 0}


def short(value: float) -> str:
    """In at most six characters."""
    texts = (re.sub(r"e(-?)\+?0*", r"e\1", f"{value:.{digits}g}") for digits in (3, 2, 1))
    return next((text for text in texts if len(text) <= 6), "…")
