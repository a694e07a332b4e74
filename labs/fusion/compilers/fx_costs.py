"""What fusing a match saves, by the bytes and calls it spares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from labs.formulas.fusion import Dataflow, Op, crossing, saving_s
from labs.measure import time_calls

if TYPE_CHECKING:
    from torch import fx

    from labs.context import Context
    from labs.fusion.compilers.pattern_matching import Match


class Costs(NamedTuple):
    """``bandwidth`` in bytes/s, ``call_s`` in seconds a call; ``given``: both by the user."""

    bandwidth: float
    call_s: float


class Saving(NamedTuple):
    """Of one match: bytes its operators move alone, and as one kernel; calls spared."""

    before_bytes: int
    after_bytes: int
    calls: int

    @property
    def spared_bytes(self) -> int:
        return self.before_bytes - self.after_bytes

    def seconds(self, costs: Costs) -> float:
        return saving_s(self.spared_bytes, self.calls, costs.bandwidth, costs.call_s)


def dataflow(graph: fx.Graph) -> Dataflow:
    """The graph for ``labs.formulas.fusion``; ``node.meta`` holds the bytes."""
    nodes = graph.find_nodes
    kept = {arg.name for output in nodes(op="output") for arg in output.all_input_nodes}
    ops = tuple(
        Op(node.name, "call", tuple(arg.name for arg in node.all_input_nodes), (node.name,))
        for node in graph.nodes
        if node.op == "call_function"
    )
    sizes = {node.name: int(node.meta["bytes"]) for node in graph.nodes if "bytes" in node.meta}
    return Dataflow(ops, sizes, frozenset(kept))


def saving(flow: Dataflow, match: Match) -> Saving:
    """Bytes by each operator's reads and writes, once each."""
    before = sum(sum(crossing(flow, [name])) for name in match.nodes)
    return Saving(before, sum(crossing(flow, match.nodes)), len(match.nodes) - 1)


def costs(ctx: Context, bandwidth: float, call_s: float, rows: int, columns: int) -> Costs:
    """Those given; 0 is measured here: an addition over ``[rows, columns]``, and an empty call of torch."""
    one = torch.ones(1)
    empty_s = time_calls(lambda: torch.neg(one), budget_s=0.1, check=ctx.check).median_s
    if not bandwidth:
        a, b = torch.ones(rows, columns), torch.ones(rows, columns)
        out = torch.empty_like(a)
        whole_s = time_calls(lambda: torch.add(a, b, out=out), budget_s=0.1, check=ctx.check).median_s
        bandwidth = 3 * a.nbytes / max(whole_s - empty_s, 0.1 * whole_s)
    return Costs(bandwidth, call_s or empty_s)
