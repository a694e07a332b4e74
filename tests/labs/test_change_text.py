"""A change is a ratio only where the unit's zero is "nothing"."""

from __future__ import annotations

import math

import pytest

from labs.change_text import change_text


@pytest.mark.parametrize(
    ("value", "reference", "unit", "said"),
    [
        (31.86, 31.42, "dB", "+0.44 dB"),
        (-3.0, 0.0, "dB", "-3 dB"),  # 0 dB is a level like any other
        (31.4201, 31.4202, "dB", "0 dB"),  # finer than the figures beside it show
        (3.417, 3.399, "nat/token", "+0.018 nat/token"),
        (24.5, 21.0, "°C", "+3.5 °C"),
        (12.5, 10.0, "%", "+2.5 pp"),
        (1.5, 1.0, "B", "+50.0%"),
    ],
)
def test_the_unit_says_how_a_change_is_written(value: float, reference: float, unit: str, said: str) -> None:
    change = change_text(value, reference, unit)
    assert change is not None
    assert change.en == said


@pytest.mark.parametrize(
    ("value", "reference", "unit"), [(1.0, 0.0, "B"), (math.inf, 20.0, "dB"), (20.0, math.nan, "%")]
)
def test_there_is_not_always_a_change(value: float, reference: float, unit: str) -> None:
    assert change_text(value, reference, unit) is None


def test_points_in_chinese() -> None:
    change = change_text(12.5, 10.0, "%")
    assert change is not None
    assert change.zh == "+2.5 个百分点"
