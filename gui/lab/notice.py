"""A message above the results: an error with its traceback, a crash, a missing model, a stored run."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QGuiApplication, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
)

from gui.theme import theme_switch


class Notice(QFrame):
    """``tone`` is ``bad``, ``warn`` or ``accent``: the colour of the bar at its left."""

    acted = Signal()
    dismissed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self._tone = "accent"
        self._heading = QLabel()
        self._heading.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._heading.setWordWrap(True)
        font = self._heading.font()
        font.setBold(True)
        self._heading.setFont(font)
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self._text.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._details.setFixedHeight(180)
        self._toggle = QToolButton()
        self._toggle.setCheckable(True)
        self._toggle.setProperty("role", "link")
        self._toggle.toggled.connect(self._show_details)
        self._copy = QToolButton()
        self._copy.setProperty("role", "link")
        self._copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.plain_text()))
        self._action = QPushButton()
        self._action.clicked.connect(self.acted)
        self._close = QToolButton()
        self._close.setText("×")
        self._close.setAutoRaise(True)
        self._close.clicked.connect(self.dismiss)
        self._arrange()
        self.hide()

    def _arrange(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self._heading, 1)
        head.addWidget(self._action)
        head.addWidget(self._close)
        links = QHBoxLayout()
        links.setSpacing(12)
        links.addWidget(self._toggle)
        links.addWidget(self._copy)
        links.addStretch(1)
        body = QVBoxLayout(self)
        body.setContentsMargins(16, 8, 8, 8)
        body.setSpacing(4)
        body.addLayout(head)
        body.addWidget(self._text)
        body.addLayout(links)
        body.addWidget(self._details)

    def show_message(
        self,
        tone: str,
        heading: str,
        text: str = "",
        details: str = "",
        action: str = "",
        unfold: bool = False,
    ) -> None:
        self._tone = tone
        for label, content in ((self._heading, heading), (self._text, text)):
            label.setText(content)
            label.setVisible(bool(content))
        self._details.setPlainText(details.rstrip())
        self._toggle.setVisible(bool(details))
        self._copy.setVisible(bool(details))
        self._copy.setText(self.tr("Copy"))
        self._toggle.setChecked(bool(details) and unfold)
        self._show_details(bool(details) and unfold)
        self._action.setText(action)
        self._action.setVisible(bool(action))
        self._close.setToolTip(self.tr("Close"))
        self._close.setAccessibleName(self.tr("Close"))
        self.setAccessibleName(heading)
        self.setAccessibleDescription(text)
        self.show()
        self.update()

    def dismiss(self) -> None:
        self.hide()
        self.dismissed.emit()

    def plain_text(self) -> str:
        parts = [self._heading.text(), self._text.text(), self._details.toPlainText()]
        return "\n\n".join(part for part in parts if part)

    def _show_details(self, on: bool) -> None:
        self._details.setVisible(on)
        self._toggle.setText(("▾ " if on else "▸ ") + self.tr("Details"))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(theme_switch.current, self._tone)))
        painter.drawRoundedRect(6, 8, 3, self.height() - 16, 1.5, 1.5)
        painter.end()
