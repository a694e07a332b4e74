"""Physical blocks in a grid, coloured by who holds them, and the owners' block tables below."""

from __future__ import annotations

import html
from typing import Any

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
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from gui.lab.clock import Follower
from gui.lab.number_text import plain
from gui.lab.views.block_look import (
    CACHED,
    FREE,
    LEVELS,
    Look,
    Tiles,
    mixed,
    owner_colour,
    owner_style,
    paint_block,
    readable_on,
    tile_numbers,
)
from gui.lab.views.block_state import Blocks, BlockStates, TableEntries, TableStates, counts
from gui.lab.views.block_tables import BlockTables
from gui.lab.views.hover import HoverCard
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.plot import hover_card, hover_row
from gui.lab.views.view import View, csv_text, pick

LARGEST, SMALLEST = 30, 2  # side of a block, in px
STRETCHED = 44  # a few blocks may grow so far, to fill the width
TALLEST = 420  # of the grid, as long as the blocks do not get too small
GUTTER_GAP = 6
MOST_OWNERS_NAMED = 12
# Blocks are named where they are few and large.
LEAST_NAMED, MOST_NAMED = 20, 600
CAPTION = 20
# An SVG of more is too large for what shows it.
MOST_VECTORS = 2000


class BlockMapView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self.legend = Legend()
        self.grid = BlockGrid(self)
        self.tables = BlockTables(self)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 6, 0)
        body.setSpacing(6)
        for widget in (self.legend, self.grid, self.tables):
            body.addWidget(widget)
        body.addStretch(1)
        self._shown: int | None = -2
        self._table_states: TableStates | None = None

    def show_result(self, result: dict[str, Any]) -> None:
        self.states = BlockStates(result)
        tables = result.get("tables")
        self._table_states = TableStates(tables) if tables is not None else None
        self.follower.follow(str(result.get("clock") or ""))
        self._seek()
        super().show_result(result)

    def clock_moved(self) -> None:
        if self.follower.cursor != self._shown:
            self._seek()
            self.grid.update_blocks()
            self.grid.tell()
            self.tables.update()

    @property
    def most_owners(self) -> int:
        """Who have block tables at once, at most."""
        return self._table_states.most_owners if self._table_states is not None else 0

    def _seek(self) -> None:
        self._shown = self.follower.cursor
        self.blocks: Blocks = self.states.at(self._shown)
        self.entries: TableEntries | None = (
            self._table_states.at(self._shown) if self._table_states is not None else None
        )

    def redraw(self) -> None:
        self.legend.show_entries(self._entries(), self.theme)
        self.grid.refresh()
        self.tables.refresh()
        self.updateGeometry()

    def _entries(self) -> list[Entry]:
        theme, owners = self.theme, self.result["owners"]
        entries = [Entry(self.tr("free"), theme.rule, "block")]
        if (np.asarray(self.result["changes"]["owner"]) == CACHED).any():
            entries.append(Entry(self.tr("cached"), theme.muted, "hatch"))
        shared = self.result["changes"].get("shared")
        if shared is not None and (np.asarray(shared) > 1).any():
            entries.append(Entry(self.tr("shared"), theme.ink, "ring"))
        if len(owners) <= MOST_OWNERS_NAMED:
            entries += [
                Entry(pick(owner["name"]), owner_colour(place, theme), owner_style(place))
                for place, owner in enumerate(owners)
            ]
        else:
            name = self.tr("{count} owners; their colours repeat").format(count=len(owners))
            entries.append(Entry(name, owner_colour(0, theme), "block"))
        return entries

    def owner_names(self, block: int) -> list[str]:
        """Who holds a block: all whose tables have it, where there are tables."""
        owner = int(self.blocks.owner[block])
        owners = self.entries.owners_of(block) if self.entries is not None else []
        if not owners and owner >= 0:
            owners = [owner]
        return [pick(self.result["owners"][one]["name"]) for one in owners]

    def describe(self, block: int) -> list[tuple[str, str]]:
        """What the hover card says of a block."""
        owner, names = int(self.blocks.owner[block]), self.owner_names(block)
        free = {FREE: self.tr("free"), CACHED: self.tr("cached, nobody holds it")}
        lines = [(self.tr("holder"), ", ".join(names) or free.get(owner, ""))]
        if owner != FREE and self.states.tracks_tokens:
            filled = f"{int(self.blocks.filled[block])} / {self.result['block_size']}"
            lines.append((self.result.get("unit") or self.tr("tokens"), filled))
        if owner >= 0:
            lines.append((self.tr("references"), str(int(self.blocks.shared[block]))))
        return lines

    def block_title(self, block: int) -> str:
        return self.tr("block {number}").format(number=block)

    def caption(self) -> str:
        """How the blocks are used at the cursor."""
        used, cached, free, shared = counts(self.blocks)
        parts = [self.tr("{count} in use").format(count=plain(used))]
        if cached:
            parts.append(self.tr("{count} cached").format(count=plain(cached)))
        parts.append(self.tr("{count} free").format(count=plain(free)))
        if shared:
            parts.append(self.tr("{count} shared").format(count=plain(shared)))
        if used and self.states.tracks_tokens:
            filled = int(self.blocks.filled[self.blocks.owner >= 0].sum())
            share = filled / (used * int(self.result["block_size"]))
            parts.append(self.tr("used blocks {share} full").format(share=f"{share:.0%}"))
        return " · ".join(parts)

    def to_csv(self) -> str:
        changes = self.result["changes"]
        header = [self.tr("event"), self.tr("block"), self.tr("owner"), self.tr("references")]
        owner = np.asarray(changes["owner"]).tolist()
        shared = changes.get("shared")
        filled = changes.get("filled")
        names = {FREE: "free", CACHED: "cached"}
        names |= {place: pick(one["name"]) for place, one in enumerate(self.result["owners"])}
        blank = [""] * len(owner)
        rows = zip(
            np.asarray(changes["event"]).tolist(),
            np.asarray(changes["block"]).tolist(),
            [names[one] for one in owner],
            blank if shared is None else np.asarray(shared).tolist(),
            blank if filled is None else np.asarray(filled).tolist(),
            strict=True,
        )
        return csv_text([*header, self.result.get("unit") or self.tr("tokens")], rows)


