"""Every view is drawn, in both themes and languages, with ordinary and with awkward results."""

from __future__ import annotations

import csv
import io
import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import QCoreApplication, QPointF, Qt
from PySide6.QtGui import QImage

from gui.lab.card import Card
from gui.lab.views import VIEWS, make_view
from gui.lab.views.bits import TAIL, BitsView, room_beside
from gui.language import language_switch
from gui.theme import DARK, LIGHT, theme_switch
from tests.gui.lab import kernel_samples, replay_samples, samples

EMPTY, NONE = np.empty(0), np.empty(0, dtype=np.int64)
NO_CHANGES = {"event": NONE, "block": NONE, "owner": NONE, "shared": None, "filled": None}
NO_TABLES = {"event": NONE, "owner": NONE, "logical": NONE, "block": NONE}
NO_RUNS = kernel_samples.runs_of([])
SOURCES = (samples, replay_samples, kernel_samples)
KINDS = {name: next(getattr(one, name) for one in SOURCES if hasattr(one, name)) for name in VIEWS}

AWKWARD = {
    "metric none": samples.metric(value=None, predicted=3.0),
    "metric nan": samples.metric(value=math.nan, predicted=math.nan, low=math.nan, high=1.0),
    "metric huge": samples.metric(value=1.7e308, low=1e-300, high=1e308, predicted=-1.0),
    "table empty": samples.table(rows=[], highlight=None),
    "table nan": samples.table(rows=[[samples.both("甲", "a"), math.nan, None, math.inf]], highlight=0),
    "lines empty": samples.lines(series=[], marks=[]),
    "lines no points": samples.lines(series=[samples.series("a", EMPTY, EMPTY, low=EMPTY, high=EMPTY)]),
    "lines nan": samples.lines(series=[samples.series("a", [1, 2], [math.nan, math.nan])]),
    "lines one": samples.lines(series=[samples.series("a", [64], [3.0])]),
    "lines below zero on log": samples.lines(series=[samples.series("a", [-1, 0, 2], [1, 2, 3])]),
    "lines huge": samples.lines(
        series=[samples.series("a", np.arange(1, 1e6), np.sin(np.arange(1, 1e6)))], markers=True
    ),
    "lines band": samples.lines(
        series=[
            samples.series(
                "a", np.arange(1, 99), np.arange(98), low=np.arange(98) - 1, high=np.arange(98) + 1
            )
        ]
    ),
    "lines infinite": samples.lines(series=[samples.series("a", [1, 2, 4], [1.0, math.inf, 2.0])]),
    "scatter empty": samples.scatter(series=[]),
    "scatter one": samples.scatter(series=[samples.series("a", [1.0], [1e9])]),
    "scatter huge": samples.scatter(
        series=[samples.series("a", np.arange(1, 50_001), np.arange(1, 50_001) * 1e6)]
    ),
    "bars empty": samples.bars(categories=[], series=[], missing={}),
    "bars all missing": samples.bars(
        series=[{"name": samples.both("甲", "a"), "values": np.full(5, math.nan)}],
        missing={"0": samples.both("无", "none here")},
    ),
    "bars negative": samples.bars(
        series=[{"name": samples.both("甲", "a"), "values": np.array([-1e-3, 2e-3, 0, 1e-9, 1.0])}],
        missing={},
    ),
    "bars log": samples.bars(y={"title": samples.both("时间", "Time"), "unit": "s", "log": True}),
    "bars many": samples.bars(
        categories=[samples.both(str(i), str(i)) for i in range(600)],
        series=[{"name": samples.both("甲", "a"), "values": np.arange(600.0)}],
        missing={},
    ),
    "histogram empty": samples.histogram(series=[], levels=None, marks=[]),
    "histogram levels only": samples.histogram(series=[], levels=np.linspace(-1, 1, 256)),
    "histogram zero counts": samples.histogram(
        series=[{"name": samples.both("甲", "a"), "edges": np.array([0.0, 1.0]), "counts": np.array([0.0])}]
    ),
    "histogram log": samples.histogram(log_counts=True),
    "heatmap empty": samples.heatmap(values=np.zeros((0, 0), dtype=np.float32)),
    "heatmap nan": samples.heatmap(values=np.full((3, 4), np.nan)),
    "heatmap part nan": samples.heatmap(values=np.array([[1.0, np.nan], [np.inf, -2.0]])),
    "heatmap constant": samples.heatmap(values=np.full((2, 2), 7.0), diverging=False),
    "heatmap log": samples.heatmap(values=np.logspace(-9, 3, 24).reshape(4, 6), diverging=False, log=True),
    "heatmap log zero": samples.heatmap(values=np.zeros((2, 2)), diverging=False, log=True),
    "heatmap signed log": samples.heatmap(values=np.array([[-1e3, 0.0, 1e-2]]), diverging=True, log=True),
    "heatmap one": samples.heatmap(values=np.array([[1.0]])),
    "heatmap huge": samples.heatmap(values=np.zeros((3000, 2000), dtype=np.float32)),
    "bits empty": samples.bits(rows=[], highlight=None),
    "bits nan": samples.bits(
        rows=[samples.bit_row("X", ("sign", "1"), ("exponent", "1111"), value=math.nan)], highlight=0
    ),
    "trace empty": replay_samples.trace(times=EMPTY, kind_index=NONE, columns={}, names={}),
    "trace of one moment": replay_samples.trace(times=np.full(len(replay_samples.trace()["times"]), 2.0)),
    "block_map empty": replay_samples.block_map(changes=NO_CHANGES, tables=NO_TABLES, owners=[]),
    "block_map of none": replay_samples.block_map(count=0, changes=NO_CHANGES, tables=None, owners=[]),
    "block_map huge": replay_samples.block_map(count=40_000),
    "block_map of many owners": replay_samples.block_map(owners=[{"name": samples.both("甲", "a")}] * 500),
    "timeline empty": replay_samples.timeline(
        lane=NONE, start=EMPTY, end=EMPTY, category=NONE, label=None, value=None
    ),
    "timeline of a moment": replay_samples.timeline(
        lane=np.array([0]),
        start=np.array([1.0]),
        end=np.array([1.0]),
        category=np.array([0]),
        label=None,
        value=None,
    ),
    "timeline of many lanes": replay_samples.timeline(
        lanes=[samples.both("长长的名字" * 9, "long " * 40)] * 300
    ),
    "tokens empty": replay_samples.tokens(rows=[]),
    "tokens awkward": replay_samples.tokens(
        rows=[
            {
                "name": samples.both("甲", "a"),
                "tokens": ["", "\n", "\n\n", " ", "<b>", "长" * 900, "\ufffd"],
                "event": None,
                "value": np.array([math.nan, 1, 2, math.inf, 4, 5, 6]),
                "category": None,
            },
            {"name": samples.both("乙", "b"), "tokens": [], "event": NONE, "value": None, "category": None},
        ],
        categories=[],
    ),
    "code empty": kernel_samples.code(panes=[kernel_samples.pane("", "text", "")]),
    "code awkward": kernel_samples.code(
        panes=[
            kernel_samples.pane("长" * 90, "python", "\t'''\n\ufffd\U0001f600\r\x00\n" + "x" * 20_000),
            kernel_samples.pane("b", "of the future", "a\n\n\n", links=np.array([9, 0, -1])),
        ]
    ),
    "code of many panes": kernel_samples.code(panes=[kernel_samples.ptx_pane()] * 12),
    "code huge": kernel_samples.code(panes=[kernel_samples.ptx_pane(copies=2000)]),
    "tiles empty": kernel_samples.tiles(
        tensors=[], runs=kernel_samples.runs_of([]), categories=[], faults=[]
    ),
    "tiles untouched": kernel_samples.tiles(runs=NO_RUNS),
    "tiles of a row": kernel_samples.tiles(
        tensors=[
            {"name": samples.both("长" * 90, "long " * 40), "rows": 1, "columns": 10**6, "values": None}
        ],
        runs=kernel_samples.runs_of([(0, 0, 0, 1, 5, 10**6, 0), (3, 0, 99, 1, -(10**9), 10**9, 1)]),
    ),
    "tiles of no number": kernel_samples.tiles(
        tensors=[
            {
                "name": samples.both("甲", "a"),
                "rows": 2,
                "columns": 2,
                "values": np.array([[math.nan, math.inf], [-1e300, 1e-300]]),
            }
        ],
        runs=kernel_samples.runs_of([(0, 0, 0, 1, 0, 2, 0)]),
    ),
    "graph empty": kernel_samples.graph(nodes=[], edges=[], categories=[], groups=[]),
    "graph one": kernel_samples.graph(
        nodes=[kernel_samples.node("长" * 90, 0)], edges=[], groups=[samples.both("空", "none")]
    ),
    "graph apart": kernel_samples.graph(edges=[]),
    "markdown html": samples.markdown(
        body=samples.both("<script>x</script> ![图](http://x/y.png)", "<b>x</b> ![p](http://x/y.png)")
    ),
}


