"""What gives way in a wide table, and in which order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt

from gui.lab.views import make_view
from gui.lab.views.column_widths import LEAST_WORDS, ROOMY, TIGHT, Column, pieces, shares
from tests.gui.lab import samples

COLUMNS = st.builds(
    lambda cells, head, piece, words: Column(cells, head, min(piece, head), words),
    st.integers(0, 320),
    st.integers(10, 400),
    st.integers(10, 120),
    st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(COLUMNS, min_size=1, max_size=12), st.integers(100, 2000))
def test_figures_are_never_cut_and_words_only_where_nothing_else_helps(
    columns: list[Column], room: int
) -> None:
    widths, tight = shares(columns, room)
    margin = TIGHT if tight else ROOMY
    for column, width in zip(columns, widths, strict=True):
        shown = width - margin
        assert shown >= column.piece or shown >= column.head
        assert shown >= (min(column.cells, LEAST_WORDS) if column.words else column.cells)
    cut = [width - margin < column.cells for column, width in zip(columns, widths, strict=True)]
    if any(cut):
        assert tight
        assert sum(widths) >= room - len(columns) or sum(widths) > room


@settings(max_examples=60)
@given(st.lists(COLUMNS, min_size=1, max_size=12), st.integers(100, 2000))
def test_a_table_is_as_wide_as_its_room_or_at_its_narrowest(columns: list[Column], room: int) -> None:
    total = sum(shares(columns, room).widths)
    if total > room:
        assert total == sum(shares(columns, 0).widths)


def test_room_that_is_left_spares_a_head_its_second_line_before_anything_else() -> None:
    words, figures = Column(200, 60, 60, words=True), Column(20, 80, 40, words=False)
    widths, _ = shares([words, words, figures], 3 * ROOMY + 2 * 200 + 80 - 1)
    assert widths == [200 + ROOMY, 200 + ROOMY, 79 + ROOMY]


def test_chinese_heads_break_between_characters() -> None:
    assert pieces("每秒词元数 (token/s)") == ["每秒词", "元数", "(token/s)"]


def wide_table(columns: int) -> dict[str, Any]:
    long = "a configuration with a rather long description of what it does"
    return samples.table(
        columns=[
            {
                "title": samples.both(f"一个很长的列名 {i}", f"A rather long head {i}"),
                "unit": "",
                "provenance": None,
            }
            for i in range(columns)
        ],
        rows=[[samples.both(long, long), *(1234.5 + i for i in range(columns - 1))]] * 3,
        highlight=None,
    )


def test_a_wide_table_wraps_heads_and_cuts_words_before_it_scrolls(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    view.resize(620, 300)
    view.show()
    view.show_result(wide_table(7))
    grid = view.grid
    assert grid.horizontalScrollBar().maximum() == 0
    assert grid.horizontalHeader().height() > 2 * grid.horizontalHeader().fontMetrics().height()
    first = view.model.index(0, 0)
    assert "rather long description" in str(view.model.data(first, Qt.ItemDataRole.ToolTipRole))
    view.resize(2000, 300)
    assert grid.columnWidth(0) > 320
    assert grid.horizontalHeader().height() < 2 * grid.horizontalHeader().fontMetrics().height()


def test_a_table_that_is_too_low_for_a_moment_does_not_scroll_sideways(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    view.resize(500, 100)
    view.show()
    view.show_result(wide_table(4))
    assert view.sizeHint().height() > 100
    assert view.grid.horizontalScrollBar().maximum() == 0


def test_a_table_that_scrolls_sideways_has_the_height_for_its_bar(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    view.show_result(wide_table(8))
    view.resize(2000, 200)
    view.show()
    unscrolled = view.sizeHint().height() - view.grid.horizontalHeader().height()
    view.resize(300, 200)
    scrolled = view.sizeHint().height() - view.grid.horizontalHeader().height()
    assert scrolled == unscrolled + view.grid.horizontalScrollBar().sizeHint().height()
    view.resize(300, view.sizeHint().height())
    assert view.grid.horizontalScrollBar().maximum() > 0 == view.grid.verticalScrollBar().maximum()


def test_a_long_table_leaves_room_for_its_bar(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    table = wide_table(5)
    table["rows"] = table["rows"] * 10
    view.resize(600, 200)
    view.show()
    view.show_result(table)
    view.resize(600, view.sizeHint().height())
    assert view.grid.verticalScrollBar().maximum() > 0 == view.grid.horizontalScrollBar().maximum()


def test_short_words_that_are_cut_are_whole_in_the_tip(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    table = wide_table(9)
    for row in table["rows"]:
        row[0] = samples.both("不分块的连续批处理与分块", "continuous, not chunked")
    view.resize(560, 300)
    view.show()
    view.show_result(table)
    first = view.model.index(0, 0)
    assert view.model.data(first, Qt.ItemDataRole.ToolTipRole)
    view.resize(3000, 300)
    assert view.model.data(first, Qt.ItemDataRole.ToolTipRole) is None
