"""A parameter that is code: a few lines in the form, and the same text in a window of its own."""

from __future__ import annotations

import re
from typing import Any

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from gui.icons import icon
from gui.lab.code.document import CodeDocument, LineMark, in_lines
from gui.lab.code.editor import CodeEditor
from gui.lab.code.find_bar import FindBar
from gui.lab.form.editors import Editor
from gui.theme import Theme, theme_switch

LEAST_LINES = 4
AROUND = 14  # the document's margins and the frame, in px
# How a refusal names a line of the code.
LINE = re.compile(r"\bline (\d+)|第 ?(\d+) ?行")


class CodeField(Editor):
    """Told with Ctrl+Return: code that is half written is not worth a run. Whoever asks for the value gets
    what stands there."""

    def __init__(self, language: str, lines: int) -> None:
        super().__init__()
        self.document = CodeDocument(language)
        self.editor = CodeEditor(self.document)
        self.find_bar = FindBar(self.editor)
        self.editor.find_asked.connect(self.find_bar.open_bar)
        height = round(max(LEAST_LINES, lines) * self.editor.line_height()) + AROUND
        self.editor.setFixedHeight(height)
        self.editor.submitted.connect(self.tell)
        self._label = ""
        self._window: CodeWindow | None = None
        self.larger = QToolButton(self.editor)
        self.larger.setIconSize(QSize(14, 14))
        self.larger.clicked.connect(self.open_window)
        self.editor.installEventFilter(self)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(2)
        body.addWidget(self.find_bar)
        body.addWidget(self.editor)
        self.setFocusProxy(self.editor)
        theme_switch.changed.connect(self.restyle)
        self.restyle(theme_switch.current)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """The button stays in the corner, clear of the scroll bar."""
        if event.type() == QEvent.Type.Resize:
            bar = self.editor.verticalScrollBar()
            room = bar.width() if bar.isVisible() else 0
            self.larger.move(self.editor.width() - self.larger.sizeHint().width() - room - 6, 4)
        return False

    def tell(self) -> None:
        if self.document.modified:
            self.document.set_base(self.document.full_text)
            self.moved.emit("final")

    def value(self) -> str:
        return self.document.full_text

    def show_value(self, value: Any) -> None:
        """A later value can be undone, like an edit."""
        text, line = str(value), self.editor.cursor_line()
        if in_lines(text) != self.document.text:
            if self.document.text:
                self.document.replace_all(in_lines(text))
            else:
                self.document.show_base(text)
            self.editor.go_to_line(min(line, self.document.blockCount()))
        self.document.set_base(text)

    def show_error(self, text: str) -> None:
        found = LINE.search(text)
        marks = []
        if text and found is not None:
            self.document.set_base(self.document.full_text)
            line = min(int(found.group(1) or found.group(2)), self.document.blockCount())
            marks.append(LineMark(max(1, line), text, "error"))
            self.editor.bring_into_sight([line])
        if marks != self.document.marks:
            self.document.set_marks(marks)
            self.editor.refresh()

    def describe(self, label: str, help_text: str) -> None:
        self._label = label
        self.editor.setAccessibleName(label)
        keys = self.tr("Tab indents, Ctrl+Return runs; Escape, then Tab leaves")
        self.editor.setAccessibleDescription(f"{help_text} {keys}".strip())
        self.editor.setToolTip(keys)
        self.larger.setToolTip(self.tr("Edit in a larger window"))
        self.larger.setAccessibleName(self.larger.toolTip())
        self.find_bar.refresh()

    def open_window(self) -> None:
        if self._window is None:
            self._window = CodeWindow(self.document, self)
            self._window.submitted.connect(self.tell)
        self._window.show_title(self._label)
        self._window.show()
        self._window.raise_()

    def restyle(self, theme: Theme) -> None:
        self.editor.restyle(theme)
        self.larger.setIcon(icon("expand", theme.muted))
        self.larger.setStyleSheet(f"QToolButton {{ background: {theme.paper} }}")  # code may run below it
        self.find_bar.refresh()
        if self._window is not None:
            self._window.editor.restyle(theme)


class CodeWindow(QDialog):
    """The same document, with room: what is typed here stands there, and is undone in either."""

    submitted = Signal()

    def __init__(self, document: CodeDocument, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.editor = CodeEditor(document)
        self.find_bar = FindBar(self.editor)
        self.editor.find_asked.connect(self.find_bar.open_bar)
        self.editor.submitted.connect(self.submitted)
        self.run_button, self.close_button = QPushButton(), QPushButton()
        self.run_button.setProperty("role", "primary")
        self.run_button.clicked.connect(self.submitted)
        self.close_button.clicked.connect(self.close)
        for button in (self.run_button, self.close_button):
            button.setAutoDefault(False)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.run_button)
        body = QVBoxLayout(self)
        body.setContentsMargins(12, 12, 12, 12)
        body.addWidget(self.find_bar)
        body.addWidget(self.editor, 1)
        body.addLayout(buttons)
        self.resize(860, 640)

    def show_title(self, title: str) -> None:
        self.setWindowTitle(title)
        self.editor.setAccessibleName(title)
        self.run_button.setText(self.tr("Run"))
        self.run_button.setToolTip(self.tr("Run what stands here (Ctrl+Return)"))
        self.close_button.setText(self.tr("Close"))
        self.find_bar.refresh()
