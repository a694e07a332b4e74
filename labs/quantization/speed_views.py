"""What the speed lab shows: roofs, kernels beside them, the whole model, and why the two differ."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.memory import bandwidth_bound_tokens_per_s
from labs.quantization.speed_modes import MODES
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Markdown,
    Metric,
    Provenance,
    Scatter,
    Series,
    Table,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labs.quantization.kernel_speed import KernelTime, Roofs
    from labs.quantization.packed_model import EndToEnd

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
PHASES = {
    "decode": Text(zh="解码（GEMV，1 行）", en="decode (GEMV, 1 row)"),
    "prefill": Text(zh="预填充（GEMM）", en="prefill (GEMM)"),
}
_BOUND = Text(
    zh="max(字节 ÷ 实测带宽, FLOP ÷ 实测峰值)：labs.formulas.memory.roofline_seconds",
    en="max(bytes / measured bandwidth, FLOP / measured peak): labs.formulas.memory.roofline_seconds",
)
_METHOD = Text(
    zh="预热后的中位数与 20/80 百分位；解码时权重在多份拷贝间轮换，总量为末级缓存的两倍以上",
    en="median and 20th/80th percentiles after warming up; in decode the weight rotates through copies of "
    "twice the last-level cache and more",
)
Kernels = dict[tuple[str, str], list["KernelTime"]]


def roof_table(roofs: Roofs) -> Table:
    """The two bounds, measured on this device."""
    peaks: list[list[Text | float | int | None]] = [
        [
            Text(zh=f"GEMM {name.upper()}", en=f"GEMM {name.upper()}"),
            peak / 1e9,
            same("GFLOP/s"),
            peak / roofs.bandwidth,
        ]
        for name, peak in roofs.peaks.items()
    ]
    return Table(
        id="roofs",
        title=Text(zh="这台设备的两个上限", en="The two roofs of this device"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="上限", en="roof")),
            Column(title=Text(zh="实测", en="measured")),
            Column(title=Text(zh="单位", en="unit")),
            Column(
                title=Text(zh="拐点", en="ridge point"),
                unit="FLOP/B",
                help=Text(
                    zh="算术强度低于它受带宽限制，高于它受算力限制。",
                    en="Below this arithmetic intensity memory is the limit, above it compute.",
                ),
            ),
        ],
        rows=[[Text(zh="读内存", en="reading memory"), roofs.bandwidth / 1e9, same("GB/s"), None], *peaks],
        source=Text(
            zh="读：四倍末级缓存的缓冲区求和或求最大值，取快者；GEMM：1024³ 的乘积",
            en="reading: sum or maximum over four times the last-level cache, the faster; GEMM: a "
            "1024^3 product",
        ),
    )


def step_seconds(kernels: Iterable[KernelTime]) -> float:
    """Time of all linear layers of one pass; NaN if one of them has none."""
    return math.fsum(k.shape.count * (k.timing.median_s if k.timing else math.nan) for k in kernels)


def step_bytes(kernels: Iterable[KernelTime]) -> int:
    """Weight bytes that one pass reads."""
    return sum(k.shape.count * k.weight_bytes for k in kernels)


def kernel_bars(kernels: Kernels, phase: str) -> Bars:
    """All linear layers of one pass, by mode, beside what the roofs allow."""
    times, bounds, missing = [], [], {}
    for index, mode in enumerate(MODES):
        found = kernels.get((mode, phase), [])
        times.append(1e3 * step_seconds(found) if found else math.nan)
        bounds.append(1e3 * math.fsum(k.shape.count * k.bound_s for k in found) if found else math.nan)
        reason = next((k.reason for k in found if k.reason), None)
        if reason:
            missing[index] = reason
        elif not found:
            missing[index] = Text(zh="尚未测量", en="not measured yet")
    return Bars(
        id=f"kernels_{phase}",
        title=Text(
            zh=f"一次前向的全部线性层：{PHASES[phase].zh}",
            en=f"All linear layers of one pass: {PHASES[phase].en}",
        ),
        provenance=_MEASURED,
        unit="ms",
        categories=[mode.title for mode in MODES.values()],
        series=[
            BarSeries(name=Text(zh="实测", en="measured"), values=array(times)),
            BarSeries(
                name=Text(zh="上限允许的最短时间", en="least that the roofs allow"),
                values=array(bounds),
                provenance=_ESTIMATED,
            ),
        ],
        y=Axis(title=Text(zh="时间", en="time"), unit="ms"),
        missing=missing,
        help=Text(
            zh="各形状的内核单独计时，乘以模型里的层数后相加；预填充不含输出头，因为只需要最后一个 "
            "token 的 logits。",
            en="Each shape's kernel, timed alone, times its layers. Prefill leaves out the head, "
            "which sees the "
            "last token only.",
        ),
        source=_METHOD,
        wide=True,
    )


def kernel_table(kernels: Kernels) -> Table:
    """Every measurement: time, rates, bound, share, and the check that allows it to be shown."""
    rows: list[list[Text | float | int | None]] = []
    for (mode, phase), found in kernels.items():
        for k in found:
            t = k.timing
            rows.append(
                [
                    MODES[mode].title,
                    k.shape.title,
                    PHASES[phase],
                    t.median_s * 1e6 if t else None,
                    t.low_s * 1e6 if t else None,
                    t.high_s * 1e6 if t else None,
                    k.moved_bytes / t.median_s / 1e9 if t else None,
                    k.flops / t.median_s / 1e9 if t else None,
                    k.bound_s * 1e6 if t else None,
                    100 * k.share if t else None,
                    k.difference,
                    k.reason or Text(zh="通过", en="passed"),
                ]
            )
    return Table(
        id="kernels",
        title=Text(zh="逐个内核", en="Kernel by kernel"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="模式", en="mode")),
            Column(title=Text(zh="形状 [N×K]", en="shape [N×K]")),
            Column(title=Text(zh="阶段", en="phase")),
            Column(title=Text(zh="中位数", en="median"), unit="µs"),
            Column(title=Text(zh="20%", en="20th"), unit="µs"),
            Column(title=Text(zh="80%", en="80th"), unit="µs"),
            Column(title=Text(zh="读写速率", en="memory rate"), unit="GB/s"),
            Column(title=Text(zh="计算速率", en="compute rate"), unit="GFLOP/s"),
            Column(title=Text(zh="上限", en="bound"), unit="µs", provenance=_ESTIMATED),
            Column(
                title=Text(zh="达到上限的", en="share of bound"),
                unit="%",
                help=Text(
                    zh="上限本身也是测出来的，所以可能略超 100%。",
                    en="The roof is a measurement too, so this may pass 100 %.",
                ),
            ),
            Column(title=Text(zh="与朴素实现之差", en="off the naive product")),
            Column(title=Text(zh="检查", en="check")),
        ],
        rows=rows,
        source=_METHOD,
        wide=True,
    )


def roofline(kernels: Kernels, roofs: Roofs) -> Scatter:
    """Every kernel at its arithmetic intensity, under the roofs."""
    series = []
    for mode in MODES:
        points = [k for phase in PHASES for k in kernels.get((mode, phase), []) if k.timing]
        series.append(
            Series(
                name=MODES[mode].title,
                x=array([k.flops / k.moved_bytes for k in points]),
                y=array([k.flops / k.timing.median_s / 1e9 for k in points if k.timing]),
                labels=[
                    Text(
                        zh=f"{k.shape.title.zh}，{PHASES[k.phase].zh}",
                        en=f"{k.shape.title.en}, {PHASES[k.phase].en}",
                    )
                    for k in points
                ],
            )
        )
    intensity = np.logspace(-1, 3.2, 64)
    for name, peak in roofs.peaks.items():
        roof = np.minimum(intensity * roofs.bandwidth, peak) / 1e9
        title = Text(zh=f"上限 {name.upper()}", en=f"{name.upper()} roof")
        series.append(Series(name=title, x=intensity, y=roof, reference=True))
    return Scatter(
        id="roofline",
        title=Text(zh="屋顶线（roofline）", en="Roofline"),
        provenance=_MEASURED,
        unit="GFLOP/s",
        x=Axis(title=Text(zh="算术强度", en="arithmetic intensity"), unit="FLOP/B", log=True),
        y=Axis(title=Text(zh="计算速率", en="compute rate"), unit="GFLOP/s", log=True),
        series=series,
        help=Text(
            zh="斜线是内存带宽，横线是算力。解码的点在斜线下：少搬字节就能右移上升；预填充的点在横线下。",
            en="The slope is memory bandwidth, the level lines are compute. Decode sits under the "
            "slope, where "
            "fewer bytes move a point right and up; prefill sits under the lines.",
        ),
        source=_METHOD,
        wide=True,
    )


def speedup_metrics(kernels: Kernels) -> list[Metric]:
    """Measured speed-up of the decode kernels over FP32, beside the ratio of bytes."""
    base = kernels.get(("fp32", "decode"), [])
    metrics = []
    for mode in ("bf16", "int8", "int4", "w8a8"):
        found = kernels.get((mode, "decode"), [])
        if not found or not base or math.isnan(step_seconds(found) + step_seconds(base)):
            continue
        metrics.append(
            Metric(
                id=f"speedup_{mode}",
                title=Text(
                    zh=f"解码内核加速：{MODES[mode].title.zh}",
                    en=f"Decode kernels' speed-up: {MODES[mode].title.en}",
                ),
                provenance=_MEASURED,
                unit="×",
                value=step_seconds(base) / step_seconds(found),
                predicted=step_bytes(base) / step_bytes(found),
                formula=Text(
                    zh="字节之比：受带宽限制时的加速",
                    en="ratio of bytes: the speed-up if memory were the limit",
                ),
                better="higher",
                source=_METHOD,
            )
        )
    return metrics


def model_bars(runs: dict[str, EndToEnd], reasons: dict[str, Text], roofs: Roofs, phase: str) -> Bars:
    """Tokens a second of the real model, beside what its weights' bytes would allow (decode)."""
    rates, lows, highs, bounds = [], [], [], []
    missing = {}
    for index, mode in enumerate(MODES):
        run = runs.get(mode)
        timing = (run.decode if phase == "decode" else run.prefill) if run else None
        tokens = run.tokens if run and phase == "prefill" else 1
        rates.append(tokens / timing.median_s if timing else math.nan)
        lows.append(tokens / timing.high_s if timing else math.nan)
        highs.append(tokens / timing.low_s if timing else math.nan)
        bounds.append(bandwidth_bound_tokens_per_s(run.streamed_bytes, roofs.bandwidth) if run else math.nan)
        if timing is None:
            missing[index] = reasons.get(mode, Text(zh="尚未测量", en="not measured yet"))
    series = [
        BarSeries(
            name=Text(zh="实测", en="measured"), values=array(rates), low=array(lows), high=array(highs)
        )
    ]
    if phase == "decode":
        series.append(
            BarSeries(
                name=Text(zh="带宽上限", en="bandwidth bound"), values=array(bounds), provenance=_ESTIMATED
            )
        )
    return Bars(
        id=f"model_{phase}",
        title=Text(zh=f"整个模型：{PHASES[phase].zh}", en=f"The whole model: {PHASES[phase].en}"),
        provenance=_MEASURED,
        unit="token/s",
        categories=[mode.title for mode in MODES.values()],
        series=series,
        y=Axis(title=Text(zh="速度", en="speed"), unit="token/s"),
        missing=missing,
        source=Text(
            zh="真实前向，批大小 1，含注意力、归一化与输出头；INT4 模式的输出头用 INT8",
            en="the real forward pass at batch 1, attention, norms and head included; the INT4 mode's "
            "head is INT8",
        ),
        wide=True,
    )


