"""What of a page goes on paper."""

from __future__ import annotations

import contextlib
import re
import zlib
from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QSizeF
from PySide6.QtGui import QTextDocument

from gui.reading.page import for_paper
from gui.reading.printing import keep_headings, print_pdf

if TYPE_CHECKING:
    from pathlib import Path

    from gui.reading.note_view import NoteView


def test_paper_has_all_but_the_links_to_the_neighbouring_questions(view: NoteView) -> None:
    html = view._html
    before, table, after = html.partition('<table class="neighbours"')
    assert table
    assert for_paper(html) == before + after.partition("</table>")[2]


def _characters(pdf: bytes) -> set[str]:
    """What a reader of the file can copy: the characters that its fonts name in their ToUnicode maps."""
    found = set()
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error):  # Qt compresses long streams only
            stream = zlib.decompressobj().decompress(stream)
        if b"begincmap" in stream:
            found |= {chr(int(code, 16)) for code in re.findall(rb"<([0-9A-Fa-f]{4})>", stream)}
    return found


def test_digits_beside_chinese_can_be_copied_from_the_pdf(view: NoteView, tmp_path: Path) -> None:
    drawing = view._drawing
    path = tmp_path / "digits.pdf"
    print_pdf(path, "<p>s=(max−min)/(2^b−1)，z=0.267。8 位</p>", "=9", drawing, view._formulas, view._figures)
    assert set("=0.26789") <= _characters(path.read_bytes())


@pytest.mark.parametrize(
    "title", ["<h3>Title</h3>", "<h3>Title</h3><h4>Part</h4>", "<p>Title</p>", "<h3>Title</h3><p>These:</p>"]
)
@pytest.mark.parametrize("above", range(1, 45))
def test_no_title_stands_alone_at_the_end_of_a_page(title: str, above: int) -> None:
    document = paginated("<p>above</p>" * above + title + "<ul><li>body</li></ul>" + "<p>below</p>" * 9)
    assert page_of(document, "Title") == page_of(document, "body")
    assert page_of(document, "below") - page_of(document, "Title") <= 1


def test_a_title_stays_above_what_fits_no_page_beside_it() -> None:
    tall = '<p><img src="x" width="9" height="380" />tall</p>'
    document = paginated("<p>above</p>" * 3 + f"<h3>Title</h3>{tall}")
    assert (page_of(document, "Title"), page_of(document, "tall")) == (0, 1)


def paginated(html: str) -> QTextDocument:
    document = QTextDocument()
    document.setHtml(html)
    document.setPageSize(QSizeF(300, 400))
    keep_headings(document)
    return document


def page_of(document: QTextDocument, text: str) -> int:
    block = document.find(text).block()
    top = document.documentLayout().blockBoundingRect(block).top() + block.layout().lineAt(0).y()
    return int((top + 1) // 400)
