"""Finding text within one pane of code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor, QKeyEvent, QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QTextEdit, QToolButton, QWidget

from gui.icons import icon

if TYPE_CHECKING:
    from collections.abc import Callable

    from gui.lab.code.editor import CodeEditor

# So many hits are painted; all are counted and reached.
MOST_MARKED = 500


class FindBar(QWidget):
    """Hidden until asked for. Return and Shift+Return go from hit to hit, Escape goes back to the code."""

    def __init__(self, editor: CodeEditor) -> None:
        super().__init__()
        self._editor = editor
        self._hits: list[tuple[int, int]] = []  # position and length, in UTF-16 units
        self.line = QLineEdit()
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(lambda _: self._search())
        self.line.installEventFilter(self)
        self.count = QLabel()
        self.count.setProperty("role", "muted")
        self._previous = self._button("up", lambda: self.step(-1))
        self._next = self._button("down", lambda: self.step(+1))
        self._close = self._button("close", self.close_bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.setSpacing(2)
        row.addWidget(self.line, 1)
        for widget in (self.count, self._previous, self._next, self._close):
            row.addWidget(widget)
        self.hide()

    def _button(self, name: str, slot: Callable[[], None]) -> QToolButton:
        button = QToolButton()
        button.setProperty("icon_name", name)
        button.clicked.connect(slot)
        return button

    def refresh(self) -> None:
        """Theme or language is another."""
        names = {
            self._previous: self.tr("Previous hit (Shift+Return)"),
            self._next: self.tr("Next hit (Return)"),
            self._close: self.tr("Close (Escape)"),
        }
        for button, name in names.items():
            button.setIcon(icon(button.property("icon_name"), self._editor.theme.ink))
            button.setToolTip(name)
            button.setAccessibleName(name)
        self.line.setPlaceholderText(self.tr("Find in this code"))
        self.line.setAccessibleName(self.line.placeholderText())

    def open_bar(self) -> None:
        """With what is selected, if it is within a line."""
        selected = self._editor.textCursor().selectedText()
        self.show()
        if selected and "\u2029" not in selected:
            self.line.setText(selected)
        self.line.selectAll()
        self.line.setFocus()
        self._search()

    def close_bar(self) -> None:
        self.hide()
        self._hits = []
        self._editor.setExtraSelections([])
        self._editor.setFocus()

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.close_bar()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.step(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else +1)
                return True
        return False

    def _search(self) -> None:
        """All hits, whatever their case; the first from the cursor on is shown."""
        wanted, text = self.line.text(), self._editor.code.text
        self._hits = []
        if wanted:
            wide = 0 if text.isascii() else 1  # Qt counts UTF-16 units
            for found in re.finditer(re.escape(wanted), text, re.IGNORECASE):
                before = text[: found.start()] if wide else ""
                start = len(before.encode("utf-16-le")) // 2 if wide else found.start()
                self._hits.append((start, len(found.group().encode("utf-16-le")) // 2))
        self._mark()
        self._show(self._from_cursor())

    def _from_cursor(self) -> int:
        at = self._editor.textCursor().selectionStart()
        return next((place for place, (start, _) in enumerate(self._hits) if start >= at), 0)

    def step(self, by: int) -> None:
        """To the next hit or the previous one, round the end."""
        if self._hits:
            at = self._editor.textCursor().selectionStart()
            here = next((i for i, (start, _) in enumerate(self._hits) if start == at), None)
            place = self._from_cursor() - (by < 0) if here is None else here + by
            self._show(place % len(self._hits))

    def _show(self, place: int) -> None:
        if not self._hits:
            self.count.setText(self.tr("none") if self.line.text() else "")
            return
        self.count.setText(f"{place + 1} / {len(self._hits)}")
        start, length = self._hits[place]
        cursor = QTextCursor(self._editor.code)
        cursor.setPosition(start)
        cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
        self._editor.setTextCursor(cursor)
        self._editor.bring_into_sight([cursor.blockNumber() + 1])

    def _mark(self) -> None:
        marked = []
        for start, length in self._hits[:MOST_MARKED]:
            one = QTextEdit.ExtraSelection()
            cursor = QTextCursor(self._editor.code)
            cursor.setPosition(start)
            cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
            one.cursor = cursor
            one.format.setBackground(QColor(self._editor.theme.mark))
            marked.append(one)
        self._editor.setExtraSelections(marked)
