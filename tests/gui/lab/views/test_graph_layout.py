"""Layered drawings: nothing overlaps, edges go down the layers, groups hold theirs and nobody else."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gui.lab.views.graph_layout import Box, Drawing, Shape, drawn
from gui.lab.views.layers import GAP_X, GAP_Y, Plan, layered

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

Made = TypeVar("Made")


def finished(steps: Generator[None, None, Made]) -> Made:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def plan(count: int, edges: Sequence[tuple[int, int]], **options: Any) -> Plan:
    return finished(layered([(60.0, 20.0)] * count, edges, **options))


@st.composite
def graphs(draw: st.DrawFn) -> Shape:
    count = draw(st.integers(1, 24))
    node = st.integers(0, count - 1)
    sizes = draw(st.lists(st.tuples(st.floats(5, 200), st.floats(5, 60)), min_size=count, max_size=count))
    edges = draw(st.lists(st.tuples(node, node), max_size=50))
    groups = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
    return Shape(sizes, edges, groups, [draw(st.floats(0, 150)) for _ in range(4)], draw(st.booleans()))


def apart(one: Box, other: Box) -> bool:
    """By no less than rounding."""
    beside = one.left + one.width <= other.left + 1e-6 or other.left + other.width <= one.left + 1e-6
    return beside or one.top + one.height <= other.top + 1e-6 or other.top + other.height <= one.top + 1e-6


def holds(outer: Box, inner: Box) -> bool:
    return (
        outer.left <= inner.left + 1e-6
        and outer.top <= inner.top + 1e-6
        and inner.left + inner.width <= outer.left + outer.width + 1e-6
        and inner.top + inner.height <= outer.top + outer.height + 1e-6
    )


@given(graphs())
@settings(max_examples=150)
def test_nothing_overlaps_and_groups_hold_theirs(shape: Shape) -> None:
    made = finished(drawn(shape))
    assert all(apart(one, other) for one, other in combinations(made.nodes, 2))
    boxes = [box for box in made.groups if box is not None]
    assert all(apart(one, other) for one, other in combinations(boxes, 2))
    whole = Box(0, 0, made.width, made.height)
    assert all(holds(whole, box) for box in (*made.nodes, *boxes))
    for node, group in zip(made.nodes, shape.groups, strict=True):
        for place, box in enumerate(made.groups):
            assert box is None or (holds(box, node) if place == group else apart(box, node))
    assert [place for place, box in enumerate(made.groups) if box is None] == [
        place for place in range(4) if place not in shape.groups
    ]


@given(graphs())
def test_routes_go_from_node_to_node(shape: Shape) -> None:
    made = finished(drawn(shape))
    for (source, target), route in zip(shape.edges, made.routes, strict=True):
        if source == target:
            assert len(route) in (0, 2)
            continue
        for end, node in ((route[0], source), (route[-1], target)):
            box = made.nodes[node]
            assert end == pytest.approx((box.left + box.width / 2, box.top + box.height / 2), abs=1e-6)


@given(st.integers(2, 20), st.data())
def test_edges_of_a_graph_without_circles_go_down(count: int, data: st.DataObject) -> None:
    node = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(node, node), max_size=40))
    edges = [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
    made = plan(count, edges)
    for (source, target), route in zip(edges, made.routes, strict=True):
        assert made.layer[source] < made.layer[target]
        assert len(route) == made.layer[target] - made.layer[source] + 1
        heights = [y for _, y in route]
        assert heights == sorted(heights)


def test_a_chain_is_a_straight_line() -> None:
    made = plan(5, [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert made.layer == [0, 1, 2, 3, 4] and len(set(made.x)) == 1
    assert made.height == 5 * 20 + 4 * GAP_Y and made.width == 60


def test_what_needs_nothing_stands_right_above_what_needs_it() -> None:
    made = plan(5, [(0, 1), (1, 2), (2, 3), (4, 3)])
    assert made.layer[4] == made.layer[3] - 1


def test_edges_that_need_not_cross_do_not() -> None:
    made = plan(6, [(0, 5), (1, 4), (2, 3)])
    ends = sorted((made.x[a], made.x[b]) for a, b in ((0, 5), (1, 4), (2, 3)))
    assert [b for _, b in ends] == sorted(b for _, b in ends)


def test_a_circle_is_drawn_with_one_edge_going_up() -> None:
    made = plan(3, [(0, 1), (1, 2), (2, 0)])
    assert made.layer == [0, 1, 2]
    up = made.routes[2]
    assert up[0][1] > up[-1][1] and len(up) == 3


def test_edges_of_one_node_share_their_way() -> None:
    made = plan(6, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (0, 3), (4, 5)])
    long, short = made.routes[4], made.routes[5]
    assert long[: len(short) - 1] == short[:-1]


def test_nodes_that_are_to_be_last_are() -> None:
    made = plan(4, [(0, 1), (1, 2), (0, 3)], last=[3])
    assert made.layer[3] == 3


def test_neighbours_keep_their_distance() -> None:
    made = plan(8, [(0, node) for node in range(1, 8)])
    xs = sorted(made.x[1:])
    assert min(b - a for a, b in pairwise(xs)) >= 60 + GAP_X - 1e-9
    assert made.x[0] == pytest.approx(sum(xs) / 7)


def test_from_the_left_is_from_above_turned() -> None:
    shape = Shape([(60.0, 20.0)] * 3, [(0, 1), (1, 2)], [-1, -1, -1], [])
    down: Drawing = finished(drawn(shape))
    across: Drawing = finished(drawn(shape._replace(across=True)))
    assert [box.top for box in across.nodes] == [0, 0, 0] and across.across
    assert [box.left for box in down.nodes] == [0, 0, 0] and not down.across


def test_it_stops_often() -> None:
    """A window lays out a slice at a time: in many steps, not in one."""
    edges = [(node // 2, node) for node in range(1, 400)]
    steps = drawn(Shape([(60.0, 20.0)] * 400, edges, [node // 10 for node in range(400)], [0.0] * 40))
    assert sum(1 for _ in steps) > 100


def test_nothing_is_drawn_as_nothing() -> None:
    made = finished(drawn(Shape([], [], [], [])))
    assert (made.nodes, made.routes, made.width, made.height) == ([], [], 0, 0)
