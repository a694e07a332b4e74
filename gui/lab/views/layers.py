"""Layered drawing of a directed graph (Sugiyama, Tagawa and Toda, 1981): layers by longest path, order by
barycentres, x by weighted least squares within each layer.

Everything is a generator that yields between short steps, so that a window can lay a large graph out while it
stays alive.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

Point = tuple[float, float]
Edge = tuple[int, int]

GAP_X, GAP_Y = 18.0, 30.0
LANE = 10.0  # width of an edge that passes a layer
SWEEPS = 6
STRAIGHT = 6.0  # how much more an edge wants to be straight than a node wants to be centred


@dataclass
class Plan:
    """Centres of nodes, and the way of each edge: from its source's centre over bends to its target's."""

    x: list[float]
    y: list[float]
    routes: list[list[Point]]
    layer: list[int]
    width: float = 0.0
    height: float = 0.0


@dataclass
class _Network:
    """Nodes and the places where edges pass layers, both as vertices; each segment joins neighbours."""

    sizes: list[tuple[float, float]]
    layer: list[int]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)


def layered(
    sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], last: Iterable[int] = ()
) -> Generator[None, None, Plan]:
    """Width and height of each node; edges by nodes' places, circles allowed. Nodes ``last`` go to the last
    layer. Edges from one node share their way as long as they can."""
    count = len(sizes)
    order, forward = _acyclic(count, edges)
    layer = _layers(count, order, forward, set(last))
    yield
    network, trunks = _network(list(sizes), layer, forward)
    yield
    yield from _ordered(network)
    xs = yield from _placed(network)
    ys = _heights(network)
    left = min((xs[v] - network.sizes[v][0] / 2 for v in range(len(xs))), default=0.0)
    right = max((xs[v] + network.sizes[v][0] / 2 for v in range(len(xs))), default=0.0)
    xs = [x - left for x in xs]
    routes = [_route(edge, layer, trunks, xs, ys) for edge in edges]
    height = max((ys[v] + sizes[v][1] / 2 for v in range(count)), default=0.0)
    return Plan(xs[:count], ys[:count], routes, layer, right - left, height)


def _acyclic(count: int, edges: Sequence[Edge]) -> tuple[list[int], list[Edge]]:
    """A topological order, and the edges with those that close a circle turned round; no loops."""
    following: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        if source != target:
            following[source].append(target)
    state, after = [0] * count, []
    back: set[Edge] = set()
    for root in range(count):
        if state[root]:
            continue
        state[root] = 1
        stack = [(root, iter(following[root]))]
        while stack:
            node, rest = stack[-1]
            child = next(rest, None)
            if child is None:
                state[node] = 2
                after.append(node)
                stack.pop()
            elif state[child] == 1:
                back.add((node, child))
            elif state[child] == 0:
                state[child] = 1
                stack.append((child, iter(following[child])))
    turned = [(b, a) if (a, b) in back else (a, b) for a, b in edges if a != b]
    return after[::-1], list(dict.fromkeys(turned))


def _layers(count: int, order: Sequence[int], edges: Sequence[Edge], last: set[int]) -> list[int]:
    """By the longest path from above; a node that needs nothing stands right above what needs it."""
    following, needs = defaultdict(list), set()
    for source, target in edges:
        following[source].append(target)
        needs.add(target)
    layer = [0] * count
    for node in order:
        for target in following[node]:
            layer[target] = max(layer[target], layer[node] + 1)
    for node in order:
        if node not in needs and following[node]:
            layer[node] = min(layer[target] for target in following[node]) - 1
    deepest = max((layer[node] for node in range(count) if node not in last), default=-1)
    for node in last:
        layer[node] = deepest + 1
    return layer


def _network(
    sizes: list[tuple[float, float]], layer: list[int], edges: Sequence[Edge]
) -> tuple[_Network, dict[int, list[int]]]:
    """With a vertex in each layer that edges pass. All edges from a node share them: ``trunks`` lists them by
    node, from above."""
    furthest: dict[int, int] = {}
    for source, target in edges:
        furthest[source] = max(furthest.get(source, 0), layer[target])
    network = _Network(sizes, list(layer))
    trunks: dict[int, list[int]] = {}
    for source, end in furthest.items():
        passed = range(layer[source] + 1, end)
        trunks[source] = list(range(len(network.sizes), len(network.sizes) + len(passed)))
        network.sizes += [(LANE, 0.0)] * len(passed)
        network.layer += passed
    network.above = [[] for _ in network.sizes]
    network.below = [[] for _ in network.sizes]
    for source, trunk in trunks.items():
        for upper, lower in zip([source, *trunk], trunk, strict=False):
            _join(network, upper, lower)
    for source, target in edges:
        _join(network, [source, *trunks[source]][layer[target] - layer[source] - 1], target)
    network.rows = [[] for _ in range(max(network.layer, default=-1) + 1)]
    for vertex, row in enumerate(network.layer):
        network.rows[row].append(vertex)
    return network, trunks


def _join(network: _Network, upper: int, lower: int) -> None:
    network.above[lower].append(upper)
    network.below[upper].append(lower)


def _ordered(network: _Network) -> Generator[None]:
    """Each layer in the order of the mean place of what its vertices are joined with."""
    place = [0.0] * len(network.sizes)
    for row in network.rows:
        _number(row, place)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        rows = network.rows if down else network.rows[::-1]
        beside = network.above if down else network.below
        for row in rows:
            means = {v: _mean(place, beside[v], place[v]) for v in row}
            row.sort(key=means.__getitem__)
            _number(row, place)
        yield


def _number(row: list[int], place: list[float]) -> None:
    """Places from 0 to 1: long and short layers are then comparable."""
    for index, vertex in enumerate(row):
        place[vertex] = (index + 0.5) / len(row)


def _mean(values: list[float], chosen: list[int], otherwise: float) -> float:
    return sum(values[one] for one in chosen) / len(chosen) if chosen else otherwise


def _placed(network: _Network) -> Generator[None, None, list[float]]:
    """x of each vertex: as near to what it is joined with as its neighbours in the layer allow."""
    xs = [0.0] * len(network.sizes)
    for row in network.rows:
        _spread(network, row, xs, [0.0] * len(row))
    for sweep in range(SWEEPS + 2):
        down = sweep % 2 == 0
        rows = network.rows if down else network.rows[::-1]
        for row in rows:
            wanted = []
            for v in row:
                joined = network.above[v] if down else network.below[v]
                if sweep >= SWEEPS:
                    joined = network.above[v] + network.below[v]
                wanted.append(_mean(xs, joined, xs[v]))
            _spread(network, row, xs, wanted)
        yield
    return xs


def _spread(network: _Network, row: list[int], xs: list[float], wanted: list[float]) -> None:
    """The places nearest to ``wanted``, in the sense of least squares, in which nothing overlaps: with the
    widths taken off that is isotonic regression, by pooling adjacent violators."""
    offset, offsets = 0.0, []
    for index, vertex in enumerate(row):
        if index:
            before = row[index - 1]
            offset += (network.sizes[before][0] + network.sizes[vertex][0]) / 2 + GAP_X
        offsets.append(offset)
    pools: list[list[float]] = []  # weighted sum, weight, how many
    for vertex, want, off in zip(row, wanted, offsets, strict=True):
        weight = STRAIGHT if network.sizes[vertex][1] == 0.0 else 1.0
        pools.append([(want - off) * weight, weight, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            total, heavier, more = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + heavier, pools[-1][2] + more]
    index = 0
    for total, weight, many in pools:
        for _ in range(int(many)):
            xs[row[index]] = total / weight + offsets[index]
            index += 1


def _heights(network: _Network) -> list[float]:
    """y of each vertex, in the middle of its layer."""
    ys, top = [0.0] * len(network.sizes), 0.0
    for row in network.rows:
        tall = max(network.sizes[v][1] for v in row)
        for v in row:
            ys[v] = top + tall / 2
        top += tall + GAP_Y
    return ys


def _route(
    edge: Edge, layer: list[int], trunks: dict[int, list[int]], xs: list[float], ys: list[float]
) -> list[Point]:
    source, target = edge
    upper, lower = (source, target) if layer[source] <= layer[target] else (target, source)
    passed = trunks.get(upper, [])[: max(0, layer[lower] - layer[upper] - 1)]
    way = [(xs[v], ys[v]) for v in (upper, *passed, lower)]
    return way if upper == source else way[::-1]
