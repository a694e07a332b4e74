"""The note view as a reader uses it: links, finding, zoom, theme, language, contents, copying, printing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from PySide6.QtCore import QPoint, QPointF, QSizeF, Qt, QUrl
from PySide6.QtGui import QGuiApplication, QImage, QTextCursor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget

from gui.language import language_switch
from gui.library.notes import Note
from gui.reading.figure_window import FigureWindow
from gui.reading.page_break import page_break
from gui.theme import DARK, LIGHT, theme_switch

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from gui.reading.note_view import NotePage, NoteView


def click(view: NoteView, link: str) -> None:
    view.browser.anchorClicked.emit(QUrl(link))


def text_of(view: NoteView) -> str:
    view.browser.complete()
    return view.browser.toPlainText()


def colours(view: QWidget) -> set[str]:
    """The colours of every second pixel."""
    image = view.grab().toImage()
    return {
        image.pixelColor(x, y).name() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)
    }


def test_a_page_shows_title_note_and_neighbours(view: NoteView) -> None:
    shown = text_of(view)
    for part in ("模型层 › 量化基础", "七？", "标准答案", "INT4", "量化粒度实验", "五？", "六？", "八？"):
        assert part in shown
    assert view.browser.horizontalScrollBar().maximum() == 0


def test_every_object_of_the_page_is_drawn(view: NoteView) -> None:
    view.resize(900, 4200)
    image = view.grab().toImage()
    assert image.height() == 4200
    # The figure's orange point and the accent of the lab chip are drawn by the text object alone.
    assert {"#d55e00", LIGHT.selection} <= colours(view)


@pytest.mark.parametrize("width", [320, 520, 900, 1400])
def test_the_column_is_never_wider_than_the_view(view: NoteView, width: int) -> None:
    view.resize(width, 700)
    column = view.browser.objects.drawing.column
    assert column <= min(760, width)
    assert view.browser.document().idealWidth() <= max(column + 60, 480)


def test_a_narrow_page_sets_tables_tighter(view: NoteView) -> None:
    def table_px() -> int:
        return view.browser.document().find("INT8，分布均匀").charFormat().font().pixelSize()

    assert table_px() == 16
    view.resize(420, 700)
    assert table_px() == 14
    view.resize(900, 700)
    assert table_px() == 16


def test_theme_and_language_restyle_in_place(view: NoteView) -> None:
    view.set_scroll(2.5)
    before = view.scroll()
    theme_switch.apply(DARK)
    assert DARK.paper in colours(view)
    assert LIGHT.paper not in colours(view)
    assert view.scroll() == pytest.approx(before, abs=0.1)
    language_switch.apply("en")
    assert "Seven?" in text_of(view)
    assert "How it works" in text_of(view)
    assert int(view.scroll()) == int(before)


def last_line_is_laid_out(view: NoteView) -> bool:
    return is_complete(view) and view.browser.document().lastBlock().layout().lineCount() > 0


def is_complete(view: NoteView) -> bool:
    """The next question stands at the foot."""
    return "八？" in view.browser.toPlainText()


def test_a_page_opens_at_its_top_before_its_end_is_laid_out(
    view: NoteView, page: NotePage, qtbot: QtBot
) -> None:
    view.show_page(page, 0.0)
    assert view.scroll() == 0.0
    assert not last_line_is_laid_out(view)
    qtbot.waitUntil(lambda: last_line_is_laid_out(view))
    bar = view.browser.verticalScrollBar()
    bar.setValue(bar.maximum())
    assert view.contents.currentItem() is view.contents.topLevelItem(len(view.contents.entries) - 1)


def test_a_page_completed_later_equals_one_shown_whole(view: NoteView) -> None:
    browser, html = view.browser, view._html
    ends = sorted({page_break(html, least) for least in range(0, len(html), 40)})
    assert len(ends) > 10
    for end in ends:
        browser.show_html(html, 1.0)
        whole, height = browser.document().toHtml(), browser.document().size().height()
        with patch("gui.reading.note_browser.page_break", return_value=end):
            browser.show_html(html, 1.0, whole=False)
        browser.complete()
        assert browser.document().toHtml() == whole
        assert browser.document().size().height() == height


def open_afresh(view: NoteView, page: NotePage) -> None:
    view.resize(900, 500)
    view.show_page(page, 0.0)
    assert not is_complete(view)


def test_select_all_on_a_page_that_has_just_opened_selects_all(
    view: NoteView, page: NotePage, qtbot: QtBot
) -> None:
    open_afresh(view, page)
    qtbot.keyClick(view.browser, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert "八？" in view.browser.textCursor().selectedText()


def test_finding_and_anchors_on_a_page_that_has_just_opened_reach_its_end(
    view: NoteView, page: NotePage
) -> None:
    open_afresh(view, page)
    assert view.browser.find_all(["八？"]) == 1
    open_afresh(view, page)
    view.go_to_anchor(view.contents.entries[-1][2])
    assert view.browser.verticalScrollBar().value() > 0


def test_the_bar_of_a_page_that_has_just_opened_shows_about_its_length(
    view: NoteView, page: NotePage, qtbot: QtBot
) -> None:
    open_afresh(view, page)
    view.grab()
    view.browser.document().documentLayout().documentSizeChanged.emit(QSizeF(900, 1000))
    bar = view.browser.verticalScrollBar()
    foreseen = bar.maximum() + bar.pageStep()
    view.browser.finish_layout()
    assert foreseen == pytest.approx(bar.maximum() + bar.pageStep(), rel=0.5)


def test_a_page_that_has_just_opened_fills_a_view_that_grows(view: NoteView, page: NotePage) -> None:
    view.resize(900, 4200)
    whole = view.grab().toImage()
    view.resize(900, 500)
    open_afresh(view, page)
    view.resize(900, 4200)
    assert view.grab().toImage() == whole


def test_one_can_go_anywhere_on_a_page_that_has_just_opened(view: NoteView, page: NotePage) -> None:
    view.show_page(page._replace(id="1.2.1-08"))
    view.set_scroll(4.5)
    assert view.scroll() == pytest.approx(4.5, abs=0.02)
    view.show_page(page)
    view.highlight("八？")  # at the foot of the page
    hit = view.browser.cursorRect(view.browser.hits[0])
    assert view.browser.viewport().rect().contains(hit)


@pytest.mark.parametrize("position", [99.0, 1e300, math.inf])
def test_a_place_beyond_the_page_is_its_end(view: NoteView, position: float) -> None:
    view.set_scroll(position)
    bar = view.browser.verticalScrollBar()
    assert bar.value() == bar.maximum() > 0


def test_the_other_language_is_announced(view: NoteView, page: NotePage, sample: Note) -> None:
    view.show_page(page._replace(note=Note(sample.id, {"en": sample.paths["en"]})))
    assert "还没有中文版" in text_of(view)
    assert "How it works" in text_of(view)


def test_a_question_without_a_note_says_so(view: NoteView, page: NotePage, qtbot: QtBot) -> None:
    view.show_page(page._replace(note=None))
    for part in ("七？", "这篇笔记还没有写", "五？", "量化粒度", "八？"):
        assert part in text_of(view)
    assert view.contents.isHidden()


def test_a_broken_note_says_where(view: NoteView, page: NotePage, tmp_path: Path) -> None:
    path = tmp_path / "07-x.md"
    path.write_text("no front matter", encoding="utf-8")
    view.show_page(page._replace(note=Note("1.2.1-07", {"zh": path})))
    assert "07-x.md, line 1" in text_of(view)


def test_lab_and_note_links_are_signalled(view: NoteView, qtbot: QtBot) -> None:
    with qtbot.waitSignal(view.lab_requested) as lab:
        click(view, "lab:model/quantization_granularity?bits=4&granularity=group")
    assert lab.args == ["lab:model/quantization_granularity?bits=4&granularity=group"]
    with qtbot.waitSignal(view.note_requested) as note:
        click(view, "note:1.2.1-08")
    assert note.args == ["note:1.2.1-08"]


def test_a_chip_is_clicked(view: NoteView, qtbot: QtBot) -> None:
    viewport = view.browser.viewport()
    spots = [QPoint(x, y) for y in range(0, 250, 6) for x in range(0, viewport.width(), 10)]
    chip = next(spot for spot in spots if view.browser.anchorAt(spot).startswith("lab:"))
    with qtbot.waitSignal(view.lab_requested):
        qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=chip)


@pytest.mark.parametrize(("button", "expected"), [("Open", ["https://example.org/x"]), ("Cancel", [])])
def test_web_links_ask_first(
    view: NoteView, opened: list[str], qtbot: QtBot, button: str, expected: list[str]
) -> None:
    click(view, "https://example.org/x")
    box = view.findChild(QMessageBox)
    assert isinstance(box, QMessageBox)
    assert "https://example.org/x" in box.informativeText()
    assert opened == []
    choice = box.button(QMessageBox.StandardButton[button])
    qtbot.mouseClick(choice, Qt.MouseButton.LeftButton)
    assert opened == expected


@pytest.mark.parametrize(
    "link", ["file:///etc/passwd", "javascript:x", "data:text/html,x", "x.md", "ftp://x/y"]
)
def test_other_links_do_nothing(view: NoteView, opened: list[str], link: str) -> None:
    before = text_of(view)
    click(view, link)
    assert opened == []
    assert text_of(view) == before
    assert view.findChild(QMessageBox) is None


def test_nothing_is_ever_loaded(view: NoteView) -> None:
    for name in ("file:///etc/passwd", "https://example.org/x.png", "figures/levels.svg"):
        assert view.browser.loadResource(2, QUrl(name)) is None


def test_anchors_scroll(view: NoteView) -> None:
    for anchor in ("#fn:awq", "#算一算"):
        view.set_scroll(0)
        click(view, anchor)
        assert view.browser.verticalScrollBar().value() > 100


def test_code_is_copied_without_prompts(view: NoteView) -> None:
    click(view, "copy:0")
    copied = QGuiApplication.clipboard().text()
    assert copied.startswith("from labs.formulas.quantization import")
    assert ">>>" not in copied
    assert "4.125" not in copied


def test_a_figure_is_enlarged(view: NoteView, qtbot: QtBot) -> None:
    click(view, "figure:figures/levels.svg")
    window = view.findChild(FigureWindow)
    assert isinstance(window, FigureWindow)
    qtbot.waitExposed(window)
    assert "#d55e00" in colours(window)
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: view.findChild(FigureWindow) is None)


def test_a_figure_outside_is_not(view: NoteView) -> None:
    click(view, "figure:../../../x.svg")
    assert view.findChild(FigureWindow) is None


def test_find_marks_counts_and_steps(view: NoteView, qtbot: QtBot) -> None:
    view.find()
    bar = view.find_bar
    bar.field.setText("int8")
    total = len(view.browser.hits)
    assert total == text_of(view).lower().count("int8") > 2
    assert bar.count.text() == f"1 / {total}"
    qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    assert bar.count.text() == f"2 / {total}"
    qtbot.keyClick(bar.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(bar.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert bar.count.text() == f"{total} / {total}"
    assert LIGHT.mark in colours(view) or LIGHT.accent in colours(view)
    bar.field.setText("无此词")
    assert bar.count.text() == "没有匹配"
    assert not bar.next.isEnabled()
    qtbot.keyClick(bar.field, Qt.Key.Key_Escape)
    assert bar.isHidden()
    assert view.browser.hits == []


def test_find_survives_a_new_rendering(view: NoteView) -> None:
    view.find("INT4")
    total = len(view.browser.hits)
    theme_switch.apply(DARK)
    assert len(view.browser.hits) == total > 0


def test_the_words_of_a_search_are_marked(view: NoteView, page: NotePage) -> None:
    view.highlight("零点 GGUF")
    assert {hit.selectedText() for hit in view.browser.hits} == {"零点", "GGUF"}
    assert view.browser.current_hit == 0
    assert view.browser.verticalScrollBar().value() > 0
    view.show_page(page._replace(id="1.2.1-08"))
    assert view.browser.hits == []


def test_zoom_grows_text_and_keeps_the_place(view: NoteView, qtbot: QtBot) -> None:
    view.set_scroll(3.5)
    tall = view.browser.document().size().height()
    with qtbot.waitSignal(view.zoom_changed) as changed:
        view.zoom_in()
    assert changed.args == [1.1]
    assert view.browser.document().size().height() > tall
    assert view.scroll() == pytest.approx(3.5, abs=0.15)
    view.set_zoom(9)
    assert view.zoom() == 3.0
    view.zoom_in()
    assert view.zoom() == 3.0
    view.zoom_reset()
    assert view.zoom() == 1.0
    for _ in range(9):
        view.zoom_out()
    assert view.zoom() == 0.7


def test_ctrl_and_the_wheel_zoom(view: NoteView) -> None:
    viewport = view.browser.viewport()
    middle = QPointF(viewport.rect().center())
    event = QWheelEvent(
        middle,
        viewport.mapToGlobal(middle),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.ControlModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(viewport, event)
    assert view.zoom() == 1.1


def test_contents_stand_beside_a_wide_page_and_follow(view: NoteView) -> None:
    view.resize(1300, 600)
    assert not view.contents.isHidden()
    assert view.contents_button.isHidden()
    chosen = view.contents.entries[4]
    view.contents.chosen.emit(chosen[2])
    item = view.contents.currentItem()
    assert item is not None
    assert item.text(0) == chosen[1]
    view.set_scroll(0)
    assert not view.contents.selectedItems()
    view.resize(700, 600)
    assert view.contents.isHidden()
    assert not view.contents_button.isHidden()
    gap = view.width() - view.contents_button.geometry().right()
    assert 0 < gap < 40, "at the right edge of the page as it is now, not as it was beside the contents"


def test_tab_leaves_the_contents_button_at_once(view: NoteView) -> None:
    """It went through the page's links first, unseen: a Tab for each."""
    view.resize(700, 600)
    view.contents_button.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(view.contents_button, Qt.Key.Key_Tab)
    assert view.focusWidget() is view.browser
    QTest.keyClick(view.browser, Qt.Key.Key_Tab)
    assert view.focusWidget() is view.browser
    assert view.browser.textCursor().charFormat().isAnchor()


