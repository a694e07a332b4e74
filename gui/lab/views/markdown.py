"""Prose that the lab computed. Qt's own Markdown, without HTML and without any image."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import (
    QColor,
    QFont,
    QPalette,
    QTextBlock,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QVBoxLayout

from gui.lab.views.view import View, csv_text, pick

PARAGRAPH_PX = 8
FEATURES = QTextDocument.MarkdownFeature(
    QTextDocument.MarkdownFeature.MarkdownDialectGitHub.value
    | QTextDocument.MarkdownFeature.MarkdownNoHTML.value
)


class Prose(QTextBrowser):
    """As high as its text; links are told, not followed; nothing is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setStyleSheet("QTextBrowser { background: transparent; border: 0; padding: 0; min-height: 0 }")
        self.document().setDocumentMargin(0)
        self._heights: dict[int, int] = {}  # by width, of the text as it stands
        self.document().contentsChanged.connect(lambda: self._heights.clear())

        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        if width not in self._heights:
            document = self.document()
            if document.textWidth() != width:  # else it is laid out already, or is going to be
                document = self._laid_out(width)
            self._heights[width] = round(document.size().height()) + 6
        return self._heights[width]

    def _laid_out(self, width: int) -> QTextDocument:
        """A copy as wide as the text is not."""
        document = self.document().clone()
        document.setTextWidth(width)
        return document

    def sizeHint(self) -> QSize:
        return QSize(360, self.heightForWidth(max(200, self.width())))

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 20)

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        return None

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


def part_paragraphs(document: QTextDocument) -> None:
    """Some room after each block but the last: Qt's Markdown leaves none. Lines of code are blocks, too; they
    stand close, and wrap where Qt would let them be cut off."""
    whole = QTextCursor(document)
    whole.beginEditBlock()  # laid out once, not once a block
    block = document.begin()
    while block.next().isValid():
        inside_code = _is_code(block) and _is_code(block.next())
        cursor = QTextCursor(block)
        form = block.blockFormat()
        form.setBottomMargin(0 if inside_code else PARAGRAPH_PX)
        form.setNonBreakableLines(False)
        cursor.setBlockFormat(form)
        block = block.next()
    whole.endEditBlock()


def _is_code(block: QTextBlock) -> bool:
    return block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence.value)


class MarkdownView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.prose = Prose()
        self._drawn: tuple[str, str, str] | None = None  # text and colours that are on show
        self.prose.anchorClicked.connect(lambda url: self.link_activated.emit(url.toString()))
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self.prose)

    def redraw(self) -> None:
        self.prose.setAccessibleName(pick(self.result["title"]))
        wanted = (pick(self.result["body"]), self.theme.ink, self.theme.accent)
        if wanted != self._drawn:
            self._drawn = wanted
            self._draw()

    def _draw(self) -> None:
        document = self.prose.document()
        font = QFont(self.font())
        font.setPixelSize(13)
        document.setDefaultFont(font)
        palette = self.prose.palette()
        palette.setColor(QPalette.ColorRole.Text, QColor(self.theme.ink))
        palette.setColor(QPalette.ColorRole.Link, QColor(self.theme.accent))
        self.prose.setPalette(palette)
        document.setMarkdown(pick(self.result["body"]), FEATURES)
        part_paragraphs(document)
        self.prose.updateGeometry()

    def to_csv(self) -> str:
        return csv_text(["text"], [[pick(self.result["body"])]])
