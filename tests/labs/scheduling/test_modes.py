"""Every mode of the lab that simulates, small, through the runner: what is promised is shown."""

from __future__ import annotations

from typing import Any

import pytest

from labs.catalog.system.scheduling import LAB, Params
from labs.context import Context
from labs.results import Lines, Metric, Result, Table
from labs.runner import execute


def shown(preview: bool = False, **params: Any) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for result in execute(LAB, Params(**params), Context(preview=preview)):
        found[result.id] = result
    return found


def test_the_sweep_of_load_finds_the_capacity_that_was_predicted() -> None:
    found = shown(mode="load", mix="equal", requests=400, most_sequences=8)
    capacity = found["capacity"]
    assert isinstance(capacity, Metric) and capacity.value is not None and capacity.predicted is not None
    assert capacity.value == pytest.approx(capacity.predicted, rel=0.15)
    assert {"attainment", "goodput", "ttft_p99", "knees", "story"} <= set(found)


def test_one_at_a_time_stands_beside_the_formulas() -> None:
    found = shown(mode="load", mix="equal", requests=700, most_sequences=1)
    first = found["single_fcfs"]
    assert isinstance(first, Metric) and first.value is not None and first.predicted is not None
    assert first.low is not None and first.high is not None
    standard_error = (first.high - first.low) / 2
    assert abs(first.value - first.predicted) < 3 * standard_error
    table = found["theory"]
    assert isinstance(table, Table)
    for row in table.rows:  # with equal lengths no order is better than another
        assert row[1] == pytest.approx(row[4], abs=1e-9)


def test_a_worse_predictor_gains_less() -> None:
    found = shown(mode="predictor", mix="bimodal", requests=600, load=1.1)
    gain = found["gain"]
    assert isinstance(gain, Lines)
    sjf = gain.series[0].y
    assert sjf[0] < sjf[-1]
    left = found["kept_gain"]
    assert isinstance(left, Lines) and left.series[0].y[0] == pytest.approx(100.0)


def test_equal_lengths_leave_an_oracle_without_gain() -> None:
    found = shown(mode="predictor", mix="equal", requests=200, error=0.0)
    assert "神谕也没有收益" in found["story"].body.zh  # type: ignore[attr-defined]


@pytest.mark.parametrize("prefixes", [False, True])
def test_routers_that_look_spread_requests_more_evenly(prefixes: bool) -> None:
    found = shown(mode="replicas", requests=300, most_sequences=8, replicas=3, prefixes=prefixes)
    table = found["routers"]
    assert isinstance(table, Table)
    spread = {row[0].en: row[5] for row in table.rows}  # type: ignore[union-attr]
    assert spread["least requests"] < spread["random"]  # type: ignore[operator]
    hits = {row[0].en: row[7] for row in table.rows}  # type: ignore[union-attr]
    if prefixes:
        assert hits["prefix-aware"] > hits["least requests"] > 0  # type: ignore[operator]
    else:
        assert "prefix-aware" not in hits


def test_a_preview_stops_early() -> None:
    assert "timeline_fcfs" not in shown(preview=True, requests=150)
    assert "knees" not in shown(preview=True, mode="load", requests=100, most_sequences=8)
