"""What the granularity lab shows of the model: perplexity, the sweep, and why one setting is lossless."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from labs.quantization.fidelity import predicted_sqnr_db, sqnr_db
from labs.quantization.layer_data import most_values_in_a_block
from labs.quantization.perplexity import EVALUATION_TEXT, WINDOW, baseline, compare
from labs.quantization.whole_model import WeightBuffers
from labs.results import Axis, Lines, Markdown, Metric, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labs.context import Context
    from labs.formulas.quantization import Granularity
    from labs.models.perplexity import Perplexity
    from labs.quantization.config import QuantizerConfig
    from labs.quantization.layer_data import LayerData
    from labs.quantization.perplexity import Comparison
    from labs.quantization.quantizer import Quantized

# The most telling first, so that the curves take shape early.
SWEEP_BITS = (4, 8, 3, 6, 2, 5, 7)
# Relative to the largest weight: what rounding in fp32 leaves of an exact reconstruction.
LOSSLESS = 1e-6

_HELP = Text(
    zh="模型预测下一个 token 时平均在多少个等可能的选项之间犹豫。嵌入与输出头不量化。",
    en="Among how many equally likely tokens the model hesitates. Embedding and output head stay as "
    "they are.",
)


def quantised_metric(windows: int, after: Comparison | None = None) -> Metric:
    """The perplexity with every linear layer quantised; before it is measured, its place."""
    return Metric(
        id="perplexity",
        title=Text(zh="困惑度：量化后的模型", en="Perplexity, quantised"),
        provenance=Provenance.MEASURED,
        value=after.perplexity if after else None,
        low=after.low if after else None,
        high=after.high if after else None,
        better="lower",
        help=_HELP,
        source=_paired_source(windows),
    )


def baseline_metric(windows: int, before: Perplexity | None = None) -> Metric:
    """The perplexity of the model as it is; before it is measured, its place."""
    return Metric(
        id="perplexity_baseline",
        title=Text(zh="困惑度：原模型", en="Perplexity, original"),
        provenance=Provenance.MEASURED,
        value=before.value if before else None,
        better="lower",
        help=_HELP,
        source=_text_source(windows),
    )


def loss_metric(windows: int, after: Comparison | None = None) -> Metric:
    """The difference of the two in nats a token; before it is measured, its place."""
    return Metric(
        id="loss_increase",
        title=Text(zh="损失增加", en="Increase of the loss"),
        provenance=Provenance.MEASURED,
        unit="nat/token",
        value=after.loss if after else None,
        low=after.loss - after.stderr if after else None,
        high=after.loss + after.stderr if after else None,
        better="lower",
        help=Text(
            zh="在同样的 token 上配对比较，文本本身的难度相互抵消；小于两个标准误的差别不能当真。",
            en="Paired on the same tokens, so that the text's own difficulty cancels; a difference "
            "below two standard errors means nothing.",
        ),
        source=_paired_source(windows),
    )


def perplexity_results(ctx: Context, config: QuantizerConfig, windows: int) -> Iterator[Metric]:
    """The untouched model, the quantised one, and their difference with its standard error."""
    yield baseline_metric(windows, baseline(ctx, windows))
    after = compare(ctx, config, windows)
    yield quantised_metric(windows, after)
    yield loss_metric(windows, after)


def _paired_source(windows: int) -> Text:
    text = _text_source(windows)
    return Text(
        zh=f"{text.zh}；误差棒是与原模型逐 token 配对之差的 ±1 个标准误",
        en=f"{text.en}; bars: one standard error of the paired difference",
    )


def sweep(ctx: Context, config: QuantizerConfig, windows: int) -> Iterator[Lines]:
    """Perplexity over bits at each granularity, yielded again with every point; points are memoised."""
    found: dict[tuple[Granularity, int], tuple[float, float, float]] = {}
    buffers = WeightBuffers()
    for bits in SWEEP_BITS:
        for granularity in _swept(config):
            point = replace(config, bits=bits, granularity=granularity)
            result = compare(ctx, point, windows, buffers)
            found[granularity, bits] = (result.perplexity, result.low, result.high)
            yield sweep_curves(config, windows, found, baseline(ctx, windows).value)


def _swept(config: QuantizerConfig) -> tuple[Granularity, ...]:
    return ("tensor", "token" if config.matrix == "activation" else "channel", "group")


def sweep_curves(
    config: QuantizerConfig,
    windows: int,
    found: Mapping[tuple[Granularity, int], tuple[float, float, float]],
    plain: float = math.nan,
) -> Lines:
    """``found``: perplexity, low and high; ``plain``: the untouched model's. Without any it is a place."""
    bits = sorted(SWEEP_BITS)
    names = {
        "tensor": Text(zh="逐张量", en="per tensor"),
        "channel": Text(zh="逐通道", en="per channel"),
        "token": Text(zh="逐 token", en="per token"),
        "group": Text(zh=f"分组 {config.group_size}", en=f"group {config.group_size}"),
    }
    series = []
    for granularity in _swept(config):
        rows = np.array([found.get((granularity, bit), (np.nan,) * 3) for bit in bits])
        series.append(
            Series(name=names[granularity], x=array(bits), y=rows[:, 0], low=rows[:, 1], high=rows[:, 2])
        )
    level = np.full(len(bits), plain)
    series.append(
        Series(name=Text(zh="原模型", en="the model as it is"), x=array(bits), y=level, reference=True)
    )
    return Lines(
        id="sweep",
        title=Text(zh="困惑度随位宽与粒度的变化", en="Perplexity over bits and granularity"),
        provenance=Provenance.MEASURED,
        x=Axis(title=Text(zh="位宽", en="bits"), unit="bit"),
        y=Axis(title=Text(zh="困惑度", en="perplexity"), log=True),
        series=series,
        help=Text(
            zh="位宽够时三条线重合；位宽不够时，细粒度把可用的区间多延伸一两位。",
            en="With bits to spare the curves coincide; when bits run out, finer granularity buys one "
            "or two more.",
        ),
        source=_text_source(windows),
        wide=True,
    )


