"""A text of code: highlighted where it is looked at, with marks on lines, and what was changed in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QTextBlock,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextLayout,
)
from PySide6.QtWidgets import QPlainTextDocumentLayout

from gui.lab.code.highlighting import ROLES, spans, state_after
from gui.theme import theme_switch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PySide6.QtCore import QRectF

    from gui.theme import Theme

FONT_PX = 12


def code_font() -> QFont:
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setPixelSize(FONT_PX)
    return font


# What Qt would make of a text by itself: lines where there are none, and other spaces.
_SPACES = str.maketrans(dict.fromkeys("\r\u2028\u2029\ufdd0\ufdd1\xa0", " "))


def in_lines(text: str) -> str:
    """With ``\n`` alone between lines, and none after the last."""
    return text.replace("\r\n", "\n").translate(_SPACES).removesuffix("\n")


@dataclass(frozen=True)
class LineMark:
    """``role``: ``error``, ``warning``, ``good`` or ``note``. ``line`` is 1-based."""

    line: int
    text: str
    role: str


def mark_colour(role: str, theme: Theme) -> str:
    colours = {"error": theme.bad, "warning": theme.warn, "good": theme.good}
    return colours.get(role, theme.accent)


def token_colour(role: str, theme: Theme) -> str:
    colours = {
        "comment": theme.muted,
        "string": theme.good,
        "number": theme.warn,
        "keyword": theme.accent,
    }
    return colours.get(role, theme.simulated)


class RoomyLayout(QPlainTextDocumentLayout):
    """Leaves room below lines, by block number in px: for errors."""

    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self.room: dict[int, float] = {}

    def blockBoundingRect(self, block: QTextBlock) -> QRectF:
        box = super().blockBoundingRect(block)
        room = self.room.get(block.blockNumber()) if self.room else None
        return box.adjusted(0, 0, 0, room) if room else box


class CodeDocument(QTextDocument):
    """Several editors may show one. Lines are 1-based."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language = language
        self.marks: list[LineMark] = []
        self._formats = _formats(theme_switch.current)
        self._text: str | None = None  # as far as it is known
        self._base: list[str] = [""]
        self._ending = ""
        self._states: list[str] = [""]  # at the start of each line, as far as known
        self._stamp = 0  # blocks whose state is this are highlighted
        self._unchanged: tuple[int, int] | None = None
        self.roomy = RoomyLayout(self)
        self.setDocumentLayout(self.roomy)
        self.setDefaultFont(code_font())
        self.contentsChange.connect(self._on_contents_change)

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = self.toPlainText()
        return self._text

    @property
    def full_text(self) -> str:
        """With a line break at its end if the base has one."""
        return self.text + self._ending

    @property
    def base(self) -> str:
        return "\n".join(self._base)

    @property
    def modified(self) -> bool:
        return self._ends() != (len(self._base), 0) or self.blockCount() != len(self._base)

    def show_base(self, text: str) -> None:
        """Another text from outside, in place of whatever is there. The way back is forgotten."""
        self.set_base(text)
        if self.modified:
            self.setPlainText(self.base)

    def set_base(self, text: str) -> None:
        """What ``modified`` and marks refer to; the text stays."""
        self._base, self._unchanged = in_lines(text).split("\n"), None
        self._ending = "\n" if text.endswith("\n") else ""

    def replace_all(self, text: str) -> None:
        """As an edit, which can be undone."""
        cursor = QTextCursor(self)
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(text)

    def restyle(self, theme: Theme) -> None:
        self._formats = _formats(theme)
        self._stamp += 1

    # Lines of the text and of its base

    def _ends(self) -> tuple[int, int]:
        """How many lines at the beginning and at the end are as they were."""
        if self._unchanged is None:
            now, base = self.text.split("\n"), self._base
            most = min(len(now), len(base))
            head = next((i for i in range(most) if now[i] != base[i]), most)
            tail = next((i for i in range(most - head) if now[-1 - i] != base[-1 - i]), most - head)
            self._unchanged = (head, tail)
        return self._unchanged

    def base_line(self, line: int) -> int:
        """Which line of the base this is; 0 for one that was edited."""
        head, tail = self._ends()
        if line <= head:
            return line
        return line + len(self._base) - self.blockCount() if line > self.blockCount() - tail else 0

    def line_of_base(self, line: int) -> int:
        """Where a line of the base is now; 0 where it was edited."""
        head, tail = self._ends()
        if line <= head:
            return line
        return line + self.blockCount() - len(self._base) if line > len(self._base) - tail else 0

    # Marks

    def set_marks(self, marks: Iterable[LineMark]) -> None:
        self.marks = list(marks)

    def marks_on(self, line: int) -> list[LineMark]:
        """Those on a line of the text, the gravest first."""
        base = self.base_line(line)
        found = [mark for mark in self.marks if mark.line == base]
        return sorted(found, key=lambda mark: ("error", "warning", "good", "note").index(mark.role))

    def errors(self) -> dict[int, list[str]]:
        """Texts by line of the text. Errors stay in sight when their line was edited, at the line before."""
        found: dict[int, list[str]] = {}
        for mark in self.marks:
            if mark.role == "error":
                line = self.line_of_base(mark.line) or max(1, self._ends()[0])
                found.setdefault(min(line, self.blockCount()), []).append(mark.text)
        return found

    def make_room(self, room: dict[int, float]) -> None:
        """``room`` px below lines."""
        below = {line - 1: height for line, height in room.items()}
        if below != self.roomy.room:
            self.roomy.room = below
            self.roomy.requestUpdate()
            self.roomy.documentSizeChanged.emit(self.roomy.documentSize())

    # Highlighting

    def _on_contents_change(self, position: int, removed: int, added: int) -> None:
        self._text = None
        del self._states[self.findBlock(position).blockNumber() + 1 :]
        self._unchanged = None
        self._stamp += 1

    def highlight(self, block: QTextBlock) -> None:
        """Colour a block that is about to be drawn, unless it is."""
        if block.userState() == self._stamp:
            return
        block.setUserState(self._stamp)
        number = block.blockNumber()
        self._find_states(number)
        found, _ = spans(self.language, block.text(), self._states[number])
        ranges = [self._format(block.text(), *span) for span in found]
        if ranges or block.layout().formats():
            block.layout().setFormats(ranges)
            self.markContentsDirty(block.position(), block.length())

    def _find_states(self, number: int) -> None:
        block = self.findBlockByNumber(len(self._states) - 1)
        while len(self._states) <= number:
            self._states.append(state_after(self.language, block.text(), self._states[-1]))
            block = block.next()

    def _format(self, line: str, start: int, end: int, role: str) -> Any:
        piece = QTextLayout.FormatRange()
        piece.start = _utf16(line, start)
        piece.length = _utf16(line, end) - piece.start
        piece.format = self._formats[role]
        return piece


def _formats(theme: Theme) -> dict[str, QTextCharFormat]:
    """By role."""
    formats = {}
    for role in ROLES:
        formats[role] = QTextCharFormat()
        formats[role].setForeground(QColor(token_colour(role, theme)))
        formats[role].setFontItalic(role == "comment")
    return formats


def _utf16(line: str, place: int) -> int:
    """Qt counts UTF-16 units."""
    return place if line.isascii() else len(line[:place].encode("utf-16-le")) // 2
