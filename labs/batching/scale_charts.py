"""The race at scale, simulated: a table, throughput, how fast answers end, and how long first tokens take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.batching.simulated_race import SCALE_CONSTANTS, SCALE_DEVICE, SCALE_DEVICES, SCALE_MODEL
from labs.batching.strategies import TITLES
from labs.results import Axis, Column, Lines, Markdown, Provenance, Series, Table, array
from labs.simulator.hardware import device
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.batching.simulated_race import ScaleRun
    from labs.batching.strategies import Strategy

_WHERE = f"{SCALE_DEVICES} × {device(SCALE_DEVICE).title}, {SCALE_MODEL}, BF16"
SOURCE = Text(
    zh=f"离散事件模拟，与引擎共用调度器和块管理器；{_WHERE}；{SCALE_CONSTANTS.source}",
    en=f"discrete-event simulation with the engine's own scheduler and block manager; {_WHERE}; "
    f"{SCALE_CONSTANTS.source}",
)
SIMULATED = Provenance.SIMULATED
_PERCENTS = np.arange(0.0, 100.5, 1.0)

_COLUMNS = [
    Column(title=Text(zh="策略", en="strategy")),
    Column(title=Text(zh="吞吐", en="throughput"), unit="token/s"),
    Column(title=Text(zh="平均 TTFT", en="mean TTFT"), unit="s"),
    Column(title=Text(zh="TTFT p95", en="TTFT p95"), unit="s"),
    Column(title=Text(zh="平均 TPOT", en="mean TPOT"), unit="ms"),
    Column(
        title=Text(zh="ITL p99", en="ITL p99"),
        unit="ms",
        help=Text(
            zh="相邻两个 token 的间隔，第 99 百分位：停顿看这里，均值看不出。",
            en="Gap between two tokens, 99th percentile: stalls show here, not in the mean.",
        ),
    ),
    Column(
        title=Text(zh="最长停顿", en="longest stall"),
        unit="ms",
        help=Text(zh="最大的 ITL。", en="The largest ITL."),
    ),
    Column(
        title=Text(zh="平均批大小", en="mean batch"),
        help=Text(
            zh="一步里平均有几条序列，静态的也算已答完的。",
            en="Sequences in a step on average; in static batches those that have ended count too.",
        ),
    ),
    Column(
        title=Text(zh="白算", en="wasted"),
        unit="%",
        help=Text(zh="白算的 token 占计算的比例。", en="Share of the computed tokens that nobody needed."),
    ),
    Column(
        title=Text(zh="KV 空置", en="KV empty"),
        unit="%",
        help=Text(
            zh="已预留的 KV 槽位里没有 token 的比例，按时间平均。",
            en="Share of the reserved KV slots without a token, averaged over time.",
        ),
    ),
]


def table(runs: Sequence[ScaleRun]) -> Table:
    return Table(
        id="scale_table",
        title=Text(zh=f"放大到 {_WHERE}", en=f"At scale: {_WHERE}"),
        help=Text(
            zh="两张卡各跑一个副本；“分离”是一张只预填充、一张只解码，KV 经 NVLink 传过去。",
            en="A replica on each of two devices; apart: one only prefills, one only decodes, and the KV "
            "goes "
            "over NVLink.",
        ),
        provenance=SIMULATED,
        source=SOURCE,
        wide=True,
        columns=_COLUMNS,
        rows=[_row(run) for run in runs],
        highlight=max(range(len(runs)), key=lambda i: runs[i].report.output_tokens_per_s),
    )


def _row(run: ScaleRun) -> list[Text | float | int | None]:
    report = run.report
    return [
        TITLES[run.strategy],
        report.output_tokens_per_s,
        report.ttft.mean,
        report.ttft.p95,
        1e3 * report.tpot.mean,
        1e3 * report.itl.p99,
        1e3 * report.itl.most,
        report.mean_batch,
        100 * report.padding,
        100 * report.fragmentation,
    ]


def ended(runs: Sequence[ScaleRun]) -> Lines:
    """Answers that have ended by each moment."""
    return Lines(
        id="scale_ended",
        title=Text(zh="已答完的请求", en="Requests answered"),
        help=Text(
            zh="静态批处理成批地答完，曲线是台阶；斜率是每秒答完几个。",
            en="Static batches end together, hence the stairs. The slope is requests a second.",
        ),
        provenance=SIMULATED,
        source=SOURCE,
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        y=Axis(title=Text(zh="已答完", en="answered")),
        series=[
            Series(name=TITLES[run.strategy], x=array(ends), y=array(range(1, len(ends) + 1)))
            for run in runs
            for ends in [sorted(one.end_s for one in run.lives)]
        ],
        markers=False,
        clock="race_at_scale",
    )


def first_tokens(runs: Sequence[ScaleRun]) -> Lines:
    return Lines(
        id="scale_ttft",
        title=Text(zh="TTFT 的分布", en="TTFT by percentile"),
        help=Text(
            zh="横轴 95 处的值：95% 的请求在这么久之内看到首个 token。",
            en="At 95 on the x axis: the time within which 95 % of requests see their first token.",
        ),
        provenance=SIMULATED,
        source=SOURCE,
        unit="s",
        x=Axis(title=Text(zh="百分位", en="percentile"), unit="%"),
        y=Axis(title=Text(zh="TTFT", en="TTFT"), unit="s", log=True),
        series=[
            Series(
                name=TITLES[run.strategy],
                x=array(_PERCENTS),
                y=array(np.maximum(np.percentile(_ttfts(run), _PERCENTS), 1e-3)),
            )
            for run in runs
        ],
        markers=False,
    )


def _ttfts(run: ScaleRun) -> list[float]:
    return [one.first_s - one.arrival_s for one in run.lives]


def story(runs: dict[Strategy, ScaleRun]) -> Markdown:
    static, continuous = runs["static"].report, runs["continuous"].report
    chunked, apart = runs["chunked"].report, runs["disaggregated"].report
    gain = continuous.output_tokens_per_s / static.output_tokens_per_s
    zh = (
        f"{static.requests:,} 个请求、两张 A100：连续批处理的吞吐是静态的 {gain:.2f} 倍"
        f"（{continuous.output_tokens_per_s:,.0f} 对 {static.output_tokens_per_s:,.0f} token/s），"
        f"平均 TTFT {continuous.ttft.mean:.2f} s 对 {static.ttft.mean:.1f} s。静态白算了 "
        f"{static.padding:.0%} 的 token，"
        f"预留的 KV 有 {static.fragmentation:.0%} 空着。不分块时一次预填充最多让解码停 "
        f"{1e3 * continuous.itl.most:.0f} ms，"
        f"分块后最多 {1e3 * chunked.itl.most:.0f} ms。分离后没有预填充插进解码，TPOT "
        f"{1e3 * apart.tpot.mean:.1f} ms（分块 {1e3 * chunked.tpot.mean:.1f} ms），但两张卡的分工是固定的："
        f"吞吐 {apart.output_tokens_per_s:,.0f} token/s，平均 TTFT {apart.ttft.mean:.2f} s，哪一边先满就由哪"
        "一边决定。"
    )
    en = (
        f"{static.requests:,} requests, two A100s: continuous batching has {gain:.2f} times "
        "the "
        f"throughput of static ({continuous.output_tokens_per_s:,.0f} against "
        f"{static.output_tokens_per_s:,.0f} "
        f"tokens/s) and a mean TTFT of {continuous.ttft.mean:.2f} s against {static.ttft.mean:.1f} s. Static "
        f"batching computed {static.padding:.0%} of its tokens for nothing, and {static.fragmentation:.0%} "
        "of the "
        f"KV it reserved stood empty. Unchunked, a prefill stopped decodes for up to "
        f"{1e3 * continuous.itl.most:.0f} ms; chunked, for {1e3 * chunked.itl.most:.0f} ms. Apart, no "
        "prefill "
        f"touches a decode: a TPOT of {1e3 * apart.tpot.mean:.1f} ms (chunked {1e3 * chunked.tpot.mean:.1f} "
        "ms). But "
        f"each device has one task, and the one that fills first decides: {apart.output_tokens_per_s:,.0f} "
        f"tokens/s, a mean TTFT of {apart.ttft.mean:.2f} s."
    )
    return Markdown(
        id="scale_story",
        title=Text(zh="放大之后", en="At scale"),
        provenance=SIMULATED,
        source=SOURCE,
        body=Text(zh=zh, en=en),
    )
