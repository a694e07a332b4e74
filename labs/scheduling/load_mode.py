"""Every order over a range of loads: how much is kept, where the knee is, and what queueing theory says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Lines,
    Mark,
    Metric,
    Provenance,
    Series,
    array,
)
from labs.scheduling import single_queue
from labs.scheduling.load_point import RATE_AXIS, Point, column, point_of
from labs.scheduling.orders import ORDERS, TITLES
from labs.scheduling.prose import points as said
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.results import Markdown, Result
    from labs.scheduling.orders import Order
    from labs.scheduling.scenario import Scenario

LOADS = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25)
# DistServe's: the highest rate at which so many requests keep their objectives.
SHARE = 0.9

SIMULATED = Provenance.SIMULATED
CAPACITY = Text(zh="容量", en="Capacity")
CAPACITY_FORMULA = Text(
    zh="位置数 ÷（每个请求的步数 × 满批时一步的时间），一步按屋顶线",
    en="places / (steps a request × time of a step in a full batch), the step by the roofline",
)


def sweep(scenario: Scenario, ctx: Context) -> Iterator[Result]:
    """Load by load, so that all curves grow together. One at a time, lengths are known, as in theory."""
    single = scenario.server.most_sequences == 1
    if single:
        scenario = replace(scenario, error=0.0)
    orders, loads = (single_queue.SINGLE_ORDERS, single_queue.SINGLE_LOADS) if single else (ORDERS, LOADS)
    points: dict[Order, list[Point]] = {order: [] for order in orders}
    for number, load in enumerate(loads[::3] if ctx.preview else loads):
        here = scenario.at_load(load)
        for order in orders:
            ctx.progress((number + 0.5) / len(loads), TITLES[order])
            points[order].append(point_of(here.rate_per_s, here.serve(order, ctx.check)))
        if single:
            yield single_queue.waits(points, scenario)
        else:
            yield from _curves(points, scenario)
    if single:
        yield from single_queue.metrics(points, scenario)
    elif not ctx.preview:
        yield from _knees(points, scenario)


def _series(points: dict[Order, list[Point]], name: str, factor: float = 1.0) -> list[Series]:
    return [
        Series(name=TITLES[order], x=column(own, "rate_per_s"), y=column(own, name, factor))
        for order, own in points.items()
        if own
    ]


def _curves(points: dict[Order, list[Point]], scenario: Scenario) -> Iterator[Result]:
    marks = [Mark(x=scenario.full.capacity_per_s, name=Text(zh="估计的容量", en="estimated capacity"))]
    yield Lines(
        id="attainment",
        title=Text(zh="SLO 达成率随到达率的变化", en="Objectives kept, by offered rate"),
        help=Text(
            zh="每个点都是同样的一批请求，只是来得更密。虚线是由屋顶线估计的容量。",
            en="Every point serves the same requests, only closer together. The mark is the capacity that "
            "the "
            "roofline gives.",
        ),
        provenance=SIMULATED,
        unit="%",
        wide=True,
        x=RATE_AXIS,
        y=Axis(title=Text(zh="达成率", en="kept"), unit="%"),
        series=_series(points, "attainment", 100.0),
        marks=marks,
    )
    yield Lines(
        id="goodput",
        title=Text(zh="goodput 随到达率的变化", en="Goodput by offered rate"),
        help=Text(
            zh="每秒达到 SLO 的请求。过了拐点，吞吐不变而 goodput 下降：算力花在了已经没用的回答上。",
            en="Requests a second that kept their objectives. Beyond the knee throughput stays and goodput "
            "falls: the server works on answers that are too late.",
        ),
        provenance=SIMULATED,
        unit="req/s",
        x=RATE_AXIS,
        y=Axis(title=same("goodput"), unit="req/s"),
        series=_series(points, "goodput_per_s"),
        marks=marks,
    )
    yield Lines(
        id="ttft_p99",
        title=Text(zh="TTFT 的 p99 随到达率的变化", en="p99 of TTFT by offered rate"),
        provenance=SIMULATED,
        unit="s",
        x=RATE_AXIS,
        y=Axis(title=same("TTFT p99"), unit="s", log=True),
        series=_series(points, "ttft_p99_s"),
        marks=marks,
    )


def knee(points: Sequence[Point]) -> float:
    """The highest rate at which SHARE keep their objectives, by a straight line between points; 0: none."""
    if points[0].attainment < SHARE:
        return 0.0
    for low, high in pairwise(points):
        if high.attainment < SHARE:
            part = (low.attainment - SHARE) / (low.attainment - high.attainment)
            return low.rate_per_s + part * (high.rate_per_s - low.rate_per_s)
    return points[-1].rate_per_s


def _knees(points: dict[Order, list[Point]], scenario: Scenario) -> Iterator[Result]:
    knees = {order: knee(own) for order, own in points.items()}
    yield Bars(
        id="knees",
        title=Text(
            zh=f"拐点：{100 * SHARE:.0f}% 请求达标的最高到达率",
            en=f"The knee: the highest rate at which {100 * SHARE:.0f}% keep their objectives",
        ),
        help=Text(
            zh="DistServe 对 goodput 的定义。相邻两点间按直线插值。扫描范围内没有跌破的，取最大的到达率。",
            en="DistServe's definition of goodput; a straight line between points. The highest rate tried, "
            "where none falls below.",
        ),
        provenance=SIMULATED,
        unit="req/s",
        categories=[TITLES[order] for order in knees],
        y=Axis(title=Text(zh="到达率", en="offered rate"), unit="req/s"),
        series=[BarSeries(name=Text(zh="拐点", en="knee"), values=array(list(knees.values())))],
    )
    reached = max(point.finished_per_s for point in points["fcfs"])
    yield Metric(
        id="capacity",
        title=CAPACITY,
        provenance=SIMULATED,
        unit="req/s",
        value=reached,
        better="higher",
        help=Text(
            zh="FCFS 在过载时每秒完成的请求，去掉批还没填满的开头和排空队列的结尾。",
            en="Requests a second that FCFS finishes in overload, without the start, in which the batch "
            "fills, "
            "and the end, in which the queue drains.",
        ),
    )
    yield _story(points, knees, scenario)


def _story(points: dict[Order, list[Point]], knees: dict[Order, float], scenario: Scenario) -> Markdown:
    light = sum(own[0].attainment > 0.99 for own in points.values())
    lowest = points["fcfs"][0].rate_per_s
    parts = [
        Text(
            zh=f"到达率只有 {lowest:.1f} req/s 时，{light} / {len(points)} 个策略达成 99% 以上：没有队列，"
            f"策略没有用武之地。",
            en=f"At {lowest:.1f} req/s {light} of {len(points)} policies keep above 99%: without a queue a "
            f"policy "
            "has nothing to do.",
        ),
        _knee_story(knees, scenario),
        _overload_story(points),
    ]
    return said([part.zh for part in parts], [part.en for part in parts])


def _knee_story(knees: dict[Order, float], scenario: Scenario) -> Text:
    best, capacity = max(knees, key=lambda order: knees[order]), scenario.full.capacity_per_s
    low, high = knees["fcfs"], knees[best]
    if high - low < 0.02 * capacity:
        return Text(
            zh=f"到 {high:.1f} req/s 为止，FCFS 和别的策略都还有 {100 * SHARE:.0f}% 达标，分不出高下："
            f"过载要持续一段时间，"
            "队列才长得起来。增加请求数，或放严 SLO。",
            en=f"Up to {high:.1f} req/s FCFS keeps {100 * SHARE:.0f}% like the others, and nothing tells "
            f"them apart: "
            "an overload must last for a queue to grow. Serve more requests, or set tighter objectives.",
        )
    return Text(
        zh=f"要 {100 * SHARE:.0f}% 达标，FCFS 最多 {low:.1f} req/s，{TITLES[best].zh} 到 {high:.1f} req/s"
        f"（容量估计 {capacity:.1f}）。**同样的硬件，只换顺序，可卖的容量就变了**。"
        f"超过容量的那部分靠牺牲少数撑着："
        "SJF 牺牲长请求，SLO 优先牺牲已经过期的。",
        en=f"To keep {100 * SHARE:.0f}%, FCFS takes {low:.1f} req/s and {TITLES[best].en} {high:.1f} "
        f"(capacity is "
        f"estimated at {capacity:.1f}). **The same hardware, another order, more to sell.** Beyond capacity "
        f"someone "
        "pays for it: the long ones under SJF, those already late under SLO first.",
    )


def _overload_story(points: dict[Order, list[Point]]) -> Text:
    highest = points["fcfs"][-1].rate_per_s
    edf, slo, fcfs = (100 * points[order][-1].attainment for order in ("edf", "slo", "fcfs"))
    zh = f"最高到 {highest:.1f} req/s：EDF 还剩 {edf:.0f}%，SLO 优先 {slo:.0f}%，FCFS {fcfs:.0f}%。"
    en = f"At {highest:.1f} req/s, the most, EDF keeps {edf:.0f}%, SLO first {slo:.0f}%, FCFS {fcfs:.0f}%. "
    if edf < slo - 5:
        zh += "EDF 的崩塌叫多米诺效应；真正的出路是准入控制，把来不及的拒掉。"
        en += "EDF's collapse is the domino effect; the cure is admission control: turn away the hopeless."
    return Text(zh=zh, en=en.strip())