def explanation(ctx: Context, data: LayerData, quantized: Quantized, layer: int, module: str) -> Markdown:
    """What this setting did to this matrix, in words made from the figures."""
    x = data.matrix(quantized.config.matrix)
    worst = float((x - quantized.values).abs().max())
    largest = float(x.abs().max())
    if worst <= LOSSLESS * largest:
        body = _lossless(ctx, quantized.config, layer, module, worst)
    else:
        body = _lossy(ctx, data, quantized, layer, module, worst)
    return Markdown(
        id="explanation",
        title=Text(zh="为什么是这个结果", en="Why this result"),
        provenance=Provenance.MEASURED,
        body=body,
        wide=True,
    )


def _lossless(ctx: Context, config: QuantizerConfig, layer: int, module: str, worst: float) -> Text:
    found = Text(
        zh=f"**无损。** 全矩阵的最大误差实测为 {worst:.3g}。",
        en=f"**Lossless.** The largest error in the whole matrix, measured, is {worst:.3g}.",
    )
    if config.matrix == "activation":
        return found
    values = most_values_in_a_block(ctx, layer, module)
    if values > 16:
        return found
    source = ctx.model().source_text
    return Text(
        zh=f"{found.zh}\n\n这不是因为 4 位够用，而是因为权重**本来就在这个网格上**：在这个矩阵的每 32 个"
        f"相邻权重里，不同的值最多 {values} 个（实测），4 位恰好能编号 16 个。模型来自 {source.zh}。\n\n"
        "Q4_1 把每 32 个权重存成 `x = m + d·q`，q 取 0 到 15，m 与 d 是 FP16。块内最小值就是 m，最大值就是"
        " m + 15d，于是“32 个一组、非对称、浮点最小值”算出的 scale (最大 − 最小)/15 正好等于 d：网格重建，"
        "误差为零。换成整数零点，m 必须是 d 的整数倍，网格被平移，误差就出现了；组大小换成 64，两个网格"
        "合用一个 scale，也不再无损。\n\n因此这里**不能**得出“INT4 无损”的结论：Q4_1 对原始权重的损害"
        "已经发生，而原始权重不在手上。",
        en=f"{found.en}\n\nNot because 4 bits suffice, but because the weights **already lie on this "
        "grid**: "
        f"any 32 neighbours of this matrix hold at most {values} distinct values (counted), and 4 bits can "
        f"name 16. The model comes from {source.en}.\n\nQ4_1 stores 32 weights as `x = m + d q` with q "
        "from 0 "
        "to 15 and FP16 m and d. A block's minimum is m and its maximum m + 15 d, so groups of 32, "
        "asymmetric, "
        "with a float minimum, find the scale (max - min) / 15 = d: the grid is rebuilt and the error "
        "is zero. "
        "With an integer zero point m would have to be a multiple of d: the grid shifts, and there is "
        "error. "
        "With groups of 64 two grids must share a scale.\n\nSo this does **not** show that INT4 is "
        "lossless: "
        "what Q4_1 did to the original weights is done, and they are not at hand.",
    )


