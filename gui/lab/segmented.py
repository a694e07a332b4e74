"""A few exclusive choices side by side: radio buttons drawn as one segmented control."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QRadioButton, QSizePolicy, QWidget

from gui.theme import theme_switch

PADDING = 10


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
        row = QHBoxLayout(self)
        row.setContentsMargins(1, 1, 1, 1)
        row.setSpacing(0)
        for index, segment in enumerate(self._segments):
            self._group.addButton(segment, index)
            row.addWidget(segment)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
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
            segment.updateGeometry()

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
