"""What of a page goes on paper."""

from __future__ import annotations

import contextlib
import re
import zlib
from typing import TYPE_CHECKING

from gui.reading.page import for_paper
from gui.reading.printing import print_pdf

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
