"""A few exclusive choices side by side: radio buttons drawn as one segmented control.

Where one row is too narrow for them they stand in several, all of a width.
"""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QRadioButton, QSizePolicy, QWidget

from gui.theme import theme_switch

PADDING = 10
FRAME = 1


class Segment(QRadioButton):
    """A radio button in behaviour and for assistive technology; only the picture differs."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self.text()) + 2 * PADDING, max(28, metrics.height() + 8))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def hitButton(self, pos: object) -> bool:
        return True

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_switch.current
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        if self.isChecked():
            painter.setPen(QPen(QColor(theme.accent), 1))
            painter.setBrush(QColor(theme.selection))
            painter.drawRoundedRect(rect, 5, 5)
        elif self.underMouse() and self.isEnabled():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.hover))
            painter.drawRoundedRect(rect, 5, 5)
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect, 5, 5)
        painter.setPen(QColor(theme.ink if self.isEnabled() and self.isChecked() else theme.muted))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())
        painter.end()


class Segmented(QWidget):
    """One choice among a few. Arrow keys move, as in any group of radio buttons."""

    chosen = Signal()

    def __init__(self, choices: list[Any]) -> None:
        super().__init__()
        self._choices = choices
        self._group = QButtonGroup(self)
        self._segments = [Segment(self) for _ in choices]
        for index, segment in enumerate(self._segments):
            self._group.addButton(segment, index)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setFocusProxy(self._segments[0])
        self._group.idToggled.connect(self._on_toggled)

    def _on_toggled(self, index: int, on: bool) -> None:
        if on:
            self.setFocusProxy(self._segments[index])
            self.chosen.emit()

    def set_labels(self, labels: list[str], help_text: str) -> None:
        for segment, label in zip(self._segments, labels, strict=True):
            segment.setText(label)
            segment.setAccessibleDescription(help_text)
        self.updateGeometry()
        self._arrange()

    def sizeHint(self) -> QSize:
        """Of one row, which a form makes room for where it can."""
        hints = [segment.sizeHint() for segment in self._segments]
        width, height = sum(hint.width() for hint in hints), max(hint.height() for hint in hints)
        return QSize(width + 2 * FRAME, height + 2 * FRAME)

    def minimumSizeHint(self) -> QSize:
        hint = self.sizeHint()
        return QSize(self._widest() + 2 * FRAME, hint.height())

    def _widest(self) -> int:
        return max(segment.sizeHint().width() for segment in self._segments)

    def heightForWidth(self, width: int) -> int:
        row = self.sizeHint().height() - 2 * FRAME
        return row * math.ceil(len(self._segments) / self._columns(width)) + 2 * FRAME

    def _columns(self, width: int) -> int:
        """All of them where their own widths fit, else as many as do with all as wide as the widest."""
        if width >= self.sizeHint().width():
            return len(self._segments)
        fit = max(1, (width - 2 * FRAME) // self._widest())
        rows = math.ceil(len(self._segments) / fit)
        return math.ceil(len(self._segments) / rows)

    def _arrange(self) -> None:
        columns, inner = self._columns(self.width()), self.width() - 2 * FRAME
        own = [segment.sizeHint().width() for segment in self._segments]
        height = self.sizeHint().height() - 2 * FRAME
        one_row = columns == len(self._segments) and sum(own) <= inner
        spare = (inner - sum(own)) / columns  # one row: each as wide as its word, and a share of what is left
        widths = [width + spare if one_row else inner / columns for width in own]
        for index, segment in enumerate(self._segments):
            row = index // columns
            left = sum(widths[row * columns : index])
            x, right = round(left), round(left + widths[index])
            segment.setGeometry(QRect(FRAME + x, FRAME + row * height, right - x, height))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def choice(self) -> Any:
        index = self._group.checkedId()
        return self._choices[index] if index >= 0 else None

    def set_choice(self, value: Any) -> None:
        if value in self._choices:
            blocked = self.blockSignals(True)
            self._segments[self._choices.index(value)].setChecked(True)
            self.blockSignals(blocked)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_switch.current
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(theme.rule), 1))
        painter.setBrush(QColor(theme.chrome))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6.5, 6.5)
        painter.end()
