"""All orders on one workload, one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labs.scheduling import policy_charts, replay
from labs.scheduling.orders import ORDERS, TITLES
from labs.scheduling.policy_story import story
from labs.scheduling.tail import tails
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.scheduler import Preemption
    from labs.results import Result
    from labs.scheduling.orders import Order
    from labs.scheduling.policy_run import PolicyRun
    from labs.scheduling.scenario import Scenario


def compare(scenario: Scenario, pair: tuple[Order, Order], ctx: Context) -> Iterator[Result]:
    """``pair`` is shown request by request. A preview shows the figures of these two alone."""
    orders = dict.fromkeys(pair) if ctx.preview else ORDERS
    runs: dict[Order, PolicyRun] = {}
    jain: dict[str, float] = {}
    for place, order in enumerate(orders):
        ctx.progress(place / (len(orders) + 1), TITLES[order])
        runs[order] = scenario.serve(order, ctx.check)
        jain[order] = policy_charts.mean_jain(runs[order])
        so_far = list(runs.values())
        yield from policy_charts.metrics(so_far, scenario)
        yield policy_charts.table(so_far, jain)
        yield tails([(TITLES[run.order], run.ttft_s) for run in so_far], scenario.workload.ttft_s)
        yield policy_charts.slowdown(so_far)
        yield policy_charts.kept(so_far)
        yield policy_charts.users(so_far)
    if ctx.preview:
        return
    yield from _closer(scenario, pair, runs, ctx)
    yield story(runs, jain, scenario)


def _closer(
    scenario: Scenario, pair: tuple[Order, Order], runs: dict[Order, PolicyRun], ctx: Context
) -> Iterator[Result]:
    two = [runs[order] for order in dict.fromkeys(pair)]
    yield policy_charts.service([runs["fcfs"], runs["fair"]])
    yield policy_charts.fairness([runs["fcfs"], runs["sjf"], runs["fair"]])
    chosen = replay.crowded(runs["fcfs"])
    yield replay.trace(two, chosen)
    for run in two:
        yield replay.timeline(run, chosen, scenario.workload)
    ctx.progress(0.95, Text(zh="另一种抢占方式", en="The other way to preempt"))
    server = scenario.server
    other: Preemption = "swap" if server.preemption == "recompute" else "recompute"
    ways = {
        server.preemption: runs["mlfq"],
        other: replace(scenario, server=replace(server, preemption=other)).serve("mlfq", ctx.check),
    }
    yield policy_charts.preemption_cost(
        [
            (Text(zh="FCFS（对照）", en="FCFS (for comparison)"), runs["fcfs"]),
            (Text(zh="MLFQ，重算", en="MLFQ, recompute"), ways["recompute"]),
            (Text(zh="MLFQ，换出", en="MLFQ, swap"), ways["swap"]),
        ]
    )
