"""A map's colours and the labels of its bar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gui.lab.views.colour_scale import ColourBar, ColourScale
from gui.theme import LIGHT


def texts(qtbot: Any, scale: ColourScale, unit: str = "") -> list[str]:
    bar = ColourBar()
    qtbot.addWidget(bar)
    bar.show_scale(scale, unit, LIGHT)
    return [text for _stop, text in bar.labels()]


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [(7.0, 7.0, False), (-7.0, -7.0, False), (0.0, 0.0, False), (7.0, 7.0, True), (7.0, 7.0000005, False)],
)
def test_one_value_has_a_scale_that_can_be_read(qtbot: Any, low: float, high: float, log: bool) -> None:
    scale = ColourScale(low, high, diverging=False, log=log)
    shown = texts(qtbot, scale)
    assert len(set(shown)) == 5
    assert scale.low <= low <= scale.high
    assert scale.value_at(float(scale.fractions(np.array([low]))[0])) == pytest.approx(low, abs=1e-6)


def test_a_scale_from_zero_ends_at_the_one_value_that_there_is(qtbot: Any) -> None:
    assert texts(qtbot, ColourScale(4.0, 4.0, diverging=False, log=False)) == ["0", "1", "2", "3", "4"]


def test_labels_take_digits_until_they_differ(qtbot: Any) -> None:
    assert texts(qtbot, ColourScale(0.5, 0.5004, diverging=False, log=False))[:2] == ["0.5000", "0.5001"]


def test_labels_that_no_digit_tells_apart_stand_once(qtbot: Any) -> None:
    shown = texts(qtbot, ColourScale(1.0, 1.000002, diverging=False, log=False))
    assert len(shown) == len(set(shown)) < 5
