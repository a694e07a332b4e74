"""Results whose parts do not fit together are refused where they are made, not where they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from labs.results import (
    Axis,
    Bars,
    BarSeries,
    BlockChanges,
    BlockMap,
    Column,
    EventKind,
    Heatmap,
    HistogramSeries,
    Owner,
    Provenance,
    Series,
    Table,
    TableChanges,
    Timeline,
    TokenRow,
    Tokens,
    Trace,
    array,
)
from labs.text import same

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.results import Array

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
        lambda: trace(kind_index=ints(0)),
        lambda: trace(columns={"block": THREE}),
        lambda: BlockChanges(event=ints(0), block=ints(0, 1), owner=ints(0)),
        lambda: BlockChanges(event=ints(0), block=ints(0), owner=ints(0), filled=ints(1, 2)),
        lambda: TableChanges(event=ints(0), owner=ints(0), logical=ints(0), block=ints(0, 1)),
        lambda: timeline(start=TWO),
        lambda: timeline(label=[same("a"), same("b")]),
        lambda: TokenRow(name=same("r"), tokens=["a"], event=ints(0, 1)),
    ],
)
def test_lengths_that_do_not_match(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: trace(times=array([1, 0])), "not in ascending order"),
        (lambda: trace(kind_index=ints(0, 2)), "0 to 2, expected 0 to 0"),
        (lambda: trace(template="block {blocks}"), "names no column 'blocks'"),
        (
            lambda: trace(columns={"why": ints(0, 1)}, names={"why": [same("full")]}),
            "0 to 1, expected 0 to 0",
        ),
        (lambda: BlockChanges(event=ints(1, 0), block=ints(0, 0), owner=ints(0, 0)), "not in ascending"),
        (lambda: block_map(block=ints(4)), "4 to 4, expected 0 to 3"),
        (lambda: block_map(owner=ints(1)), "1 to 1, expected -2 to 0"),
        (lambda: block_map(owner=ints(-3)), "-3 to -3, expected -2 to 0"),
        (lambda: timeline(lane=ints(1)), "expected 0 to 0"),
        (lambda: timeline(category=ints(-1)), "expected 0 to 0"),
        (lambda: timeline(end=array([-1])), "ends before it starts"),
        (
            lambda: Tokens(**COMMON, rows=[TokenRow(name=same("r"), tokens=["a"], category=ints(0))]),
            "0 to 0, expected 0 to -1",
        ),
    ],
)
def test_recorded_runs_that_contradict_themselves(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_recorded_runs_that_fit_are_made() -> None:
    trace(template="block {block} of {why}", columns={"block": TWO, "why": ints(0, 0)})
    block_map()
    timeline()


def ints(*values: int) -> Array:
    return array(values, np.int64)


def trace(template: str = "event", **changes: Any) -> Trace:
    kinds = [EventKind(name=same("k"), template=same(template))]
    return Trace(**COMMON | {"times": TWO, "kinds": kinds, "kind_index": ints(0, 0)} | changes)


def block_map(**changes: Any) -> BlockMap:
    rows = {"event": ints(0), "block": ints(3), "owner": ints(0)} | changes
    owners = [Owner(name=same("o"))]
    return BlockMap(**COMMON, count=4, block_size=16, owners=owners, changes=BlockChanges(**rows))


def timeline(**changes: Any) -> Timeline:
    bars = {"lane": ints(0), "start": array([0]), "end": array([1]), "category": ints(0)} | changes
    return Timeline(**COMMON | {"x": AXIS, "lanes": [same("l")], "categories": [same("c")]} | bars)


def test_arrays_from_lists_arrays_and_tensors_are_contiguous() -> None:
    import torch

    for values in ([[1, 2], [3, 4]], np.array([[1, 3], [2, 4]]).T, torch.tensor([[1, 2], [3, 4]])):
        made = array(values)
        assert made.flags["C_CONTIGUOUS"] and made.dtype == np.float64
        assert made.tolist() == [[1.0, 2.0], [3.0, 4.0]]
