from __future__ import annotations

import math

import pytest

from gui.lab.number_text import MISSING, exact, plain, signed_percent, split, with_unit


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.00161, "s", ("1.610", "ms")),
        (3.2e-8, "s", ("32", "ns")),
        (125.0, "s", ("125", "s")),
        (497_664, "B", ("486", "KiB")),
        (1.5 * 2**30, "B", ("1.500", "GiB")),
        (4.4e10, "B/s", ("44", "GB/s")),
        (1.97e11, "FLOP/s", ("197", "GFLOP/s")),
        (9.89e14, "FLOP/s", ("989", "TFLOP/s")),
        (2.25e15, "FLOP/s", ("2250", "TFLOP/s")),
        (3.03e17, "FLOP", ("303", "PFLOP")),
        (39.0, "dB", ("39", "dB")),
        (0, "B", ("0", "B")),
        (None, "s", (MISSING, "s")),
        (math.nan, "s", (MISSING, "s")),
        (-math.inf, "", ("−∞", "")),
    ],
)
def test_units_get_the_prefix_that_the_field_uses(value: float, unit: str, said: tuple[str, str]) -> None:
    assert split(value, unit) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (123456, "123\u2009456"),
        (-0.00012345, "−0.0001234"),
        (1e-7, "1×10⁻⁷"),
        (1.5e20, "1.5×10²⁰"),
        (1234.567, "1235"),
        (30.454, "30.45"),
    ],
)
def test_plain_figures_keep_four_digits(value: float, said: str) -> None:
    assert plain(value) == said


def test_with_unit_and_percent() -> None:
    assert with_unit(12.5, "%") == "12.50%"
    assert with_unit(None, "ms") == MISSING
    assert signed_percent(103.1, 100) == "+3.1%"
    assert signed_percent(1, 0) == ""
    assert signed_percent(100.0, 100.0) == "0%"


@pytest.mark.parametrize("value", [0.1, 1e-40, 3.4e38, 1 / 3, 2.0, -7, 0.0, -0.0, 1e15])
def test_exact_reads_back(value: float) -> None:
    read = float(exact(value))
    assert (read, math.copysign(1, read)) == (value, math.copysign(1, value))
