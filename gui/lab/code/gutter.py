"""The strip at the left of code: numbers of lines, and their marks."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QToolTip, QWidget

from gui.lab.code.document import mark_colour

if TYPE_CHECKING:
    from gui.lab.code.editor import CodeEditor

MARKS, GAP = 16, 6


class Gutter(QWidget):
    def __init__(self, editor: CodeEditor) -> None:
        super().__init__(editor)
        self._editor = editor

    def fitting_width(self) -> int:
        digits = len(str(max(99, self._editor.blockCount())))
        return MARKS + self._editor.fontMetrics().horizontalAdvance("9" * digits) + GAP

    def sizeHint(self) -> QSize:
        return QSize(self.fitting_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, editor, theme = QPainter(self), self._editor, self._editor.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(theme.code))
        painter.setFont(editor.font())
        right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        height = editor.fontMetrics().height()
        for line, top in editor.lines_in_sight():
            if not event.rect().top() - height <= top <= event.rect().bottom():
                continue
            box = QRectF(0, top, self.width() - GAP, height)
            strong = line in editor.strong_lines
            painter.setPen(QColor(theme.ink if strong else theme.muted))
            painter.drawText(box, right, str(line))
            marks = editor.code.marks_on(line)
            if marks:
                self._paint_mark(painter, QPointF(MARKS / 2 + 1, box.center().y()), marks[0].role)
        painter.end()

    def _paint_mark(self, painter: QPainter, centre: QPointF, role: str) -> None:
        """Told apart by shape as well as by colour."""
        colour, x, y = QColor(mark_colour(role, self._editor.theme)), centre.x(), centre.y()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        if role == "error":
            painter.drawEllipse(centre, 5, 5)
            painter.setPen(QPen(QColor(self._editor.theme.code), 1.6))
            painter.drawLine(QPointF(x - 2, y - 2), QPointF(x + 2, y + 2))
            painter.drawLine(QPointF(x - 2, y + 2), QPointF(x + 2, y - 2))
        elif role == "warning":
            painter.drawPolygon(
                QPolygonF([QPointF(x, y - 5), QPointF(x + 5.5, y + 4), QPointF(x - 5.5, y + 4)])
            )
        elif role == "good":
            painter.setPen(QPen(colour, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(
                QPolygonF([QPointF(x - 4, y), QPointF(x - 1, y + 3.5), QPointF(x + 4.5, y - 4)])
            )
        else:
            painter.drawRoundedRect(QRectF(x - 3, y - 3, 6, 6), 2, 2)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        line = self._editor.line_at(event.position().y())
        if self._editor.plays and line and event.button() == Qt.MouseButton.LeftButton:
            back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._editor.line_chosen.emit(line, -1 if back else 1)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            line = self._editor.line_at(event.pos().y())
            told = [mark.text for mark in self._editor.code.marks_on(line)]
            if self._editor.plays and line:
                told.append(self.tr("Click or F8: to the next time that the trace is here; with Shift back"))
            text = "<br>".join(html.escape(one) for one in told)
            QToolTip.showText(event.globalPos(), text, self, QRect(0, event.pos().y() - 8, self.width(), 16))
            return True
        return super().event(event)
