"""Tiles: what is touched now and before, at any cursor and resolution; told by pointer, keys and table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest

from gui.lab.playback.animation import animation_steps
from gui.lab.results_area import ResultsArea
from gui.lab.views import make_view
from gui.lab.views.block_look import owner_colour
from gui.lab.views.tile_canvas import Element, short
from gui.lab.views.tile_layout import Sized, elements_a_cell, fitting_scale, laid_out
from gui.lab.views.tile_picture import LEVELS, colour_indices
from gui.lab.views.tile_state import Runs, Touches, touched_at
from gui.theme import DARK, LIGHT
from tests.gui.lab import kernel_samples as kernels

if TYPE_CHECKING:
    from pathlib import Path

    from gui.lab.views.tiles import TilesView

ROWS, COLUMNS = 5, 7


@pytest.fixture
def area(qtbot: Any) -> ResultsArea:
    made = ResultsArea()
    qtbot.addWidget(made)
    made.begin(preview=False)
    for result in (kernels.tile_trace(), kernels.tiles()):
        made.show_result(result, {})
    made.end("done")
    made.resize(1000, 700)
    made.show()
    return made


def view_of(area: ResultsArea) -> TilesView:
    return area.card("tiles").view  # type: ignore[no-any-return]


def alone(qtbot: Any, result: dict[str, Any], width: int = 900) -> TilesView:
    made = make_view("tiles")
    qtbot.addWidget(made)
    made.resize(width, 600)
    made.show_result(result)
    made.show()
    return made  # type: ignore[return-value]


def test_a_result_with_taller_tensors_gets_their_height(qtbot: Any) -> None:
    def tensors(rows: int) -> list[dict[str, Any]]:
        name = {"zh": "A", "en": "A"}
        return [{"name": name, "rows": rows, "columns": 8, "values": None}]

    runs = {name: np.zeros(1, int) for name in ("event", "tensor", "row", "start", "category")}
    runs["stop"] = np.ones(1, int)
    view = alone(qtbot, kernels.tiles(tensors=tensors(2), runs=runs))
    low = view.heightForWidth(600)
    view.show_result(kernels.tiles(tensors=tensors(32), runs=runs))
    assert view.heightForWidth(600) > low + 100


# State


def naive(runs: Runs, rows: int, columns: int, cursor: int | None) -> Any:
    """By painting run after run: the index of each element's look, 0 where nothing touched it."""
    looks = np.zeros((rows, columns), dtype=int)
    for event, row, start, stop, category in zip(*runs, strict=True):
        if cursor is None or event <= cursor:
            age = 0 if cursor is None else min(cursor - event, LEVELS - 1)
            if 0 <= row < rows:
                looks[row, max(0, start) : max(0, stop)] = 1 + category * LEVELS + age
    return looks


@st.composite
def some_runs(draw: st.DrawFn) -> Runs:
    run = st.tuples(
        st.integers(0, 12),
        st.integers(-1, ROWS),
        st.integers(-1, COLUMNS),
        st.integers(0, 4),
        st.integers(0, 2),
    )
    rows = sorted(draw(st.lists(run, max_size=30)), key=lambda one: one[0])
    made = [(event, row, start, start + length, category) for event, row, start, length, category in rows]
    return Runs(*np.array(made, dtype=np.int64).reshape(-1, 5).T)


@given(some_runs(), st.one_of(st.none(), st.integers(-1, 13)))
def test_any_cursor_shows_what_painting_from_the_start_would(runs: Runs, cursor: int | None) -> None:
    touches = Touches({"rows": ROWS, "columns": COLUMNS}, runs)
    shown = colour_indices(touches.cells(1, 1), cursor).reshape(touches.height, touches.width)
    top, left = touches.margins.top, touches.margins.left
    inside = shown[top : top + ROWS, left : left + COLUMNS]
    assert (inside == naive(touches.runs, ROWS, COLUMNS, cursor)).all()