def drawn(card: Card, result: dict[str, Any], width: int = 520) -> QImage:
    card.show_result(result, samples.ENVIRONMENT)
    card.resize(width, 340)
    return card.grab().toImage()


def colours(image: QImage) -> int:
    small = image.scaled(120, 80)
    return len({small.pixel(x, y) for x in range(120) for y in range(80)})


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_draws_and_follows_theme_and_language(qtbot: Any, kind: str) -> None:
    card = Card()
    qtbot.addWidget(card)
    light = drawn(card, KINDS[kind]())
    assert colours(light) > 4
    theme_switch.current = DARK
    card.restyle(DARK)
    dark = card.view.grab().toImage()
    card.restyle(LIGHT)
    assert card.view.grab().toImage() != dark
    theme_switch.current = LIGHT
    language_switch.apply("zh")
    card.relanguage()
    assert card.view.accessibleName() == KINDS[kind]()["title"]["zh"]
    assert card.grab().toImage() != light


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_results_are_drawn(qtbot: Any, name: str, theme: Any) -> None:
    theme_switch.current = theme
    card = Card()
    qtbot.addWidget(card)
    assert not drawn(card, AWKWARD[name]).isNull()
    if "huge" in name:
        return
    rows = list(csv.reader(io.StringIO(card.view.to_csv())))
    assert all(len(row) == len(rows[0]) for row in rows)


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_gives_svg_png_and_csv(qtbot: Any, kind: str) -> None:
    view = make_view(kind)
    qtbot.addWidget(view)
    view.show_result(KINDS[kind]())
    view.resize(500, 320)
    assert ET.fromstring(view.to_svg()).tag.endswith("svg")
    assert QImage.fromData(view.to_png()).width() == 1000
    assert len(list(csv.reader(io.StringIO(view.to_csv())))) > 1


