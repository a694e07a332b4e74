"""Find in page: a bar that marks every hit as one types, counts them, and steps through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QToolButton, QWidget

from gui.icons import icon

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent

    from gui.reading.note_browser import NoteBrowser


class FindBar(QWidget):
    """Hidden until ``open``; Enter and F3 go on, with Shift back, Esc closes."""

    closed = Signal()

    def __init__(self, browser: NoteBrowser, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._browser = browser
        self.setProperty("role", "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.field = QLineEdit(self)
        self.field.setClearButtonEnabled(True)
        self.field.setMaximumWidth(320)
        self.count = QLabel(self)
        self.count.setProperty("role", "muted")
        self.previous, self.next, self.close_button = (QToolButton(self) for _ in range(3))
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 5, 10, 5)
        row.addWidget(self.field, 1)
        row.addWidget(self.previous)
        row.addWidget(self.next)
        row.addWidget(self.count)
        row.addStretch(1)
        row.addWidget(self.close_button)
        self.field.textChanged.connect(self.search)
        self.previous.clicked.connect(lambda: self.step(-1))
        self.next.clicked.connect(lambda: self.step(1))
        self.close_button.clicked.connect(self.close_bar)
        for keys, direction in (("F3", 1), ("Shift+F3", -1)):
            # Bound to this bar and its children only, so that it never competes with a command of the window.
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda step=direction: self.step(step))
        self.retranslate()
        self.restyle()
        self.hide()

    def open(self, text: str = "") -> None:
        """Show the bar, take the keyboard, and search for ``text`` or for what it held."""
        self.show()
        if text:
            self.field.setText(text)
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()
        self.search()

    def close_bar(self) -> None:
        self.hide()
        self._browser.clear_hits()
        self._browser.setFocus(Qt.FocusReason.OtherFocusReason)
        self.closed.emit()

    def search(self) -> None:
        """Mark the hits again, for a new text or a new page, and go to the first one below the top."""
        if self.isHidden():
            return
        if self._browser.find_all([self.field.text()]):
            self._browser.go_to_hit(self._first_in_view())
        self._show_count()

    def step(self, direction: int) -> None:
        self._browser.go_to_hit(self._browser.current_hit + direction)
        self._show_count()

    def retranslate(self) -> None:
        self.field.setPlaceholderText(self.tr("Find in page"))
        for button, text in (
            (self.previous, self.tr("Previous match")),
            (self.next, self.tr("Next match")),
            (self.close_button, self.tr("Close")),
        ):
            button.setToolTip(text)
            button.setAccessibleName(text)
        self._show_count()

    def restyle(self) -> None:
        for button, name in ((self.previous, "up"), (self.next, "down"), (self.close_button, "close")):
            button.setIcon(icon(name))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close_bar()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.step(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def _first_in_view(self) -> int:
        top = self._browser.cursorForPosition(self._browser.viewport().rect().topLeft()).position()
        hits = self._browser.hits
        return next((index for index, hit in enumerate(hits) if hit.selectionStart() >= top), 0)

    def _show_count(self) -> None:
        total = len(self._browser.hits)
        if not self.field.text():
            self.count.setText("")
        elif not total:
            self.count.setText(self.tr("No matches"))
        else:
            self.count.setText(f"{self._browser.current_hit + 1} / {total}")
        for button in (self.previous, self.next):
            button.setEnabled(total > 0)
