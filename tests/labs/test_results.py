"""Results whose parts do not fit together are refused where they are made, not where they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Heatmap,
    HistogramSeries,
    Provenance,
    Series,
    Table,
    array,
)
from labs.text import same

if TYPE_CHECKING:
    from collections.abc import Callable

COMMON: dict[str, Any] = {"id": "x", "title": same("x"), "provenance": Provenance.MEASURED}
AXIS = Axis(title=same("axis"))
TWO, THREE = array([1, 2]), array([1, 2, 3])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Series(name=same("s"), x=TWO, y=THREE),
        lambda: Series(name=same("s"), x=TWO, y=TWO, low=THREE),
        lambda: Series(name=same("s"), x=TWO, y=TWO, high=THREE),
        lambda: Series(name=same("s"), x=TWO, y=TWO, labels=[same("one")]),
        lambda: Table(**COMMON, columns=[Column(title=same("c"))], rows=[[1, 2]]),
        lambda: HistogramSeries(name=same("h"), edges=TWO, counts=TWO),
        lambda: Bars(
            **COMMON, categories=[same("a")], series=[BarSeries(name=same("s"), values=TWO)], y=AXIS
        ),
        lambda: Bars(
            **COMMON,
            categories=[same("a"), same("b")],
            series=[BarSeries(name=same("s"), values=TWO, low=THREE)],
            y=AXIS,
        ),
        lambda: Heatmap(**COMMON, values=TWO, rows=AXIS, columns=AXIS),
    ],
)
def test_lengths_that_do_not_match(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


def test_arrays_from_lists_arrays_and_tensors_are_contiguous() -> None:
    import torch

    for values in ([[1, 2], [3, 4]], np.array([[1, 3], [2, 4]]).T, torch.tensor([[1, 2], [3, 4]])):
        made = array(values)
        assert made.flags["C_CONTIGUOUS"] and made.dtype == np.float64
        assert made.tolist() == [[1.0, 2.0], [3.0, 4.0]]