@pytest.mark.parametrize("kind", ["lines", "scatter", "bars", "histogram", "block_map", "timeline", "tokens"])
def test_pictures_are_vectors(qtbot: Any, kind: str) -> None:
    view = make_view(kind)
    qtbot.addWidget(view)
    view.show_result(KINDS[kind]())
    view.resize(500, 320)
    svg = view.to_svg().decode()
    assert "<text" in svg
    assert "<image" not in svg


def test_csv_carries_full_precision(qtbot: Any) -> None:
    view = make_view("lines")
    qtbot.addWidget(view)
    view.show_result(samples.lines(series=[samples.series("a", [1], [0.1 + 0.2])]))
    rows = list(csv.reader(io.StringIO(view.to_csv())))
    assert float(rows[1][2]) == 0.1 + 0.2


@pytest.mark.parametrize("name", ["lines huge", "scatter huge", "heatmap huge", "bars many"])
def test_what_is_drawn_of_huge_results_is_bounded(qtbot: Any, name: str) -> None:
    card = Card()
    qtbot.addWidget(card)
    drawn(card, AWKWARD[name])
    if name == "heatmap huge":
        assert card.view._values.size <= 1_000_000
    if name == "lines huge":
        (curve,) = [item for item in card.view.plot.items if isinstance(item, pg.PlotCurveItem)]
        xs, ys = curve.getData()
        assert len(xs) <= 10_002
        assert (np.nanmin(ys), np.nanmax(ys)) == pytest.approx((-1, 1), abs=1e-6)


def test_a_metric_shows_the_error_of_theory(qtbot: Any) -> None:
    view = make_view("metric")
    qtbot.addWidget(view)
    view.show_result(samples.metric(value=0.0021, unit="s", predicted=0.002))
    texts = [label.text() for label in view.findChildren(type(view._error))]
    assert any("2.100" in text for text in texts)
    assert "+5.0%" in texts
    assert view._badge.accessibleName() == "estimated 2\u00a0ms"


def test_a_level_shows_the_error_of_theory_as_a_level(qtbot: Any) -> None:
    view = make_view("metric")
    qtbot.addWidget(view)
    view.show_result(samples.metric(value=19.83, unit="dB", predicted=20.2))
    assert view._error.text() == "−0.37\u00a0dB"


