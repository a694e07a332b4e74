"""A timeline as a Chrome trace: valid events in microseconds, lanes as named threads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gui.lab.card import Card
from gui.lab.export.chrome_trace import chrome_trace
from tests.gui.lab import replay_samples, samples

if TYPE_CHECKING:
    from pathlib import Path


def events(timeline: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(chrome_trace(timeline))["traceEvents"] if one["ph"] == phase]


def test_lanes_are_threads_in_their_order() -> None:
    timeline = replay_samples.timeline()
    named = {one["tid"]: one["args"]["name"] for one in events(timeline, "M") if one["name"] == "thread_name"}
    assert named == {place: lane["en"] for place, lane in enumerate(timeline["lanes"])}
    order = {one["tid"]: one["args"] for one in events(timeline, "M") if one["name"] == "thread_sort_index"}
    assert order == {place: {"sort_index": place} for place in range(len(timeline["lanes"]))}


def test_bars_are_complete_events_in_microseconds() -> None:
    timeline = replay_samples.timeline()
    bars = events(timeline, "X")
    assert len(bars) == len(timeline["lane"]) > 0
    for place, bar in enumerate(bars):
        assert bar["ts"] == pytest.approx(timeline["start"][place] * 1e6)
        assert bar["ts"] + bar["dur"] == pytest.approx(timeline["end"][place] * 1e6)
        assert bar["tid"] == timeline["lane"][place]
        assert bar["cat"] == timeline["categories"][timeline["category"][place]]["en"]
        assert bar["name"] == timeline["label"][place]["en"]
    name = timeline["value_name"]["en"]
    key = f"{name} ({timeline['unit']})" if timeline["unit"] else name
    assert [bar["args"][key] for bar in bars] == np.asarray(timeline["value"]).tolist()


@pytest.mark.parametrize(
    ("unit", "factor"), [("ms", 1e3), ("us", 1.0), ("µs", 1.0), ("ns", 1e-3), ("step", 1.0)]
)
def test_the_unit_of_the_axis(unit: str, factor: float) -> None:
    x = replay_samples.timeline()["x"] | {"unit": unit}
    bars = events(replay_samples.timeline(x=x), "X")
    assert bars[0]["dur"] == pytest.approx(
        (replay_samples.timeline()["end"][0] - replay_samples.timeline()["start"][0]) * factor
    )


def test_a_bar_without_label_or_figure() -> None:
    values = np.full(len(replay_samples.timeline()["lane"]), np.nan)
    timeline = replay_samples.timeline(label=None, value=values)
    bar = events(timeline, "X")[0]
    assert bar["name"] == bar["cat"] and bar["args"] == {"category": bar["cat"]}
    assert "NaN" not in chrome_trace(timeline)


def test_the_card_offers_and_writes_it(qtbot: Any, tmp_path: Path) -> None:
    card = Card()
    qtbot.addWidget(card)
    card.show_result(replay_samples.timeline(), samples.ENVIRONMENT)
    card._fill_menu()
    assert "Save as a Chrome trace…" in [action.text() for action in card._menu.menu().actions()]
    path = tmp_path / "timeline.trace.json"
    card.write(path, "trace.json")
    assert path.read_text(encoding="utf-8") == chrome_trace(replay_samples.timeline())
    card.show_result(samples.table(), samples.ENVIRONMENT)
    card._fill_menu()
    assert "Save as a Chrome trace…" not in [action.text() for action in card._menu.menu().actions()]