def model_table(runs: dict[str, EndToEnd], roofs: Roofs) -> Table:
    """Bytes, predicted and measured speed-up, share of the bandwidth bound."""
    base = runs.get("fp32")
    rows: list[list[Text | float | int | None]] = []
    for mode, run in runs.items():
        bound = bandwidth_bound_tokens_per_s(run.streamed_bytes, roofs.bandwidth)
        rate = 1 / run.decode.median_s if run.decode else None
        base_rate = 1 / base.decode.median_s if base and base.decode else None
        rows.append(
            [
                MODES[mode].title,
                run.streamed_bytes / 2**20,
                base.streamed_bytes / run.streamed_bytes if base else None,
                rate / base_rate if rate and base_rate else None,
                rate,
                100 * rate / bound if rate else None,
                run.tokens / run.prefill.median_s if run.prefill else None,
            ]
        )
    return Table(
        id="model",
        title=Text(zh="字节少了几倍，快了几倍", en="How many times fewer bytes, how many times faster"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="模式", en="mode")),
            Column(
                title=Text(zh="每步读的权重", en="weights read a step"),
                unit="MiB",
                help=Text(
                    zh="线性层与输出头，含 scale；每解码一个 token 都要全部读一遍。",
                    en="Projections and head with their scales: all of it for every decoded token.",
                ),
            ),
            Column(title=Text(zh="预测加速", en="predicted speed-up"), unit="×", provenance=_ESTIMATED),
            Column(title=Text(zh="实测加速", en="measured speed-up"), unit="×"),
            Column(title=Text(zh="解码", en="decode"), unit="token/s"),
            Column(title=Text(zh="达到带宽上限的", en="share of bandwidth bound"), unit="%"),
            Column(title=Text(zh="预填充", en="prefill"), unit="token/s"),
        ],
        rows=rows,
        source=Text(zh="预测 = FP32 字节 ÷ 该模式字节", en="predicted = FP32's bytes / the mode's bytes"),
        wide=True,
    )


