"""The lab's own file, as it runs, with highlighting."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from gui.theme import Theme, theme_switch


class SourceView(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._source = ""
        self._path = QLabel()
        self._path.setProperty("role", "muted")
        self._copy = QPushButton()
        self._copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._source))
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPixelSize(12)
        self.text.setFont(font)
        head = QHBoxLayout()
        head.addWidget(self._path, 1)
        head.addWidget(self._copy)
        body = QVBoxLayout(self)
        body.setContentsMargins(16, 10, 16, 16)
        body.addLayout(head)
        body.addWidget(self.text, 1)
        self._retranslate()

    def show_source(self, path: str, source: str) -> None:
        self._path.setText(path)
        self._source = source
        self.text.setPlainText(source)
        self.restyle(theme_switch.current)
        self.text.moveCursor(QTextCursor.MoveOperation.Start)

    def restyle(self, theme: Theme) -> None:
        """Colour the tokens. Applied as extra formats: the text itself stays plain, for copying."""
        from pygments.lexers.python import PythonLexer

        cursor = QTextCursor(self.text.document())
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.setCharFormat(QTextCharFormat())
        cursor.beginEditBlock()
        position = 0
        lexer = PythonLexer(stripnl=False, ensurenl=False)
        for token, value in lexer.get_tokens(self._source):
            form = _format(token, theme)
            length = len(value.encode("utf-16-le")) // 2  # Qt counts UTF-16 units
            if form is not None:
                cursor.setPosition(position)
                cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
                cursor.setCharFormat(form)
            position += length
        cursor.endEditBlock()

    def _retranslate(self) -> None:
        self._copy.setText(self.tr("Copy"))
        self.text.setAccessibleName(self.tr("Source of the lab"))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)


def _format(token: Any, theme: Theme) -> QTextCharFormat | None:
    from pygments.token import Comment, Keyword, Name, Number, String

    colours = [
        (Comment, theme.muted),
        (String, theme.good),
        (Number, theme.warn),
        (Keyword, theme.accent),
        (Name.Decorator, theme.simulated),
        (Name.Class, theme.simulated),
        (Name.Function, theme.simulated),
        (Name.Builtin, theme.accent),
    ]
    colour = next((colour for kind, colour in colours if token in kind), None)
    if colour is None:
        return None
    form = QTextCharFormat()
    form.setForeground(QColor(colour))
    if token in Comment:
        form.setFontItalic(True)
    if token in Keyword:
        form.setFontWeight(QFont.Weight.DemiBold)
    return form
