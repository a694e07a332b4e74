"""What the speed lab shows of the whole model, and where the speed that bytes promise is lost."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from labs.formulas.memory import bandwidth_bound_tokens_per_s
from labs.quantization.kernel_speed_views import PHASES, step_bytes, step_seconds
from labs.quantization.speed_modes import MODES
from labs.results import Axis, Bars, BarSeries, Column, Markdown, Provenance, Table, array
from labs.text import Text

if TYPE_CHECKING:
    from labs.quantization.kernel_speed import Roofs
    from labs.quantization.kernel_speed_views import Kernels
    from labs.quantization.packed_model import EndToEnd

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
# Of its bound: more than the spread of a timing.
_ABOVE = 1.1


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
    parts += _beyond(kernels)
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


def _beyond(kernels: Kernels) -> list[Text]:
    """Kernels that beat their bound: what a roof was measured at is then not all that the machine can do."""
    shares = [kernel.share for found in kernels.values() for kernel in found if kernel.timing]
    above = [share for share in shares if share > _ABOVE]
    if not above:
        return []
    best = f"{100 * max(above):.0f}"
    zh = (
        f"**{len(shares)} 个内核里有 {len(above)} 个快过“上限”**（最快的到 {best}%）：上限是在另一时刻量的，"
        "那时机器可能较慢，或有别的程序在用。请空闲时再测。"
    )
    en = (
        f"**{len(above)} of {len(shares)} kernels beat their bound** (the fastest reached {best} % of it): "
        "the bounds were measured at another moment, when the machine may have been slower, or shared. "
        "Measure again when the machine is idle."
    )
    return [Text(zh=zh, en=en)]


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
