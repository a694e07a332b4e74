"""Every order over a range of loads: how much is kept, where the knee is, and what queueing theory says."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.formulas.scheduling import mg1_fcfs_wait, mg1_sjf_wait
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Lines,
    Mark,
    Metric,
    Provenance,
    Series,
    Table,
    array,
)
from labs.scheduling.orders import ORDERS, TITLES
from labs.scheduling.prose import points as said
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.results import Array, Markdown, Result
    from labs.scheduling.orders import Order
    from labs.scheduling.policy_run import PolicyRun
    from labs.scheduling.scenario import Scenario

LOADS = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25)
# One at a time there is a theory, but in the long run only: no overload, no deadlines.
SINGLE_LOADS = (0.2, 0.4, 0.6, 0.7, 0.8)
SINGLE_ORDERS: tuple[Order, ...] = ("fcfs", "sjf")
# DistServe's: the highest rate at which so many requests keep their objectives.
SHARE = 0.9
BATCHES = 20  # of consecutive requests, whose means tell the standard error

SIMULATED = Provenance.SIMULATED
CAPACITY = Text(zh="容量", en="Capacity")
CAPACITY_FORMULA = Text(
    zh="位置数 ÷（每个请求的步数 × 满批时一步的时间），一步按屋顶线",
    en="places / (steps a request × time of a step in a full batch), the step by the roofline",
)
SINGLE_FCFS = Text(zh="FCFS 的平均排队时间（一次一个）", en="Mean wait under FCFS, one at a time")
SINGLE_SJF = Text(zh="SJF 的平均排队时间（一次一个）", en="Mean wait under SJF, one at a time")
_RATE = Axis(title=Text(zh="到达率", en="offered rate"), unit="req/s")


class Point(NamedTuple):
    """One order at one rate."""

    rate_per_s: float
    attainment: float
    goodput_per_s: float
    finished_per_s: float
    ttft_p99_s: float
    wait_s: float
    wait_error_s: float


def sweep(scenario: Scenario, ctx: Context) -> Iterator[Result]:
    """Load by load, so that all curves grow together. One at a time, lengths are known, as in theory."""
    single = scenario.server.most_sequences == 1
    if single:
        scenario = replace(scenario, error=0.0)
    orders, loads = (SINGLE_ORDERS, SINGLE_LOADS) if single else (ORDERS, LOADS)
    points: dict[Order, list[Point]] = {order: [] for order in orders}
    for number, load in enumerate(loads[::3] if ctx.preview else loads):
        here = scenario.at_load(load)
        for order in orders:
            ctx.progress((number + 0.5) / len(loads), TITLES[order])
            points[order].append(_point(here.rate_per_s, here.serve(order, ctx.check)))
        if single:
            yield _single_waits(points, scenario)
        else:
            yield from _curves(points, scenario)
    if single:
        yield from _single_metrics(points, scenario)
    elif not ctx.preview:
        yield from _knees(points, scenario)


def _point(rate_per_s: float, run: PolicyRun) -> Point:
    batches = [float(part.mean()) for part in np.array_split(run.wait_s, BATCHES) if len(part)]
    return Point(
        rate_per_s,
        run.attainment,
        run.goodput_per_s,
        _finished_per_s(run),
        float(np.percentile(run.ttft_s, 99)),
        float(run.wait_s.mean()),
        float(np.std(batches, ddof=1) / math.sqrt(len(batches))),
    )


def _finished_per_s(run: PolicyRun) -> float:
    """While requests still come, and after the first fifth, in which the batch fills."""
    last = float(run.arrival_s[-1])
    return float(((run.end_s > last / 5) & (run.end_s <= last)).sum()) / (last * 4 / 5)


def _column(points: Sequence[Point], name: str, factor: float = 1.0) -> Array:
    return array([factor * getattr(point, name) for point in points])


def _series(points: dict[Order, list[Point]], name: str, factor: float = 1.0) -> list[Series]:
    return [
        Series(name=TITLES[order], x=_column(own, "rate_per_s"), y=_column(own, name, factor))
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
        x=_RATE,
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
        x=_RATE,
        y=Axis(title=same("goodput"), unit="req/s"),
        series=_series(points, "goodput_per_s"),
        marks=marks,
    )
    yield Lines(
        id="ttft_p99",
        title=Text(zh="TTFT 的 p99 随到达率的变化", en="p99 of TTFT by offered rate"),
        provenance=SIMULATED,
        unit="s",
        x=_RATE,
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


# One at a time: the queue of the textbook


def _single_waits(points: dict[Order, list[Point]], scenario: Scenario) -> Lines:
    theory = (("fcfs", mg1_fcfs_wait, "Pollaczek-Khinchine"), ("sjf", mg1_sjf_wait, "M/G/1 SJF"))
    alone = [float(one) for one in scenario.alone_s]
    rates = [scenario.at_load(load).rate_per_s for load in np.linspace(0.1, 0.9, 33)]
    series = []
    for order, own in points.items():
        wait, error = _column(own, "wait_s"), _column(own, "wait_error_s")
        series.append(
            Series(
                name=TITLES[order],
                x=_column(own, "rate_per_s"),
                y=wait,
                low=np.maximum(wait - error, 0),
                high=wait + error,
            )
        )
    for _, formula, name in theory:
        series.append(
            Series(
                name=same(name),
                x=array(rates),
                y=array([formula(rate, alone) for rate in rates]),
                reference=True,
                provenance=Provenance.ESTIMATED,
            )
        )
    return Lines(
        id="waits",
        title=Text(zh="一次只服务一个：平均排队时间", en="One at a time: mean wait"),
        help=Text(
            zh="批大小为 1 就是教科书的 M/G/1 队列，公式是精确的。须线是按连续 20 批请求估计的一个标准误。",
            en="With a batch of one this is the textbook's M/G/1, for which the formulas are exact. Whiskers "
            "are a standard error, from 20 batches of consecutive requests.",
        ),
        provenance=SIMULATED,
        unit="s",
        wide=True,
        x=_RATE,
        y=Axis(title=Text(zh="平均排队", en="mean wait"), unit="s"),
        series=series,
    )


def _single_metrics(points: dict[Order, list[Point]], scenario: Scenario) -> Iterator[Result]:
    """At the highest load that has a figure; ``predict`` says what theory has for it."""
    titles = {"fcfs": SINGLE_FCFS, "sjf": SINGLE_SJF}
    for order, own in points.items():
        last = own[-1]
        yield Metric(
            id=f"single_{order}",
            title=titles[order],
            provenance=SIMULATED,
            unit="s",
            value=last.wait_s,
            low=max(0.0, last.wait_s - last.wait_error_s),
            high=last.wait_s + last.wait_error_s,
            better="lower",
            source=Text(zh="± 一个标准误，按 20 批估计", en="± a standard error, from 20 batches"),
        )
    alone = [float(one) for one in scenario.alone_s]
    rows: list[list[Text | float | int | None]] = []
    for number, point in enumerate(points["fcfs"]):
        rate, shortest = point.rate_per_s, points["sjf"][number]
        rows.append(
            [
                rate,
                point.wait_s,
                point.wait_error_s,
                mg1_fcfs_wait(rate, alone),
                shortest.wait_s,
                shortest.wait_error_s,
                mg1_sjf_wait(rate, alone),
            ]
        )
    yield Table(
        id="theory",
        title=Text(zh="模拟与公式", en="Simulation and formula"),
        provenance=SIMULATED,
        wide=True,
        columns=[
            Column(title=Text(zh="到达率", en="rate"), unit="req/s"),
            Column(title=same("FCFS"), unit="s"),
            Column(title=Text(zh="标准误", en="std. error"), unit="s"),
            Column(title=Text(zh="P-K 公式", en="P-K formula"), unit="s", provenance=Provenance.ESTIMATED),
            Column(title=same("SJF"), unit="s"),
            Column(title=Text(zh="标准误", en="std. error"), unit="s"),
            Column(title=Text(zh="SJF 公式", en="SJF formula"), unit="s", provenance=Provenance.ESTIMATED),
        ],
        rows=rows,
    )
    first, last = points["fcfs"][0], points["fcfs"][-1]
    growth, more = last.wait_s / max(first.wait_s, 1e-9), last.rate_per_s / first.rate_per_s
    gain = last.wait_s / points["sjf"][-1].wait_s
    yield said(
        [
            f"到达率 {more:.0f} 倍，FCFS 的平均排队 {growth:.0f} 倍：排队时间按 1/(1 − ρ) 爆炸，不是线性。",
            f"在最高的负载下 SJF 的平均排队是 FCFS 的 1/{gain:.1f}；公式也这么说。长度越不齐，这个比越大；"
            "长度都一样时它是 1。",
        ],
        [
            f"{more:.0f} times the rate, {growth:.0f} times the wait under FCFS: it explodes as 1/(1 − ρ).",
            f"At the highest load SJF waits 1/{gain:.1f} of FCFS on average, and the formula agrees. The "
            f"more "
            "lengths vary, the larger this ratio; with equal lengths it is 1.",
        ],
    )