def test_a_table_sorts_numbers_and_leaves_missing_last(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    view.show_result(samples.table())
    view.grid.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    shown = [view.model.text(view.model.index(row, 3)) for row in range(5)]
    assert shown == ["44.85", "38.55", "31.35", "30.45", "—"]
    assert view.model.headerData(2, Qt.Orientation.Horizontal) == "Size (MiB)"
    view.grid.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
    assert view.model.text(view.model.index(0, 0)) == "FP32"


def test_a_sign_among_figures_stands_as_they_do(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    columns = [
        {"title": samples.both("格式", "format")},
        {"title": samples.both("信噪比", "SQNR"), "unit": "dB"},
    ]
    rows = [["FP32", samples.both("∞", "∞")], ["INT8", 31.5], ["–", samples.both("无", "none")]]
    view.show_result({**samples.table(), "columns": columns, "rows": rows})

    def at_right(row: int, column: int) -> bool:
        side = view.model.data(view.model.index(row, column), Qt.ItemDataRole.TextAlignmentRole)
        return bool(side & int(Qt.AlignmentFlag.AlignRight))

    assert at_right(0, 1) and at_right(1, 1)
    assert not at_right(2, 1), "a word"
    assert not at_right(2, 0), "a sign among words"


def test_a_table_copies_as_text(qtbot: Any) -> None:
    view = make_view("table")
    qtbot.addWidget(view)
    view.show_result(samples.table())
    view.grid.selectRow(0)
    assert view.grid.selected_text().split("\t")[:2] == ["FP32", "32"]


def test_hovering_a_plot_tells_values_with_units(qtbot: Any) -> None:
    card = Card()
    qtbot.addWidget(card)
    drawn(card, samples.lines())
    found = card.view.hover_text(math.log10(60), 40)
    assert found is not None
    assert found[0] == pytest.approx(math.log10(64))
    assert "Group size 64" in found[1]
    assert "71" in found[1]
    centre = card.view.plot.vb.sceneBoundingRect().center()
    card.view.hover_at(QPointF(centre))
    assert card.view._card.isVisibleTo(card.view)
    card.view.end_hover()
    assert not card.view._card.isVisibleTo(card.view)


def test_hovering_a_map_tells_real_rows_and_columns(qtbot: Any) -> None:
    view = make_view("heatmap")
    qtbot.addWidget(view)
    view.show_result(
        samples.heatmap(values=np.array([[1.0, 2.0], [3.0, 40.0]]), row_step=6.0, column_step=8.0)
    )
    found = view.hover_text(9.0, 7.0)
    assert found is not None
    assert "Output channel 6–11" in found[1]
    assert "Input channel 8–15" in found[1]
    assert "40" in found[1]
    assert view.hover_text(99.0, 0.0) is None


def test_an_outlier_survives_the_reduction_of_a_huge_map(qtbot: Any) -> None:
    values = np.zeros((3000, 2000), dtype=np.float32)
    values[1234, 567] = -500.0
    view = make_view("heatmap")
    qtbot.addWidget(view)
    view.show_result(samples.heatmap(values=values, row_step=1.0, column_step=1.0))
    assert view.value_range() == (-500.0, 0.0)
    found = view.hover_text(567, 1234)
    assert found is not None
    assert "−500" in found[1]


def test_the_first_picture_of_a_plot_has_the_labels_of_both_axes(qtbot: Any) -> None:
    view = make_view("scatter")
    qtbot.addWidget(view)
    view.resize(540, 360)
    view.show_result(samples.scatter())
    picture = view.grab().toImage()  # as an export does, of what was never in sight
    ground = picture.pixelColor(1, picture.height() - 20)
    labels = [(x, y) for x in range(25) for y in range(view.legend.height() + 8, picture.height() - 60)]
    assert sum(picture.pixelColor(*at) != ground for at in labels) > 100


def test_lines_of_code_in_prose_stand_close_and_are_not_cut_off(qtbot: Any) -> None:
    view = make_view("markdown")
    qtbot.addWidget(view)
    body = "one\n\n```python\nx = 1\ny = " + "x + " * 99 + "x\n```\n\ntwo"
    view.show_result(samples.markdown(body=samples.both(body, body)))
    blocks, block = [], view.prose.document().begin()
    while block.isValid():
        blocks.append(block.blockFormat())
        block = block.next()
    assert [form.bottomMargin() for form in blocks] == [8, 0, 8, 0]
    assert not any(form.nonBreakableLines() for form in blocks)


def test_log_axes_label_decades_and_powers_of_two(qtbot: Any) -> None:
    view = make_view("scatter")
    qtbot.addWidget(view)
    view.show_result(samples.scatter())
    axis = view.canvas.y_axis
    ((_, major), *_) = axis.tickValues(8.0, 12.0, 300)
    assert axis.tickStrings(major, 1.0, 1.0) == [
        "100 MFLOP/s",
        "1 GFLOP/s",
        "10 GFLOP/s",
        "100 GFLOP/s",
        "1 TFLOP/s",
    ]
    axis.set_axis({"title": samples.both("字节", "bytes"), "unit": "B", "log": True}, [])
    ((_, major), *_) = axis.tickValues(math.log10(2e7), math.log10(3e13), 300)
    assert axis.tickStrings(major, 1.0, 1.0) == ["32 MiB", "1 GiB", "32 GiB", "1 TiB"]
    ((_, major), *_) = axis.tickValues(math.log10(2e7), math.log10(3e8), 300)
    assert axis.tickStrings(major, 1.0, 1.0) == ["32 MiB", "64 MiB", "128 MiB", "256 MiB"]
    lines = make_view("lines")
    qtbot.addWidget(lines)
    lines.show_result(samples.lines())
    axis = lines.canvas.x_axis
    ((_, major), *_) = axis.tickValues(1.0, 3.0, 300)
    assert axis.tickStrings(major, 1.0, 1.0) == ["16", "32", "64", "128", "256"]


def test_a_click_on_a_bit_edits_the_parameter(qtbot: Any) -> None:
    view = make_view("bits")
    qtbot.addWidget(view)
    view.resize(900, 300)
    view.show_result(samples.bits())
    view.show()
    cell = view.cells._cell(1, 3)
    with qtbot.waitSignal(view.param_edited) as edited:
        qtbot.mouseClick(view.cells, Qt.MouseButton.LeftButton, pos=cell.box.center().toPoint())
    assert edited.args == ["value", samples.bits()["rows"][1]["flips"][3]]


def test_the_keyboard_flips_bits(qtbot: Any) -> None:
    view = make_view("bits")
    qtbot.addWidget(view)
    view.resize(500, 500)
    view.show_result(samples.bits(highlight=0))
    view.show()
    qtbot.keyClick(view.cells, Qt.Key.Key_Down)
    qtbot.keyClick(view.cells, Qt.Key.Key_Right)
    assert "BF16, exponent 1: 0" in view.cells.accessibleDescription()
    with qtbot.waitSignal(view.param_edited) as edited:
        qtbot.keyClick(view.cells, Qt.Key.Key_Space)
    assert edited.args[1] == samples.bits()["rows"][1]["flips"][1]


@pytest.mark.parametrize("room", range(40, 260, 20))
def test_a_stored_value_is_never_cut_by_its_error(room: int) -> None:
    """In a comparison of four runs there is no place for both: "0.1000" stood as "00"."""
    value, tail = 70.0, 90.0
    beside = room_beside(value, tail, room)
    assert beside in (0.0, min(TAIL, room - value))
    assert beside == 0.0 or (tail < beside and value + beside <= room)
    assert bool(beside) == (room >= 180)


def test_bits_without_flips_cannot_be_clicked(qtbot: Any) -> None:
    view = make_view("bits")
    qtbot.addWidget(view)
    view.resize(900, 300)
    view.show_result(samples.bits())
    view.show()
    cell = view.cells._cell(5, 0)
    with qtbot.assertNotEmitted(view.param_edited):
        qtbot.mouseClick(view.cells, Qt.MouseButton.LeftButton, pos=cell.box.center().toPoint())


def test_prose_is_as_high_as_the_text_that_it_has_now(qtbot: Any) -> None:
    view = make_view("markdown")
    qtbot.addWidget(view)
    heights = []
    for body in ("one line", "many words " * 200, "one line"):
        view.show_result(samples.markdown() | {"body": samples.both(body, body)})
        heights.append(view.prose.heightForWidth(300))
    assert heights[1] > 5 * heights[0] == 5 * heights[2]
    view.show_result(samples.markdown() | {"body": samples.both("many words " * 200, "many words " * 200)})
    assert view.prose.heightForWidth(600) < view.prose.heightForWidth(300) == heights[1]


def test_prose_is_laid_out_for_no_width_twice_and_not_again_for_the_same_text(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make_view("markdown")
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    view.show_result(samples.markdown())
    QCoreApplication.processEvents()
    changed, copies = [], []
    view.prose.document().contentsChanged.connect(lambda: changed.append(1))
    laid_out = view.prose._laid_out
    monkeypatch.setattr(view.prose, "_laid_out", lambda width: copies.append(width) or laid_out(width))
    view.show_result(samples.markdown())
    assert changed == []
    longer = "\n\n".join(f"Paragraph {number}." for number in range(30))
    view.show_result(samples.markdown(body=samples.both(longer, longer)))
    assert view.prose.accessibleName() == view.accessibleName() != ""
    assert len(changed) < 6  # the text, and then all margins together
    own = view.prose.viewport().width()
    assert view.prose.heightForWidth(own) > 300 and copies == []
    assert view.prose.heightForWidth(own - 100) == view.prose.heightForWidth(own - 100)
    assert copies == [own - 100]


def test_links_in_prose_are_told_not_followed(qtbot: Any) -> None:
    from PySide6.QtCore import QUrl

    view = make_view("markdown")
    qtbot.addWidget(view)
    view.show_result(samples.markdown())
    with qtbot.waitSignal(view.link_activated) as link:
        view.prose.anchorClicked.emit(QUrl("note:1.2.1-07"))
    assert link.args == ["note:1.2.1-07"]
    view.show_result(AWKWARD["markdown html"])
    assert "<b>x</b>" in view.prose.toPlainText()


def test_the_badge_tells_device_and_source(qtbot: Any) -> None:
    card = Card()
    qtbot.addWidget(card)
    drawn(card, samples.histogram(source=samples.both("逐元素", "element by element")))
    tip = card._badge.toolTip()
    assert "AMD EPYC · 2 threads · torch 2.13.0" in tip
    assert "element by element" in tip


@pytest.mark.parametrize("suffix", ["csv", "png", "svg"])
def test_a_card_writes_files(qtbot: Any, tmp_path: Any, suffix: str) -> None:
    card = Card()
    qtbot.addWidget(card)
    drawn(card, samples.lines())
    path = tmp_path / f"out.{suffix}"
    with qtbot.waitSignal(card.saved):
        card.write(path, suffix)
    heads = {"csv": b"\xef\xbb\xbfseries", "png": b"\x89PNG", "svg": b"<?xml"}
    assert path.read_bytes().startswith(heads[suffix])


def test_enlarging_shows_the_same_result_and_keeps_up(qtbot: Any) -> None:
    card = Card()
    qtbot.addWidget(card)
    drawn(card, samples.lines())
    card.enlarge()
    assert card._enlarged is not None
    qtbot.addWidget(card._enlarged)
    card.show_result(samples.lines(title=samples.both("新", "new")), {})
    assert card._enlarged.windowTitle() == "new"


def test_an_enlarged_result_speaks_the_language_and_goes_with_its_kind(qtbot: Any) -> None:
    card = Card()
    qtbot.addWidget(card)
    card.show_result(samples.bits(title={"zh": "位", "en": "bits"}), {})
    card.enlarge()
    enlarged = card._enlarged
    assert enlarged is not None
    language_switch.apply("zh")
    card.relanguage()
    assert enlarged.windowTitle() == "位"
    assert enlarged.findChild(BitsView).accessibleName() == "位"
    with qtbot.waitSignal(enlarged.destroyed):
        card.show_result(samples.lines(), {})
    card.enlarge()
    assert card._enlarged is not None
    qtbot.addWidget(card._enlarged)
    assert card._enlarged.findChild(BitsView) is None


def test_baselines_that_are_all_grey_differ_in_their_strokes(qtbot: Any) -> None:
    xs = [1.0, 2.0]
    curves = [samples.series("measured", xs, xs)]
    curves += [samples.series(f"predicted {place}", xs, xs, reference=True) for place in range(3)]
    view = make_view("lines")
    qtbot.addWidget(view)
    view.show_result(samples.lines(series=curves, marks=[]))
    assert [view.swatch(one) for one in view.result["series"]] == ["line", "dash", "dot", "dashdot"]  # type: ignore[attr-defined]
