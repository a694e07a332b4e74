"""The window driven as a person drives it: outline, search, places, panes, theme, language, a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QColor, QImage, QInputMethodEvent
from PySide6.QtWidgets import QApplication, QLabel, QMessageBox, QStyleOptionViewItem, QWidget

from gui.app import VERSION, Options, make_window
from gui.commands import COMMANDS
from gui.lab.worker.client import WorkerClient
from gui.theme import theme_switch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from gui.window import MainWindow

NOTE = "1.2.1-07"
LAB = "model/quantization_granularity"
# A run of one layer only: the model's perplexity is not needed to see that the window shows results.
QUICK = f"lab:{LAB}?perplexity=false"


def compose(widget: object, text: str) -> None:
    """Type Chinese as an input method does: QTest.keyClicks aborts the process on it."""
    event = QInputMethodEvent()
    event.setCommitString(text)
    QApplication.sendEvent(widget, event)  # type: ignore[arg-type]


def shown_questions(window: MainWindow) -> set[str]:
    """Ids of the questions that the filter leaves in the tree."""
    view, model = window.tree.view, window.tree.model
    return {
        node.id
        for node in model.outline.questions
        if not view.isRowHidden(model.index_of(node).row(), model.index_of(node).parent())
    }


def test_the_tree_holds_the_whole_outline(window: MainWindow) -> None:
    model = window.tree.model
    assert model.rowCount() == 5
    assert len(model.outline.questions) == 518


@pytest.mark.parametrize(("text", "language"), [("分组量化", "zh"), ("group quantisation", "en")])
def test_the_filter_narrows_the_tree_in_either_language(window: MainWindow, text: str, language: str) -> None:
    window.set_language(language)
    compose(window.tree.filter, text)
    assert NOTE in shown_questions(window)
    assert len(shown_questions(window)) < 20
    window.tree.filter.clear()
    assert len(shown_questions(window)) == 518


def test_the_node_being_read_stays_in_sight_in_a_narrower_tree(qtbot: Any, window: MainWindow) -> None:
    view = window.tree.view
    window.tree.setMinimumWidth(150)
    window.splitter.setSizes([420, 800])
    window.open_node("3.2.2-01")
    qtbot.wait(150)
    view.scrollTo(view.currentIndex(), view.ScrollHint.PositionAtBottom)
    window.splitter.setSizes([160, 1060])
    qtbot.wait(150)
    assert view.viewport().rect().contains(view.visualRect(view.currentIndex()).center())


def test_a_place_out_of_sight_goes_to_the_middle_of_the_tree_and_one_in_sight_stays(
    qtbot: Any, window: MainWindow
) -> None:
    """One sees what comes next, and few steps scroll the tree."""
    view = window.tree.view
    window.open_node("3.2.2-01")
    qtbot.wait(150)
    middle = view.visualRect(view.currentIndex()).center().y()
    assert view.height() / 4 < middle < 3 * view.height() / 4
    scrolled = view.verticalScrollBar().value()
    window.commands["go.next"].trigger()
    assert view.verticalScrollBar().value() == scrolled
    assert view.visualRect(view.currentIndex()).center().y() > middle


def test_a_note_that_is_closed_leaves_its_room_to_the_lab(qtbot: Any, window: MainWindow) -> None:
    window.resize(1400, 800)
    window.open_link(QUICK)
    qtbot.waitUntil(lambda: window.lab is not None)
    before = window.splitter.sizes()
    window.commands["view.note"].trigger()
    outline, _, lab = window.splitter.sizes()
    assert abs(outline - before[0]) <= 2 and lab > before[2] + before[1] - 10
    window.commands["view.note"].trigger()
    assert all(abs(a - b) <= 2 for a, b in zip(window.splitter.sizes(), before, strict=True))


def test_no_title_is_drawn_over_the_next(qtbot: Any, window: MainWindow) -> None:
    """Heights of rows are those of titles as they wrap in the width that they are drawn in."""
    view, delegate = window.tree.view, window.tree._delegate

    def measured() -> None:
        row = view.indexAt(QPoint(5, 5))
        assert row.isValid()
        while row.isValid() and view.visualRect(row).intersects(view.rect()):
            assert view.visualRect(row).height() == delegate.sizeHint(QStyleOptionViewItem(), row).height()
            row = view.indexBelow(row)

    for width in (240, 420, 180):
        window.tree.setFixedWidth(width)
        qtbot.waitUntil(lambda: not window.tree._relayout.isActive())
        qtbot.waitUntil(measured)


def test_clearing_the_filter_gives_the_tree_back_as_it_was(window: MainWindow) -> None:
    before = window.tree._expanded()
    compose(window.tree.filter, "量化")
    assert window.tree._expanded() != before
    window.tree.filter.clear()
    assert window.tree._expanded() == before


def test_the_keyboard_walks_from_the_filter_into_the_tree(qtbot: QtBot, window: MainWindow) -> None:
    compose(window.tree.filter, "FlashAttention")
    qtbot.keyClick(window.tree.filter, Qt.Key.Key_Down)
    first = window.current_node()
    assert first is not None and first.kind == "question"
    qtbot.keyClick(window.tree.view, Qt.Key.Key_Down)
    assert window.current_node() is not first


def test_the_row_that_arrow_keys_move_is_outlined_while_the_tree_has_the_keyboard(
    qtbot: QtBot, window: MainWindow
) -> None:
    view = window.tree.view
    window.show()
    qtbot.waitExposed(window)

    def outlined(focus: QWidget) -> bool:
        focus.setFocus()
        qtbot.waitUntil(focus.hasFocus)
        row = view.visualRect(view.currentIndex())
        picture = view.viewport().grab(row).toImage()
        accent = QColor(theme_switch.current.accent)
        return any(picture.pixelColor(x, 1) == accent for x in range(picture.width()))

    assert outlined(view)
    assert not outlined(window.tree.filter)


def test_a_focused_button_is_framed_once(qtbot: QtBot, window: MainWindow) -> None:
    button = window.top_bar.search
    window.show()
    qtbot.waitExposed(window)
    qtbot.keyClick(window, Qt.Key.Key_Tab)  # until then Qt shows no focus

    def inside(focus: QWidget) -> QImage:
        focus.setFocus()
        qtbot.waitUntil(focus.hasFocus)
        return button.grab(button.rect().adjusted(4, 4, -4, -4)).toImage()

    assert inside(button) == inside(window.tree.filter)


def test_search_finds_two_character_chinese_and_opens_the_note(qtbot: QtBot, window: MainWindow) -> None:
    window.commands["go.search"].trigger()
    compose(window.finder.picker.line, "粒度")
    ids = [item.key[1] for item in window.finder.picker.items()]
    assert NOTE in ids
    while window.finder.picker.items()[window.finder.picker.list.currentIndex().row()].key[1] != NOTE:
        qtbot.keyClick(window.finder.picker.line, Qt.Key.Key_Down)
    qtbot.keyClick(window.finder.picker.line, Qt.Key.Key_Return)
    assert window.current_node() is window.library.outline.nodes[NOTE]
    assert not window.finder.picker.isVisible()


def test_search_that_finds_nothing_says_so(window: MainWindow) -> None:
    window.finder.search()
    compose(window.finder.picker.line, "zzzzqqqq")
    assert window.finder.picker.items() == []
    assert window.finder.picker.empty.isVisibleTo(window.finder.picker)
    assert window.finder.picker.empty.text()


@pytest.mark.parametrize(("typed", "found"), [("1.2.1-07", NOTE), (" a-01 ", "A-01"), ("1.2.1", "1.2.1")])
def test_a_number_of_the_outline_is_found_first_and_once(window: MainWindow, typed: str, found: str) -> None:
    window.finder.search()
    window.finder.picker.line.setText(typed)
    ids = [item.key[1] for item in window.finder.picker.items()]
    assert ids[0] == found
    assert len(ids) == len(set(ids))


def test_before_one_types_search_offers_what_was_read_last(qtbot: QtBot, window: MainWindow) -> None:
    for node_id in ("3.1.1-01", NOTE, "1.2"):
        window.open_node(node_id)
    qtbot.waitUntil(lambda: window.library.study.last_place() == ("1.2", 0.0))
    window.finder.search()
    assert [item.key[1] for item in window.finder.picker.items()][:3] == ["1.2", NOTE, "3.1.1-01"]
    qtbot.keyClick(window.finder.picker.line, Qt.Key.Key_Down)
    qtbot.keyClick(window.finder.picker.line, Qt.Key.Key_Return)
    assert window.current_node() is window.library.outline.nodes[NOTE]


def test_back_and_forward(window: MainWindow) -> None:
    for node_id in ("1.2.1-01", "1.2.1-02", "1.2.1"):
        window.open_node(node_id)
    window.commands["go.back"].trigger()
    assert window.current_node() is window.library.outline.nodes["1.2.1-02"]
    window.commands["go.back"].trigger()
    window.commands["go.forward"].trigger()
    assert window.tree.current_id() == "1.2.1-02"


def test_going_back_keeps_each_note_where_it_was_left(window: MainWindow) -> None:
    window.open_node("1.2.1-01")
    window.note.set_scroll(2.0)
    window.open_node("1.2.1-02")
    assert window.note.scroll() < 1.0
    window.commands["go.back"].trigger()
    assert window.note.scroll() == pytest.approx(2.0, abs=0.1)
    window.commands["go.forward"].trigger()
    assert window.note.scroll() < 1.0


def test_the_page_reopened_at_once_is_where_it_was_left(window: MainWindow) -> None:
    """Places are written behind the paint: one that is not written yet counts."""
    window.open_node("1.2.1-01")
    window.note.set_scroll(2.0)
    window.open_node("1.2.1-01")
    assert window.note.scroll() == pytest.approx(2.0, abs=0.1)


def test_next_question_crosses_sections(window: MainWindow) -> None:
    window.open_node("1.2.1-09")
    window.commands["go.next"].trigger()
    assert window.tree.current_id() == "1.2.2-01"


def test_the_window_is_named_after_what_is_read_in_it(qtbot: QtBot, window: MainWindow) -> None:
    window.open_node(NOTE)
    node = window.library.outline.nodes[NOTE]
    for language in ("en", "zh"):
        window.set_language(language)
        named = f"{NOTE} {node.title(language)} – InferLab"
        qtbot.waitUntil(lambda named=named: window.windowTitle() == named)
    window.open_node("1.2")
    assert window.windowTitle().startswith("1.2 ")


def test_marked_as_read_is_kept(window: MainWindow) -> None:
    window.open_node(NOTE)
    window.commands["note.read"].trigger()
    assert NOTE in window.marks.read
    assert NOTE in window.library.study.read_marks()
    assert window.commands["note.read"].isChecked()
    window.commands["note.read"].trigger()
    assert NOTE not in window.library.study.read_marks()


def fill_disk(window: MainWindow) -> Callable[[], None]:
    """Nothing can be stored from now on, until what is returned has been called."""
    connection = window.library.study._database.connection
    connection.execute("pragma query_only = on")

    def make_room() -> None:
        connection.execute("pragma query_only = off")

    return make_room


def boxes(window: MainWindow) -> list[str]:
    """What the boxes over the window say; they are closed."""
    found = [box for box in window.findChildren(QMessageBox) if box.isVisible()]
    for box in found:
        box.close()
    return [box.text() for box in found]


def test_a_mark_that_cannot_be_stored_is_not_shown_and_told_each_time(window: MainWindow) -> None:
    window.open_node(NOTE)
    make_room = fill_disk(window)
    for _ in range(2):
        window.commands["note.read"].trigger()
        assert NOTE not in window.marks.read
        assert not window.commands["note.read"].isChecked()
        (told,) = boxes(window)
        assert "未能保存" in told and "could not be saved" in told
    make_room()
    window.commands["note.read"].trigger()
    assert NOTE in window.library.study.read_marks()


def test_a_setting_that_cannot_be_stored_holds_until_the_window_closes(window: MainWindow) -> None:
    make_room = fill_disk(window)
    window.set_dark(True)
    assert theme_switch.current.dark
    assert len(boxes(window)) == 1
    make_room()


def test_places_that_cannot_be_stored_are_told_once_and_stored_later(
    qtbot: QtBot, window: MainWindow
) -> None:
    make_room = fill_disk(window)
    told = []
    for node_id in ("1.2.1-01", "1.2.1-02", "1.2.1-03"):
        window.open_node(node_id)
        window._save_places()
        told += boxes(window)
    assert len(told) == 1
    make_room()
    window.open_node("1.2.1-04")
    window._save_places()
    assert [place.node_id for place in window.library.study.recent_places(4)] == [
        "1.2.1-04",
        "1.2.1-03",
        "1.2.1-02",
        "1.2.1-01",
    ]


def test_a_window_that_cannot_save_says_so_and_ends_its_worker_all_the_same(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: shown.append(box.text()))
    make_room = fill_disk(window)
    window.close()
    assert len(shown) == 1
    assert window.client.process_id == 0
    assert window._indexing is None
    make_room()


def test_the_last_place_is_restored(qapp: object, tmp_path: Path) -> None:
    for expected, leave_at in (("1.2.1-01", "2.1.1-02"), ("2.1.1-02", "3.1.1")):
        window, database = make_window(Options(data=tmp_path, language="en"))
        assert window.tree.current_id() == expected
        window.open_node(leave_at)
        window.close()
        window.deleteLater()
        database.close()


def reopened(qtbot: QtBot, folder: Path, link: str | None = None) -> Iterator[MainWindow]:
    """A start on what an earlier one left behind, once the worker has named its labs."""
    window, database = make_window(Options(data=folder, language="en", link=link))
    window.resize(1280, 800)  # the screen of the tests is smaller, and a window is kept within its screen
    with qtbot.waitSignal(window.client.labs):
        window.show()
    yield window
    window.close()
    window.deleteLater()
    database.close()


def test_panes_and_lab_come_back_as_they_were_left(qtbot: QtBot, tmp_path: Path) -> None:
    for window in reopened(qtbot, tmp_path):
        window.open_lab(QUICK + "&bits=3", run=False)
        window.splitter.setSizes([260, 400, window.splitter.width() - 662])
        left = window.splitter.sizes()
    for window in reopened(qtbot, tmp_path):
        assert window.lab is not None
        assert window.lab.deep_link() == f"lab:{LAB}?bits=3&perplexity=false"
        assert window.splitter.sizes() == left
        assert not window.client.busy
        texts = [label.text() for label in window.lab.findChildren(QLabel) if label.isVisibleTo(window.lab)]
        assert "Not run yet" in texts


def test_the_start_itself_makes_no_lab(qtbot: QtBot, tmp_path: Path) -> None:
    for window in reopened(qtbot, tmp_path):
        window.open_lab(QUICK, run=False)
    window, database = make_window(Options(data=tmp_path, language="en"))
    window.show()
    with qtbot.waitSignal(window.client.labs):
        qtbot.waitUntil(lambda: window._painted)
        assert window.lab is None
    window.close()
    window.deleteLater()
    database.close()


class PolishCount(QObject):
    """How often the widgets it watches have been styled."""

    def __init__(self, *watched: QObject) -> None:
        super().__init__()
        self.times = dict.fromkeys((type(widget).__name__ for widget in watched), 0)
        for widget in watched:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Polish:
            self.times[type(watched).__name__] += 1
        return False


def test_the_window_is_styled_once_whatever_is_connected_to_it_later(qtbot: QtBot, tmp_path: Path) -> None:
    window, database = make_window(Options(data=tmp_path, language="en"))
    count = PolishCount(window, window.top_bar)
    window.show()
    qtbot.waitUntil(lambda: bool(window.labs.labs))
    window.finder.search()
    qtbot.keyClicks(window.finder.picker.line, "granularity")
    window.finder.picker.hide()
    window.open_node("1.2.1")
    window.open_lab(QUICK, run=False)
    qtbot.wait(50)
    assert count.times == {"MainWindow": 1, "TopBar": 1}
    window.close()
    database.close()


def test_a_closed_lab_stays_closed_and_keeps_its_width(qtbot: QtBot, tmp_path: Path) -> None:
    for window in reopened(qtbot, tmp_path):
        window.open_lab(QUICK, run=False)
        window.splitter.setSizes([260, 400, window.splitter.width() - 662])
        wide = window.splitter.sizes()[2]
    for window in reopened(qtbot, tmp_path):
        window.commands["lab.close"].trigger()
    for window in reopened(qtbot, tmp_path):
        assert window.lab is None
        assert window.splitter.sizes()[0] == 260
        window.open_lab(QUICK, run=False)
        assert window.splitter.sizes()[2] == wide


def test_a_link_is_opened_instead_of_the_lab_left_open(qtbot: QtBot, tmp_path: Path) -> None:
    for window in reopened(qtbot, tmp_path):
        window.open_lab(QUICK + "&bits=3", run=False)
    for window in reopened(qtbot, tmp_path, "lab:model/number_formats"):
        assert window.lab is not None
        assert window.lab.lab == "model/number_formats"


def test_a_lab_that_is_gone_since_is_not_reopened(qtbot: QtBot, tmp_path: Path) -> None:
    for window in reopened(qtbot, tmp_path):
        window._lab_left_open = lambda: "lab:model/no_such_lab"  # type: ignore[method-assign]
    for window in reopened(qtbot, tmp_path):
        assert window.lab is None


def test_a_question_without_a_note_says_so_and_offers_its_section(window: MainWindow) -> None:
    window.open_node("1.2.2-05")
    text = window.note.browser.toPlainText()
    assert "not written yet" in text


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_theme_and_language_switch_at_run_time(window: MainWindow, dark: bool, language: str) -> None:
    window.open_node(NOTE)
    window.set_dark(dark)
    window.set_language(language)
    node = window.library.outline.nodes[NOTE]
    assert node.title(language)[:12] in window.note.browser.toPlainText()
    image = window.grab().toImage()
    background = image.pixelColor(image.width() // 2, image.height() - 3)
    assert (background.lightness() < 128) == dark


def test_chinese_names_every_command(qtbot: QtBot, window: MainWindow) -> None:
    window.set_language("zh")
    english = {command.id: command.title for command in COMMANDS}
    qtbot.waitUntil(lambda: window.commands["file.quit"].text() == "退出")
    untranslated = [name for name, title in english.items() if window.commands[name].text() == title]
    assert untranslated == []


def test_the_command_palette_lists_and_runs_commands(qtbot: QtBot, window: MainWindow) -> None:
    window.commands["help.commands"].trigger()
    compose(window.finder.picker.line, "dark")
    qtbot.keyClick(window.finder.picker.line, Qt.Key.Key_Return)
    assert window.library.study.get("theme") == "dark"


def test_something_stays_when_panes_are_hidden(window: MainWindow) -> None:
    window.commands["view.outline"].trigger()
    window.commands["view.note"].trigger()
    assert window.tree.isHidden()
    assert not window.reader.isHidden()


def test_overview_lists_questions_and_labs(window: MainWindow) -> None:
    window.open_node("1.2.1")
    assert window.reader.currentWidget() is window.overview
    asked: list[str] = []
    window.overview.lab_requested.disconnect()
    window.overview.lab_requested.connect(asked.append)
    from gui.reading.overview import _Row

    rows = window.overview.widget().findChildren(_Row)
    assert len(rows) == 9 + len(window.labs.under(window.library.outline.nodes["1.2.1"]))
    rows[0].click()
    assert asked and asked[0].startswith("lab:model/")


def test_the_lab_list_asked_for_too_early_opens_when_the_labs_are_known(qtbot: QtBot, tmp_path: Path) -> None:
    early, database = make_window(Options(data=tmp_path, language="en"))
    with qtbot.waitSignal(early.client.labs):
        early.commands["go.labs"].trigger()
    assert LAB in [item.key[1] for item in early.finder.picker.items()]
    early.close()
    early.deleteLater()
    database.close()


def test_another_model_reopens_the_lab_with_its_bounds(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    with qtbot.waitSignal(window.client.started, timeout=60_000):
        window.open_lab(QUICK + "&bits=3")
    with qtbot.waitSignal(window.client.labs):
        window.use_model(tmp_path / "nothing-here")
    assert window.lab is not None
    assert window.lab.form.values()["bits"] == 3
    assert not window.client.busy, "a lab whose model is missing is not run"
    texts = [label.text() for label in window.lab.findChildren(QLabel) if label.isVisibleTo(window.lab)]
    assert any("nothing-here" in text for text in texts)
    window.use_model(None)


def test_an_unknown_lab_says_what_is_known(window: MainWindow) -> None:
    window.open_lab("lab:model/no_such_lab")
    assert window.lab is not None
    assert "quantization_granularity" in window.labs.broken_entry("model/no_such_lab")["traceback"]


@pytest.mark.model
def test_a_lab_link_in_a_note_runs_and_shows_results(qtbot: QtBot, window: MainWindow) -> None:
    window.open_node(NOTE)
    with qtbot.waitSignal(window.client.finished, timeout=60_000) as ended:
        window.note.lab_requested.emit(QUICK + "&bits=3")
    assert ended.args[1] == "done"
    assert window.lab is not None
    assert window.lab.form.values()["bits"] == 3
    assert window.lab.deep_link() == "lab:model/quantization_granularity?bits=3&perplexity=false"
    assert window.library.runs.listed(LAB)[0].params["bits"] == 3


@pytest.mark.model
def test_the_worker_killed_in_a_run_leaves_the_window_and_the_next_run_works(
    qtbot: QtBot, window: MainWindow
) -> None:
    import os
    import signal

    with qtbot.waitSignal(window.client.started, timeout=60_000):
        window.open_lab(f"lab:{LAB}")
    with qtbot.waitSignal(window.client.crashed):
        os.kill(window.client.process_id, signal.SIGKILL)
    with qtbot.waitSignal(window.client.finished, timeout=60_000) as ended:
        window.open_lab(QUICK)
    assert ended.args[1] == "done"


@pytest.mark.model
def test_stop_ends_a_run_soon(qtbot: QtBot, window: MainWindow) -> None:
    with qtbot.waitSignal(window.client.result, timeout=60_000):
        window.open_lab(f"lab:{LAB}?sweep=true&windows=8")
    with qtbot.waitSignal(window.client.finished) as ended:
        window.commands["lab.stop"].trigger()
    assert ended.args[1] in ("stopped", "killed")


@pytest.mark.model
def test_the_lab_menu_acts_on_the_open_lab(qtbot: QtBot, window: MainWindow) -> None:
    with qtbot.waitSignal(window.client.finished, timeout=60_000):
        window.open_lab(QUICK + "&bits=3")
    assert window.lab is not None
    window.commands["lab.link"].trigger()
    assert QApplication.clipboard().text() == window.lab.deep_link()
    window.commands["lab.source"].trigger()
    window.commands["lab.reset"].trigger()
    assert window.lab.form.values()["bits"] == 4
    window.commands["lab.stop"].trigger()


def test_the_window_and_the_labs_name_one_version() -> None:
    from labs.environment import app_version

    assert app_version() == VERSION


def test_a_lab_that_cannot_be_opened_for_want_of_a_worker_says_why(qtbot: QtBot, tmp_path: Path) -> None:
    made, database = make_window(Options(data=tmp_path, theme="light", language="en"))
    qtbot.addWidget(made)
    made._make_client = lambda: WorkerClient(command=["/no/such/program"])
    made.open_link(QUICK)
    qtbot.waitUntil(lambda: made.findChild(QMessageBox) is not None)
    box = made.findChild(QMessageBox)
    assert "could not be started" in box.text()  # type: ignore[union-attr]
    box.close()  # type: ignore[union-attr]
    made.close()
    database.close()
