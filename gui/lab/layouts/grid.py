"""A layout that packs cards and form cells into as many equal columns as the width allows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QRect, QSize

from gui.lab.layouts.wrapping_layout import WrappingLayout

if TYPE_CHECKING:
    from PySide6.QtWidgets import QLayoutItem, QWidget

Shape = Literal["compact", "normal", "wide"]
Row = list[tuple["QLayoutItem", int, int]]  # each item with its x and its width


class Grid(WrappingLayout):
    """Widgets in order, row by row. A widget's ``shape`` property says how much room it wants: ``compact``
    and ``normal`` share a row with neighbours of the same shape, ``wide`` has the row to itself. A widget
    that needs more than a column spans several; in a ``uniform`` grid all columns widen instead. All widgets
    of a row get the same height."""

    def __init__(
        self,
        compact_width: int,
        normal_width: int,
        gap: int = 12,
        normal_columns: int = 2,
        uniform: bool = False,
    ) -> None:
        super().__init__()
        self._widths = {"compact": compact_width, "normal": normal_width}
        self._normal_columns = normal_columns
        self._gap = gap
        self._uniform = uniform
        self._measured: dict[int, list[tuple[Row, int]]] = {}  # rows and their heights by width

    def insert(self, index: int, widget: QWidget) -> None:
        self.addWidget(widget)
        self._items.insert(index, self._items.pop())
        self.invalidate()

    def sizeHint(self) -> QSize:
        return QSize(self._widths["compact"] * 2, self.heightForWidth(self._widths["compact"] * 2))

    def minimumSize(self) -> QSize:
        return QSize(min(self._widths.values()), 0)

    def arrange(self, rect: QRect, place: bool) -> int:
        """The height used; with ``place`` the widgets are moved too."""
        margins = self.contentsMargins()
        inner = rect.marginsRemoved(margins)
        y = inner.y()
        for row, height in self._rows_of(inner.width()):
            if place:
                for item, x, width in row:
                    item.setGeometry(QRect(inner.x() + x, y, width, height))
            y += height + self._gap
        used = y - inner.y() - self._gap if y > inner.y() else 0
        return used + margins.top() + margins.bottom()

    def invalidate(self) -> None:
        self._measured = {}
        super().invalidate()

    def _rows_of(self, width: int) -> list[tuple[Row, int]]:
        """Measured once for all passes: asking each item of dozens takes a while."""
        if width not in self._measured:
            rows = self._rows(width)
            self._measured[width] = [(row, max(_height(item, own) for item, _, own in row)) for row in rows]
        return self._measured[width]

    def _rows(self, width: int) -> list[Row]:
        rows: list[Row] = []
        for shape, block in self._blocks():
            columns = self._columns(shape, block, width)
            column = (width - (columns - 1) * self._gap) / columns
            row: Row = []
            taken = 0
            for item in block:
                needed = item.minimumSize().width()
                span = min(columns, max(1, math.ceil((needed + self._gap) / (column + self._gap) - 0.001)))
                if taken + span > columns:
                    rows.append(row)
                    row, taken = [], 0
                x = round(taken * (column + self._gap))
                right = round((taken + span) * (column + self._gap)) - self._gap
                row.append((item, x, right - x))
                taken += span
            if shape == "normal" and taken < columns:  # a lone plot uses the whole row
                item, x, _ = row[-1]
                row[-1] = (item, x, width - x)
            rows.append(row)
        return rows

    def _columns(self, shape: Shape, block: list[QLayoutItem], width: int) -> int:
        if shape == "wide":
            return 1
        least = self._widths[shape]
        if self._uniform:
            least = max(least, *(item.minimumSize().width() for item in block))
        fit = max(1, (width + self._gap) // (least + self._gap))
        count = len(block)
        if shape == "normal":
            return min(self._normal_columns, fit)
        balanced = math.ceil(count / math.ceil(count / fit))
        return max(1, balanced if count > 1 else min(2, fit))

    def _blocks(self) -> list[tuple[Shape, list[QLayoutItem]]]:
        blocks: list[tuple[Shape, list[QLayoutItem]]] = []
        for item in self._items:
            if item.isEmpty():
                continue
            widget = item.widget()
            shape: Shape = (widget.property("shape") if widget else None) or "compact"
            if shape == "wide" or not blocks or blocks[-1][0] != shape:
                blocks.append((shape, []))
            blocks[-1][1].append(item)
        return blocks


def _height(item: QLayoutItem, width: int) -> int:
    if item.hasHeightForWidth():
        return item.heightForWidth(width)
    return max(item.sizeHint().height(), item.minimumSize().height())
