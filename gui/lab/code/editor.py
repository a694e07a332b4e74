"""Shows a ``CodeDocument``: numbered lines, highlighted groups of them, errors below theirs; reads or
edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetricsF,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlock,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QPlainTextEdit

from gui.lab.code.document import CodeDocument, code_font
from gui.lab.code.gutter import Gutter
from gui.theme import theme_switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gui.theme import Theme

INDENT = 4
ERROR_PADDING = 4
PLAYER_KEYS = (Qt.Key.Key_Space, Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus)


class CodeEditor(QPlainTextEdit):
    """``pointed`` tells the line (1-based) under the pointer or the text cursor, 0 when the pointer leaves.
    ``submitted``: Ctrl+Return, where the text was changed. In an editor Tab indents; Escape gives it back to
    the keyboard's way through the window until the next key."""

    pointed = Signal(int)
    submitted = Signal()
    find_asked = Signal()
    line_chosen = Signal(int, int)  # a line of what plays, and which way to go in it: 1 or -1

    def __init__(self, document: CodeDocument) -> None:
        super().__init__()
        self.theme: Theme = theme_switch.current
        self.code = document
        self.linked: frozenset[int] = frozenset()
        self.strong_lines: frozenset[int] = frozenset()
        self.plays = False  # a trace walks through the lines; Space and the keys of speed are its
        self._hovered = 0
        self.setDocument(document)
        self.setFont(code_font())
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setWordWrapMode(QTextOption.WrapMode.NoWrap)
        self.setTabStopDistance(INDENT * self.fontMetrics().horizontalAdvance(" "))
        self.gutter = Gutter(self)
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        self.blockCountChanged.connect(lambda _: self._fit_gutter())
        self.updateRequest.connect(self._scroll_gutter)
        self.cursorPositionChanged.connect(self._on_cursor)
        document.contentsChanged.connect(self.fit_errors)
        self._fit_gutter()
        self.restyle(self.theme)

    def set_readable_only(self, on: bool) -> None:
        """Read only, with a cursor for the keyboard all the same."""
        self.setReadOnly(on)
        if on:
            flags = (
                Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
            self.setTextInteractionFlags(flags)

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.code.restyle(theme)
        self.setStyleSheet(
            f"QPlainTextEdit {{ background: {theme.paper}; color: {theme.ink}; padding: 0;"
            f" border: 1px solid {theme.rule}; border-radius: 4px }}"
            f"QPlainTextEdit:focus {{ border-color: {theme.accent} }}"
        )
        self.refresh()

    def refresh(self) -> None:
        """Marks, lines or theme are others."""
        self.fit_errors()
        self.viewport().update()
        self.gutter.update()

    # Lines

    def lines_in_sight(self) -> Iterator[tuple[int, float]]:
        """Each line's number, and its top in the viewport."""
        for block, box in self._blocks_in_sight():
            yield block.blockNumber() + 1, box.top()

    def _blocks_in_sight(self) -> Iterator[tuple[QTextBlock, QRectF]]:
        block, bottom = self.firstVisibleBlock(), self.viewport().height()
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        while block.isValid() and top <= bottom:
            box = self.blockBoundingRect(block).translated(0, top)
            yield block, box
            top, block = box.bottom(), block.next()

    def line_at(self, y: float) -> int:
        """The line at a height of the viewport, 0 where there is none."""
        for block, box in self._blocks_in_sight():
            if box.top() <= y < box.bottom():
                return block.blockNumber() + 1
        return 0

    def cursor_line(self) -> int:
        return self.textCursor().blockNumber() + 1

    def go_to_line(self, line: int) -> None:
        """The cursor to its start, which is then in sight."""
        block = self.code.findBlockByNumber(max(0, line - 1))
        if block.isValid():
            self.setTextCursor(QTextCursor(block))
            self.bring_into_sight([line])

    def bring_into_sight(self, lines: list[int]) -> None:
        """Scrolls to the first of ``lines`` unless one of them is in sight; the cursor stays."""
        seen = [line for line, top in self.lines_in_sight() if top >= 0]
        whole = seen[:-1] or seen
        if lines and whole and not any(whole[0] <= line <= whole[-1] for line in lines):
            self.verticalScrollBar().setValue(max(0, lines[0] - 1 - len(whole) // 3))

    def show_lines(self, linked: frozenset[int], strong: frozenset[int] = frozenset()) -> None:
        """``linked`` lines get a ground of their own; ``strong`` ones (where a trace stands) a stronger."""
        changed = (linked ^ self.linked) | (strong ^ self.strong_lines)
        self.linked, self.strong_lines = linked, strong
        if not changed:
            return
        for block, box in self._blocks_in_sight():
            if block.blockNumber() + 1 in changed:
                top, height = round(box.top()), round(box.height()) + 1
                self.viewport().update(0, top, self.viewport().width(), height)
                self.gutter.update(0, top, self.gutter.width(), height)

    # Drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        area = QRectF(event.rect())
        seen = [(block, box) for block, box in self._blocks_in_sight() if _crosses(box, area)]
        for block, _ in seen:
            self.code.highlight(block)
        self._paint_grounds(seen)
        super().paintEvent(event)
        self._paint_errors(seen)

    def _paint_grounds(self, seen: list[tuple[QTextBlock, QRectF]]) -> None:
        if not self.linked and not self.strong_lines:
            return
        painter, theme = QPainter(self.viewport()), self.theme
        accent = QColor(theme.accent)
        accent.setAlphaF(0.3)
        height, width = self.line_height(), self.viewport().width()
        for block, place in seen:
            line, top = block.blockNumber() + 1, place.top()
            box = QRectF(0, top, width, height)
            if line in self.strong_lines:
                painter.fillRect(box, accent)
                painter.fillRect(QRectF(0, top, 3, height), QColor(theme.accent))
            elif line in self.linked:
                painter.fillRect(box, QColor(theme.selection))
        painter.end()

    def line_height(self) -> float:
        return QFontMetricsF(self.font()).lineSpacing()

    def fit_errors(self) -> None:
        """Room below the lines that have some."""
        height = self.line_height()
        errors = {line: _lines(texts) for line, texts in self.code.errors().items()}
        self.code.make_room({line: len(texts) * height + ERROR_PADDING for line, texts in errors.items()})

    def _paint_errors(self, seen: list[tuple[QTextBlock, QRectF]]) -> None:
        errors = self.code.errors()
        if not errors:
            return
        painter, theme, height = QPainter(self.viewport()), self.theme, self.line_height()
        ground = QColor(theme.bad)
        ground.setAlphaF(0.12)
        painter.setFont(self.font())
        for block, box in seen:
            texts = _lines(errors.get(block.blockNumber() + 1, []))
            if not texts:
                continue
            room = len(texts) * height + ERROR_PADDING
            top = box.bottom() - room
            if not block.next().isValid():
                top -= self.code.documentMargin()
            painter.fillRect(QRectF(0, top, self.viewport().width(), room - 1), ground)
            painter.setPen(QColor(theme.bad))
            for number, text in enumerate(texts):
                line = QRectF(8, top + ERROR_PADDING / 2 + number * height, 10_000, height)
                painter.drawText(line, int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.end()

    # The gutter

    def _fit_gutter(self) -> None:
        self.setViewportMargins(self.gutter.fitting_width(), 0, 0, 0)
        self._place_gutter()

    def _place_gutter(self) -> None:
        inner = self.viewport().geometry()
        width = self.gutter.fitting_width()
        self.gutter.setGeometry(QRect(inner.left() - width, inner.top(), width, inner.height()))

    def _scroll_gutter(self, area: QRect, by: int) -> None:
        if by:
            self.gutter.scroll(0, by)
        else:
            self.gutter.update(0, area.y(), self.gutter.width(), area.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_gutter()

    # Pointer and keys

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._hover(self.line_at(event.position().y()))

    def leaveEvent(self, event: Any) -> None:
        self._hover(0)
        super().leaveEvent(event)

    def _hover(self, line: int) -> None:
        if line != self._hovered:
            self._hovered = line
            self.pointed.emit(line)

    def _on_cursor(self) -> None:
        if self.hasFocus():
            self.pointed.emit(self.cursor_line())

    def event(self, event: QEvent) -> bool:
        # What is asked for here is found here, not in the note beside.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            # And what was not changed is run as it always is: by the window.
            submits = _submits(event) and not self.isReadOnly() and self.code.modified
            if event.matches(QKeySequence.StandardKey.Find) or submits:
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.setTabChangesFocus(event.key() == Qt.Key.Key_Escape)
        if event.matches(QKeySequence.StandardKey.Find):
            self.find_asked.emit()
        elif self.plays and event.key() == Qt.Key.Key_F8:
            back = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self.line_chosen.emit(self.cursor_line(), -1 if back else 1)
        elif self.isReadOnly() and self.plays and event.key() in PLAYER_KEYS:
            event.ignore()  # whoever is around it plays
        elif self.isReadOnly():
            super().keyPressEvent(event)
        elif _submits(event):
            self.submitted.emit()
        elif event.key() == Qt.Key.Key_Tab:
            self._indent(+1)
        elif event.key() == Qt.Key.Key_Backtab:
            self._indent(-1)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self._break_line()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.setTabChangesFocus(False)
        super().focusOutEvent(event)

    def _indent(self, by: int) -> None:
        """The selected lines, or from the cursor to the next stop."""
        cursor = self.textCursor()
        if by > 0 and not cursor.hasSelection():
            cursor.insertText(" " * (INDENT - cursor.positionInBlock() % INDENT))
            return
        first = self.code.findBlock(cursor.selectionStart())
        last = self.code.findBlock(max(cursor.selectionStart(), cursor.selectionEnd() - 1))
        cursor.beginEditBlock()
        for number in range(first.blockNumber(), last.blockNumber() + 1):
            block = self.code.findBlockByNumber(number)
            change = QTextCursor(block)
            if by > 0:
                change.insertText(" " * INDENT)
            else:
                spaces = len(block.text()) - len(block.text().lstrip(" "))
                keep = QTextCursor.MoveMode.KeepAnchor
                change.movePosition(QTextCursor.MoveOperation.Right, keep, min(INDENT, spaces))
                change.removeSelectedText()
        cursor.endEditBlock()

    def _break_line(self) -> None:
        """The next line begins as deep as this one, deeper after a colon."""
        cursor = self.textCursor()
        before = cursor.block().text()[: cursor.positionInBlock()]
        depth = len(before) - len(before.lstrip(" "))
        if self.code.language == "python" and before.rstrip().endswith(":"):
            depth += INDENT
        cursor.insertText("\n" + " " * depth)
        self.setTextCursor(cursor)
        self.ensureCursorVisible()


def _crosses(box: QRectF, area: QRectF) -> bool:
    """In height: an empty line has no width."""
    return box.top() <= area.bottom() and box.bottom() >= area.top()


def _submits(event: QKeyEvent) -> bool:
    enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
    return enter and bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)


def _lines(texts: list[str]) -> list[str]:
    return [line for text in texts for line in text.splitlines()]
