"""Block tables as rows: for each owner, which physical block holds its first, second, third block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.lab.views.block_look import COLOURS, LEVELS, Look, owner_colour, paint_block, readable_on
from gui.lab.views.view import pick

if TYPE_CHECKING:
    from gui.lab.views.block_map import BlockMapView

MOST_ROWS = 8
ROW, CELL = 22, 30
LEAST_NAME, MOST_NAME = 40, 140


class BlockTables(QWidget):
    """The first MOST_ROWS owners that hold blocks at the cursor."""

    def __init__(self, view: BlockMapView) -> None:
        super().__init__(view)
        self._view = view
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def refresh(self) -> None:
        """The result, the theme or the language is another."""
        self.setVisible(self._view.entries is not None)
        self.setAccessibleName(self.tr("Block tables"))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """As tall as it ever gets: what is below must not jump while a trace plays."""
        owners = self._view.most_owners
        return QSize(320, ROW * (1 + min(MOST_ROWS, owners)) + (ROW if owners > MOST_ROWS else 0))

    def minimumSizeHint(self) -> QSize:
        return QSize(200, ROW)

    def paintEvent(self, event: QPaintEvent) -> None:
        view = self._view
        if view.entries is None:
            return
        painter = QPainter(self)
        font = QFont(self.font())
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(QColor(view.theme.muted))
        heading = self.tr("Block tables: which block holds the owner's first, second, third …")
        painter.drawText(QRectF(0, 0, self.width(), ROW), _elided(painter, heading, self.width()))
        holders = np.unique(view.entries.owner).tolist()
        names = [pick(view.result["owners"][owner]["name"]) for owner in holders[:MOST_ROWS]]
        metrics = QFontMetricsF(font)
        widest = max((metrics.horizontalAdvance(name) for name in names), default=0.0)
        left = max(LEAST_NAME, min(widest, MOST_NAME)) + 8
        for row, (owner, name) in enumerate(zip(holders, names, strict=False), 1):
            painter.setFont(font)
            painter.setPen(QColor(view.theme.ink))
            box = QRectF(0, row * ROW, left - 8, ROW)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), _elided(painter, name, box.width()))
            self._paint_row(painter, owner, left, row * ROW)
        if len(holders) > MOST_ROWS:
            painter.setFont(font)
            painter.setPen(QColor(view.theme.muted))
            more = self.tr("and {count} more").format(count=len(holders) - MOST_ROWS)
            box = QRectF(0, (MOST_ROWS + 1) * ROW, self.width(), ROW)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), more)
        painter.end()

    def _paint_row(self, painter: QPainter, owner: int, left: float, top: float) -> None:
        view = self._view
        assert view.entries is not None
        mine = view.entries.block[view.entries.owner == owner].tolist()
        room = int((self.width() - left) // CELL)
        shown = mine if len(mine) <= room else mine[: max(0, room - 1)]
        font = QFont(self.font())
        font.setPixelSize(10)
        painter.setFont(font)
        for place, block in enumerate(shown):
            box = QRectF(left + place * CELL, top + 2, CELL - 1, ROW - 3)
            shared = bool(view.blocks.shared[block] > 1)
            # In the owner's plain colour: its name stands beside, and numbers on a pattern cannot be read.
            paint_block(painter, box, Look(owner % COLOURS, LEVELS, shared), view.theme)
            painter.setPen(readable_on(QColor(owner_colour(owner, view.theme))))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(block))
        if len(shown) < len(mine):
            painter.setPen(QColor(view.theme.muted))
            box = QRectF(left + len(shown) * CELL, top, CELL, ROW)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"+{len(mine) - len(shown)}")


def _elided(painter: QPainter, text: str, width: float) -> str:
    return QFontMetricsF(painter.font()).elidedText(text, Qt.TextElideMode.ElideRight, width)