def test_the_place_survives_a_new_width(view: NoteView) -> None:
    view.set_scroll(4.5)
    view.resize(420, 700)
    assert view.scroll() == pytest.approx(4.5, abs=0.15)


def test_labs_arrive_later_without_moving_the_page(view: NoteView, page: NotePage) -> None:
    view.show_page(page._replace(id="1.2.1-08", labs=[]))
    view.set_scroll(2.4)
    view.set_labs([("model/x", "新实验", "New lab")], {"model/x": ("新实验", "New lab")})
    assert view.scroll() == pytest.approx(2.4, abs=0.1)
    html = view.browser.toHtml()
    assert "lab:model/x" in html


def test_labs_that_only_the_note_names_are_offered_too(view: NoteView, page: NotePage) -> None:
    named = "model/quantization_granularity"
    view.show_page(page._replace(labs=[("model/x", "别的", "Other")]))
    assert f'lab:{named}"' not in view.browser.toHtml()
    view.set_labs(
        [("model/x", "别的", "Other")], {named: ("量化粒度", "Granularity"), "model/y": ("三", "Three")}
    )
    html = view.browser.toHtml()
    assert html.index("lab:model/x") < html.index(f'lab:{named}"')
    assert "lab:model/y" not in html


def test_a_selection_is_copied_with_its_formulas(view: NoteView) -> None:
    cursor = view.browser.document().find("共用一个缩放因子")
    cursor.movePosition(QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.KeepAnchor, 3)
    view.browser.setTextCursor(cursor)
    copied = view.browser.createMimeDataFromSelection().text()
    assert copied.startswith("共用一个缩放因子 $s$")


