"""One request at a time: the textbook's M/G/1 queue, beside its formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.scheduling import mg1_fcfs_wait, mg1_sjf_wait
from labs.results import Axis, Column, Lines, Metric, Provenance, Series, Table, array
from labs.scheduling.load_point import RATE_AXIS, column
from labs.scheduling.orders import TITLES
from labs.scheduling.prose import points as said
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.results import Result
    from labs.scheduling.load_point import Point
    from labs.scheduling.orders import Order
    from labs.scheduling.scenario import Scenario

SIMULATED = Provenance.SIMULATED
# There is a theory in the long run only: no overload, no deadlines.
SINGLE_LOADS = (0.2, 0.4, 0.6, 0.7, 0.8)
SINGLE_ORDERS: tuple[Order, ...] = ("fcfs", "sjf")
SINGLE_FCFS = Text(zh="FCFS 的平均排队时间（一次一个）", en="Mean wait under FCFS, one at a time")
SINGLE_SJF = Text(zh="SJF 的平均排队时间（一次一个）", en="Mean wait under SJF, one at a time")


def waits(points: dict[Order, list[Point]], scenario: Scenario) -> Lines:
    theory = (("fcfs", mg1_fcfs_wait, "Pollaczek-Khinchine"), ("sjf", mg1_sjf_wait, "M/G/1 SJF"))
    alone = [float(one) for one in scenario.alone_s]
    rates = [scenario.at_load(load).rate_per_s for load in np.linspace(0.1, 0.9, 33)]
    series = []
    for order, own in points.items():
        wait, error = column(own, "wait_s"), column(own, "wait_error_s")
        series.append(
            Series(
                name=TITLES[order],
                x=column(own, "rate_per_s"),
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
        x=RATE_AXIS,
        y=Axis(title=Text(zh="平均排队", en="mean wait"), unit="s"),
        series=series,
    )


def metrics(points: dict[Order, list[Point]], scenario: Scenario) -> Iterator[Result]:
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
