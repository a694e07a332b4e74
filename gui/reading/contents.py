"""The table of contents: a slim list beside a wide page, a menu above a narrow one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QMenu, QStyledItemDelegate, QStyleOptionViewItem, QTreeWidget, QWidget
from PySide6.QtWidgets import QTreeWidgetItem as Item

from gui.reading.row_state import is_hovered, is_selected
from gui.theme import theme_switch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtCore import QModelIndex, QPersistentModelIndex

WIDTH = 196


class Contents(QTreeWidget):
    """The headings as (level, text, anchor); ``follow`` marks the one being read."""

    chosen = Signal(str)  # anchor

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setIndentation(0)
        self.setFixedWidth(WIDTH)
        self.setObjectName("contents")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMouseTracking(True)
        self.setItemDelegate(_Delegate(self))
        self.itemClicked.connect(lambda item: self.chosen.emit(item.data(0, Qt.ItemDataRole.UserRole)))
        self.entries: tuple[tuple[int, str, str], ...] = ()

    def fill(self, entries: Sequence[tuple[int, str, str]]) -> None:
        self.entries = tuple(entries)
        self.clear()
        for level, text, anchor in self.entries:
            item = Item([text])
            item.setToolTip(0, text)
            item.setData(0, Qt.ItemDataRole.UserRole, anchor)
            item.setData(0, Qt.ItemDataRole.UserRole + 1, level)
            self.addTopLevelItem(item)

    def follow(self, index: int) -> None:
        """Mark entry ``index``; -1 for none (above the first heading)."""
        item = self.topLevelItem(index) if index >= 0 else None
        if item is None:
            self.clearSelection()
            self.setCurrentIndex(self.rootIndex())
        elif item is not self.currentItem():
            self.setCurrentItem(item)

    def fill_menu(self, menu: QMenu) -> None:
        """The same headings as a menu, for a page too narrow for the list."""
        menu.clear()
        for level, text, anchor in self.entries:
            action = menu.addAction("    " * (level - 2) + text)
            action.triggered.connect(lambda _checked=False, target=anchor: self.chosen.emit(target))

    def restyle(self) -> None:
        theme = theme_switch.current
        self.setStyleSheet(
            f"QTreeWidget#contents {{ background: {theme.paper}; border: 0; padding-top: 22px; }}"
        )


class _Delegate(QStyledItemDelegate):
    """A quiet line: muted text, the current one in the accent with a mark at its left."""

    def __init__(self, view: QTreeWidget) -> None:
        super().__init__(view)
        self._view = view

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        theme = theme_switch.current
        rect = option.rect
        level = index.data(Qt.ItemDataRole.UserRole + 1)
        current, hovered = is_selected(self._view, index), is_hovered(self._view, rect)
        painter.save()
        painter.setPen(QPen(QColor(theme.accent if current else theme.rule), 2 if current else 1))
        painter.drawLine(rect.left() + 1, rect.top(), rect.left() + 1, rect.bottom())
        painter.setPen(QColor(theme.accent if current else theme.ink if hovered else theme.muted))
        box = rect.adjusted(14 + 12 * (level - 2), 0, -10, 0)
        text = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(WIDTH, option.fontMetrics.height() + 10)