def _lossy(
    ctx: Context, data: LayerData, quantized: Quantized, layer: int, module: str, worst: float
) -> Text:
    config = quantized.config
    x = data.matrix(config.matrix)
    step = float(quantized.step.max())
    zeroed = 100 * float(((quantized.values == 0) & (x != 0)).float().mean())
    measured, predicted = sqnr_db(x, quantized.values), predicted_sqnr_db(x, quantized)
    zh = (
        f"最大误差 {worst:.3g}，最大步长 {step:.3g}；{zeroed:.1f}% 的非零值变成了 0。"
        f"SQNR 实测 {measured:.1f} dB，公式 {predicted:.1f} dB。"
    )
    en = (
        f"Largest error {worst:.3g}, largest step {step:.3g}; {zeroed:.1f} % of the values became 0. "
        f"SQNR {measured:.1f} dB measured, {predicted:.1f} dB by formula."
    )
    if measured - predicted > 1:
        zh += "公式偏低：大部分值落在 0 那一级，误差就是它们自己，小于假设中均匀分布的半步。"
        en += (
            " The formula is too low: most values fall into the zero step, where the error is the "
            "value itself, "
            "smaller than the evenly spread half step that the formula assumes."
        )
    elif predicted - measured > 1:
        zh += "公式偏高：它不计被截掉的值，而截断损失正是这里的主要误差。"
        en += " The formula is too high: it leaves out what was clipped, and that is most of the error here."
    if config.matrix == "activation" and config.layout == "column":
        zh += (
            "\n\n每个**输入通道**一个 scale 时误差小，却没有整数 GEMM 能用它：scale 随求和的下标变化，"
            "提不到求和号外面。SmoothQuant 的办法是把它事先乘进权重。"
        )
        en += (
            "\n\nA scale for each **input channel** makes the error small, yet no integer GEMM can "
            "use it: the "
            "scale varies along the sum and cannot be taken out of it. SmoothQuant multiplies it into "
            "the weights."
        )
    elif config.matrix == "weight" and config.granularity == "token":
        zh += "\n\n权重没有 token：这里按行（输出通道）量化，与逐通道相同。"
        en += "\n\nA weight has no tokens: its rows (output channels) were used, as per channel."
    if config.matrix == "weight" and most_values_in_a_block(ctx, layer, module) <= 16:
        zh += "\n\n这个模型的权重来自 32 个一组的 4 位网格；预设“INT4 分组 32：这里竟然无损”会恰好重建它。"
        en += (
            "\n\nThis model's weights come from 4-bit blocks of 32; the preset *INT4 group 32: "
            "lossless here* "
            "rebuilds that very grid."
        )
    return Text(zh=zh, en=en)


def _text_source(windows: int) -> Text:
    return Text(
        zh=f"{windows} 个窗口 × {WINDOW} token，{EVALUATION_TEXT}",
        en=f"{windows} windows of {WINDOW} tokens of {EVALUATION_TEXT}",
    )
