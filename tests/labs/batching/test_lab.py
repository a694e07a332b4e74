"""The lab's rehearsal while a slider moves, and its predictions: neither needs the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs.batching.replay import CLOCK
from labs.context import Context
from labs.registry import load_catalog
from labs.results import Lines, Provenance, Result, Timeline, Trace
from labs.runner import execute
from labs.spec import UsageError

if TYPE_CHECKING:
    from labs.spec import Lab


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_catalog().labs["system/continuous_batching"]


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Context:
    def no_model(_: Context) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Context, "model", no_model)
    return Context(preview=True)


def run(lab: Lab, context: Context, **values: object) -> dict[str, Result]:
    return {result.id: result for result in execute(lab, lab.params(**values), context)}


def test_a_moving_slider_rehearses_the_race_on_one_clock(lab: Lab, context: Context) -> None:
    shown = run(lab, context)
    assert isinstance(shown[CLOCK], Trace)
    timelines = [one for one in shown.values() if isinstance(one, Timeline)]
    assert len(timelines) == 4
    moving = [one for one in shown.values() if isinstance(one, Timeline | Lines | Trace)]
    assert all(one.provenance is Provenance.SIMULATED for one in [*moving, shown["speedup"]])
    assert all(one.clock == CLOCK for one in moving if isinstance(one, Timeline | Lines))


def test_predictions_are_of_the_requests_that_race(lab: Lab, context: Context) -> None:
    shown = run(lab, context, arrivals="0:8/64, 0:8/8, 0:8/8, 0:8/8, 0.2:16/4")
    assert shown["static_steps"].value == 68  # type: ignore[attr-defined]
    assert "static_steps" not in run(lab, context, strategies="continuous_chunked")
    assert "static_steps" not in run(lab, context, mode="simulator")


def test_arrivals_that_cannot_be_read_are_refused(lab: Lab, context: Context) -> None:
    with pytest.raises(UsageError, match="arrivals"):
        run(lab, context, arrivals="soon")


def test_at_scale_no_model_is_loaded(lab: Lab, context: Context) -> None:
    context.preview = False
    shown = run(lab, context, mode="simulator", scale_requests=50, scale_sequences=8)
    assert {"scale_table", "scale_ended", "scale_waiting", "scale_ttft", "scale_story"} < set(shown)
    clock = next(name for name, one in shown.items() if isinstance(one, Trace))
    timelines = [one for one in shown.values() if isinstance(one, Timeline)]
    assert len(timelines) == 5 and all(one.clock == clock for one in timelines)
    assert all(one.provenance is Provenance.SIMULATED for one in shown.values())
