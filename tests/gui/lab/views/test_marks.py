"""Marks of a plot as one item: in its range, written, and on the side where there is room."""

from __future__ import annotations

from typing import Any

import pytest

from gui.lab.views import make_view
from tests.gui.lab import samples


def marked(qtbot: Any, *marks: tuple[float, str]) -> Any:
    view = make_view("lines")
    qtbot.addWidget(view)
    view.resize(500, 320)
    linear = {"title": samples.both("x", "x"), "unit": "", "log": False}
    named = [{"x": x, "name": {"zh": name, "en": name}} for x, name in marks]
    series = [samples.series("a", [1.0, 2.0, 3.0], [1.0, 4.0, 9.0])]
    view.show_result(samples.lines(x=linear, series=series, marks=named))
    view.show()
    return view


def test_a_mark_beyond_the_curves_is_in_view_and_leaves_the_heights_alone(qtbot: Any) -> None:
    (_, top) = marked(qtbot, (8.0, "far")).plot.vb.viewRange()[1]
    (_, plain_top) = marked(qtbot).plot.vb.viewRange()[1]
    assert top == pytest.approx(plain_top)
    low, high = marked(qtbot, (8.0, "far")).plot.vb.viewRange()[0]
    assert low < 1.0
    assert high > 8.0


def test_names_are_written(qtbot: Any) -> None:
    svg = marked(qtbot, (1.0, "first"), (3.0, "last")).to_svg().decode()
    assert "first" in svg
    assert "last" in svg


def test_a_mark_without_a_place_is_left_out(qtbot: Any) -> None:
    svg = marked(qtbot, (float("nan"), "nowhere"), (2.0, "here")).to_svg().decode()
    assert "nowhere" not in svg
    assert "here" in svg
