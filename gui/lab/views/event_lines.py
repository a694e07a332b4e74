"""Where a trace's cursor stands, the event there and the few before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from gui.lab.views.trace import TraceView

LINES, LINE = 5, 20


class EventLines(QWidget):
    def __init__(self, view: TraceView) -> None:
        super().__init__(view)
        self._view = view
        self.setFixedHeight((LINES + 1) * LINE + 4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        view, cursor = self._view, self._view.clock.cursor
        painter = QPainter(self)
        plain_font, bold_font = QFont(self.font()), QFont(self.font())
        plain_font.setPixelSize(12)
        bold_font.setPixelSize(12)
        bold_font.setWeight(QFont.Weight.DemiBold)
        middle = int(Qt.AlignmentFlag.AlignVCenter)
        painter.setFont(plain_font)
        painter.setPen(QColor(view.theme.ink))
        painter.drawText(QRectF(0, 0, self.width(), LINE), middle, view.place_text())
        if cursor < 0:
            painter.setPen(QColor(view.theme.muted))
            box = QRectF(0, LINES * LINE, self.width(), LINE)
            painter.drawText(box, middle, self.tr("before the first event"))
        else:
            left = 6 + QFontMetricsF(bold_font).horizontalAdvance(view.time_text(view.clock.last))
            for number in range(max(0, cursor - LINES + 1), cursor + 1):
                painter.setFont(bold_font if number == cursor else plain_font)
                self._paint_line(painter, number, max(62.0, left))
        painter.end()

    def _paint_line(self, painter: QPainter, number: int, left: float) -> None:
        """The time ends at ``left``, the text begins after it."""
        theme, cursor = self._view.theme, self._view.clock.cursor
        box = QRectF(0, (LINES - cursor + number) * LINE, self.width(), LINE)
        if number == cursor:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection))
            painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor(theme.muted))
        right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(QRectF(0, box.top(), left, LINE), right, self._view.time_text(number))
        painter.setPen(QColor(theme.ink if number == cursor else theme.muted))
        room = QRectF(left + 10, box.top(), box.width() - left - 16, LINE)
        metrics = QFontMetricsF(painter.font())
        text = metrics.elidedText(self._view.texts.text(number), Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter), text)
