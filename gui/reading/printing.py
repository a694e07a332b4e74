"""A page as PDF: A4, light colours whatever the theme, formulas and figures as vectors, pages numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QMarginsF, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QColor,
    QFont,
    QPageLayout,
    QPageSize,
    QPainter,
    QPalette,
    QPdfWriter,
    QTextBlock,
    QTextCursor,
    QTextDocument,
    QTextFormat,
)

from gui.reading.inline_objects import Drawing, InlineObjects
from gui.reading.page import for_paper
from gui.reading.page_style import page_font, page_style
from gui.theme import LIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from gui.reading.figure import FigureStore
    from gui.reading.formula import FormulaStore

# 16 px at 96 dpi are 12 pt: this makes the body 9.75 pt.
_ZOOM = 0.8125
_DPI = 96
_FOOTER_PX = 26


def print_pdf(
    path: Path, html: str, title: str, drawing: Drawing, formulas: FormulaStore, figures: FigureStore
) -> int:
    """Write ``html`` to ``path``, return the number of pages; raises OSError if it cannot be written."""
    # Qt only says that it failed; Python says why.
    path.open("wb").close()
    writer = QPdfWriter(str(path))
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    writer.setPageMargins(QMarginsF(18, 16, 18, 14), QPageLayout.Unit.Millimeter)
    writer.setTitle(title)
    writer.setCreator("InferLab")
    scale = writer.logicalDpiX() / _DPI
    sheet = QSizeF(writer.width() / scale, writer.height() / scale)
    page = QSizeF(sheet.width(), sheet.height() - _FOOTER_PX)
    light = Drawing(LIGHT, drawing.language, page.width(), drawing.content_dir, drawing.figures_dir)
    objects = InlineObjects(light, formulas, figures)
    document = QTextDocument()
    objects.attach(document)
    document.setDocumentMargin(0)
    document.setIndentWidth(26 * _ZOOM)
    document.setDefaultFont(_paper_font(_ZOOM))
    document.setDefaultStyleSheet(page_style(LIGHT, _ZOOM))
    document.setHtml(for_paper(html))
    document.setPageSize(page)
    keep_headings(document)
    painter = QPainter()
    if not painter.begin(writer):
        raise OSError(f"cannot write {path}")
    painter.scale(scale, scale)
    for number in range(document.pageCount()):
        if number:
            writer.newPage()
        _draw_page(painter, document, number, page)
        _draw_footer(painter, document, number, sheet, title)
    painter.end()
    return document.pageCount()


def _paper_font(zoom: float) -> QFont:
    """Without the digits that a Chinese font has for each language (``locl``): Qt tells the PDF no text for
    their glyphs, and one who copies or searches it would miss them."""
    font = page_font(zoom)
    font.setFeature(QFont.Tag.fromString("locl"), 0)
    return font


def keep_headings(document: QTextDocument) -> None:
    """Start a page with each heading that would end one; not if what it heads needs a page of its own."""
    document.pageCount()  # lays it out: before, no block has lines
    block = document.begin()
    while block.isValid():
        if _is_heading(block) and _stands_alone(block):
            _set_break(block, QTextFormat.PageBreakFlag.PageBreak_AlwaysBefore)
            if _stands_alone(block):
                _set_break(block, QTextFormat.PageBreakFlag.PageBreak_Auto)
        block = block.next()


def _is_heading(block: QTextBlock) -> bool:
    """A line that introduces a list is one, too."""
    if block.blockFormat().headingLevel():
        return True
    listed = block.next().isValid() and block.next().textList() is not None
    return listed and block.textList() is None and block.layout().lineCount() == 1


def _stands_alone(heading: QTextBlock) -> bool:
    """Whether the first line of what it heads, below any lower headings, is on a later page."""
    body = heading.next()
    while body.isValid() and (_is_heading(body) or not body.text().strip()):
        body = body.next()
    return body.isValid() and _page_of(body) > _page_of(heading)


def _page_of(block: QTextBlock) -> int:
    """Of the block's first line: Qt moves the line to the next page, not the block."""
    document, lines = block.document(), block.layout()
    top = document.documentLayout().blockBoundingRect(block).top()
    if lines.lineCount():
        top += lines.lineAt(0).y()
    return int((top + 1) // document.pageSize().height())  # a page's first line may be at 960.98 of 961


def _set_break(block: QTextBlock, policy: QTextFormat.PageBreakFlag) -> None:
    format_ = block.blockFormat()
    format_.setPageBreakPolicy(policy)
    QTextCursor(block).setBlockFormat(format_)


def _draw_page(painter: QPainter, document: QTextDocument, number: int, page: QSizeF) -> None:
    context = QAbstractTextDocumentLayout.PaintContext()
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Text, QColor(LIGHT.ink))
    context.palette = palette
    context.clip = QRectF(0, number * page.height(), page.width(), page.height())
    painter.save()
    painter.translate(0, -number * page.height())
    painter.setClipRect(context.clip)
    document.documentLayout().draw(painter, context)
    painter.restore()


def _draw_footer(painter: QPainter, document: QTextDocument, number: int, sheet: QSizeF, title: str) -> None:
    painter.setFont(_paper_font(0.68))
    painter.setPen(QColor(LIGHT.muted))
    box = QRectF(0, sheet.height() - _FOOTER_PX + 6, sheet.width(), _FOOTER_PX - 6)
    name = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, round(sheet.width() * 0.8))
    bottom = Qt.AlignmentFlag.AlignBottom
    painter.drawText(box, Qt.AlignmentFlag.AlignLeft | bottom, name)
    painter.drawText(box, Qt.AlignmentFlag.AlignRight | bottom, f"{number + 1} / {document.pageCount()}")
