"""The real engine's runs beside the simulator's: steps, seconds, and how far they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.results import Axis, Bars, BarSeries, Column, Markdown, Metric, Provenance, Table, array
from labs.scheduling.orders import TITLES
from labs.scheduling.prose import points
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.results import Array
    from labs.scheduling.orders import Order
    from labs.simulator.traces import Request

MEASURED, SIMULATED = Provenance.MEASURED, Provenance.SIMULATED


class Outcome(NamedTuple):
    """A request an entry, in s; ``steps`` are those that the engine made until its first token."""

    ttft_s: Array
    latency_s: Array
    steps: Array


def requests_table(requests: Sequence[Request]) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [
            number,
            one.input_tokens,
            one.output_tokens,
            same(one.user),
            Text(zh="急", en="urgent") if one.priority else Text(zh="一般", en="relaxed"),
        ]
        for number, one in enumerate(requests)
    ]
    return Table(
        id="requests",
        title=Text(zh="真实引擎要服务的请求", en="What the real engine is to serve"),
        help=Text(
            zh="同时到达，两个位置。每四个里有一个长的，第一个就是：FCFS 下短的都排在它后面。",
            en="Every fourth is long, the first among them, so that under FCFS the short ones stand behind "
            "it. ",
        ),
        provenance=SIMULATED,
        columns=[
            Column(title=same("#")),
            Column(title=Text(zh="提示词", en="prompt"), unit="token"),
            Column(title=Text(zh="回答", en="answer"), unit="token"),
            Column(title=Text(zh="用户", en="user")),
            Column(title=Text(zh="紧急", en="urgency")),
        ],
        rows=rows,
    )


def table(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for order, real in measured.items():
        model = simulated[order]
        error = 100 * float(model.ttft_s.mean() / real.ttft_s.mean() - 1)
        pairs = [(real.steps, model.steps), (real.ttft_s, model.ttft_s), (real.latency_s, model.latency_s)]
        means = [(float(one.mean()), float(other.mean())) for one, other in pairs]
        rows.append([TITLES[order], *means[0], *means[1], error, *means[2]])
    sim = Text(zh="模拟", en="simulated")
    return Table(
        id="table",
        title=Text(zh="真实引擎与模拟器，各策略", en="The real engine and the simulator, one row a policy"),
        provenance=MEASURED,
        wide=True,
        columns=[
            Column(title=Text(zh="策略", en="policy")),
            Column(
                title=Text(zh="首 token 前的步数", en="steps to the first token"),
                help=Text(
                    zh="引擎走到第几步，这个请求才有首 token，取平均。它只由次序决定，与机器此刻快慢无关。",
                    en="Engine steps until a request has its first token, on average. The order alone "
                    "decides "
                    "it, however fast the machine is just now.",
                ),
            ),
            Column(title=sim, provenance=SIMULATED),
            Column(title=Text(zh="平均 TTFT", en="mean TTFT"), unit="s"),
            Column(title=sim, unit="s", provenance=SIMULATED),
            Column(title=Text(zh="误差", en="error"), unit="%", provenance=SIMULATED),
            Column(title=Text(zh="平均端到端", en="mean latency"), unit="s"),
            Column(title=sim, unit="s", provenance=SIMULATED),
        ],
        rows=rows,
    )


def bars(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Bars:
    return Bars(
        id="steps",
        title=Text(zh="首 token 前的平均步数", en="Mean steps to the first token"),
        provenance=MEASURED,
        categories=[TITLES[order] for order in measured],
        y=Axis(title=Text(zh="步", en="steps")),
        series=[
            BarSeries(
                name=Text(zh="真实引擎", en="real engine"),
                values=array([one.steps.mean() for one in measured.values()]),
            ),
            BarSeries(
                name=Text(zh="模拟器", en="simulator"),
                values=array([one.steps.mean() for one in simulated.values()]),
                provenance=SIMULATED,
            ),
        ],
    )


def agreement(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> float:
    """Of all requests under all orders, the share that gets its first token in the same step in both."""
    same_step = [measured[order].steps == simulated[order].steps for order in measured]
    return float(np.concatenate(same_step).mean())


def metrics(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Iterator[Metric]:
    yield Metric(
        id="agreement",
        title=Text(zh="在同一步得到首 token 的请求", en="First token in the very same step"),
        help=Text(
            zh="真实引擎与模拟器相比，七种策略的全部请求。只有看时钟的策略（SLO 优先、MLFQ "
            "的老化）可能不同：真实的一步"
            "时快时慢。",
            en="Real engine against simulator, all requests under all seven policies. Only policies that "
            "look "
            "at the clock (SLO first, the ageing of MLFQ) can differ, for a real step is sometimes slower.",
        ),
        provenance=MEASURED,
        unit="%",
        value=100 * agreement(measured, simulated),
        better="higher",
    )
    errors = [abs(simulated[order].ttft_s.mean() / measured[order].ttft_s.mean() - 1) for order in measured]
    yield Metric(
        id="error",
        title=Text(zh="模拟的平均 TTFT 误差", en="Error of the simulated mean TTFT"),
        help=Text(
            zh="各策略误差绝对值的平均。每步耗时的直线由该次运行自己的步拟合，所以比的是次序，不是机器快慢。",
            en="Mean of the absolute errors over policies. The line for a step's time is fitted on the run's "
            "own steps: it is the order that is compared, not how fast the machine was.",
        ),
        provenance=MEASURED,
        unit="%",
        value=100 * float(np.mean(errors)),
        better="lower",
    )


def story(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Markdown:
    fcfs, sjf = measured["fcfs"], measured["sjf"]
    before, after = fcfs.ttft_s.mean(), sjf.ttft_s.mean()
    steps = fcfs.steps.mean(), sjf.steps.mean()
    exact = 100 * agreement(measured, simulated)
    zh = [
        f"真实引擎上，SJF 把首 token 前的平均步数从 {steps[0]:.0f} 降到 {steps[1]:.0f}，平均 TTFT 从 "
        f"{before:.2f} s 到 "
        f"{after:.2f} s。",
        f"{exact:.0f}% 的请求在真实引擎和模拟器里恰好在同一步得到首 token：调度器、策略、块管理是同一份代码，"
        "模拟器只用一条直线代替模型算一步的时间。",
        "优先级和 EDF 在这里次序相同，步数也就相同；秒数若不同，那是机器上别的程序造成的。",
    ]
    en = [
        f"On the real engine SJF takes the mean steps to the first token from {steps[0]:.0f} to "
        f"{steps[1]:.0f}, and "
        f"mean TTFT from {before:.2f} to {after:.2f} s.",
        f"{exact:.0f}% of requests get their first token in the very same step in engine and simulator: "
        f"scheduler, "
        "policies and block manager are the same code, and a straight line stands for the time of a step.",
        "Priority and EDF order these requests alike, so their steps are the same; where their seconds "
        "differ, "
        "other programs on this machine made them so.",
    ]
    return points(zh, en, MEASURED)
