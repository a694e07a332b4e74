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
    Code,
    CodeMark,
    CodePane,
    Column,
    EventKind,
    Graph,
    GraphEdge,
    GraphNode,
    Heatmap,
    HistogramSeries,
    Owner,
    Provenance,
    Series,
    Table,
    TableChanges,
    TileRuns,
    Tiles,
    TileTensor,
    Timeline,
    TokenRow,
    Tokens,
    Trace,
    array,
    grid_runs,
    line_count,
    runs,
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
        lambda: pane(links=ints(1)),
        lambda: pane(links=ints(1, 1, 0)),
        lambda: tile_runs(stop=ints(1)),
        lambda: TileTensor(name=same("x"), rows=2, columns=3, values=np.zeros((3, 2))),
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
        (lambda: pane(language="fortran"), "'fortran', expected one of python, cpp"),
        (lambda: pane(marks=[CodeMark(line=3, text=same("m"))]), "line 3, expected 1 to 2"),
        (lambda: pane(marks=[CodeMark(line=0, text=same("m"))]), "line 0, expected 1 to 2"),
        (lambda: Code(**COMMON, panes=[]), "no pane"),
        (lambda: Code(**COMMON, panes=[pane(), pane(links=ints(0, 3))]), "0 to 3, expected 0 to 2"),
        (lambda: TileTensor(name=same("x"), rows=0, columns=3), "0 x 3"),
        (lambda: tile_runs(event=ints(1, 0)), "not in ascending"),
        (lambda: tile_runs(stop=ints(2, -1)), "stops before it starts"),
        (lambda: tiles(tensor=ints(0, 1)), "0 to 1, expected 0 to 0"),
        (lambda: tiles(category=ints(0, -1)), "-1 to 0, expected 0 to 0"),
        (lambda: tiles(faults=[1]), "faults: 1 to 1, expected 0 to 0"),
        (lambda: graph(node={"category": 1}), "category of node 1: 1, expected 0 to 0"),
        (lambda: graph(node={"group": 1}), "group of node 1: 1, expected -1 to 0"),
        (lambda: graph(edge={"target": 2}), "target of edge 0: 2, expected 0 to 1"),
        (lambda: graph(edge={"source": -1}), "source of edge 0: -1, expected 0 to 1"),
    ],
)
def test_recorded_runs_that_contradict_themselves(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_recorded_runs_that_fit_are_made() -> None:
    trace(template="block {block} of {why}", columns={"block": TWO, "why": ints(0, 0)})
    block_map()
    timeline()
    Code(**COMMON, panes=[pane(), pane(links=ints(0, 2), marks=[CodeMark(line=2, text=same("m"))])])
    tiles(row=ints(-1, 99), start=ints(0, -5))  # out of bounds, as a kernel may be
    graph(node={"group": 0}, edge={"source": 1, "target": 0})


@pytest.mark.parametrize(("text", "count"), [("", 0), ("a", 1), ("a\n", 1), ("a\n\n", 2), ("\n", 1)])
def test_a_line_break_at_the_end_begins_no_line(text: str, count: int) -> None:
    assert line_count(text) == count


def pane(**changes: Any) -> CodePane:
    return CodePane(**{"name": same("p"), "language": "python", "text": "a\nb\n"} | changes)


def tile_runs(**changes: Any) -> TileRuns:
    names = ("event", "tensor", "row", "start")
    zeros = {name: ints(0, 0) for name in (*names, "category")}
    return TileRuns(**zeros | {"stop": ints(2, 2)} | changes)


def tiles(faults: list[int] | None = None, **changes: Any) -> Tiles:
    tensors = [TileTensor(name=same("x"), rows=4, columns=8)]
    runs, categories = tile_runs(**changes), [same("read")]
    return Tiles(**COMMON, tensors=tensors, runs=runs, categories=categories, faults=faults or [])


def graph(node: dict[str, Any] | None = None, edge: dict[str, Any] | None = None) -> Graph:
    nodes = [
        GraphNode(name=same("a"), category=0),
        GraphNode(**{"name": same("b"), "category": 0} | (node or {})),
    ]
    edges = [GraphEdge(**{"source": 0, "target": 1} | (edge or {}))]
    return Graph(**COMMON, nodes=nodes, edges=edges, categories=[same("c")], groups=[same("g")])


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


def test_elements_of_a_grid_become_runs_within_its_rows() -> None:
    elements = np.array([0, 1, 2, 3, 4, 9, 11, 12])
    assert runs(elements) == [(0, 5), (9, 10), (11, 13)]
    assert list(grid_runs(elements, 4)) == [(0, 0, 4), (1, 0, 1), (2, 1, 2), (2, 3, 4), (3, 0, 1)]
    assert runs(elements[:0]) == [] and list(grid_runs(elements[:0], 4)) == []


def test_named_rows_of_blocks_are_of_equal_length() -> None:
    known: dict[str, Any] = COMMON | {"count": 4, "block_size": 1, "owners": []}
    nothing = BlockChanges(event=ints(), block=ints(), owner=ints())
    assert BlockMap(**known, changes=nothing, row_names=[same("a"), same("b")]).row_names
    with pytest.raises(ValueError, match="4 blocks in 3 rows"):
        BlockMap(**known, changes=nothing, row_names=[same(name) for name in "abc"])
