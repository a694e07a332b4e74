"""Patterns found in a graph and replaced by one call each, in the order of the patterns and of the graph.

A match is refused if something inside it is read from outside: the fused kernel would not write that; and
where its shapes are none that ``pattern_kernels`` writes loops for.
Operands of commutative operators are tried both ways round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import fx

from labs.fusion.fx_chain import OPERATOR_OF
from labs.fusion.pattern_kernels import unfit
from labs.fusion.pattern_language import COMMUTATIVE
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from labs.fusion.pattern_language import Pattern, Step

Bound = dict[str, fx.Node]
# Comparisons at one node, then it counts as no match: k products in a pattern have 2^k orders of operands.
EFFORT = 2000


@dataclass
class Match:
    """``bound``: the graph's node for each of the pattern's names. ``reason``: why it was not fused."""

    pattern: Pattern
    bound: Bound
    reason: Text | None = None

    @property
    def inside(self) -> set[fx.Node]:
        return {self.bound[step.name] for step in self.pattern.chain.steps}

    @property
    def nodes(self) -> list[str]:
        """In the order of the pattern's steps."""
        return [self.bound[step.name].name for step in self.pattern.chain.steps]

    @property
    def root(self) -> fx.Node:
        return self.bound[self.pattern.chain.outputs[0]]


class Matcher:
    """``comparisons`` counts how often a step of a pattern was held against a node: the search's effort."""

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        self.comparisons = 0
        self._last = EFFORT

    def matches(self, patterns: list[Pattern]) -> tuple[list[Match], list[Match]]:
        """Those that can be fused, no two sharing a node, and those refused."""
        taken: set[fx.Node] = set()
        fused: list[Match] = []
        refused: list[Match] = []
        for pattern in patterns:
            for node in self._graph.nodes:
                match = self._at(pattern, node)
                if match is None or match.inside & taken:
                    continue
                match.reason = _escaping(match) or unfit(match)
                (refused if match.reason else fused).append(match)
                taken |= set() if match.reason else match.inside
        return fused, refused

    def _at(self, pattern: Pattern, node: fx.Node) -> Match | None:
        steps = {step.name: step for step in pattern.chain.steps}
        self._last = self.comparisons + EFFORT
        for bound in self._bindings(steps, [(pattern.chain.outputs[0], node)], {}):
            match = Match(pattern, bound)
            if not any(bound[name] in match.inside for name in pattern.chain.inputs):
                return match
        return None

    def _bindings(
        self, steps: dict[str, Step], todo: list[tuple[str | float, Any]], bound: Bound
    ) -> Iterator[Bound]:
        """All ways to hold the pairs of ``todo`` against each other, given what is bound."""
        if not todo:
            yield bound
            return
        (want, have), rest = todo[0], todo[1:]
        if not isinstance(want, str):
            same = isinstance(have, int | float) and float(have) == want
            yield from self._bindings(steps, rest, bound) if same else ()
            return
        if not isinstance(have, fx.Node) or bound.get(want, have) is not have:
            return
        if want in bound:
            yield from self._bindings(steps, rest, bound)
            return
        step = steps.get(want)
        if step is None:
            yield from self._bindings(steps, rest, {**bound, want: have})
            return
        self.comparisons += 1
        if OPERATOR_OF.get(have.target) != step.operator or self.comparisons > self._last:
            return
        orders = [step.operands]
        if step.operator in COMMUTATIVE:
            orders.append(step.operands[::-1])
        for order in orders:
            pairs = list(zip(order, have.args, strict=True))
            yield from self._bindings(steps, [*pairs, *rest], {**bound, want: have})


def _escaping(match: Match) -> Text | None:
    inside = match.inside
    for node in sorted(inside - {match.root}, key=lambda node: node.name):
        if readers := [user.name for user in node.users if user not in inside]:
            listed = ", ".join(readers)
            return Text(
                zh=f"{node.name} 还被 {listed} 读：融合后没有人写它",
                en=f"{node.name} is read by {listed} as well: the fused kernel would not write it",
            )
    return None


def rewrite(module: fx.GraphModule, matches: list[Match], kernel: Callable[[Match], Any]) -> fx.GraphModule:
    """A copy of ``module`` in which each match is one call of ``kernel(match)`` on the pattern's inputs."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.output(graph.graph_copy(module.graph, copies))
    originals = dict(copies)
    for match in matches:
        root = originals[match.root]
        arguments = tuple(copies[match.bound[name]] for name in match.pattern.chain.inputs)
        with graph.inserting_before(root):
            call = graph.create_node("call_function", kernel(match), arguments, name=match.pattern.name)
        root.replace_all_uses_with(call)
        copies[match.root] = call  # a later match may read it
        for step in reversed(match.pattern.chain.steps):
            graph.erase_node(originals[match.bound[step.name]])
    graph.lint()
    return fx.GraphModule(module, graph)
