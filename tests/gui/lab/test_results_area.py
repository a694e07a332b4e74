"""Cards that are made before their result comes."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication

from gui.lab.card import Card
from gui.lab.layouts.grid import Grid
from gui.lab.results_area import ResultsArea
from tests.gui.lab import kernel_samples, samples


def test_a_card_made_ahead_is_not_on_show_until_its_result_is(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.show()
    area.begin(preview=False)
    area.prepare(samples.metric())
    (made,) = area.findChildren(Card)
    assert area.empty
    assert not made.isVisible()
    area.show_result(samples.metric(), {})
    assert area.card("sqnr") is made
    assert made.isVisible()


def test_a_card_whose_result_never_comes_is_dropped(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.begin(preview=False)
    area.prepare(samples.metric())
    (made,) = area.findChildren(Card)
    with qtbot.waitSignal(made.destroyed):
        area.prepare(samples.heatmap())
    area.show_result(samples.heatmap(), {})
    area.end("done")
    assert [card.result["kind"] for card in area.cards()] == ["heatmap"]


def test_code_shows_no_line_of_a_trace_that_a_later_run_did_not_give(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    code, trace = kernel_samples.code(clock="run"), kernel_samples.tile_trace(id="run")
    area.begin(preview=False)
    area.show_result(code, {})
    area.show_result(trace, {})
    area.end("done")
    clock = area.clocks.clock("run")
    clock.seek(0)
    view = area.card(code["id"]).view
    assert view.follower.figure("line") and view._shown_line
    area.begin(preview=False)
    area.show_result(code, {})
    area.end("done")
    assert not clock.running and view._shown_line == 0


def test_previews_that_follow_an_answered_one_begin_the_wait_anew(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.begin(preview=True)
    area._dim.start(10_000)
    area.begin(preview=True)  # not answered: still waiting since the first
    assert area._dim.interval() == 10_000
    area.show_result(samples.metric(), {})
    area._dim.setInterval(20_000)
    area.begin(preview=True)
    assert area._dim.remainingTime() > 10_000


def test_stored_results_come_one_in_a_turn_of_the_event_loop(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    stored = [samples.metric() | {"id": name} for name in ("a", "b", "c")]
    area.show_stored(stored, {})
    assert len(area.cards()) == 1
    qtbot.waitUntil(lambda: len(area.cards()) == 3)
    assert area.results() == stored
    area.show_stored([], {})
    assert area.empty


def test_a_run_that_begins_supersedes_stored_results_not_shown_yet(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.show_stored([samples.metric() | {"id": name} for name in ("a", "b", "c")], {})
    area.begin(preview=False)
    qtbot.wait(50)
    assert len(area.cards()) == 1
    area.show_result(samples.heatmap(), {})
    area.end("done")
    assert [card.result["kind"] for card in area.cards()] == ["heatmap"]


def test_cards_stand_in_the_order_of_the_run_whatever_another_mode_had(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)

    def run(names: str, preview: bool = False) -> list[str]:
        area.begin(preview)
        for name in names:
            area.show_result(samples.metric() | {"id": name}, {})
        area.end("done")
        return [area._grid.itemAt(index).widget().result["id"] for index in range(area._grid.count())]

    assert run("abcd") == ["a", "b", "c", "d"]
    assert run("ac", preview=True) == ["a", "b", "c", "d"]  # nothing jumps while a slider is dragged
    assert run("adxbc") == ["a", "d", "x", "b", "c"]
    assert run("adxba") == ["a", "d", "x", "b"]  # renewed once more, it stays where it is


@pytest.fixture
def arrangements(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How often cards were put in their places, since the list was cleared."""
    seen: list[bool] = []
    arrange = Grid.arrange

    def watched(grid: Grid, rect: Any, place: bool) -> int:
        if place:
            seen.append(True)
        return arrange(grid, rect, place)

    monkeypatch.setattr(Grid, "arrange", watched)
    return seen


@pytest.fixture
def filled_area(qtbot: Any, arrangements: list[bool]) -> ResultsArea:
    """On show, with all that its first results made it arrange behind it."""

    def settled() -> bool:
        arrangements.clear()
        QCoreApplication.processEvents()
        return arrangements == []

    area = ResultsArea()
    qtbot.addWidget(area)
    area.resize(900, 600)
    with qtbot.waitExposed(area):
        area.show()
    area.begin(preview=False)
    for name in "abcdefgh":
        area.show_result(samples.metric(predicted=None) | {"id": name}, {})
    area.end("done")
    qtbot.waitUntil(settled)
    return area


def test_marking_cards_arranges_none(filled_area: ResultsArea, arrangements: list[bool]) -> None:
    card = filled_area.card("a")
    before = card.grab().toImage()
    arrangements.clear()
    filled_area.begin(preview=False)
    filled_area._mark_waiting()
    QCoreApplication.processEvents()
    assert arrangements == []
    assert card.grab().toImage() != before
    card.mark("")
    assert card.grab().toImage() == before


def test_a_new_card_has_its_place_before_it_is_painted(filled_area: ResultsArea) -> None:
    filled_area.show_result(samples.lines(), {})
    card = filled_area.card(samples.lines()["id"])
    assert card.width() > 300 and card.view.canvas.height() > 50


def test_results_that_come_together_are_arranged_together(
    filled_area: ResultsArea, arrangements: list[bool]
) -> None:
    arrangements.clear()
    filled_area.begin(preview=False)
    for name in "abcdefgh":  # a line more in each: what was measured, beside what was predicted
        filled_area.show_result(samples.metric(predicted=3.0) | {"id": name}, {})
    assert arrangements == []
    QCoreApplication.processEvents()
    assert 1 <= len(arrangements) <= 3