@given(some_runs(), st.sampled_from([(2, 1), (1, 4), (4, 2)]))
def test_a_cell_shows_a_touch_of_any_of_its_elements(runs: Runs, cell: tuple[int, int]) -> None:
    touches = Touches({"rows": ROWS, "columns": COLUMNS}, runs)
    fine = colour_indices(touches.cells(1, 1), None).reshape(touches.height, touches.width) > 0
    coarse = colour_indices(touches.cells(*cell), None)
    down, across = cell
    padded = np.zeros((-(-touches.height // down) * down, -(-touches.width // across) * across), dtype=bool)
    padded[: touches.height, : touches.width] = fine
    gathered = padded.reshape(-(-touches.height // down), down, -1, across).any(axis=(1, 3))
    assert ((coarse > 0) == gathered.ravel()).all()


def test_what_lies_far_outside_is_at_the_edge_of_the_margin() -> None:
    runs = Runs(*np.array([[0, 10**6, 0, 4, 0], [1, -3, -(10**6), 2, 0]], dtype=np.int64).T)
    touches = Touches({"rows": 16, "columns": 8}, runs)
    assert (touches.margins.top, touches.margins.bottom) == (2, 2)
    shown = colour_indices(touches.cells(1, 1), None).reshape(touches.height, touches.width) > 0
    assert shown[-1].any() and shown[0, : touches.margins.left + 2].all() and shown[1:-1].sum() == 0


def test_a_tensor_of_millions_needs_few_cells() -> None:
    runs = Runs(*(np.arange(4) for _ in range(2)), *np.array([[0] * 4, [4096] * 4, [0] * 4]))
    touches = Touches({"rows": 4096, "columns": 4096}, runs)
    cells = touches.cells(1, 1)
    assert cells.rows * cells.columns <= 2**20
    assert elements_a_cell(0.1) == 16 and elements_a_cell(1.0) == elements_a_cell(22.0) == 1


def test_touches_of_an_event() -> None:
    result = kernels.tiles()
    assert touched_at(result, 0).tolist() == [128, 0, 0]
    assert touched_at(result, 2).tolist() == [0, 64, 0]
    assert touched_at(result, 10**6).tolist() == [0, 0, 0]


# Layout


@given(
    st.lists(
        st.builds(Sized, st.integers(1, 5000), st.integers(1, 5000), st.floats(0, 900)),
        min_size=1,
        max_size=6,
    ),
    st.integers(300, 1500),
)
def test_tensors_fit_and_do_not_overlap(sizes: list[Sized], width: int) -> None:
    scale = fitting_scale(sizes, width, 480, 22)
    placed = laid_out(sizes, width, scale)
    assert placed.width <= width and placed.height <= 480
    for index, one in enumerate(placed.places):
        for other in placed.places[:index]:
            assert not one.grid.intersects(other.grid) and not one.name.intersects(other.grid)
            assert not one.name.intersects(other.name)


def test_sizes_are_proportionate(qtbot: Any) -> None:
    canvas = alone(qtbot, kernels.tiles()).canvas
    for tensor in range(3):
        inside = canvas.inside(tensor)
        shown = kernels.tiles()["tensors"][tensor]
        scale = canvas.placed.scale
        assert (inside.width(), inside.height()) == (shown["columns"] * scale, shown["rows"] * scale)


# Drawing


def colour_at(view: TilesView, element: Element) -> str:
    box = view.canvas.box(element)
    image = view.canvas.grab().toImage()
    return image.pixelColor(QPoint(round(box.left()) + 2, round(box.top()) + 2)).name()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_now_is_bright_and_before_is_faint(area: ResultsArea, theme: Any) -> None:
    area.restyle(theme)
    view, clock = view_of(area), area.clocks.clock("steps")
    clock.seek(2)  # the first tile of C is written
    bright = owner_colour(1, theme)
    assert colour_at(view, Element(2, 0, 0)) == bright
    before = colour_at(view, Element(2, 8, 0))
    clock.seek(5)
    after = colour_at(view, Element(2, 0, 0))
    assert after not in (bright, before)
    assert colour_at(view, Element(2, 0, 8)) == bright
    clock.seek(-1)
    assert colour_at(view, Element(2, 0, 0)) == before


def test_without_a_clock_all_is_bright(qtbot: Any) -> None:
    view = alone(qtbot, kernels.tiles(clock=""))
    assert colour_at(view, Element(2, 0, 0)) == colour_at(view, Element(2, 23, 31)) == owner_colour(1, LIGHT)
    assert view.caption.text == "all that is touched"


def test_out_of_bounds_is_a_fault_outside(qtbot: Any) -> None:
    view = alone(qtbot, kernels.tiles(clock=""))
    canvas = view.canvas
    assert canvas.inside(2).bottom() < canvas.placed.places[2].grid.bottom()
    assert canvas.inside(0) == canvas.placed.places[0].grid
    assert view.colour(2) == LIGHT.bad
    fault = view.describe(Element(2, 24, 3))
    assert fault[0][1] == "outside the tensor" and fault[1][0] == "out of bounds"
    assert "outside the tensor" in view.legend.accessibleName()


def test_values_are_printed_where_there_is_room(qtbot: Any) -> None:
    values = np.arange(6.0).reshape(2, 3)
    pictures = []
    for shown in (values, None):
        tensor = {"name": {"zh": "x", "en": "x"}, "rows": 2, "columns": 3, "values": shown}
        runs = kernels.runs_of([(0, 0, 0, 1, 0, 2, 0)])
        view = alone(qtbot, kernels.tiles(tensors=[tensor], runs=runs, clock="", faults=[]))
        view.canvas.place(600, 38)
        pictures.append(view.canvas.grab().toImage())
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (-0.1234, "-0.123"),
        (1e-7, "1e-7"),
        (12345.67, "1.23e4"),
        (float("nan"), "nan"),
        (2e20, "2e20"),
    ],
)
def test_values_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_svg_has_sharp_cells(qtbot: Any) -> None:
    svg = alone(qtbot, kernels.tiles()).to_svg().decode()
    assert "<text" in svg and "<image" not in svg


# Pointer, keys, zoom


def test_hovering_tells_tensor_place_value_and_event(area: ResultsArea) -> None:
    view = view_of(area)
    area.clocks.clock("steps").seek(5)
    QTest.mouseMove(view.canvas, view.canvas.box(Element(0, 3, 2)).center().toPoint())
    assert view.canvas.at == Element(0, 3, 2)
    said = view.canvas.accessibleDescription()
    value = kernels.tiles()["tensors"][0]["values"][3][2]
    assert said.startswith("A [3, 2]: value ") and f"{value:.3f}"[:5] in said.replace("−", "-")
    assert "read event 4: line 11: load tiles of A and B" in said and "touched 2 times" in said
    QTest.mouseMove(view.canvas, view.canvas.box(Element(2, 20, 30)).center().toPoint())
    assert "touched not yet" in view.canvas.accessibleDescription()
    area.clocks.clock("steps").seek(area.clocks.clock("steps").last)
    assert "written event" in view.canvas.accessibleDescription()  # the card follows the clock


def test_arrow_keys_go_over_the_edge_to_the_next_tensor(area: ResultsArea, qtbot: Any) -> None:
    canvas = view_of(area).canvas
    canvas.setFocus()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Up):
        qtbot.keyClick(canvas, key)
    assert canvas.at == Element(0, 0, 0)
    for _ in range(16):
        qtbot.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.at == Element(1, 0, 0)
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert canvas.at == Element(0, 0, 15)
    qtbot.keyClick(canvas, Qt.Key.Key_Up)
    assert canvas.at == Element(0, 0, 15)
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert canvas.at is None
    clock = area.clocks.clock("steps")
    qtbot.keyClick(canvas, Qt.Key.Key_Space)
    assert clock.player.playing
    qtbot.keyClick(canvas, Qt.Key.Key_Space)


def test_a_cell_of_many_elements_tells_which(qtbot: Any) -> None:
    tensor = {"name": {"zh": "X", "en": "X"}, "rows": 4096, "columns": 4096, "values": None}
    runs = kernels.runs_of([(0, 0, 0, 64, 0, 64, 0)])
    view = alone(qtbot, kernels.tiles(tensors=[tensor], runs=runs, clock="", faults=[]))
    down, across = view.canvas.step(0)
    assert down == across > 1
    assert view.element_title(Element(0, 0, across)) == f"X [0–{down - 1}, {across}–{2 * across - 1}]"


def test_zooming_and_back(area: ResultsArea, qtbot: Any) -> None:
    view = view_of(area)
    canvas, fitted = view.canvas, view.canvas.placed.scale
    qtbot.mouseClick(view.in_button, Qt.MouseButton.LeftButton)
    assert canvas.placed.scale == pytest.approx(fitted * 1.5)
    control = Qt.KeyboardModifier.ControlModifier
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Plus, control)
    assert canvas.placed.scale == pytest.approx(fitted * 2.25)
    qtbot.keyClick(canvas, Qt.Key.Key_0, control)
    assert canvas.placed.scale == fitted
    place = QPointF(20, 40)
    turn = QWheelEvent(
        place, canvas.mapToGlobal(place), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, control,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    canvas.wheelEvent(turn)
    assert canvas.placed.scale == pytest.approx(fitted * 1.5)
    qtbot.mouseClick(view.out_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(view.out_button, Qt.MouseButton.LeftButton)
    assert canvas.placed.scale == fitted
    for _ in range(20):
        view.zoom(1)
    assert canvas.placed.scale <= 60


def test_a_window_of_its_own_gives_them_more_room(qtbot: Any) -> None:
    tensor = {"name": {"zh": "X", "en": "X"}, "rows": 100, "columns": 30, "values": None}
    runs = kernels.runs_of([(0, 0, 0, 4, 0, 4, 0)])
    view = alone(qtbot, kernels.tiles(tensors=[tensor], runs=runs, clock="", faults=[]))
    scales = []
    for height in (500, 1100):
        view.resize(900, height)
        view.grab()
        scales.append(view.canvas.placed.scale)
    assert scales[1] >= 2 * scales[0]


# Caption, table, page


def test_the_caption_counts_what_is_touched_now(area: ResultsArea) -> None:
    view, clock = view_of(area), area.clocks.clock("steps")
    clock.seek(0)
    assert view.caption.text == "event 1 · elements: read 128"
    clock.seek(-1)
    assert view.caption.text == "event 0 · touches nothing"


def test_following_the_clock_does_not_lay_the_page_out_anew(area: ResultsArea, qtbot: Any) -> None:
    view, clock = view_of(area), area.clocks.clock("steps")
    view.grab()
    hints: list[int] = []
    view.area.sizeHint = lambda: hints.append(1)  # type: ignore[assignment, method-assign, return-value]
    for event in range(5):
        clock.seek(event)
        qtbot.wait(1)
    assert not hints


def test_the_table_of_tiles(qtbot: Any) -> None:
    lines = alone(qtbot, kernels.tiles()).to_csv().splitlines()
    assert lines[:2] == ["event,tensor,row,start,stop,category", "0,A,0,0,8,read"]
    assert len(lines) == len(kernels.tiles()["runs"]["event"]) + 1


def test_the_transport_offers_it_for_an_animation(area: ResultsArea) -> None:
    kinds = [view.result["kind"] for view in area.card("steps").view.views_beside()]
    assert kinds == ["trace", "tiles"]


def test_an_animation_shows_the_tiles_walk(area: ResultsArea, tmp_path: Path) -> None:
    clock, path = area.clocks.clock("steps"), tmp_path / "tiles.gif"
    clock.seek(7)
    assert list(animation_steps(path, "gif", clock, [view_of(area)], 4))[-1] == 4
    assert clock.cursor == 7
    with Image.open(path) as picture:
        frames = [picture.convert("RGB").tobytes() for place in range(4) if picture.seek(place) is None]
    assert len(set(frames)) == 4


def test_it_fits_the_widths_of_a_panel(area: ResultsArea) -> None:
    for width in (360, 640, 1000):
        area.resize(width, 900)
        view = view_of(area)
        assert view.canvas.width() <= view.area.width() + 1 and view.minimumSizeHint().width() <= 330
        assert not view.grab().isNull()
