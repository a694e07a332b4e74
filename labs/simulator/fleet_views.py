"""What the fleet lab shows of one run: every metric, the latencies by percentile, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labs.formulas.queueing import requests_in_system
from labs.results import Axis, Column, Lines, Metric, Provenance, Series, Table, array
from labs.simulator.histogram import RELATIVE_ERROR
from labs.simulator.report import energy_j, flops_utilisation
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.results import Result
    from labs.simulator.fleet import Fleet, Outcome
    from labs.simulator.report import Latency

SIMULATED = Provenance.SIMULATED
Better = Literal["lower", "higher", ""]

_LATENCIES: dict[str, tuple[Text, Text]] = {
    "queueing": (
        Text(zh="排队时间", en="Queueing delay"),
        Text(zh="从到达到第一次被调度。", en="From arrival until first scheduled."),
    ),
    "ttft": (
        Text(zh="首 token 时间 TTFT", en="TTFT"),
        Text(
            zh="从到达到第一个输出 token：排队加预填充。",
            en="Arrival to first output token: queue and prefill.",
        ),
    ),
    "tpot": (
        Text(zh="每 token 时间 TPOT", en="TPOT"),
        Text(zh="一个请求里 token 间隔的均值，不含首 token。", en="A request's mean gap between tokens."),
    ),
    "itl": (
        Text(zh="token 间隔 ITL", en="ITL"),
        Text(
            zh="相邻两个 token 的间隔，所有请求一起算；停顿在这里。",
            en="Each gap by itself: stalls show here.",
        ),
    ),
    "end_to_end": (
        Text(zh="端到端延迟", en="End-to-end latency"),
        Text(zh="从到达到最后一个 token。", en="Arrival to last token."),
    ),
}


def source(fleet: Fleet) -> Text:
    """What was simulated, with whose constants."""
    deployment = fleet.deployment
    where = f"{deployment.model.name}, {deployment.tensor_parallel} × {deployment.device.title}"
    return Text(
        zh=f"离散事件模拟，与引擎共用调度器和块管理器；{where}；常数：{fleet.constants.source}",
        en=f"discrete-event simulation with the engine's scheduler and block manager; {where}; "
        f"constants: {fleet.constants.source}",
    )


def metrics(fleet: Fleet, outcome: Outcome) -> Iterator[Result]:
    """Every figure of the run, and what the simulation itself took."""
    where, figures = source(fleet), outcome.report

    def metric(name: str, zh: str, en: str, value: float, unit: str = "", better: Better = "") -> Metric:
        return Metric(
            id=name,
            title=Text(zh=zh, en=en),
            provenance=SIMULATED,
            unit=unit,
            value=value,
            better=better,
            source=where,
        )

    yield metric("requests_per_s", "完成请求", "Throughput", figures.requests_per_s, "req/s", "higher")
    yield metric(
        "output_tokens_per_s", "输出 token", "Output", figures.output_tokens_per_s, "token/s", "higher"
    )
    yield metric("goodput", "达标请求 Goodput", "Goodput", figures.goodput_per_s, "req/s", "higher")
    yield metric("attainment", "SLO 达标率", "SLO attainment", 100 * figures.attainment, "%", "higher")
    for name, (title, meaning) in _LATENCIES.items():
        latency: Latency = getattr(figures, name)
        yield Metric(
            id=name,
            title=title,
            provenance=SIMULATED,
            unit="s",
            value=latency.mean,
            low=latency.p50,
            high=latency.p99,
            better="lower",
            help=meaning,
            source=Text(zh=f"均值；区间是 p50 到 p99。{where.zh}", en=f"mean; from p50 to p99. {where.en}"),
        )
    yield _in_system(fleet, outcome, where)
    yield metric("input_tokens_per_s", "输入 token", "Input", figures.input_tokens_per_s, "token/s", "higher")
    yield metric("busy", "忙碌时间", "Busy", 100 * figures.busy, "%")
    duration, replicas = figures.duration_s, outcome.replicas
    mfu = 100 * flops_utilisation(replicas, duration, fleet.deployment)
    yield metric("mfu", "算力利用率 MFU", "FLOPs utilisation (MFU)", mfu, "%", "higher")
    yield metric("mean_batch", "平均批大小", "Mean batch", figures.mean_batch)
    yield metric("kv_occupancy", "KV 占用", "KV occupancy", 100 * figures.kv_occupancy, "%")
    yield metric("kv_peak", "KV 占用峰值", "KV occupancy, peak", 100 * figures.kv_peak, "%")
    yield metric("fragmentation", "KV 碎片", "KV fragmentation", 100 * figures.fragmentation, "%", "lower")
    yield metric("preemptions", "抢占", "Preemptions", figures.preemptions, "", "lower")
    yield metric(
        "repeated_tokens", "重算的 token", "Recomputed tokens", figures.repeated_tokens, "token", "lower"
    )
    yield metric(
        "swapped_tokens", "换出换入的 token", "Swapped tokens", figures.swapped_tokens, "token", "lower"
    )
    yield metric("padding", "填充", "Padding", 100 * figures.padding, "%", "lower")
    yield metric("prefix_hits", "前缀命中", "Prefix hits", 100 * figures.prefix_hits, "%", "higher")
    yield metric("steps", "步数", "Steps", figures.steps)
    yield metric("simulated_s", "模拟的时间", "Simulated time", duration, "s")
    yield metric("requests", "请求数", "Requests", figures.requests)
    yield from _energy(fleet, outcome)
    yield from _own_cost(outcome)


def _in_system(fleet: Fleet, outcome: Outcome, where: Text) -> Metric:
    """By two ways: the batch and the queue that the replicas saw, and Little's law."""
    figures = outcome.report
    running = figures.mean_batch * figures.busy * len(outcome.replicas)
    return Metric(
        id="running",
        title=Text(zh="平均在运行的请求", en="Requests running"),
        provenance=SIMULATED,
        value=running,
        predicted=requests_in_system(figures.requests_per_s, figures.end_to_end.mean - figures.queueing.mean),
        formula=Text(
            zh="利特尔定律：吞吐 ×（端到端延迟 − 排队时间）",
            en="Little's law: throughput × (end-to-end latency − queueing delay)",
        ),
        help=Text(
            zh="按时间平均的批大小。抢占、静态批里陪跑的请求和副本之间的传输会使两者不同。",
            en="The batch, averaged over time. Preemptions, requests that idle in a static batch, and "
            "transfers between replicas make the two differ.",
        ),
        source=where,
    )


