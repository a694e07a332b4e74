"""The blocks of a map as a grid of as many columns as fit, with a caption that counts them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPaintEngine,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.lab.views.block_look import (
    LEVELS,
    Look,
    Tiles,
    mixed,
    owner_colour,
    paint_block,
    readable_on,
    tile_numbers,
)
from gui.lab.views.hover import HoverCard
from gui.lab.views.plot import hover_card, hover_row
from gui.lab.views.view import pick

if TYPE_CHECKING:
    from gui.lab.views.block_map import BlockMapView

LARGEST, SMALLEST = 30, 2  # side of a block, in px
STRETCHED = 44  # a few blocks may grow so far, to fill the width
TALLEST = 420  # of the grid, as long as the blocks do not get too small
GUTTER_GAP = 6
# Blocks are named where they are few and large.
LEAST_NAMED, MOST_NAMED = 20, 600
CAPTION = 20
# An SVG of more is too large for what shows it.
MOST_VECTORS = 2000


class BlockGrid(QWidget):
    """The blocks, row by row, and a caption. Arrow keys move from block to block."""

    def __init__(self, view: BlockMapView) -> None:
        super().__init__(view)
        self._view = view
        self._at: int | None = None
        self._tiles: tuple[tuple[int, int, str], Tiles] | None = None
        self._shapes: dict[int, tuple[int, int]] = {}
        self._gutter = 0
        self._names: list[str] = []
        self._card = HoverCard(self)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def refresh(self) -> None:
        """The result, the theme or the language is another."""
        self._card.restyle(self._view.theme)
        self._tiles, self._shapes = None, {}
        self._names = [pick(name) for name in self._view.result.get("row_names") or []]
        metrics = QFontMetricsF(self._row_font())
        # Room for each row's name, or the number of its first block.
        names = self._names or [str(max(0, self._count - 1))]
        self._gutter = round(max(metrics.horizontalAdvance(name) for name in names)) + GUTTER_GAP
        if self._at is not None and self._at >= self._count:
            self._at = None
        self.setAccessibleName(self.tr("Blocks; arrow keys move, Space plays"))
        self.tell()
        self.updateGeometry()
        self.update()

    @property
    def _count(self) -> int:
        return int(self._view.result.get("count", 0))

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        columns, side = self._shape(width)
        return -(-self._count // columns) * side + CAPTION * (1 if width >= 480 else 2)

    def sizeHint(self) -> QSize:
        width = max(320, self.width())
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 40)

    def _shape(self, width: int) -> tuple[int, int]:
        """Columns and side."""
        if width not in self._shapes:
            self._shapes[width] = self._fitting(width)
        return self._shapes[width]

    def _fitting(self, width: int) -> tuple[int, int]:
        """The largest blocks that fit."""
        room = max(40, width - self._gutter)
        if self._names:
            columns = max(1, self._count // len(self._names))
            return columns, max(SMALLEST, min(LARGEST, room // columns, TALLEST // len(self._names)))
        for side in range(LARGEST, SMALLEST, -1):
            columns = _round_columns(room // side)
            if -(-self._count // columns) * side <= TALLEST:
                return columns, max(side, min(STRETCHED, room // columns)) if side == LARGEST else side
        return _round_columns(room // SMALLEST), SMALLEST

    def _font(self, size: int) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(size)
        return font

    def _row_font(self) -> QFont:
        return self._font(11 if self._names else 10)

    def box(self, block: int) -> QRectF:
        columns, side = self._shape(self.width())
        return QRectF(self._gutter + block % columns * side, block // columns * side, side, side)

    def block_at(self, position: QPointF) -> int | None:
        columns, side = self._shape(self.width())
        column, row = (position.x() - self._gutter) // side, position.y() // side
        block = int(row * columns + column)
        return block if 0 <= column < columns and 0 <= row and block < self._count else None

    def update_blocks(self) -> None:
        """All but the heads of the rows."""
        self.update(self._gutter, 0, self.width() - self._gutter, self.height() - CAPTION)
        self.update(0, self.height() - CAPTION * 2, self.width(), CAPTION * 2)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        columns, side = self._shape(self.width())
        engine = painter.paintEngine()
        vectors = engine is not None and engine.type() == QPaintEngine.Type.SVG
        if vectors and self._count <= MOST_VECTORS:
            self._paint_as_vectors(painter)
        else:
            self._paint_tiles(painter, columns, side)
        if side >= LEAST_NAMED and self._count <= MOST_NAMED:
            self._paint_names(painter)
        if event.region().intersects(QRect(0, 0, self._gutter, self.height() - CAPTION * 2)):
            self._paint_row_heads(painter, columns, side)
        self._paint_caption(painter, -(-self._count // columns) * side)
        if self._at is not None:
            painter.setPen(QPen(QColor(self._view.theme.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.box(self._at).adjusted(-1, -1, 0, 0))
        painter.end()

    def _paint_tiles(self, painter: QPainter, columns: int, side: int) -> None:
        if not self._count:
            return
        pixels = max(1, round(side * painter.deviceTransform().m11()))
        owners, theme = len(self._view.result["owners"]), self._view.theme
        key = (pixels, owners, theme.name)
        if self._tiles is None or self._tiles[0] != key:
            self._tiles = (key, Tiles(pixels, owners, theme))
        blocks = self._view.blocks
        numbers = tile_numbers(blocks.owner, self._levels(), blocks.shared > 1)
        picture = self._tiles[1].laid_out(numbers, columns)
        rows, rest = divmod(self._count, columns)
        for top, across, down in ((0, columns, rows), (rows, rest, 1)):
            target = QRect(self._gutter, top * side, across * side, down * side)
            painter.drawImage(target, picture, QRect(0, top * pixels, across * pixels, down * pixels))

    def _levels(self) -> Any:
        """A block with a single token in it shows."""
        full = max(1, int(self._view.result["block_size"]))
        return np.clip(-(-self._view.blocks.filled * LEVELS // full), 0, LEVELS)

    def _look(self, block: int, levels: Any) -> Look:
        blocks = self._view.blocks
        return Look(int(blocks.owner[block]), int(levels[block]), bool(blocks.shared[block] > 1))

    def _paint_as_vectors(self, painter: QPainter) -> None:
        levels = self._levels()
        for block in range(self._count):
            paint_block(painter, self.box(block), self._look(block, levels), self._view.theme)

    def _paint_names(self, painter: QPainter) -> None:
        view, font = self._view, self._font(10)
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        owners = [pick(owner["name"]) for owner in view.result["owners"]]
        levels = self._levels()
        for block in np.flatnonzero(view.blocks.owner >= 0).tolist():
            owner, references = int(view.blocks.owner[block]), int(view.blocks.shared[block])
            name = f"×{references}" if references > 1 else owners[owner]
            box, width = self.box(block), metrics.horizontalAdvance(name) + 4
            if width > box.width() - 2:
                continue
            solid = levels[block] > LEVELS // 2
            ground = mixed(owner_colour(owner, view.theme), view.theme.raised, 1.0 if solid else 0.3)
            plate = QRectF(0, 0, width, metrics.height() - 2)
            plate.moveCenter(box.center())
            painter.fillRect(plate, ground)  # over a pattern, or half over a filling, nothing can be read
            painter.setPen(readable_on(ground))
            painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, name)

    def _paint_row_heads(self, painter: QPainter, columns: int, side: int) -> None:
        """Names, or numbers of the first blocks, of as many rows as there is height for."""
        painter.setFont(self._row_font())
        painter.setPen(QColor(self._view.theme.muted))
        every = -(-14 // side)
        right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for row in range(0, -(-self._count // columns), every):
            height = max(side, 12)
            box = QRectF(0, row * side + side / 2 - height / 2, self._gutter - GUTTER_GAP + 1, height)
            head = self._names[row] if self._names else str(row * columns)
            painter.drawText(box.translated(0, max(0.0, -box.top())), right, head)

    def _paint_caption(self, painter: QPainter, top: float) -> None:
        painter.setFont(self._font(12))
        painter.setPen(QColor(self._view.theme.muted))
        box = QRectF(0, top + 3, self.width(), self.height() - top - 3)
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop) | int(Qt.TextFlag.TextWordWrap)
        painter.drawText(box, flags, self._view.caption())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.point(self.block_at(event.position()))

    def leaveEvent(self, event: Any) -> None:
        if not self.hasFocus():
            self.point(None)

    def focusOutEvent(self, event: Any) -> None:
        self.point(None)
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        columns, _ = self._shape(self.width())
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -columns,
            Qt.Key.Key_Down: columns,
        }
        step = steps.get(Qt.Key(event.key()))
        clock = self._view.follower.clock
        if step is not None and self._count:
            block = 0 if self._at is None else self._at + step
            if 0 <= block < self._count:
                self.point(block)
        elif event.key() == Qt.Key.Key_Escape and self._at is not None:
            self.point(None)
        elif clock is None or not clock.player.take_key(event):
            super().keyPressEvent(event)

    def point(self, block: int | None) -> None:
        if block != self._at:
            self._at = block
            self.tell()
            self.update()

    def tell(self) -> None:
        """The card of the block pointed at, and the same for a screen reader."""
        block = self._at
        if block is None:
            self._card.hide()
            self.setAccessibleDescription("")
            return
        view, lines = self._view, self._view.describe(block)
        title = view.block_title(block)
        self.setAccessibleDescription(f"{title}: " + ", ".join(f"{name} {value}" for name, value in lines))
        owner = int(view.blocks.owner[block])
        colour = owner_colour(owner, view.theme) if owner >= 0 else view.theme.muted
        rows = [hover_row(colour, html.escape(name), html.escape(value)) for name, value in lines]
        self._card.show_at(self.box(block).center(), hover_card(title, rows, view.theme.muted))


def _round_columns(columns: int) -> int:
    """A multiple of 8 where there are many: the rows' numbers are then easy to count from."""
    return max(1, columns // 8 * 8 if columns >= 16 else columns)
