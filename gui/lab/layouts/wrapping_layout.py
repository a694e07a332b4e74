"""What layouts that wrap have in common: a list of items, and a height that follows from the width."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem

if TYPE_CHECKING:
    from collections.abc import Iterator


class WrappingLayout(QLayout):
    """Subclasses arrange; see ``arrange``.

    Give it to a widget of its own, by ``setLayout``. With ``addLayout`` PySide would hang the items on the
    layout around this one, and take them away with it while this one is still asked for its height. Qt owns
    the items and deletes one right after ``takeAt``; Python is not told, so that none may be kept from then.
    """

    def __init__(self) -> None:
        super().__init__()
        self._items: list[QLayoutItem] = []
        self._heights: dict[int, int] = {}  # by width, until an item changes: Qt asks twenty times a pass

    def arrange(self, rect: QRect, place: bool) -> int:
        """The height in px that the items need in this width; with ``place`` they are put there too."""
        raise NotImplementedError

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)
        self.invalidate()

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        if not 0 <= index < len(self._items):
            return None
        item = self._items.pop(index)
        self.invalidate()  # what was measured names the item
        return item

    @contextmanager
    def arranged_once(self) -> Iterator[None]:
        """Widgets are shown, hidden and filled in here, and arranged together in the next turn of the event
        loop: each of them would else have all of them arranged at once."""
        self.setEnabled(False)
        try:
            yield
        finally:
            self.setEnabled(True)
            self.invalidate()

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation.Horizontal

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        if width not in self._heights:
            self._heights[width] = self.arrange(QRect(0, 0, width, 0), place=False)
        return self._heights[width]

    def invalidate(self) -> None:
        self._heights = {}
        super().invalidate()

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self.arrange(rect, place=True)
