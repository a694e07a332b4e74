"""The "?" beside a label: its help on hover, and at once on click."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QToolTip, QWidget

from gui.theme import theme_switch


class HelpButton(QAbstractButton):
    """Not a tab stop: the control that it explains carries the same help as its accessible description."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.WhatsThisCursor)
        self.setFixedSize(self.sizeHint())
        self.clicked.connect(self._show)

    def set_help(self, text: str) -> None:
        self.setToolTip(wrapped(text))
        self.setAccessibleName("?")
        self.setAccessibleDescription(text)
        self.setVisible(bool(text))

    def _show(self) -> None:
        QToolTip.showText(self.mapToGlobal(QPoint(0, self.height() + 2)), self.toolTip(), self)

    def sizeHint(self) -> QSize:
        return QSize(15, 15)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_switch.current
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor(theme.accent if self.underMouse() else theme.muted)
        colour.setAlphaF(1.0 if self.underMouse() else 0.75)
        painter.setPen(colour)
        painter.drawEllipse(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        font = QFont(self.font())
        font.setPixelSize(10)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "?")
        painter.end()

    def enterEvent(self, event: object) -> None:
        self.update()

    def leaveEvent(self, event: object) -> None:
        self.update()


def wrapped(text: str) -> str:
    """A tooltip that wraps: Qt wraps rich text only, and sizes it itself."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>")
    return f"<qt><div style='max-width:340px'>{escaped}</div></qt>" if text else ""
