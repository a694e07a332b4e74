"""A change is a ratio only where the unit's zero is "nothing"."""

from __future__ import annotations

import math

import pytest

from gui.lab.change_text import change_text


@pytest.mark.parametrize(
    ("value", "reference", "unit", "said"),
    [
        (31.86, 31.42, "dB", "+0.44\u00a0dB"),
        (2.0, 4.0, "dB", "−2\u00a0dB"),
        (-3.0, 0.0, "dB", "−3\u00a0dB"),  # 0 dB is a level like any other
        (31.4201, 31.4202, "dB", "0\u00a0dB"),  # finer than the figures beside it show
        (-30.5, -30.0, "dBm", "−0.5\u00a0dBm"),
        (3.417, 3.399, "nat/token", "+0.018\u00a0nat/token"),
        (24.5, 21.0, "°C", "+3.5\u00a0°C"),
        (12.5, 10.0, "%", "+2.5\u00a0pp"),
        (99.98, 99.95, "%", "+0.03\u00a0pp"),
        (0.0, 0.0, "%", "0\u00a0pp"),
        (3.0, 1.0, "percentage points", "+2\u00a0pp"),
        (103.1, 100.0, "ms", "+3.1%"),
        (1.0, 2.0, "", "−50.0%"),
        (1.0, 0.0, "B", ""),
    ],
)
def test_the_unit_says_how_a_change_is_written(value: float, reference: float, unit: str, said: str) -> None:
    assert change_text(value, reference, unit) == said


@pytest.mark.parametrize("unit", ["dB", "%", "ms"])
def test_what_is_not_finite_has_no_change(unit: str) -> None:
    assert change_text(math.inf, 20.0, unit) == ""
    assert change_text(20.0, math.nan, unit) == ""
