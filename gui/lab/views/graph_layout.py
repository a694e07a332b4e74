"""A graph whose groups are boxes: each group is laid out by itself, then all as one, a group as one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gui.lab.views.layers import Plan, layered

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from gui.lab.views.layers import Edge, Point

PADDING, TITLE = 12.0, 20.0
PORT = (10.0, 0.0)  # where an edge enters or leaves a group


class Box(NamedTuple):
    left: float
    top: float
    width: float
    height: float


@dataclass
class Drawing:
    """Boxes of nodes and of groups (None where a group has no node), and the ways of edges between the
    centres of their nodes."""

    nodes: list[Box]
    groups: list[Box | None]
    routes: list[list[Point]]
    width: float
    height: float
    across: bool = False  # layers from left to right, else from above


class Shape(NamedTuple):
    """What is to be drawn: sizes of nodes, edges by their places, the group of each node (-1: none), and how
    wide the title of each group is. ``across``: layers from left to right."""

    sizes: list[tuple[float, float]]
    edges: list[Edge]
    groups: list[int]
    titles: list[float]
    across: bool = False


@dataclass
class _Inside:
    """A group's own plan: its nodes, then a port for each source outside, then one for each node that is
    needed outside."""

    members: list[int]
    ports_in: dict[int, int]
    ports_out: dict[int, int]
    plan: Plan
    routes: dict[Edge, list[Point]]


def drawn(shape: Shape) -> Generator[None, None, Drawing]:
    """Yields between short steps."""
    sizes, edges, groups, titles, across = shape
    insides: dict[int, _Inside] = {}
    for group in range(len(titles)):
        members = [node for node, one in enumerate(groups) if one == group]
        if members:
            insides[group] = yield from _inside(group, members, shape)
    loose = [node for node, group in enumerate(groups) if group < 0]
    # The outer graph's nodes: loose ones first, then the groups.
    outer = {node: place for place, node in enumerate(loose)}
    group_place = {group: len(loose) + place for place, group in enumerate(insides)}
    outer |= {node: group_place[group] for node, group in enumerate(groups) if group >= 0}
    boxes = [_size(one, titles[group]) for group, one in insides.items()]
    crossing = [(outer[a], outer[b]) for a, b in edges if outer[a] != outer[b]]
    plan = yield from _planned([*(sizes[node] for node in loose), *boxes], crossing, (), across)
    return _Joining(shape, insides, outer, [*(sizes[node] for node in loose), *boxes], plan).drawing()


def _planned(
    sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], last: Iterable[int], across: bool
) -> Generator[None, None, Plan]:
    """``layered``, or the same with x and y exchanged."""
    if not across:
        return (yield from layered(sizes, edges, last))
    plan = yield from layered([(height, width) for width, height in sizes], edges, last)
    routes = [[(y, x) for x, y in route] for route in plan.routes]
    return Plan(plan.y, plan.x, routes, plan.layer, plan.height, plan.width)


def _size(inside: _Inside, title: float) -> tuple[float, float]:
    width = max(inside.plan.width, title)
    return width + 2 * PADDING, inside.plan.height + 2 * PADDING + TITLE


def _inside(group: int, members: list[int], shape: Shape) -> Generator[None, None, _Inside]:
    sizes, edges, groups, _, across = shape
    place = {node: index for index, node in enumerate(members)}
    entering = list(dict.fromkeys(a for a, b in edges if groups[b] == group and groups[a] != group))
    leaving = list(dict.fromkeys(a for a, b in edges if groups[a] == group and groups[b] != group))
    ports_in = {node: len(members) + index for index, node in enumerate(entering)}
    ports_out = {node: len(members) + len(entering) + index for index, node in enumerate(leaving)}
    within: list[Edge] = []
    for a, b in edges:
        if groups[b] == group:
            within.append((place[a] if groups[a] == group else ports_in[a], place[b]))
    within += [(place[node], port) for node, port in ports_out.items()]
    within = list(dict.fromkeys(within))
    own = [sizes[node] for node in members] + [PORT] * (len(entering) + len(leaving))
    plan = yield from _planned(own, within, list(ports_out.values()), across)
    return _Inside(members, ports_in, ports_out, plan, dict(zip(within, plan.routes, strict=True)))


class _Joining(NamedTuple):
    """The plans of the groups put into the plan of all. ``outer`` is each node's place in the latter."""

    shape: Shape
    insides: dict[int, _Inside]
    outer: dict[int, int]
    outer_sizes: list[tuple[float, float]]
    plan: Plan

    def drawing(self) -> Drawing:
        shape, plan = self.shape, self.plan
        nodes = [self._node(node) for node in range(len(shape.sizes))]
        groups = [self._group(group) for group in range(len(shape.titles))]
        crossing = iter(plan.routes)
        routes = []
        for edge in shape.edges:
            within = self.outer[edge[0]] == self.outer[edge[1]]
            routes.append(self._within(*edge) if within else self._across(*edge, next(crossing)))
        return Drawing(nodes, groups, routes, plan.width, plan.height, shape.across)

    def _corner(self, node: int) -> Point:
        """Where the plan of the node's group begins."""
        place, inside = self.outer[node], self.insides[self.shape.groups[node]]
        width, height = self.outer_sizes[place]
        spare = (width - 2 * PADDING - inside.plan.width) / 2
        left = self.plan.x[place] - width / 2 + PADDING + spare
        return left, self.plan.y[place] - height / 2 + PADDING + TITLE

    def _node(self, node: int) -> Box:
        width, height = self.shape.sizes[node]
        x, y = self.plan.x[self.outer[node]], self.plan.y[self.outer[node]]
        if self.shape.groups[node] >= 0:
            inside = self.insides[self.shape.groups[node]]
            left, top = self._corner(node)
            index = inside.members.index(node)
            x, y = left + inside.plan.x[index], top + inside.plan.y[index]
        return Box(x - width / 2, y - height / 2, width, height)

    def _group(self, group: int) -> Box | None:
        if group not in self.insides:
            return None
        place = self.outer[self.insides[group].members[0]]
        width, height = self.outer_sizes[place]
        return Box(self.plan.x[place] - width / 2, self.plan.y[place] - height / 2, width, height)

    def _inner(self, node: int, edge: Edge) -> list[Point]:
        """The way of an edge of the plan of the node's group."""
        left, top = self._corner(node)
        routes = self.insides[self.shape.groups[node]].routes
        return [(x + left, y + top) for x, y in routes[edge]]

    def _within(self, source: int, target: int) -> list[Point]:
        if source == target:
            return []
        members = self.insides[self.shape.groups[source]].members
        return self._inner(source, (members.index(source), members.index(target)))

    def _across(self, source: int, target: int, way: list[Point]) -> list[Point]:
        """Out of one group and into another by their ports."""
        start, end = way[:1], way[-1:]
        if self.shape.groups[source] >= 0:
            one = self.insides[self.shape.groups[source]]
            start = self._inner(source, (one.members.index(source), one.ports_out[source]))
        if self.shape.groups[target] >= 0:
            one = self.insides[self.shape.groups[target]]
            end = self._inner(target, (one.ports_in[source], one.members.index(target)))
        return [*start, *way[1:-1], *end]