def _energy(fleet: Fleet, outcome: Outcome) -> Iterator[Metric]:
    if not fleet.deployment.device.knows("tdp_w"):
        return
    joules = energy_j(outcome.replicas, fleet.deployment)
    tokens = outcome.report.output_tokens_per_s * outcome.report.duration_s
    formula = Text(
        zh="TDP × 忙碌时间：忙时按最大功耗算，闲时算 0",
        en="TDP × busy time: full power when busy, none when idle",
    )
    yield Metric(
        id="energy",
        title=Text(zh="能耗（估算）", en="Energy (estimated)"),
        provenance=Provenance.ESTIMATED,
        unit="J",
        value=joules,
        better="lower",
        source=formula,
    )
    yield Metric(
        id="energy_per_token",
        title=Text(zh="每个输出 token 的能耗（估算）", en="Energy an output token (estimated)"),
        provenance=Provenance.ESTIMATED,
        unit="J/token",
        value=joules / tokens if tokens else None,
        better="lower",
        source=formula,
    )


def _own_cost(outcome: Outcome) -> Iterator[Metric]:
    measured = Provenance.MEASURED
    yield Metric(
        id="cpu_seconds",
        title=Text(zh="模拟用掉的 CPU 时间", en="Processor time of the simulation"),
        provenance=measured,
        unit="s",
        value=outcome.cpu_s,
        better="lower",
        source=Text(zh="本次模拟的进程 CPU 时间", en="this process's CPU time while simulating"),
    )
    yield Metric(
        id="peak_rss_mb",
        title=Text(zh="进程内存峰值", en="Peak memory of the process"),
        provenance=measured,
        unit="MB",
        value=None if outcome.peak_rss_bytes is None else outcome.peak_rss_bytes / 2**20,
        better="lower",
        source=Text(
            zh="整个进程启动以来的常驻内存峰值", en="resident set of the whole process, at most, so far"
        ),
    )
    yield Metric(
        id="requests_per_cpu_second",
        title=Text(zh="模拟速度", en="Speed of the simulation"),
        provenance=measured,
        unit="req/s",
        value=outcome.report.requests / outcome.cpu_s if outcome.cpu_s else None,
        better="higher",
    )


