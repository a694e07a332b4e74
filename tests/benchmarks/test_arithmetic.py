"""The benchmarks' arithmetic: a percentile, a mark or a report that is wrong would hide what is slow."""

from __future__ import annotations

import json
import math
import statistics
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.figures import Figure, median, p95, percentile, short
from tests.benchmarks.report import Outcome, padded, store, summary, table

if TYPE_CHECKING:
    from pathlib import Path

FINITE = st.floats(-1e9, 1e9)


def test_percentiles_are_interpolated() -> None:
    assert percentile([4, 1, 3, 2], 0) == 1
    assert percentile([4, 1, 3, 2], 100) == 4
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile(list(range(21)), 95) == 19
    assert percentile([0, 10], 95) == pytest.approx(9.5)
    assert percentile([7], 95) == 7


@given(st.lists(FINITE, min_size=1), st.floats(0, 100), st.floats(0, 100))
def test_percentiles_stay_in_range_and_rise(values: list[float], one: float, other: float) -> None:
    low, high = sorted((percentile(values, min(one, other)), percentile(values, max(one, other))))
    assert (low, high) == (percentile(values, min(one, other)), percentile(values, max(one, other)))
    assert min(values) <= low <= high <= max(values)


@given(st.lists(FINITE, min_size=1))
def test_the_median_is_the_statisticians(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values), rel=1e-12, abs=1e-6)


@pytest.mark.parametrize(("values", "share"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_what_has_no_percentile_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


@pytest.mark.parametrize(
    ("value", "budget", "mark"),
    [(49.9, 50, "pass"), (50, 50, "pass"), (50.1, 50, "OVER"), (math.nan, 50, "OVER"), (1e9, None, "")],
)
def test_a_figure_is_marked_against_its_budget(value: float, budget: float | None, mark: str) -> None:
    assert Figure("a", "a", value, "ms", budget).mark == mark


def test_p95_holds_the_percentile_not_the_median() -> None:
    figure = p95("a", "a", [1.0] * 18 + [100.0] * 2, 50.0)
    assert (figure.value, figure.mark) == (100.0, "OVER")
    assert "median 1.00" in figure.remark
    assert "worst 100" in figure.remark


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (1.2345, "1.23"), (99.94, "99.9"), (12345.6, "12346")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_a_report_names_what_is_over_and_what_crashed(tmp_path: Path) -> None:
    slow = Figure("s.slow", "slow thing", 80.0, "ms", 50.0, samples=(70.0, 90.0))
    outcomes = [
        Outcome("s", [slow, Figure("s.fast", "fast thing", 1.0, "ms", 50.0)], 2.0, 0.25),
        Outcome("c", [], 1.0, None, "Traceback\nKeyError: 'x'"),
    ]
    assert summary(outcomes) == "1 of 2 budgets kept\n  OVER   slow thing\n  CRASHED c"
    assert "OVER slow thing" in table(outcomes[0])
    assert "others used 25 % of the CPU" in table(outcomes[0])
    assert "KeyError" in table(outcomes[1])
    stored = json.loads(store(outcomes, {"cpu": "a"}, tmp_path).read_text(encoding="utf-8"))
    assert stored["machine"] == {"cpu": "a"}
    assert stored["benchmarks"][0]["figures"][0]["samples"] == [70.0, 90.0]
    assert stored["benchmarks"][0]["figures"][0]["mark"] == "OVER"
    assert stored["benchmarks"][1]["crash"].startswith("Traceback")


def test_columns_count_chinese_twice() -> None:
    assert padded("量化", 6) == "量化  "
