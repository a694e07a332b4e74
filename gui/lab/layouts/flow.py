"""A layout that sets widgets side by side at their own width and wraps like words."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize

from gui.lab.layouts.wrapping_layout import WrappingLayout

# Below this width items are cut, not wrapped.
LEAST = 120


class Flow(WrappingLayout):
    def __init__(self, gap: int) -> None:
        super().__init__()
        self.setContentsMargins(0, 0, 0, 0)
        self._gap = gap

    def minimumSize(self) -> QSize:
        return QSize(LEAST, 0)

    def sizeHint(self) -> QSize:
        return QSize(240, self.heightForWidth(240))

    def arrange(self, rect: QRect, place: bool) -> int:
        x, y, line = rect.x(), rect.y(), 0
        for item in self._items:
            size = item.sizeHint().boundedTo(QSize(max(1, rect.width()), 10_000))
            if x > rect.x() and x + size.width() > rect.right() + 1:
                x, y, line = rect.x(), y + line + self._gap, 0
            if place:
                item.setGeometry(QRect(QPoint(x, y), size))
            x, line = x + size.width() + self._gap, max(line, size.height())
        return y + line - rect.y()
