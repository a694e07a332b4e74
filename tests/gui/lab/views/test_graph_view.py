"""A graph on the screen: hover, keys, pan, zoom, overview, export; laid out while the window lives."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest

from gui.lab.views import make_view
from gui.language import language_switch
from tests.gui.lab import kernel_samples as kernels

if TYPE_CHECKING:
    from gui.lab.views.graph import GraphView

MUL, Q, ROPE = 4, 5, 8
CONTROL = Qt.KeyboardModifier.ControlModifier


def shown(qtbot: Any, result: dict[str, Any], width: int = 1100, height: int = 420) -> GraphView:
    made = make_view("graph")
    qtbot.addWidget(made)
    made.resize(width, height)
    made.show_result(result)
    made.show()
    return made  # type: ignore[return-value]


@pytest.fixture
def view(qtbot: Any) -> GraphView:
    return shown(qtbot, kernels.graph())


def chain(count: int) -> dict[str, Any]:
    nodes = [kernels.node(f"op_{place}", place % 4, place // 10) for place in range(count)]
    edges = [{"source": place, "target": place + 1, "name": None} for place in range(count - 1)]
    groups = [kernels.both(f"组 {place}", f"group {place}") for place in range(-(-count // 10))]
    return kernels.graph(nodes=nodes, edges=edges, groups=groups)


# Told


def test_hovering_tells_what_a_node_is(view: GraphView) -> None:
    QTest.mouseMove(view.canvas, view.canvas.box(MUL).center().toPoint())
    assert view.canvas.at == MUL
    said = view.canvas.accessibleDescription()
    for told in ("mul: kind pointwise", "in fused 0: RMSNorm", "time 4\u00a0µs", "about mul: shape"):
        assert told in said
    assert "needs rsqrt, x" in said
    assert "needed by q_proj, k_proj, v_proj" in said
    before = view.canvas.grab().toImage()
    QTest.mouseMove(view.canvas, QPoint(2, 2))
    assert view.canvas.at is None and view.canvas.grab().toImage() != before


def test_many_neighbours_are_counted(qtbot: Any) -> None:
    star = kernels.graph(
        nodes=[kernels.node(f"n{place}", 0) for place in range(30)],
        edges=[{"source": 0, "target": place, "name": None} for place in range(1, 30)],
        groups=[],
    )
    needed = dict(shown(qtbot, star).describe(0))["needed by"]
    assert needed == "n1, n2, n3, n4, n5, n6 … (29)"


def test_arrow_keys_walk_along_the_edges(view: GraphView, qtbot: Any) -> None:
    canvas = view.canvas
    assert canvas.drawing is not None and canvas.drawing.across
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.at == 0
    walked = []
    for _ in range(4):
        qtbot.keyClick(canvas, Qt.Key.Key_Right)
        walked.append(canvas.at)
    assert walked in ([1, 2, 3, MUL], [MUL, Q, ROPE, 9], [MUL, 6, ROPE, 9], [MUL, 7, 9, 10])
    canvas.select(Q)
    qtbot.keyClick(canvas, Qt.Key.Key_Down)
    assert canvas.at in (6, 7)  # beside it, in its layer
    qtbot.keyClick(canvas, Qt.Key.Key_Up)
    assert canvas.at == Q
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert canvas.at in (MUL, 12)
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert canvas.at is None


def test_the_keyboard_brings_nodes_into_sight(qtbot: Any) -> None:
    view = shown(qtbot, chain(50))
    canvas = view.canvas
    canvas.setFocus()
    canvas.select(0)
    for _ in range(45):
        qtbot.keyClick(canvas, Qt.Key.Key_Right if canvas.drawing.across else Qt.Key.Key_Down)
        assert QRectF(canvas.rect()).contains(canvas.box(canvas.at).center())
    assert canvas.at == 45


# In sight


def test_a_small_graph_is_all_in_sight(view: GraphView) -> None:
    canvas = view.canvas
    assert all(QRectF(canvas.rect()).contains(canvas.box(node)) for node in range(13))
    assert all(overview.isHidden() for overview in view.overviews)


def test_it_goes_the_way_for_which_there_is_room(view: GraphView, qtbot: Any) -> None:
    assert view.canvas.drawing.across  # type: ignore[union-attr]
    tall = shown(qtbot, kernels.graph(), width=360, height=900)
    assert not tall.canvas.drawing.across  # type: ignore[union-attr]


def test_zooming_keeps_the_place_under_the_pointer(view: GraphView) -> None:
    canvas = view.canvas
    place = canvas.box(MUL).center()
    turn = QWheelEvent(
        place, canvas.mapToGlobal(place), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, CONTROL,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    before = canvas.scale
    canvas.wheelEvent(turn)
    assert canvas.scale > before
    assert (canvas.box(MUL).center() - place).manhattanLength() < 1e-6


def test_without_control_the_wheel_is_the_pages(view: GraphView) -> None:
    place = QPointF(50, 50)
    turn = QWheelEvent(
        place, place, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    view.canvas.wheelEvent(turn)
    assert not turn.isAccepted()


def test_buttons_and_keys_zoom_and_fit(view: GraphView, qtbot: Any) -> None:
    canvas, fitted = view.canvas, view.canvas.scale
    qtbot.mouseClick(view.in_button, Qt.MouseButton.LeftButton)
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Plus, CONTROL)
    assert canvas.scale == pytest.approx(fitted * 1.25**2)
    qtbot.keyClick(canvas, Qt.Key.Key_Minus, CONTROL)
    qtbot.mouseClick(view.out_button, Qt.MouseButton.LeftButton)
    assert canvas.scale == pytest.approx(fitted)
    for _ in range(30):
        qtbot.keyClick(canvas, Qt.Key.Key_Plus, CONTROL)
    assert canvas.scale == 3.0
    qtbot.mouseClick(view.fit_button, Qt.MouseButton.LeftButton)
    assert canvas.scale == pytest.approx(canvas.fitting())


def test_dragging_pans_and_it_stays(view: GraphView, qtbot: Any) -> None:
    canvas = view.canvas
    before = canvas.box(MUL).topLeft()
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    qtbot.mouseMove(canvas, QPoint(340, 230))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(340, 230))
    assert canvas.box(MUL).topLeft() - before == QPointF(40, 30)
    other = kernels.graph()
    other["nodes"][MUL]["value"] = 5e-6
    view.show_result(other)
    assert canvas.box(MUL).topLeft() - before == QPointF(40, 30)
    view.show_result(chain(5))  # another graph: from its beginning
    assert all(QRectF(canvas.rect()).contains(canvas.box(node)) for node in range(5))


def test_the_overview_shows_the_way(qtbot: Any) -> None:
    view = shown(qtbot, chain(300), width=640)
    qtbot.waitUntil(lambda: view.canvas.drawing is not None)
    beside, below = view.overviews
    assert beside.isVisible() and not below.isVisible()
    assert view.canvas.scale >= 0.55
    assert QRectF(view.canvas.rect()).contains(view.canvas.box(0))
    qtbot.mouseClick(beside, Qt.MouseButton.LeftButton, pos=QPoint(30, beside.height() - 6))
    assert QRectF(view.canvas.rect()).intersects(view.canvas.box(299))
    view.canvas.fit()
    assert not beside.isVisible()


# Layout


def test_a_large_graph_is_laid_out_while_the_window_lives(qtbot: Any) -> None:
    view = shown(qtbot, chain(400))
    assert view.canvas.drawing is None
    assert not view.grab().isNull()  # and says so
    qtbot.waitUntil(lambda: view.canvas.drawing is not None)
    assert not view._timer.isActive()


def test_a_newer_result_ends_an_older_layout(qtbot: Any) -> None:
    view = shown(qtbot, chain(400))
    view.show_result(chain(20))
    qtbot.wait(20)
    assert len(view.canvas.drawing.nodes) == 20  # type: ignore[union-attr]
    assert not view._timer.isActive()


def test_the_same_graph_is_not_laid_out_again(view: GraphView) -> None:
    drawing = view.canvas.drawing
    view.show_result(kernels.graph())
    assert view.canvas.drawing is drawing
    language_switch.apply("zh")
    view.retranslate()
    assert view.canvas.drawing is not drawing and len(view.canvas.drawing.nodes) == 13  # type: ignore[union-attr]


def test_a_loop_and_a_circle_are_drawn(qtbot: Any) -> None:
    pairs, name = ((0, 0), (0, 1), (1, 0), (0, 1)), kernels.both("边", "edge")
    edges = [{"source": a, "target": b, "name": name} for a, b in pairs]
    nodes = [kernels.node("a", 0, 0), kernels.node("b", 1, 1)]
    view = shown(qtbot, kernels.graph(nodes=nodes, edges=edges))
    assert not view.grab().isNull()


# Export


def test_an_svg_has_all_of_it_with_names(qtbot: Any) -> None:
    view = shown(qtbot, chain(120), width=700)
    view.settle()
    scale = view.canvas.scale
    svg = view.to_svg().decode()
    assert all(f">op_{place}" in svg for place in range(120))
    assert view.canvas.scale == scale and len(re.findall("<image", svg)) == 0


def test_the_table_of_a_graph(view: GraphView) -> None:
    rows = list(csv.reader(io.StringIO(view.to_csv())))
    assert rows[0] == ["row", "name", "from", "to", "kind", "group", "time"]
    assert rows[2] == ["node", "square", "", "", "pointwise", "fused 0: RMSNorm", "4.2e-06"]
    assert rows[14] == ["edge", "", "x", "square", "", "", ""]
    assert len(rows) == 1 + 13 + 16