def latency_table(fleet: Fleet, outcome: Outcome) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for name, (title, _) in _LATENCIES.items():
        one: Latency = getattr(outcome.report, name)
        rows.append([title, one.mean, one.p50, one.p90, one.p95, one.p99, one.most])
    heads = [
        Text(zh="均值", en="mean"),
        *map(same, ("p50", "p90", "p95", "p99")),
        Text(zh="最大", en="largest"),
    ]
    error = f"{100 * RELATIVE_ERROR:.1f} %"
    return Table(
        id="latencies",
        title=Text(zh="延迟", en="Latencies"),
        provenance=SIMULATED,
        unit="s",
        help=Text(
            zh=f"均值是精确的；百分位来自固定内存的直方图，相对误差不超过 {error}。",
            en=f"Means are exact; percentiles come from a histogram of constant size, within {error}.",
        ),
        source=source(fleet),
        columns=[
            Column(title=Text(zh="指标", en="metric")),
            *(Column(title=head, unit="s") for head in heads),
        ],
        rows=rows,
        wide=True,
    )


def replica_table(fleet: Fleet, outcome: Outcome) -> Table:
    """How evenly the router spread the work."""
    rows: list[list[Text | float | int | None]] = []
    total = outcome.report.duration_s * 1e12
    for number, replica in enumerate(outcome.replicas):
        usage = replica.usage
        rows.append(
            [
                same(f"#{number}"),
                100 * usage.busy / total,
                usage.prefill_tokens,
                usage.decode_tokens,
                100 * usage.most_blocks / replica.scheduler.manager.blocks,
                replica.scheduler.preemptions,
            ]
        )
    return Table(
        id="replicas",
        title=Text(zh="各个副本", en="Each replica"),
        provenance=SIMULATED,
        source=source(fleet),
        columns=[
            Column(title=Text(zh="副本", en="replica")),
            Column(title=Text(zh="忙碌", en="busy"), unit="%"),
            Column(title=Text(zh="预填充", en="prefill"), unit="token"),
            Column(title=Text(zh="解码", en="decode"), unit="token"),
            Column(title=Text(zh="KV 峰值", en="KV peak"), unit="%"),
            Column(title=Text(zh="抢占", en="preemptions")),
        ],
        rows=rows,
    )


def percentile_lines(fleet: Fleet, outcome: Outcome) -> Lines:
    """TTFT and end-to-end latency, by how many requests had no more."""
    figures = outcome.report
    at = [0.50, 0.90, 0.95, 0.99]
    series = []
    for name in ("ttft", "end_to_end", "tpot", "itl"):
        one: Latency = getattr(figures, name)
        values = array([one.p50, one.p90, one.p95, one.p99])
        series.append(Series(name=_LATENCIES[name][0], x=values, y=array([100 * share for share in at])))
    return Lines(
        id="percentiles",
        title=Text(zh="有多少请求不慢于", en="Share of requests that were no slower"),
        provenance=SIMULATED,
        unit="%",
        x=Axis(title=Text(zh="延迟", en="latency"), unit="s", log=True),
        y=Axis(title=Text(zh="请求", en="requests"), unit="%"),
        series=series,
        source=source(fleet),
    )
