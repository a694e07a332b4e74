"""The card beside the pointer (or beside what the keyboard has reached) that tells what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QLabel, QWidget

if TYPE_CHECKING:
    from gui.theme import Theme

BESIDE = 14


class HoverCard(QLabel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._around = parent
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.hide()

    def restyle(self, theme: Theme) -> None:
        self.setStyleSheet(
            f"background: {theme.raised}; color: {theme.ink}; border: 1px solid {theme.rule};"
            "border-radius: 6px; padding: 5px 8px; font-size: 12px"
        )

    def show_at(self, position: QPointF, rich_text: str) -> None:
        """Beside ``position``, inside the parent."""
        around = self._around
        self.setText(rich_text)
        self.adjustSize()
        x = round(position.x()) + BESIDE
        if x + self.width() > around.width():
            x = round(position.x()) - BESIDE - self.width()
        y = min(round(position.y()) + BESIDE, around.height() - self.height())
        self.move(max(0, x), max(0, y))
        self.show()
        self.raise_()
