"""Points and their names as single items: what covers what, and what a plot's range is made from."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QFont

from gui.lab.views import make_view
from gui.lab.views.points import MOST_RIMMED, PointNames, Points
from tests.gui.lab import samples


def drawn(qtbot: Any, xs: list[float], names: list[str]) -> str:
    view = make_view("scatter")
    qtbot.addWidget(view)
    view.resize(500, 320)
    labels = [{"zh": name, "en": name} for name in names]
    one = samples.series("a", xs, [1.0 + x for x in xs]) | {"labels": labels}
    view.show_result(samples.scatter(series=[one]))
    view.show()
    return str(view.to_svg().decode())


def test_names_apart_are_all_written(qtbot: Any) -> None:
    svg = drawn(qtbot, [1.0, 5.0, 9.0], ["first", "second", "third"])
    assert [name in svg for name in ("first", "second", "third")] == [True, True, True]


def test_a_name_that_would_cover_another_is_left_to_the_pointer(qtbot: Any) -> None:
    svg = drawn(qtbot, [1.0, 9.0, 9.0], ["first", "second", "third"])
    assert [name in svg for name in ("first", "second", "third")] == [True, True, False]


def test_no_edge_of_the_plot_cuts_a_name(qtbot: Any) -> None:
    item = PointNames([0.0], [0.0], ["name"], QFont(), "#000000", QColor("#ffffff"))
    room = QRectF(0, 0, 200, 100)
    for x, y in ((100, 50), (100, 2), (3, 50), (198, 50), (1, 1)):
        box = item._inside(room, x, y, 60)
        assert room.contains(box), (x, y)
        assert not box.contains(x, y), "a name does not cover its own point"


def test_a_range_is_made_from_the_points_alone() -> None:
    item = Points([1.0, 3.0], [-2.0, 5.0], 9, "#000000", "#ffffff")
    assert item.dataBounds(0) == (1.0, 3.0)
    assert item.dataBounds(1) == (-2.0, 5.0)
    assert Points([], [], 9, "#000000", "#ffffff").dataBounds(0) == (None, None)


@pytest.mark.parametrize("count", [0, 1, MOST_RIMMED, MOST_RIMMED + 1, 20_000])
def test_any_number_of_points_is_drawn(qtbot: Any, count: int) -> None:
    xs = [float(index) for index in range(count)]
    assert "<image" not in drawn(qtbot, xs, [])


def test_several_roofs_differ_from_one_another_and_from_the_points(qtbot: Any) -> None:
    view: Any = make_view("scatter")
    qtbot.addWidget(view)
    xs = [1.0, 2.0]
    points = [samples.series(f"points {place}", xs, xs) for place in range(3)]
    roofs = [samples.series(f"roof {place}", xs, [3.0, 4.0], reference=True) for place in range(6)]
    view.show_result(samples.scatter(series=[*roofs, *points]))
    entries = view.legend._entries
    assert [entry.name for entry in entries[:6]] == [f"roof {place}" for place in range(6)]
    assert len({(entry.colour, entry.style) for entry in entries}) == 9
    assert len({entry.colour for entry in entries[:4] + entries[6:]}) == 7, "the palette is used up first"


def test_a_roof_alone_is_a_thin_grey_line(qtbot: Any) -> None:
    view: Any = make_view("scatter")
    qtbot.addWidget(view)
    roof = samples.series("roof", [1.0, 2.0], [3.0, 4.0], reference=True)
    view.show_result(samples.scatter(series=[roof, samples.series("points", [1.0], [1.0])]))
    assert view.legend._entries[0].colour == view.theme.muted
    assert view.pen_width(roof, few=True) == 1
