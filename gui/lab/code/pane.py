"""One text of code with its name, what can be done with it, and what its marks say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from gui.icons import icon
from gui.lab.code.document import CodeDocument, LineMark, in_lines, mark_colour
from gui.lab.code.editor import CodeEditor
from gui.lab.code.find_bar import FindBar
from gui.lab.layouts.elided import Elided
from gui.lab.views.caption import HEIGHT as TOLD
from gui.lab.views.caption import Caption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gui.theme import Theme

HEAD, SPACING = 30, 3
# The document's margins, the frame, and a scroll bar below.
AROUND = 22
LANGUAGE_NAMES = {"python": "Python", "cpp": "C++", "llvm": "LLVM IR", "amdgcn": "AMDGCN", "text": ""}


class CodePane(QWidget):
    """``run_asked`` gives the text that the reader wants run: only where it was changed."""

    run_asked = Signal(str)

    def __init__(self, language: str, *, editable: bool) -> None:
        super().__init__()
        self.language, self.editable = language, editable
        self.document = CodeDocument(language)
        self.editor = CodeEditor(self.document)
        self.editor.set_readable_only(not editable)
        self.find_bar = FindBar(self.editor)
        self._name = Elided()
        self._language = QLabel(LANGUAGE_NAMES.get(language, language.upper()))
        self._language.setProperty("role", "muted")
        self.run_button = QPushButton()
        self.run_button.setProperty("role", "primary")
        self.run_button.clicked.connect(self._run)
        self.revert_button = QPushButton()
        self.revert_button.clicked.connect(self.revert)
        for button in (self.run_button, self.revert_button):
            button.setMaximumHeight(HEAD - 2)
        self.find_button = self._tool("search")
        self.find_button.clicked.connect(self.find_bar.open_bar)
        self.copy_button = self._tool("copy")
        self.copy_button.clicked.connect(self._copy)
        self.told = Caption()
        self.told.hide()
        self.editor.find_asked.connect(self.find_bar.open_bar)
        self.editor.submitted.connect(self._run)
        self._overtaken = False  # another text has run since the reader began to edit
        self.document.contentsChanged.connect(self._check)
        self._lay_out()
        self._check()

    def _tool(self, name: str) -> QToolButton:
        button = QToolButton()
        button.setProperty("icon_name", name)
        button.setIconSize(QSize(15, 15))
        return button

    def buttons(self) -> list[QWidget]:
        return [self.revert_button, self.run_button, self.find_button, self.copy_button]

    def _lay_out(self) -> None:
        head_row = QWidget()
        head_row.setFixedHeight(HEAD)  # with and without buttons: neighbours stand at one height
        head = QHBoxLayout(head_row)
        head.setContentsMargins(2, 0, 0, 0)
        head.setSpacing(6)
        head.addWidget(self._name, 1)
        for widget in (self._language, *self.buttons()):
            head.addWidget(widget)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(SPACING)
        body.addWidget(head_row)
        body.addWidget(self.find_bar)
        body.addWidget(self.editor, 1)
        body.addWidget(self.told)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(160)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 80)

    def show_text(self, text: str, marks: Sequence[LineMark]) -> None:
        """What came of a run. What the reader has typed and not yet run stays, and can be reverted to it."""
        self.document.set_marks(marks)
        if self.document.modified:
            self._overtaken = in_lines(text) != self.document.base
            self.document.set_base(text)
        else:
            self._replace(text)
        self.editor.refresh()
        self.tell(0)
        self._check()

    def _replace(self, text: str) -> None:
        """The cursor and what is in sight stay where they were."""
        if in_lines(text) != self.document.text:
            cursor, scrolled = self.editor.cursor_line(), self.editor.verticalScrollBar().value()
            self.document.show_base(text)
            self.editor.go_to_line(min(cursor, self.document.blockCount()))
            self.editor.verticalScrollBar().setValue(scrolled)
        self.document.set_base(text)

    def _check(self) -> None:
        changed = self.editable and self.document.modified
        if not changed and self._overtaken:
            self._overtaken = False
            self.tell(0)
        self.revert_button.setVisible(changed)
        self.run_button.setVisible(self.editable)
        self.run_button.setEnabled(changed)

    def _run(self) -> None:
        if self.editable and self.document.modified:
            self.run_asked.emit(self.document.full_text)

    def revert(self) -> None:
        """Back to what ran. Undo brings the edit back."""
        self.document.replace_all(self.document.base)
        self._check()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.document.full_text)

    def tell(self, line: int) -> None:
        """What marks say of a line (0: none), where one reads it without a pointer too."""
        marks = self.document.marks_on(line) if line else []
        theme = self.editor.theme
        says = "; ".join(mark.text for mark in marks)
        if marks:
            self.told.say(f"{line}: {says}", mark_colour(marks[0].role, theme))
        elif self._overtaken:
            kept = self.tr("Your edit is kept; the results are of another text, which Revert brings")
            self.told.say(kept, theme.warn)
        else:
            self.told.say(self._counts(), theme.muted)
        if self.told.isHidden() == self._tells:
            self.told.setVisible(self._tells)

    @property
    def _tells(self) -> bool:
        return bool(self.document.marks) or self._overtaken

    def _counts(self) -> str:
        """How many marks there are to be found."""
        names = {
            "error": self.tr("errors"),
            "warning": self.tr("warnings"),
            "good": self.tr("good"),
            "note": self.tr("notes"),
        }
        counts = Counter(mark.role for mark in self.document.marks)
        return " · ".join(f"{name}: {counts[role]}" for role, name in names.items() if counts[role])

    def fitting_height(self, most_lines: int) -> int:
        """To show all lines and errors, up to so many."""
        errors = sum(len(texts) for texts in self.document.errors().values())
        lines = min(self.document.blockCount() + errors, most_lines)
        told = TOLD + SPACING if self._tells else 0
        return round(lines * self.editor.line_height()) + HEAD + SPACING + told + AROUND

    def restyle(self, theme: Theme) -> None:
        self.editor.restyle(theme)
        self.find_bar.refresh()
        for button in (self.find_button, self.copy_button):
            button.setIcon(icon(button.property("icon_name"), theme.muted))

    def show_name(self, name: str) -> None:
        """The name, and all texts in the current language."""
        self._name.show_text(name)
        self.run_button.setText(self.tr("Run"))
        self.run_button.setToolTip(self.tr("Run what stands here (Ctrl+Return)"))
        self.revert_button.setText(self.tr("Revert"))
        self.revert_button.setToolTip(self.tr("Back to the text that ran"))
        names = {self.find_button: self.tr("Find (Ctrl+F)"), self.copy_button: self.tr("Copy")}
        for button, text in names.items():
            button.setToolTip(text)
            button.setAccessibleName(f"{text}: {name}")
        self.editor.setAccessibleName(name)
        if self.editable:
            keys = self.tr("Tab indents, Ctrl+Return runs; Escape, then Tab leaves")
            self.editor.setAccessibleDescription(keys)
        self.find_bar.refresh()
