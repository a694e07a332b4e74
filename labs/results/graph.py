"""A computation as a graph: operators, what flows between them, and what is fused."""

from __future__ import annotations

import msgspec

from labs.results.result import Result
from labs.text import Text


class GraphNode(msgspec.Struct, frozen=True, kw_only=True):
    """``group`` indexes the graph's groups (-1: in none), ``detail`` is told on hover, ``value`` is a figure
    in the result's unit."""

    name: Text
    category: int
    group: int = -1
    detail: Text | None = None
    value: float | None = None


class GraphEdge(msgspec.Struct, frozen=True, kw_only=True):
    """From node ``source`` to node ``target``, by their places."""

    source: int
    target: int
    name: Text | None = None


class Graph(Result, frozen=True, kw_only=True, tag="graph"):
    """Nodes in layers, each below those it needs. ``categories`` name the nodes' colours, ``groups`` the
    boxes around them (a fused kernel), ``value_name`` what a node's value is. Edges may go in circles."""

    nodes: list[GraphNode]
    edges: list[GraphEdge]
    categories: list[Text]
    groups: list[Text] = []
    value_name: Text | None = None

    def __post_init__(self) -> None:
        for place, node in enumerate(self.nodes):
            self._check(f"category of node {place}", node.category, 0, len(self.categories))
            self._check(f"group of node {place}", node.group, -1, len(self.groups))
        for place, edge in enumerate(self.edges):
            self._check(f"source of edge {place}", edge.source, 0, len(self.nodes))
            self._check(f"target of edge {place}", edge.target, 0, len(self.nodes))

    def _check(self, what: str, index: int, low: int, end: int) -> None:
        if not low <= index < end:
            raise ValueError(f"graph {self.id!r}, {what}: {index}, expected {low} to {end - 1}")
