"""One fleet under rising load: where latency leaves the floor, and what it serves within its objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from labs.formulas.queueing import mg1_wait
from labs.results import Axis, Lines, Mark, Metric, Provenance, Series, array
from labs.simulator.fleet import simulate
from labs.simulator.fleet_views import SIMULATED, source
from labs.simulator.report import Report
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.results import Result
    from labs.simulator.fleet import Fleet, Workload

# Of the estimated capacity.
LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1, 1.2)
# DistServe's goodput: the highest rate at which so many requests still keep the objective.
ATTAINMENT = 0.9


class Point(msgspec.Struct, frozen=True):
    rate_per_s: float
    report: Report


def sweep(
    fleet: Fleet, workload: Workload, loads: tuple[float, ...], check: Callable[[], None]
) -> Iterator[list[Point]]:
    """The points so far, one more each time."""
    capacity = fleet.capacity_per_s(*workload.mean_lengths())
    points: list[Point] = []
    for load in loads:
        at = msgspec.structs.replace(workload, rate_per_s=load * capacity)
        points.append(Point(at.rate_per_s, simulate(fleet, at, check).report))
        yield points


def knee_per_s(points: list[Point]) -> float | None:
    """The highest offered rate up to which all kept the objective, between two rates by a straight line.

    None where not even the lowest one did.
    """
    before: Point | None = None
    for point in points:
        if point.report.attainment < ATTAINMENT:
            if before is None:
                return None
            fall = before.report.attainment - point.report.attainment
            share = (before.report.attainment - ATTAINMENT) / fall
            return before.rate_per_s + share * (point.rate_per_s - before.rate_per_s)
        before = point
    return before.rate_per_s if before else None


def results(fleet: Fleet, workload: Workload, points: list[Point]) -> Iterator[Result]:
    capacity = fleet.capacity_per_s(*workload.mean_lengths())
    knee = knee_per_s(points)
    yield Metric(
        id="knee",
        title=Text(zh="SLO 下的最大负载", en="Highest load within the objective"),
        provenance=SIMULATED,
        unit="req/s",
        value=knee,
        better="higher",
        help=Text(
            zh="提供的负载再高，达标的请求就少于 90%（DistServe 的 goodput 定义）。",
            en="Above it fewer than 90 % of the requests keep the objective (DistServe's goodput).",
        ),
        source=source(fleet),
    )
    yield Metric(
        id="saturation",
        title=Text(zh="饱和吞吐", en="Saturated throughput"),
        provenance=SIMULATED,
        unit="req/s",
        value=max(point.report.requests_per_s for point in points),
        predicted=capacity,
        formula=Text(
            zh="1 ÷（提示词每 token 的边际时间 × 长度 + 装满时每步时间 × 输出长度 ÷ 批大小）",
            en="1 ÷ (marginal time a prompt token × length + time of a full step × answer ÷ batch)",
        ),
        source=source(fleet),
    )
    rates = array([point.rate_per_s for point in points])
    marks = [Mark(x=capacity, name=Text(zh="估算的容量", en="estimated capacity"))]
    if knee is not None:
        marks.append(Mark(x=knee, name=Text(zh="SLO 膝点", en="knee of the objective")))
    yield _throughput(fleet, points, rates, marks)
    yield _latency(fleet, points, rates, marks, capacity)


def _throughput(fleet: Fleet, points: list[Point], rates: object, marks: list[Mark]) -> Lines:
    x = array(rates)
    return Lines(
        id="sweep_throughput",
        title=Text(zh="负载与吞吐", en="Load and throughput"),
        provenance=SIMULATED,
        unit="req/s",
        x=Axis(title=Text(zh="提供的负载", en="offered load"), unit="req/s"),
        y=Axis(title=Text(zh="完成", en="served"), unit="req/s"),
        series=[
            Series(
                name=Text(zh="完成", en="served"),
                x=x,
                y=array([point.report.requests_per_s for point in points]),
            ),
            Series(
                name=Text(zh="达标", en="within the objective"),
                x=x,
                y=array([point.report.goodput_per_s for point in points]),
            ),
            Series(name=Text(zh="来多少做多少", en="as many as come"), x=x, y=x, reference=True),
        ],
        marks=marks,
        source=source(fleet),
    )


def _latency(fleet: Fleet, points: list[Point], rates: object, marks: list[Mark], capacity: float) -> Lines:
    x = array(rates)
    floor = points[0].report.ttft.mean
    # One server that takes 1 / capacity a request, of exponential size: the textbook's curve.
    waits = [mg1_wait(rate, 1 / capacity, 1.0) for rate in x]
    theory = array([floor + wait if wait < 1e3 else float("nan") for wait in waits])
    return Lines(
        id="sweep_latency",
        title=Text(zh="负载与延迟", en="Load and latency"),
        provenance=SIMULATED,
        unit="s",
        x=Axis(title=Text(zh="提供的负载", en="offered load"), unit="req/s"),
        y=Axis(title=Text(zh="延迟", en="latency"), unit="s", log=True),
        series=[
            Series(
                name=Text(zh="平均 TTFT", en="mean TTFT"),
                x=x,
                y=array([point.report.ttft.mean for point in points]),
            ),
            Series(name=same("TTFT p99"), x=x, y=array([point.report.ttft.p99 for point in points])),
            Series(
                name=Text(zh="平均 TPOT", en="mean TPOT"),
                x=x,
                y=array([point.report.tpot.mean for point in points]),
            ),
            Series(
                name=Text(zh="M/M/1 等待 + 空载 TTFT", en="M/M/1 wait + unloaded TTFT"),
                x=x,
                y=theory,
                reference=True,
                provenance=Provenance.ESTIMATED,
            ),
        ],
        marks=marks,
        help=Text(
            zh="会组批的引擎不是单服务台：负载低时几乎不排队，到了膝点才陡然上升。",
            en="An engine that batches is no single server: hardly a queue at low load, then a steep rise.",
        ),
        source=source(fleet),
    )