def explanation(kernels: Kernels, runs: dict[str, EndToEnd], roofs: Roofs, threads: int) -> Markdown:
    """Where the predicted speed-up went, computed from this run."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    parts = [
        Text(
            zh=f"本次用 {threads} 个线程；内存读取 {roofs.bandwidth / 1e9:.0f} GB/s。",
            en=f"This run used {threads} threads; memory was read at {roofs.bandwidth / 1e9:.0f} GB/s.",
        )
    ]
    if load > threads:
        parts.append(
            Text(
                zh=f"**机器正忙**：平均负载 {load:.1f}，多于 {threads} 个线程。时间里混进了等待，请空闲"
                "时再测。",
                en=f"**The machine was busy**: a load of {load:.1f} for {threads} threads. Times include "
                "waiting; measure again when it is idle.",
            )
        )
    if roofs.peaks["bf16"] < roofs.peaks["fp32"]:
        ratio = roofs.peaks["fp32"] / roofs.peaks["bf16"]
        parts.append(
            Text(
                zh=f"这里的 BF16 GEMM 比 FP32 **慢 {ratio:.1f} 倍**：没有原生 BF16 乘法的处理器要先展宽。"
                "预填充时 BF16 只省内存，不省时间。",
                en=f"BF16 GEMM is **{ratio:.1f} times slower** than FP32 here: a processor without BF16 "
                "multiplication must widen first. In prefill BF16 saves memory, not time.",
            )
        )
    parts += [_account(mode, kernels, runs.get(mode)) for mode in MODES if kernels.get((mode, "decode"))]
    return Markdown(
        id="explanation",
        title=Text(zh="预测与实测为什么不同", en="Why prediction and measurement differ"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(part.zh for part in parts), en="\n\n".join(part.en for part in parts)),
        wide=True,
    )


def _account(mode: str, kernels: Kernels, run: EndToEnd | None) -> Text:
    """One mode's bytes, kernels and whole step, and what each leaves of the prediction."""
    title, found, base = MODES[mode].title, kernels[mode, "decode"], kernels.get(("fp32", "decode"), [])
    seconds = step_seconds(found)
    if math.isnan(seconds):
        return Text(zh=f"- **{title.zh}**：没有测得速度。", en=f"- **{title.en}**: no speed was measured.")
    share = 100 * math.fsum(k.shape.count * k.bound_s for k in found) / seconds
    zh, en = f"内核达到上限的 {share:.0f}%", f"kernels reach {share:.0f} % of the bound"
    if mode != "fp32":
        fewer, faster = step_bytes(base) / step_bytes(found), step_seconds(base) / seconds
        zh = f"字节是 FP32 的 1/{fewer:.1f}，内核快 {faster:.1f} 倍；{zh}"
        en = f"{fewer:.1f} times fewer bytes than FP32, kernels {faster:.1f} times as fast; {en}"
    if run and run.decode:
        rest = 100 * (1 - seconds / run.decode.median_s)
        if rest > 0:
            zh += f"。整个模型的一步里，{rest:.0f}% 在线性层之外（注意力、归一化、算子启动），量化不缩短它"
            en += (
                f". Of a step of the whole model {rest:.0f} % is spent outside linear layers "
                "(attention, norms, "
                "launching operators), which quantisation does not shorten"
            )
        else:
            zh += "。单独计时反而比在模型里慢：模型里有些权重留在缓存里，或计时时有别的程序在运行"
            en += (
                ". Timed alone they take longer than in the model, where the cache holds some weights, or "
                "other programs ran meanwhile"
            )
    return Text(zh=f"- **{title.zh}**：{zh}。", en=f"- **{title.en}**: {en}.")
