"""A fleet, what routing over it brought, and the figures of all routers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from labs.results import Axis, Column, Lines, Metric, Provenance, Series, Table, array
from labs.scheduling.prefixes import with_prefixes
from labs.scheduling.prose import points
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.results import Array, Markdown
    from labs.scheduling.scenario import Scenario
    from labs.simulator.report import Report
    from labs.simulator.traces import Request

SIMULATED = Provenance.SIMULATED
Way = Literal["random", "round_robin", "two", "least", "work", "prefix"]
WAYS: tuple[Way, ...] = ("random", "round_robin", "two", "least", "work", "prefix")
TITLES: dict[Way, Text] = {
    "random": Text(zh="随机", en="random"),
    "round_robin": Text(zh="轮询", en="round robin"),
    "two": Text(zh="二选一", en="better of two"),
    "least": Text(zh="最少请求", en="least requests"),
    "work": Text(zh="最少剩余 token", en="least tokens left"),
    "prefix": Text(zh="前缀感知", en="prefix-aware"),
}
PERIODS_S = (0.0, 0.1, 0.25, 1.0, 4.0)


@dataclass(frozen=True)
class Fleet:
    """``replicas`` servers of the scenario. ``prefixes``: requests share some, and the servers cache them."""

    scenario: Scenario
    replicas: int
    prefixes: bool

    @property
    def rate_per_s(self) -> float:
        """Over the capacity of all, as if no prefix were ever found."""
        capacity_per_s = self.scenario.server.full(self._at_rate(1.0)).capacity_per_s
        return self.replicas * self.scenario.load * capacity_per_s

    def requests(self) -> list[Request]:
        return self._at_rate(self.rate_per_s)

    def _at_rate(self, rate_per_s: float) -> list[Request]:
        requests = self.scenario.workload.at_rate(rate_per_s)
        return with_prefixes(requests, self.scenario.workload.seed) if self.prefixes else requests


class Routed(NamedTuple):
    """``spread``: requests at the fullest replica less those at the emptiest, at each arrival. ``work``:
    tokens that each replica computed."""

    ttft_s: Array
    latency_s: Array
    attainment: float
    spread: Array
    times_s: Array
    work: Array
    figures: Report


def imbalance(work: Array) -> float:
    """How much more than the mean the busiest replica did."""
    return float(work.max() / work.mean() - 1)


def table(routed: dict[Way, Routed]) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [
            TITLES[way],
            float(one.ttft_s.mean()),
            float(np.percentile(one.ttft_s, 99)),
            float(np.percentile(one.latency_s, 99)),
            100 * one.attainment,
            float(one.spread.mean()),
            100 * imbalance(one.work),
            100 * one.figures.prefix_hits,
        ]
        for way, one in routed.items()
    ]
    return Table(
        id="routers",
        title=Text(zh="同样的请求，不同的路由", en="The same requests, one row a router"),
        provenance=SIMULATED,
        wide=True,
        columns=[
            Column(title=Text(zh="路由", en="router")),
            Column(title=Text(zh="TTFT 均值", en="TTFT mean"), unit="s"),
            Column(title=same("TTFT p99"), unit="s"),
            Column(title=Text(zh="端到端 p99", en="latency p99"), unit="s"),
            Column(title=Text(zh="SLO 达成", en="SLO kept"), unit="%"),
            Column(
                title=Text(zh="队列差", en="spread"),
                help=Text(
                    zh="最满与最空的副本相差几个请求，到达时刻的平均。",
                    en="Requests at the fullest replica less those at the emptiest, mean over arrivals.",
                ),
            ),
            Column(
                title=Text(zh="工作不均", en="uneven work"),
                unit="%",
                help=Text(
                    zh="最忙的副本比平均多算了几成 token。",
                    en="Tokens that the busiest computed beyond the mean.",
                ),
            ),
            Column(
                title=Text(zh="前缀命中", en="prefix hits"),
                unit="%",
                help=Text(
                    zh="提示词 token 里，前缀缓存省下的比例。",
                    en="Share of prompt tokens that the cache spared.",
                ),
            ),
        ],
        rows=rows,
        highlight=int(np.argmin([np.percentile(one.ttft_s, 99) for one in routed.values()])),
    )


def spread(routed: dict[Way, Routed]) -> Lines:
    series = []
    for way, one in routed.items():
        step = max(1, len(one.spread) // 60)
        count = len(one.spread) // step * step
        means = one.spread[:count].reshape(-1, step).mean(axis=1)
        series.append(Series(name=TITLES[way], x=array(one.times_s[:count:step]), y=array(means)))
    return Lines(
        id="spread",
        title=Text(zh="队列差：最满减最空", en="Spread: the fullest replica less the emptiest"),
        help=Text(
            zh="只要它大于空闲位置，就有人在一台机器上排队，而另一台闲着。",
            en="Where it is larger than the free places, someone queues at one replica while another idles.",
        ),
        provenance=SIMULATED,
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        y=Axis(title=Text(zh="请求数之差", en="difference in requests")),
        series=series,
        markers=False,
    )


def metrics(routed: dict[Way, Routed], fleet: Fleet) -> Iterator[Metric]:
    yield Metric(
        id="fleet_rate",
        title=Text(zh="到达率", en="Offered rate"),
        provenance=SIMULATED,
        unit="req/s",
        value=fleet.rate_per_s,
    )
    yield Metric(
        id="saved",
        title=Text(zh="TTFT p99：轮询 ÷ 最好", en="p99: round robin ÷ best"),
        provenance=SIMULATED,
        unit="×",
        value=float(
            np.percentile(routed["round_robin"].ttft_s, 99)
            / min(np.percentile(one.ttft_s, 99) for one in routed.values())
        ),
        better="higher",
    )


_NEWS = {
    "least": Text(zh="最少请求", en="least requests"),
    "two": Text(zh="二选一", en="better of two"),
    "counting": Text(zh="最少请求 + 自己记账", en="least requests, counting its own"),
}


def news(news: dict[str, list[float]], routed: dict[Way, Routed]) -> Lines:
    series = [
        Series(name=_NEWS[name], x=array(PERIODS_S[: len(own)]), y=array(own)) for name, own in news.items()
    ]
    level = float(np.percentile(routed["round_robin"].ttft_s, 99))
    ends = array([PERIODS_S[0], PERIODS_S[-1]])
    series.append(Series(name=TITLES["round_robin"], x=ends, y=array([level, level]), reference=True))
    return Lines(
        id="news",
        title=Text(zh="负载信息每隔多久更新一次", en="How often loads are reported"),
        help=Text(
            zh="两次更新之间，网关只知道旧的负载，于是把所有请求都送往那一台“最空的”（羊群效应）。",
            en="Between two reports the gateway knows old loads only, and sends everything to the one that "
            "was emptiest: herding.",
        ),
        provenance=SIMULATED,
        unit="s",
        wide=True,
        x=Axis(title=Text(zh="更新间隔", en="time between reports"), unit="s"),
        y=Axis(title=same("TTFT p99"), unit="s", log=True),
        series=series,
    )


def story(routed: dict[Way, Routed], news: dict[str, list[float]], fleet: Fleet) -> Markdown:
    p99 = {way: float(np.percentile(one.ttft_s, 99)) for way, one in routed.items()}
    fresh, old = news["least"][0], news["least"][-1]
    worse = [period for period, one in zip(PERIODS_S, news["least"], strict=True) if one > p99["round_robin"]]
    if not worse:
        when = Text(zh="始终不比轮询差", en="it never does worse than round robin")
    elif worse[0] > 0:
        when = Text(
            zh=f"间隔到 {worse[0]:g} s 就不如轮询", en=f"from {worse[0]:g} s on round robin is better"
        )
    else:
        when = Text(
            zh="这里连最新的信息也不比轮询强：没有人在等位置",
            en="here even fresh news is no better than round robin, for nobody waits for a place",
        )
    zh = [
        f"{fleet.replicas} 个副本，TTFT p99：随机 {p99['random']:.2f} s，轮询 {p99['round_robin']:.2f} s，"
        f"二选一 "
        f"{p99['two']:.2f} s，最少请求 {p99['least']:.2f} s。轮询数的是请求，不是工作量。",
        f"负载信息越旧，“最少请求”越糟：从 {fresh:.2f} s 到 {old:.2f} s（{PERIODS_S[-1]:g} s 一次）；"
        f"{when.zh}。"
        f"自己记账的网关到最后还有 {news['counting'][-1]:.2f} s。",
    ]
    en = [
        f"{fleet.replicas} replicas, p99 of TTFT: random {p99['random']:.2f} s, round robin "
        f"{p99['round_robin']:.2f} s, better of two {p99['two']:.2f} s, least requests {p99['least']:.2f} "
        f"s. Round "
        "robin counts requests, not work.",
        f"The older the news, the worse least-requests does: {fresh:.2f} s to {old:.2f} s (a report every "
        f"{PERIODS_S[-1]:g} s); {when.en}. A gateway that counts what it sent still has "
        f"{news['counting'][-1]:.2f} s.",
    ]
    if p99["work"] > 1.2 * p99["least"]:
        zh.append(
            f"“最少剩余 token”的 p99 是 {p99['work']:.2f} s。负载该用最先用完的资源来数：这里是位置，"
            f"所以数请求就很好；"
            "若是 KV 先满，就该数 token。"
        )
        en.append(
            f"Least-tokens-left has a p99 of {p99['work']:.2f} s. Load is to be counted in what runs out "
            f"first: "
            "here these are places, so counting requests does well; where KV fills first, count tokens."
        )
    if fleet.prefixes:
        hits = {way: 100 * one.figures.prefix_hits for way, one in routed.items()}
        zh.append(
            f"前缀命中：最少请求 {hits['least']:.0f}%，前缀感知 {hits['prefix']:.0f}%，"
            f"TTFT p99 {p99['least']:.2f} → {p99['prefix']:.2f} s。省下的预填充就是多出的容量。"
        )
        en.append(
            f"Prefix hits: least requests {hits['least']:.0f}%, prefix-aware {hits['prefix']:.0f}%, p99 of "
            f"TTFT "
            f"{p99['least']:.2f} → {p99['prefix']:.2f} s. Prefill that is spared is capacity gained."
        )
    return points(zh, en)
