"""The text area: a page of limited width in the middle, its drawn objects, its hits, and the place in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPointF, QSizeF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QTextCursor, QTextDocument, QTextFormat, QTextOption
from PySide6.QtWidgets import QFrame, QTextBrowser, QTextEdit, QWidget

from gui.reading.inline_objects import InlineObjects, object_name
from gui.reading.page_break import page_break
from gui.reading.page_style import MEASURE_PX, page_font, page_style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PySide6.QtCore import QUrl
    from PySide6.QtGui import QKeyEvent, QPaintEvent, QResizeEvent, QShowEvent, QTextBlock, QWheelEvent

# Around the text on all sides.
MARGIN_PX = 24
NARROW_PX = 540
# The heading level of the page's own title: see HEADING_TAGS.
TITLE_LEVEL = 2
# More hits than anyone steps through; a single letter in a long note would cost a second.
MOST_HITS = 1000
# Letters of HTML for each square pixel of the column at zoom 1: half as many again as most notes fill.
GLANCE = 4.0 / MEASURE_PX
# So that a picture is on the screen before its page is completed.
FRAME_MS = 16
_OBJECT = "\ufffc"


class NoteBrowser(QTextBrowser):
    """Shows HTML and loads nothing: no file, no network, whatever the HTML names."""

    zoom_wheeled = Signal(int)  # +1 or -1, from Ctrl and the wheel
    scrolled = Signal()

    def __init__(self, objects: InlineObjects, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.objects = objects
        self.zoom = 1.0
        self.hits: list[QTextCursor] = []
        self._current_hit = -1
        self._awaited: float | None = None  # the position to take once the page has its width
        self._rest = ""  # HTML of the page that is not in the document yet
        self._share = 1.0  # of the HTML that was in the document at first
        self._completion = QTimer(self, singleShot=True, interval=FRAME_MS)
        self._completion.timeout.connect(self.complete)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        # Breaking anywhere would let a narrow table cut words in two; a line that cannot break scrolls.
        self.setWordWrapMode(QTextOption.WrapMode.WordWrap)
        self.setObjectName("note-text")
        self.document().setDocumentMargin(MARGIN_PX)
        self.document().setIndentWidth(26)
        objects.attach(self.document())
        self.verticalScrollBar().valueChanged.connect(self.complete)
        self.verticalScrollBar().valueChanged.connect(self.scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._foresee)

    def show_html(self, html: str, zoom: float, *, whole: bool = True) -> None:
        """Lay ``html`` out in the current theme and zoom, from the top.

        If not ``whole``, as much of it as is seen; ``complete`` adds the rest, after the first paint at last.
        """
        theme = self.objects.drawing.theme
        self.zoom = zoom
        self._rest = ""
        self._fit()
        self._forget_hits()
        sheet = (
            f"QTextBrowser#note-text {{ background: {theme.paper}; color: {theme.ink}; border: 0;"
            f" padding: 0; border-radius: 0; selection-background-color: {theme.selection};"
            f" selection-color: {theme.ink}; }}"
        )
        if sheet != self.styleSheet():
            self.setStyleSheet(sheet)
        document = self.document()
        # The bar would vanish with the old page and come back with the new one, each time for a new layout.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        # A page without a size is not laid out: setHtml would do it three times, a change of font once more.
        document.setPageSize(QSizeF(0, 0))
        if page_font(zoom) != document.defaultFont():
            document.setDefaultFont(page_font(zoom))
            document.setIndentWidth(26 * zoom)
        page_sheet = page_style(theme, zoom, self.narrow)
        if page_sheet != document.defaultStyleSheet():  # Qt would parse it again
            document.setDefaultStyleSheet(page_sheet)
        self.objects.forget_sizes()
        whole = whole or not self.isVisible()
        end = len(html) if whole else page_break(html, self._glance())
        self.setHtml(html[:end].rstrip())  # a line's end would become a space before what is added
        self._rest, self._share = html[end:], end / max(1, len(html))
        if self.isVisible():
            self._begin_layout()
            if self._too_short():
                self.complete()
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)

    def _begin_layout(self) -> None:
        """As far as Qt lays out at once; a page that is not visible yet has no width to be laid out in."""
        self.document().setTextWidth(self.viewport().width())

    def _glance(self) -> int:
        """Letters of HTML that fill the view, with some to spare."""
        column = self.objects.drawing.column
        return round(GLANCE * column * self.viewport().height() / self.zoom**2)

    def _too_short(self) -> bool:
        """Whether what is in the document ends within the view; laid out no further than that."""
        foot = QPointF(0, self.viewport().height())
        place = self.document().documentLayout().hitTest(foot, Qt.HitTestAccuracy.FuzzyHit)
        return place >= self.document().lastBlock().position()

    @Slot()
    def complete(self) -> None:
        """Add what the page was opened without; the document is then as if it had always been there."""
        if not self._rest:
            return
        rest, self._rest = self._rest, ""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        end = cursor.position()
        cursor.beginEditBlock()
        # The first paragraph of what is added goes on with the last one that is there; what follows is whole.
        cursor.insertHtml(f"<p>x</p>{rest}")
        cursor.setPosition(end)
        cursor.deleteChar()
        cursor.endEditBlock()

    @Slot(int, int)
    def _foresee(self, _least: int, most: int) -> None:
        """The bar of a page that is not complete shows it as long as it will about be."""
        if self._rest and most > 0:
            bar = self.verticalScrollBar()
            bar.blockSignals(True)
            bar.setMaximum(round((most + bar.pageStep()) / self._share) - bar.pageStep())
            bar.blockSignals(False)

    @property
    def narrow(self) -> bool:
        """Whether the column holds less than some 33 Chinese characters."""
        return self.objects.drawing.column < NARROW_PX * self.zoom

    def loadResource(self, type: int, name: QUrl | str) -> object:
        """Nothing, ever: all pictures are drawn by InlineObjects from checked files."""
        return None

    # Where one is, as heading number + share of the way to the next: it survives zoom, width and language.
    #
    # Qt lays a page out as far as it is looked at and goes on in short steps, while its bar shows a guess of
    # the whole. What asks for the end of the page waits for all of it; opening a page at its top does not.

    def scroll_position(self) -> float:
        """0 at the top, 2.5 halfway from the second heading to the third."""
        if self._awaited is not None:
            return self._awaited
        value = self.verticalScrollBar().value()
        if value == 0:
            return 0.0
        self.complete()
        marks = self._marks()
        place = max(index for index, mark in enumerate(marks[:-1]) if mark <= value or index == 0)
        length = max(1.0, marks[place + 1] - marks[place])
        return place + min(0.999, max(0.0, (value - marks[place]) / length))

    def set_scroll_position(self, position: float) -> None:
        if not self.isVisible():
            self._awaited = position  # laying the page out in a width that it will not have takes 10 ms
            return
        self._awaited = None
        if position <= 0:
            self.verticalScrollBar().setValue(0)
            return
        self.finish_layout()
        marks = self._marks()
        position = min(len(marks) - 1.0, position)  # a stored place may be of a page that had more headings
        place = min(int(position), len(marks) - 2)
        value = marks[place] + (position - place) * (marks[place + 1] - marks[place])
        self.verticalScrollBar().setValue(round(value))

    def finish_layout(self) -> None:
        """Lay the whole page out now, so that its bar reaches to the end."""
        self.complete()
        layout = self.document().documentLayout()
        layout.documentSizeChanged.emit(layout.documentSize())

    def heading_tops(self) -> Iterator[float]:
        """The y of each heading below the title, in the order of the page; laid out as far as it is read."""
        layout = self.document().documentLayout()
        for block in self._headings():
            yield layout.blockBoundingRect(block).top()

    def _headings(self) -> Iterator[QTextBlock]:
        block = self.document().begin()
        while block.isValid():
            if block.blockFormat().headingLevel() > TITLE_LEVEL:
                yield block
            block = block.next()

    def _marks(self) -> list[float]:
        end = self.document().documentLayout().documentSize().height()
        return [0.0, *self.heading_tops(), end]

    # Hits: of a search that led here, or of the find bar.

    def find_all(self, needles: Sequence[str]) -> int:
        """Mark every occurrence of every needle, regardless of case; returns how many there are."""
        self.complete()
        self.hits = []
        for needle in filter(None, needles):
            hit = self.document().find(needle)
            while not hit.isNull() and len(self.hits) < MOST_HITS:
                self.hits.append(hit)
                hit = self.document().find(needle, hit)
        self.hits.sort(key=lambda cursor: cursor.selectionStart())
        self._current_hit = -1
        self._mark_hits()
        return len(self.hits)

    def go_to_hit(self, index: int) -> None:
        """Make the hit ``index`` (modulo their number) current and bring it into view."""
        if not self.hits:
            return
        self._current_hit = index % len(self.hits)
        self.finish_layout()
        cursor = QTextCursor(self.hits[self._current_hit])
        cursor.clearSelection()
        self.setTextCursor(cursor)
        where = self.cursorRect(cursor)
        if not self.viewport().rect().adjusted(0, 40, 0, -60).contains(where):
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() + where.top() - self.viewport().height() // 3)
        self._mark_hits()

    @property
    def current_hit(self) -> int:
        """The index of the current hit, -1 for none."""
        return self._current_hit

    def clear_hits(self) -> None:
        self._forget_hits()
        self._mark_hits()

    def _forget_hits(self) -> None:
        self.hits = []
        self._current_hit = -1

    def _mark_hits(self) -> None:
        theme = self.objects.drawing.theme
        selections = []
        for index, hit in enumerate(self.hits):
            selection = QTextEdit.ExtraSelection()
            current = index == self._current_hit
            selection.cursor = hit
            selection.format.setBackground(QColor(theme.accent if current else theme.mark))
            if current:
                selection.format.setForeground(QColor(theme.accent_ink))
            selections.append(selection)
        self.setExtraSelections(selections)

    # Qt's events.

    def createMimeDataFromSelection(self) -> QMimeData:
        """Plain text, with formulas as their TeX: an object has no text of its own."""
        data = QMimeData()
        data.setText(selected_text(self.textCursor(), self.document()))
        return data

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._rest:
            self._completion.start()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.complete()  # it may select all, or go to the end
        super().keyPressEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes from link to link while the text has the keyboard; from what lies upon it, onwards."""
        if self.window().focusWidget() is self:
            return super().focusNextPrevChild(forward)
        return QTextEdit.focusNextPrevChild(self, forward)

    def resizeEvent(self, event: QResizeEvent) -> None:
        position = self.scroll_position()
        grown, bar = event.size() - event.oldSize(), self.horizontalScrollBar().sizeHint().height()
        if max(grown.width(), grown.height()) > bar:  # not a bar that goes while the page is laid out
            self.complete()
        self._fit()
        super().resizeEvent(event)
        self.set_scroll_position(position)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.document().pageSize().isNull():
            self._begin_layout()
        if self._awaited is not None:
            self.set_scroll_position(self._awaited)
            self.scrolled.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            if event.angleDelta().y():
                self.zoom_wheeled.emit(1 if event.angleDelta().y() > 0 else -1)
            event.accept()
            return
        super().wheelEvent(event)

    def _fit(self) -> None:
        """Centre a column of at most the measure; objects learn its width before they are laid out."""
        free = self.width() - self.verticalScrollBar().sizeHint().width()
        side = max(0, math.ceil((free - MEASURE_PX * self.zoom) / 2) - MARGIN_PX)
        self.objects.drawing.column = float(max(80, free - 2 * (side + MARGIN_PX)))
        margins = self.viewportMargins()
        if (margins.left(), margins.right()) != (side, side):
            self.setViewportMargins(side, 0, side, 0)


def selected_text(cursor: QTextCursor, document: QTextDocument) -> str:
    """The selection as text. Formulas become ``$TeX$``, other objects vanish."""
    from urllib.parse import unquote

    parts = []
    walker = QTextCursor(document)
    place = cursor.selectionStart()
    for character in cursor.selectedText().replace("\u2029", "\n").replace("\u2028", "\n"):
        # Positions count UTF-16 units: a character beyond the first plane is two.
        place += len(character.encode("utf-16-le")) // 2
        if character != _OBJECT:
            parts.append(character)
            continue
        walker.setPosition(place)
        format_ = walker.charFormat()
        if format_.objectType() == QTextFormat.ObjectTypes.ImageObject.value:
            kind, name = object_name(format_)
            if kind.startswith("formula"):
                tex, _bar, after = name.partition("|")
                parts.append(f"${unquote(tex)}${unquote(after)}")
    return "".join(parts).replace("\u200b", "")
