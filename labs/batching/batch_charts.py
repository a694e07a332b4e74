"""Batch size against throughput and latency: what the engine did, and what the roofline allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.batching.batch_steps import doubled_at
from labs.results import Axis, Column, Lines, Markdown, Metric, Provenance, Series, Table, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.batching.batch_steps import BatchStep, Roofline
    from labs.results import Array, Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_BATCH = Axis(title=Text(zh="批大小", en="batch size"), log=True)


def batch_results(steps: Sequence[BatchStep], roofline: Roofline) -> Iterator[Result]:
    """As far as the sweep has come."""
    yield _throughput(steps, roofline)
    yield _latency(steps, roofline)
    if len(steps) > 1:
        yield _gain(steps, roofline)
        yield _knee(steps, roofline)
    yield _table(steps)


def _curve(steps: Sequence[BatchStep]) -> Array:
    """Batch sizes on which the roofline is drawn: finer than measured, for it has a corner."""
    return array(np.geomspace(1, max(2, steps[-1].batch), 60))


def _throughput(steps: Sequence[BatchStep], roofline: Roofline) -> Lines:
    sizes = _curve(steps)
    return Lines(
        id="throughput",
        title=Text(zh="吞吐随批大小", en="Throughput by batch size"),
        provenance=_MEASURED,
        unit="token/s",
        x=_BATCH,
        y=Axis(title=Text(zh="解码吞吐", en="decode throughput"), unit="token/s", log=True),
        series=[
            Series(
                name=Text(zh="引擎", en="the engine"),
                x=array([float(step.batch) for step in steps]),
                y=array([step.tokens_per_s for step in steps]),
                low=array([step.batch / step.timing.high_s for step in steps]),
                high=array([step.batch / step.timing.low_s for step in steps]),
            ),
            Series(
                name=Text(zh="Roofline 上限", en="roofline bound"),
                x=sizes,
                y=array([size / roofline.step_s(size) for size in sizes]),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        help=Text(
            zh="一步读一遍权重，全批共用：批越大，每个 token 分摊得越少，直到计算（或各自的 KV）成为瓶颈。",
            en="A step reads the weights once for the whole batch: the more share them, the less each token "
            "pays, until computing (or each one's own KV) is the limit.",
        ),
    )


def _latency(steps: Sequence[BatchStep], roofline: Roofline) -> Lines:
    sizes = _curve(steps)
    return Lines(
        id="latency",
        title=Text(zh="每个 token 的延迟随批大小", en="Latency of a token by batch size"),
        provenance=_MEASURED,
        unit="ms",
        x=_BATCH,
        y=Axis(title=Text(zh="一步的时间（TPOT）", en="time of a step (TPOT)"), unit="ms", log=True),
        series=[
            Series(
                name=Text(zh="引擎", en="the engine"),
                x=array([float(step.batch) for step in steps]),
                y=array([1e3 * step.timing.median_s for step in steps]),
                low=array([1e3 * step.timing.low_s for step in steps]),
                high=array([1e3 * step.timing.high_s for step in steps]),
            ),
            Series(
                name=Text(zh="Roofline 下限", en="roofline bound"),
                x=sizes,
                y=array([1e3 * roofline.step_s(size) for size in sizes]),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        help=Text(
            zh="TPOT：解码时每个 token 的时间。同批的每个用户都要等整步算完。",
            en="TPOT: the time of each token while decoding. Everyone in the batch waits for the whole step.",
        ),
    )


def _gain(steps: Sequence[BatchStep], roofline: Roofline) -> Metric:
    last = steps[-1]
    return Metric(
        id="gain",
        title=Text(zh=f"批 {last.batch} 的吞吐是批 1 的几倍", en=f"Throughput: batch {last.batch} over 1"),
        provenance=_MEASURED,
        unit="×",
        value=last.tokens_per_s / steps[0].tokens_per_s,
        predicted=last.batch * roofline.step_s(1) / roofline.step_s(last.batch),
        formula=Text(
            zh="批大小 × t(1) ÷ t(批)，t 是 Roofline 一步的时间",
            en="batch × t(1) / t(batch), t the roofline's time of a step",
        ),
        better="higher",
    )


def _knee(steps: Sequence[BatchStep], roofline: Roofline) -> Metric:
    return Metric(
        id="knee",
        title=Text(zh="一步的时间翻倍时的批大小", en="Batch at which a step takes twice as long"),
        provenance=_MEASURED,
        value=doubled_at(steps),
        predicted=roofline.doubled_at(),
        formula=Text(
            zh="t(批) = max(批 × FLOPs ÷ 峰值, (权重 + 批 × KV) ÷ 带宽)，求 t(批) = 2 t(1)",
            en="t(batch) = max(batch × FLOPs / peak, (weights + batch × KV) / bandwidth), solved for 2 t(1)",
        ),
        help=Text(
            zh="在它之前，加请求几乎不加延迟；在它之后，吞吐涨得慢，延迟涨得快。没有值：扫到最大的批还没有翻"
            "倍。预测假定几行的乘法也达到大矩阵（1024³）的峰值，并与读权重完全重叠；几行的内核达不到，所以实测"
            "的拐点来得更早。",
            en="Below it more requests cost hardly any latency; above it throughput grows slowly and latency "
            "fast. No value: not even the largest batch took twice as long. The prediction assumes that a "
            "product of few rows reaches the peak of a large one (1024³) and overlaps with reading; kernels "
            "for few rows do not, so the knee comes earlier.",
        ),
    )


def _table(steps: Sequence[BatchStep]) -> Table:
    return Table(
        id="steps",
        title=Text(zh="每个批大小的一步", en="A step of each size"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="批大小", en="batch")),
            Column(title=Text(zh="一步", en="step"), unit="ms"),
            Column(title=Text(zh="吞吐", en="throughput"), unit="token/s"),
            Column(title=Text(zh="Roofline", en="roofline"), unit="ms", provenance=_ESTIMATED),
            Column(
                title=Text(zh="达到的份额", en="share reached"),
                unit="%",
                help=Text(
                    zh="Roofline 时间 ÷ 实测时间。离 100% 的差是每个算子的固定开销、注意力和调度；超过 100% "
                    "说明测带宽和峰值时机器正忙。",
                    en="Roofline time over measured time. What is missing to 100% is overhead an operator, "
                    "attention and the host; above 100% the machine was busy when the roofs were measured.",
                ),
            ),
        ],
        rows=[
            [
                step.batch,
                1e3 * step.timing.median_s,
                step.tokens_per_s,
                1e3 * step.bound_s,
                100 * step.bound_s / step.timing.median_s,
            ]
            for step in steps
        ],
    )


def explanation(steps: Sequence[BatchStep], roofline: Roofline) -> Markdown:
    """Why it bends where it bends, in the run's own figures."""
    first, last = steps[0], steps[-1]
    bytes_first = roofline.weight_bytes + roofline.kv_bytes
    share = 100 * roofline.weight_bytes / bytes_first
    knee = doubled_at(steps)
    zh_knee = f"实测在批约 {knee:.0f} 处翻倍" if knee else f"实测到批 {last.batch} 还没有翻倍"
    en_knee = f"measured at about {knee:.0f}" if knee else f"not reached by batch {last.batch}"
    zh = (
        f"**为什么批处理有用。** 批 1 的一步要读 {bytes_first / 2**20:.0f} MiB，其中 {share:.0f}% 是权重；批 "
        f"{last.batch} 读的权重一样多，却给出 {last.batch} 个 token。实测吞吐从 "
        f"{first.tokens_per_s:.0f} 变成 {last.tokens_per_s:.0f} token/s，一步从 "
        f"{1e3 * first.timing.median_s:.1f} ms 变成 "
        f"{1e3 * last.timing.median_s:.1f} ms。\n\n"
        f"**拐点。** Roofline 说批 {roofline.doubled_at():.0f} 时一步的时间翻倍，{zh_knee}。拐点之前是“白捡”"
        "的吞吐，之后是拿每个用户的延迟换总吞吐。上下文越长，各自的 KV 越大，权重的分摊就越不管用。"
    )
    en = (
        f"**Why batching helps.** A step of batch 1 reads {bytes_first / 2**20:.0f} MiB, {share:.0f}% of it "
        f"weights; batch {last.batch} reads the same weights and gives {last.batch} tokens. Measured "
        f"throughput went from {first.tokens_per_s:.0f} to {last.tokens_per_s:.0f} token/s, a step from "
        f"{1e3 * first.timing.median_s:.1f} to {1e3 * last.timing.median_s:.1f} ms.\n\n"
        f"**The knee.** By the roofline a step takes twice as long at batch {roofline.doubled_at():.0f}; "
        f"{en_knee}. Below the knee throughput is free, above it each user's latency pays for it. The longer "
        "the context, the more of a step is each one's own KV, which nobody shares."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )
