"""Code in panes: linked lines, marks, edits that survive new results, search, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QGuiApplication, QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMainWindow

from gui.lab.results_area import ResultsArea
from gui.lab.views import make_view
from tests.gui.lab import kernel_samples as kernels

if TYPE_CHECKING:
    from gui.lab.code.document import CodeDocument
    from gui.lab.code.editor import CodeEditor
    from gui.lab.views.code import CodeView


@pytest.fixture
def view(qtbot: Any) -> CodeView:
    return shown(qtbot, kernels.code())


def shown(qtbot: Any, result: dict[str, Any], width: int = 1200) -> CodeView:
    made = make_view("code")
    qtbot.addWidget(made)
    made.resize(width, 420)
    made.show_result(result)
    made.show()
    return made  # type: ignore[return-value]


def hover(editor: CodeEditor, line: int) -> None:
    top = dict(editor.lines_in_sight())[line]
    QTest.mouseMove(editor.viewport(), QPoint(30, round(top) + 5))


def in_sight(editor: CodeEditor) -> set[int]:
    return {line for line, _ in editor.lines_in_sight()}


# Linked lines


def test_hovering_a_line_highlights_what_belongs_to_it(view: CodeView) -> None:
    source, ttir, ptx = (pane.editor for pane in view.panes)
    hover(source, 12)
    assert source.linked == {12}
    assert ttir.linked == {8, 9, 10, 11, 12}
    assert ptx.linked == {9, 10}
    hover(ttir, 13)
    assert (source.linked, ttir.linked, ptx.linked) == ({13}, {13}, {11, 12})
    hover(ttir, 1)  # comes from nowhere
    assert (source.linked, ttir.linked, ptx.linked) == (set(), {1}, set())


def test_leaving_a_pane_ends_it(view: CodeView) -> None:
    source = view.panes[0].editor
    hover(source, 12)
    source.leaveEvent(None)
    assert source.linked == view.panes[1].editor.linked == frozenset()


def test_arrow_keys_do_the_same_and_tell_the_marks(view: CodeView, qtbot: Any) -> None:
    source, ttir, _ = (pane.editor for pane in view.panes)
    source.setFocus()
    qtbot.waitUntil(source.hasFocus)
    for _ in range(11):
        qtbot.keyClick(source, Qt.Key.Key_Down)
    assert source.cursor_line() == 12 and 8 in ttir.linked
    assert view.panes[0].told.text == "12: the maximum is reduced over the program"
    ttir.setFocus()
    qtbot.waitUntil(ttir.hasFocus)
    qtbot.keyClick(ttir, Qt.Key.Key_Down)  # read only, and yet it has a cursor
    assert ttir.cursor_line() == 2 and source.linked == {6}


def test_linked_lines_come_into_sight(qtbot: Any) -> None:
    far = kernels.pane("PTX", "ptx", "\n" * 3999 + "ret;", links=np.array([0] * 3999 + [15]))
    view = shown(qtbot, kernels.code(panes=[*kernels.code()["panes"][:1], far]))
    source, ptx = (pane.editor for pane in view.panes)
    view.grab()
    assert 4000 not in in_sight(ptx)
    hover(source, 15)
    assert 4000 in in_sight(ptx)
    scrolled = ptx.verticalScrollBar().value()
    hover(source, 14)  # nothing of it there: it stays
    assert ptx.verticalScrollBar().value() == scrolled


def test_a_trace_walks_through_the_lines(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.resize(1100, 900)
    area.begin(preview=False)
    area.show_result(kernels.code(clock="steps"), {})
    view = area.card("code").view
    for place in (2, 1, 0):
        view.tabs.choose(place)
    assert view.panes[0].editor.strong_lines == frozenset()
    area.show_result(kernels.tile_trace(), {})
    clock = area.clocks.clock("steps")
    for event in (0, 2):
        clock.seek(event)
        line = int(kernels.tile_trace()["columns"]["line"][event])
        assert view.panes[0].editor.strong_lines == {line}
        linked = np.flatnonzero(kernels.ptx_pane()["links"] == line) + 1
        assert view.panes[2].editor.strong_lines == set(linked.tolist()) != set()
    clock.seek(-1)
    assert view.panes[0].editor.strong_lines == frozenset()
    qtbot.keyClick(view.panes[1].editor, Qt.Key.Key_Space)
    assert clock.player.playing
    clock.player.pause()
    qtbot.keyClick(view.panes[0].editor, Qt.Key.Key_Space)  # there one types
    assert not clock.player.playing and view.panes[0].document.modified


def test_a_line_leads_the_trace_to_its_events(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.resize(1100, 900)
    area.show()
    area.begin(preview=False)
    for result in (kernels.tile_trace(), kernels.code(clock="steps")):
        area.show_result(result, {})
    qtbot.wait(10)  # until the cards are in their places
    clock, view = area.clocks.clock("steps"), area.card("code").view
    editor = view.panes[0].editor
    stores = np.flatnonzero(kernels.tile_trace()["columns"]["line"] == 15).tolist()
    clock.seek(-1)
    none, shift = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
    for modifier, event in ((none, stores[0]), (none, stores[1]), (shift, stores[0])):
        where = QPoint(6, round(dict(editor.lines_in_sight())[15]) + 5)
        qtbot.mouseClick(editor.gutter, Qt.MouseButton.LeftButton, modifier, where)
        assert clock.cursor == event
    editor.go_to_line(15)
    qtbot.keyClick(editor, Qt.Key.Key_F8, shift)
    assert clock.cursor == stores[-1]  # round the end
    qtbot.keyClick(editor, Qt.Key.Key_F8)
    assert clock.cursor == stores[0]
    editor.go_to_line(1)
    qtbot.keyClick(editor, Qt.Key.Key_F8)
    assert clock.cursor == stores[0]  # nothing happens there
    view.tabs.choose(1)
    ttir = view.panes[1].editor
    ttir.go_to_line(7)  # comes from the load
    qtbot.keyClick(ttir, Qt.Key.Key_F8)
    assert clock.cursor == stores[0] + 1


# Columns


def test_panes_stand_side_by_side_where_they_fit(view: CodeView) -> None:
    assert [pane.isVisible() for pane in view.panes] == [True] * 3
    assert not view.tabs.isVisible()
    widths = [pane.width() for pane in view.panes]
    assert max(widths) - min(widths) <= 2


def test_tabs_choose_what_is_in_sight(view: CodeView, qtbot: Any) -> None:
    view.resize(700, 400)
    assert view.tabs.isVisible()
    assert [pane.isVisible() for pane in view.panes] == [True, True, False]
    qtbot.mouseClick(view.tabs.buttons[2], Qt.MouseButton.LeftButton)
    assert [pane.isVisible() for pane in view.panes] == [True, False, True]  # the source stays
    qtbot.mouseClick(view.tabs.buttons[1], Qt.MouseButton.LeftButton)
    assert [pane.isVisible() for pane in view.panes] == [True, True, False]
    view.resize(400, 400)
    assert [pane.isVisible() for pane in view.panes] == [False, True, False]
    view.tabs.buttons[1].setFocus()
    qtbot.keyClick(view.tabs.buttons[1], Qt.Key.Key_Left)
    qtbot.keyClick(view.tabs.buttons[0], Qt.Key.Key_Space)
    assert [pane.isVisible() for pane in view.panes] == [True, False, False]
    assert [button.isChecked() for button in view.tabs.buttons] == [True, False, False]
    view.tabs.choose(1)
    view.show_result(kernels.failing_code())  # a kernel that does not compile: the choice comes back with it
    view.show_result(kernels.code())
    assert [button.isChecked() for button in view.tabs.buttons] == [False, True, False]


def test_it_is_as_tall_as_what_is_in_sight(qtbot: Any) -> None:
    short = kernels.pane("kernel", "python", "x = 1\n")
    view = shown(qtbot, kernels.code(panes=[short, kernels.ptx_pane(copies=9)]), width=400)
    heights = [view.splitter.sizeHint().height()]
    view.tabs.choose(1)
    heights.append(view.splitter.sizeHint().height())
    assert heights[0] < 120 and heights[1] > 400


def test_a_pane_is_made_when_it_comes_into_sight(qtbot: Any) -> None:
    view = shown(qtbot, kernels.code(), width=400)
    assert [pane is not None for pane in view.panes] == [True, False, False]
    view.point(0, 12)
    view.tabs.choose(2)
    source, ttir, ptx = view.panes
    assert ttir is None and ptx is not None and ptx.editor.linked == {9, 10}
    assert ptx.editor.toPlainText() == kernels.ptx_pane()["text"].removesuffix("\n")
    assert [view.splitter.indexOf(pane) for pane in (source, ptx)] == [0, 1]
    view.tabs.choose(1)
    assert [view.splitter.indexOf(pane) for pane in view.panes] == [0, 1, 2]


# Marks


def test_an_error_stands_below_its_line(qtbot: Any) -> None:
    plain, failing = shown(qtbot, kernels.code()), shown(qtbot, kernels.failing_code())
    tops = [dict(view.panes[0].editor.lines_in_sight()) for view in (plain, failing)]
    height = plain.panes[0].editor.line_height()
    assert tops[1][13] == tops[0][13]
    assert tops[1][14] - tops[0][14] > height
    before = failing.panes[0].editor.grab().toImage()
    failing.panes[0].document.set_marks([])
    failing.panes[0].editor.refresh()
    assert failing.panes[0].editor.grab().toImage() != before


def test_a_mark_tells_itself_on_hover(view: CodeView, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("gui.lab.code.gutter.QToolTip.showText", lambda _, text, *rest: told.append(text))
    gutter, tops = view.panes[0].editor.gutter, dict(view.panes[0].editor.lines_in_sight())
    for line in (11, 1):
        place = QPoint(4, round(tops[line]) + 5)
        gutter.event(QHelpEvent(QHelpEvent.Type.ToolTip, place, gutter.mapToGlobal(place)))
    assert told == ["coalesced: 4 transactions of 128 B a warp", ""]
    assert view.panes[0].told.text == "warnings: 1 · good: 1 · notes: 1"


# Editing


def typed(view: CodeView, qtbot: Any, text: str = "# faster\n") -> CodeEditor:
    """``text`` typed at the very beginning."""
    editor = view.panes[0].editor
    editor.setFocus()
    editor.go_to_line(1)
    editor.insertPlainText(text)
    return editor


def test_control_return_runs_what_was_changed(view: CodeView, qtbot: Any) -> None:
    editor = view.panes[0].editor
    editor.setFocus()
    with qtbot.assertNotEmitted(view.param_edited, wait=10):
        qtbot.keyClick(editor, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert not view.panes[0].run_button.isEnabled()
    typed(view, qtbot)
    with qtbot.waitSignal(view.param_edited) as edited:
        qtbot.keyClick(editor, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert edited.args == ["kernel", "# faster\n" + kernels.SOURCE]
    with qtbot.waitSignal(view.param_edited):
        qtbot.mouseClick(view.panes[0].run_button, Qt.MouseButton.LeftButton)


def test_a_trace_does_not_scroll_away_where_one_types(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.resize(500, 900)
    area.show()
    area.begin(preview=False)
    long = kernels.SOURCE + "# x\n" * 200
    panes = [kernels.pane("kernel", "python", long, edits="kernel")]
    for result in (kernels.tile_trace(), kernels.code(panes=panes, clock="steps")):
        area.show_result(result, {})
    editor, clock = area.card("code").view.panes[0].editor, area.clocks.clock("steps")
    editor.setFocus()
    qtbot.waitUntil(editor.hasFocus)
    editor.go_to_line(190)
    editor.insertPlainText("y")
    scrolled = editor.verticalScrollBar().value()
    clock.seek(2)
    assert editor.verticalScrollBar().value() == scrolled > 100
    editor.undo()
    clock.seek(1)
    assert 11 in in_sight(editor)


def test_an_edit_survives_a_new_result(view: CodeView, qtbot: Any) -> None:
    editor = typed(view, qtbot)
    other = kernels.code()
    other["panes"][0]["text"] = kernels.SOURCE + "# of another run\n"
    view.show_result(other)
    assert editor.toPlainText().startswith("# faster\n")
    assert view.panes[0].revert_button.isVisible()
    assert view.panes[0].told.text.startswith("Your edit is kept")
    qtbot.mouseClick(view.panes[0].revert_button, Qt.MouseButton.LeftButton)
    assert view.panes[0].document.full_text == other["panes"][0]["text"]
    assert not view.panes[0].revert_button.isVisible()
    assert view.panes[0].told.text == "warnings: 1 · good: 1 · notes: 1"
    editor.undo()
    assert editor.toPlainText().startswith("# faster\n")


def test_the_source_stays_when_the_other_panes_go_and_come(view: CodeView, qtbot: Any) -> None:
    editor = typed(view, qtbot)
    qtbot.waitUntil(editor.hasFocus)
    line = editor.cursor_line()
    view.show_result(kernels.failing_code())
    view.show_result(kernels.code())
    assert view.panes[0].editor is editor and len(view.panes) == 3
    assert editor.hasFocus() and editor.cursor_line() == line
    assert editor.toPlainText().startswith("# faster\n")
    assert [view.splitter.indexOf(pane) for pane in view.panes] == [0, 1, 2]
    hover(view.panes[2].editor, 6)
    assert editor.linked == {9}


def test_what_was_run_is_no_edit_any_more(view: CodeView, qtbot: Any) -> None:
    typed(view, qtbot)
    ran = kernels.code()
    ran["panes"][0]["text"] = view.panes[0].document.full_text
    view.show_result(ran)
    assert not view.panes[0].document.modified
    ran["panes"][0]["text"] = "x = 1\n"  # nothing stands against what comes now
    view.show_result(ran)
    assert view.panes[0].document.full_text == "x = 1\n"


def test_lines_end_as_they_may(qtbot: Any) -> None:
    view = shown(
        qtbot, kernels.code(panes=[kernels.pane("p", "python", "a\xa0= 1\r\nb\u2028\r\n", edits="p")])
    )
    assert view.panes[0].document.blockCount() == 2 and not view.panes[0].document.modified


def test_links_and_marks_move_with_the_lines(view: CodeView, qtbot: Any) -> None:
    editor = typed(view, qtbot)  # all lines are one further down
    hover(editor, 13)
    assert editor.linked == {13} and 8 in view.panes[1].editor.linked
    assert [mark.role for mark in view.panes[0].document.marks_on(12)] == ["good"]
    hover(view.panes[1].editor, 13)
    assert editor.linked == {14}
    hover(editor, 1)  # new: it has become nothing yet
    assert view.panes[1].editor.linked == frozenset()


def test_a_new_result_leaves_the_reader_where_they_are(qtbot: Any) -> None:
    long = [kernels.ptx_pane(copies=100)]
    view = shown(qtbot, kernels.code(panes=long))
    editor = view.panes[0].editor
    editor.go_to_line(700)
    scrolled = editor.verticalScrollBar().value()
    long[0]["text"] = long[0]["text"].replace("ret;", "exit;")
    view.show_result(kernels.code(panes=long))
    assert editor.cursor_line() == 700 and editor.verticalScrollBar().value() == scrolled
    assert "exit;" in editor.toPlainText()


def test_tab_indents_and_escape_lets_one_out(view: CodeView, qtbot: Any) -> None:
    editor = view.panes[0].editor
    editor.setFocus()
    qtbot.waitUntil(editor.hasFocus)
    editor.go_to_line(8)
    qtbot.keyClick(editor, Qt.Key.Key_Tab)
    assert editor.code.findBlockByNumber(7).text().startswith(" " * 8 + "row")
    qtbot.keyClick(editor, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(editor, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    assert editor.code.findBlockByNumber(7).text().startswith("row")
    editor.undo()
    assert editor.code.findBlockByNumber(7).text().startswith("    row")
    qtbot.keyClick(editor, Qt.Key.Key_Escape)
    qtbot.keyClick(editor, Qt.Key.Key_Tab)
    assert not editor.hasFocus() and editor.code.findBlockByNumber(7).text().startswith("    row")


def test_a_new_line_begins_as_deep(view: CodeView, qtbot: Any) -> None:
    editor = view.panes[0].editor
    editor.go_to_line(6)
    qtbot.keyClick(editor, Qt.Key.Key_End)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClicks(editor, "x = 1")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClicks(editor, "y = 2")
    assert [editor.code.findBlockByNumber(line).text() for line in (6, 7)] == ["    x = 1", "    y = 2"]


def test_selected_lines_are_indented_together(view: CodeView, qtbot: Any) -> None:
    editor = view.panes[0].editor
    editor.go_to_line(8)
    for _ in range(2):
        qtbot.keyClick(editor, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(editor, Qt.Key.Key_Tab)
    depths = [len(line) - len(line.lstrip()) for line in editor.toPlainText().split("\n")[7:10]]
    assert depths == [8, 8, 4]


def test_the_windows_shortcuts_yield_where_code_is_edited(qtbot: Any) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    taken: list[str] = []
    for keys in ("Ctrl+F", "Ctrl+Return"):
        action = QAction(keys, window)
        action.setShortcut(keys)
        action.triggered.connect(lambda _=False, keys=keys: taken.append(keys))
        window.addAction(action)
    view = make_view("code")
    window.setCentralWidget(view)
    window.resize(1200, 500)
    view.show_result(kernels.code())
    window.show()
    qtbot.waitExposed(window)
    editor = view.panes[0].editor  # type: ignore[attr-defined]
    editor.setFocus()
    qtbot.waitUntil(editor.hasFocus)
    control = Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(editor, Qt.Key.Key_Return, control)
    assert taken == ["Ctrl+Return"]  # nothing was changed: the window's own Run
    qtbot.keyClicks(editor, "#")
    with qtbot.waitSignal(view.param_edited):
        qtbot.keyClick(editor, Qt.Key.Key_Return, control)
    qtbot.keyClick(editor, Qt.Key.Key_F, control)
    assert taken == ["Ctrl+Return"] and view.panes[0].find_bar.isVisible()  # type: ignore[attr-defined]


# Search, copy, drawing


def test_finding_within_a_pane(view: CodeView, qtbot: Any) -> None:
    pane = view.panes[1]
    pane.editor.setFocus()
    qtbot.waitUntil(pane.editor.hasFocus)
    qtbot.keyClick(pane.editor, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    bar = pane.find_bar
    assert bar.isVisible() and not view.panes[0].find_bar.isVisible()
    qtbot.keyClicks(bar.line, "TENSOR<1024xi32")
    hits = kernels.TTIR.count("tensor<1024xi32")
    assert bar.count.text() == f"1 / {hits}" and len(pane.editor.extraSelections()) == hits
    first = pane.editor.cursor_line()
    qtbot.keyClick(bar.line, Qt.Key.Key_Return)
    assert bar.count.text() == f"2 / {hits}"
    qtbot.keyClick(bar.line, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert pane.editor.cursor_line() == first
    qtbot.keyClick(bar.line, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert bar.count.text() == f"{hits} / {hits}"  # round the end
    bar.line.setText("nowhere")
    assert bar.count.text() == "none"
    qtbot.keyClick(bar.line, Qt.Key.Key_Escape)
    assert not bar.isVisible() and pane.editor.hasFocus() and not pane.editor.extraSelections()


def test_finding_beyond_what_one_unit_holds(qtbot: Any) -> None:
    view = shown(qtbot, kernels.code(panes=[kernels.pane("t", "text", "\U0001f600 中 needle\nNeedle")]))
    bar = view.panes[0].find_bar
    bar.open_bar()
    bar.line.setText("needle")
    assert view.panes[0].editor.textCursor().selectedText() == "needle"
    bar.step(+1)
    assert view.panes[0].editor.textCursor().selectedText() == "Needle"


def test_copying_a_pane(view: CodeView, qtbot: Any) -> None:
    qtbot.mouseClick(view.panes[0].copy_button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == kernels.SOURCE


def test_only_what_is_in_sight_is_highlighted(qtbot: Any) -> None:
    view = shown(qtbot, kernels.code(panes=[kernels.ptx_pane(copies=400)]))
    document = view.panes[0].document
    view.grab()
    coloured = [n for n in range(document.blockCount()) if document.findBlockByNumber(n).layout().formats()]
    assert coloured and len(coloured) < 60 and document.blockCount() == 6000
    view.panes[0].editor.go_to_line(5000)
    view.grab()
    assert document.findBlockByNumber(4998).layout().formats()


def formats(document: CodeDocument, line: int) -> list[tuple[int, str]]:
    """Length and colour of a line's coloured parts."""
    pieces = document.findBlockByNumber(line - 1).layout().formats()
    return [(piece.length, piece.format.foreground().color().name()) for piece in pieces]


def test_an_opened_string_colours_what_follows(view: CodeView) -> None:
    view.grab()
    document = view.panes[0].document
    (_, colour), *_ = formats(document, 8)
    view.panes[0].editor.go_to_line(1)
    view.panes[0].editor.insertPlainText("'''\n")
    view.grab()
    ((length, other),) = formats(document, 9)
    assert length == len("    row = tl.program_id(0)") and other != colour


def test_the_table_of_code(view: CodeView) -> None:
    lines = view.to_csv().splitlines()
    assert lines[0] == "pane,line,text,comes from line,marks"
    assert lines[1] == "softmax.py,1,import triton,,"
    assert 'TTIR,8,"    %max = ""tt.reduce""(%values) <{axis = 0 : i32}> ({",12,' in lines
    assert any(line.endswith(",good: coalesced: 4 transactions of 128 B a warp") for line in lines)


def test_below_the_last_line_there_is_none(view: CodeView) -> None:
    assert view.panes[0].editor.line_at(10_000) == 0