class BlockGrid(QWidget):
    """The blocks, row by row, and a caption. Arrow keys move from block to block."""

    def __init__(self, view: BlockMapView) -> None:
        super().__init__(view)
        self._view = view
        self._at: int | None = None
        self._tiles: tuple[tuple[int, int, str], Tiles] | None = None
        self._shapes: dict[int, tuple[int, int]] = {}
        self._gutter = 0
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
        metrics = QFontMetricsF(self._font(10))
        # Room for the number of each row's first block.
        self._gutter = round(metrics.horizontalAdvance(str(max(0, self._count - 1)))) + GUTTER_GAP
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
        for side in range(LARGEST, SMALLEST, -1):
            columns = _round_columns(room // side)
            if -(-self._count // columns) * side <= TALLEST:
                return columns, max(side, min(STRETCHED, room // columns)) if side == LARGEST else side
        return _round_columns(room // SMALLEST), SMALLEST

    def _font(self, size: int) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(size)
        return font

    def box(self, block: int) -> QRectF:
        columns, side = self._shape(self.width())
        return QRectF(self._gutter + block % columns * side, block // columns * side, side, side)

    def block_at(self, position: QPointF) -> int | None:
        columns, side = self._shape(self.width())
        column, row = (position.x() - self._gutter) // side, position.y() // side
        block = int(row * columns + column)
        return block if 0 <= column < columns and 0 <= row and block < self._count else None

    def update_blocks(self) -> None:
        """All but the numbers of the rows."""
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
            self._paint_row_numbers(painter, columns, side)
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

    def _paint_row_numbers(self, painter: QPainter, columns: int, side: int) -> None:
        painter.setFont(self._font(10))
        painter.setPen(QColor(self._view.theme.muted))
        every = -(-14 // side)
        right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for row in range(0, -(-self._count // columns), every):
            height = max(side, 12)
            box = QRectF(0, row * side + side / 2 - height / 2, self._gutter - GUTTER_GAP + 1, height)
            painter.drawText(box.translated(0, max(0.0, -box.top())), right, str(row * columns))

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
