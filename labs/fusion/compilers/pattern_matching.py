"""Patterns found in a graph and replaced by one call each, in the order of the patterns and of the graph.

What is inside a match and read from outside is one more output of its kernel, or, if only one is wanted, the
reason to refuse it. A match is refused as well where somebody outside both reads it and feeds it: fused, the
two would wait for each other; and where its shapes are none that ``pattern_loops`` has loops for.
Operands of commutative operators are tried both ways round.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import fx
from torch.fx.passes.tools_common import stable_topological_sort

from labs.fusion.compilers.fx_chain import OPERATOR_OF
from labs.fusion.compilers.pattern_language import COMMUTATIVE
from labs.fusion.compilers.pattern_loops import unfit
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from labs.fusion.compilers.pattern_language import Pattern, Step

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

    @property
    def outputs(self) -> list[str]:
        """The pattern's names for what its kernel writes: the result, then what others read as well."""
        inside = self.inside
        read = [s.name for s in self.pattern.chain.steps if set(self.bound[s.name].users) - inside]
        root = self.pattern.chain.outputs[0]
        return [root, *(name for name in read if name != root)]


class Matcher:
    """``comparisons`` counts how often a step of a pattern was held against a node: the search's effort.
    ``late``: patterns that match what an earlier one has fused.

    ``single``: kernels write one result only."""

    def __init__(self, graph: fx.Graph, *, single: bool = False) -> None:
        self._graph, self._single = graph, single
        self.comparisons = 0
        self.late: list[Pattern] = []
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
                    self.late += [pattern] if match else []
                    continue
                escaping = _escaping(match) if self._single else None
                match.reason = escaping or _cyclic(match, fused) or unfit(match)
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


def _cyclic(match: Match, fused: list[Match]) -> Text | None:
    """A path that leaves the match and comes back, where those fused already are one node each."""
    inside = match.inside
    group = {node: one.inside for one in fused for node in one.inside}
    seen: set[fx.Node] = set()
    steps = (match.bound[step.name] for step in match.pattern.chain.steps)
    todo = [user for node in steps for user in node.users if user not in inside]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        together = group.get(node, {node})
        seen |= together
        for user in (user for one in together for user in one.users):
            if user in inside:
                return Text(
                    zh=f"成环：{node.name} 在外面，既要等融合后的 kernel，又是它的输入",
                    en=f"a cycle: {node.name}, outside, waits for the fused kernel and is read by it",
                )
            todo.append(user)
    return None


def rewrite(module: fx.GraphModule, matches: list[Match], kernel: Callable[[Match], Any]) -> fx.GraphModule:
    """A copy of ``module`` in which each match is one call of ``kernel(match)`` on the pattern's inputs."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.output(graph.graph_copy(module.graph, copies))
    originals = dict(copies)
    for match in matches:
        arguments = tuple(copies[match.bound[name]] for name in match.pattern.chain.inputs)
        with graph.inserting_before(originals[match.root]):
            call = graph.create_node("call_function", kernel(match), arguments, name=match.pattern.name)
        for name, made in zip(match.outputs, _results(graph, call, match), strict=True):
            originals[match.bound[name]].replace_all_uses_with(made)
            copies[match.bound[name]] = made  # a later match may read it
        for step in reversed(match.pattern.chain.steps):
            graph.erase_node(originals[match.bound[step.name]])
    # Who reads an output may stand before the call.
    rewritten = stable_topological_sort(fx.GraphModule(module, graph))
    rewritten.graph.lint()
    return rewritten


def _results(graph: fx.Graph, call: fx.Node, match: Match) -> list[fx.Node]:
    """The call itself where it has one output, else a node for each."""
    outputs = match.outputs
    if len(outputs) == 1:
        return [call]
    with graph.inserting_after(call):
        made = [
            graph.create_node("call_function", operator.getitem, (call, place), name=match.bound[name].name)
            for place, name in reversed(list(enumerate(outputs)))
        ]
    return made[::-1]