def test_punctuation_is_drawn_with_its_formula_and_copied(view: NoteView) -> None:
    view.browser.show_html('<p>a<img src="formula-inline:x|%EF%BC%8C" />b</p>', 1.0)
    alone = view.browser.document().idealWidth()
    view.browser.selectAll()
    assert view.browser.createMimeDataFromSelection().text() == "a$x$，b"
    view.browser.show_html('<p>a<img src="formula-inline:x" />b</p>', 1.0)
    assert view.browser.document().idealWidth() == pytest.approx(alone - 16, abs=1)


def test_formulas_are_crisp_at_twice_the_pixels(view: NoteView) -> None:
    view.browser.show_html('<p><img src="formula-display:x%3Dy" /></p>', 1.0)
    viewport = view.browser.viewport()
    twice = QImage(viewport.size() * 2, QImage.Format.Format_RGB32)
    twice.setDevicePixelRatio(2)
    viewport.render(twice)
    once = viewport.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    assert _ink(twice) > 3 * _ink(once)
    # Enlarged pixels would come in equal pairs.
    assert once.scaled(twice.size()) != twice


def _ink(image: QImage) -> int:
    dark = LIGHT.ink
    return sum(image.pixelColor(x, y).name() == dark for x in range(image.width()) for y in range(0, 200))


def test_a_page_is_printed_in_light_colours_as_vectors(view: NoteView, tmp_path: Path) -> None:
    theme_switch.apply(DARK)
    path = tmp_path / "note.pdf"
    view.print_to_pdf(path)
    written = path.read_bytes()
    assert written.startswith(b"%PDF-")
    # A bitmap of a formula would be an image object.
    assert b"/Subtype /Image" not in written
    assert len(written) > 20_000
    assert theme_switch.current is DARK


def test_a_pdf_that_cannot_be_written_is_reported(
    view: NoteView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(QMessageBox, "warning", lambda _parent, _title, text: said.append(text))
    view.print_to_pdf(tmp_path / "none" / "note.pdf")
    assert "note.pdf" in said[0]
