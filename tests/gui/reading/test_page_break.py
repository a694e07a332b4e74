"""A page is cut between its outermost elements, where Qt can go on as if it had never stopped."""

from __future__ import annotations

import pytest

from gui.reading.page_break import page_break


@pytest.mark.parametrize(
    ("html", "least", "first"),
    [
        ("<p>a</p><p>b</p>", 1, "<p>a</p>"),
        ("<p>a</p><p>b</p>", 0, "<p>a</p>"),
        ("<p>a</p><p>b</p><ul><li>c</li></ul>", 9, "<p>a</p><p>b</p>"),
        ('<p>a<br />b<img src="x" /></p>\n<h3 id="x">b</h3>', 3, '<p>a<br />b<img src="x" /></p>\n'),
    ],
)
def test_the_cut_is_the_first_from_the_given_place_on(html: str, least: int, first: str) -> None:
    assert html[: page_break(html, least)] == first


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<p>a</p>",
        "<div><p>a</p><p>b</p></div>",
        "<ul><li><p>a</p><p>b</p></li></ul><p>c</p>",  # a list may end in a table
        "<table><tr><td><p>a</p><p>b</p></td></tr></table><p>c</p>",
        "<hr><p>a</p>",
    ],
)
def test_what_has_no_place_for_a_cut_stays_whole(html: str) -> None:
    assert page_break(html, 0) == len(html)
