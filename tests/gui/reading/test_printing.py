"""What of a page goes on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.reading.page import for_paper

if TYPE_CHECKING:
    from gui.reading.note_view import NoteView


def test_paper_has_all_but_the_links_to_the_neighbouring_questions(view: NoteView) -> None:
    html = view._html
    before, table, after = html.partition('<table class="neighbours"')
    assert table
    assert for_paper(html) == before + after.partition("</table>")[2]
