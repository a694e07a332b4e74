"""Activation outliers: the massive channel and the first token, and what each kind of scale makes of them."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.context import Context
from labs.quantization.fields import Layer
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Heatmap,
    Lines,
    Mark,
    Markdown,
    Metric,
    Provenance,
    Result,
    Series,
    array,
)
from labs.spec import Field, Lab, LabParams, Preset
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.quantization.outliers import Damage, Peak

MEASURED = Provenance.MEASURED
SITES = {
    "residual": Text(zh="残差流", en="residual stream"),
    "attention_input": Text(zh="注意力输入", en="attention input"),
    "mlp_input": Text(zh="MLP 输入", en="MLP input"),
    "down_proj_input": Text(zh="down_proj 输入", en="down_proj input"),
}
SCALES = {
    "tensor": Text(zh="逐张量", en="per tensor"),
    "token": Text(zh="逐 token", en="per token"),
    "channel": Text(zh="逐通道", en="per channel"),
}


class Params(LabParams, frozen=True):
    """Which activation of the model is looked at, over how many tokens, and how finely it is quantised."""

    layer: Layer = 12  # the first whose input carries the massive channel
    site: Annotated[
        Literal["residual", "attention_input", "mlp_input", "down_proj_input"],
        Field(
            zh="位置",
            en="Site",
            zh_help="残差流：进入该层的向量，尚未归一化。注意力与 MLP 输入：RMSNorm 之后，即 Q/K/V 与 "
            "gate/up 投影真正要量化的输入。down_proj 输入：SwiGLU 之后。",
            en_help="Residual: what enters the block, not normed. Attention and MLP input: after "
            "RMSNorm, what "
            "Q/K/V and gate/up really quantise. down_proj input: after SwiGLU.",
            choices=SITES,
        ),
    ] = "residual"
    bits: Annotated[
        int,
        Field(
            zh="位宽",
            en="Bit width",
            zh_help="激活的编码位数，对称、就近舍入。",
            en_help="Bits a code; symmetric, to nearest.",
            ge=4,
            le=8,
            step=1,
            unit="bit",
        ),
    ] = 8
    skip_first_token: Annotated[
        bool,
        Field(
            zh="去掉首个 token",
            en="Leave out the first token",
            zh_help="首个 token 是注意力汇（attention sink），巨大的激活几乎只出现在它身上。去掉它，看"
            "还剩多少离群。",
            en_help="The first token is the attention sink, and massive activations are almost its alone. "
            "Without it, see what is left.",
        ),
    ] = False
    tokens: Annotated[
        int,
        Field(
            zh="token 数",
            en="Tokens",
            zh_help="取校准文本的前多少个 token。",
            en_help="How many tokens of the calibration text, from its start.",
            ge=32,
            le=512,
            scale="log2",
            unit="token",
        ),
    ] = 128


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """The activation itself, then the layers beside it, then three ways to scale it."""
    from labs.quantization.outliers import GRANULARITIES, damage, find_peak, peaks_by_layer, site_activations

    first = int(params.skip_first_token)
    whole = site_activations(ctx, params.site)[params.layer][: params.tokens]
    x = whole[first:].contiguous()
    peak = find_peak(x)
    yield from peak_metrics(params, peak)
    yield activation_map(params, x)
    damages: dict[str, Damage] = {name: damage(x, params.bits, name) for name in GRANULARITIES}
    yield sqnr_metric(damages["tensor"])
    yield channel_profile(params, whole, peak)
    if not ctx.preview:
        yield layer_curve(
            params,
            peaks_by_layer(ctx, params.site, params.tokens, 0),
            peaks_by_layer(ctx, params.site, params.tokens, 1),
        )
    # Three decades below the worst error tell the three maps apart; more would paint them all one colour.
    floor = max(float(damages["tensor"].error.max()) * 1e-3, 1e-12)
    for name in GRANULARITIES:
        yield error_map(params, name, damages[name], floor)
    other = whole[1 - first :].contiguous()
    others: dict[str, Damage] = {name: damage(other, params.bits, name) for name in GRANULARITIES}
    both = (others, damages) if first else (damages, others)
    yield sqnr_bars(*both)
    yield zero_bars(*both)
    yield explanation(params, peak, *both)


def peak_metrics(params: Params, peak: "Peak") -> Iterator[Metric]:
    """Which channel is massive, at which token, and how massive."""
    source = Text(
        zh=f"校准文本前 {params.tokens} 个 token 的真实前向",
        en=f"a real pass over {params.tokens} tokens of text",
    )
    yield Metric(
        id="channel",
        title=Text(zh="最大的通道（编号）", en="The massive channel (its number)"),
        provenance=MEASURED,
        value=peak.channel,
        source=source,
    )
    yield Metric(
        id="token",
        title=Text(zh="出现在第几个 token", en="At token number"),
        provenance=MEASURED,
        value=peak.token + int(params.skip_first_token),
        help=Text(zh="从 0 开始数。", en="Counted from 0."),
        source=source,
    )
    yield Metric(
        id="peak",
        title=Text(zh="最大幅值", en="Largest magnitude"),
        provenance=MEASURED,
        value=peak.value,
        source=source,
    )
    yield Metric(
        id="ratio",
        title=Text(zh="是中位通道的多少倍", en="Times the median channel"),
        provenance=MEASURED,
        unit="×",
        value=peak.ratio,
        help=Text(
            zh="先取每个通道的最大幅值，再与它们的中位数相比。",
            en="Each channel's largest magnitude, against the median of these.",
        ),
        source=source,
    )


def sqnr_metric(tensor: "Damage") -> Metric:
    """The worst case, one scale for all, beside what its crest factor predicts."""
    return Metric(
        id="sqnr_tensor",
        title=Text(zh="逐张量量化的 SQNR", en="SQNR with one scale for the tensor"),
        provenance=MEASURED,
        unit="dB",
        value=tensor.sqnr_db,
        predicted=tensor.predicted_db,
        formula=FORMULA,
        better="higher",
        source=Text(zh="10·log10(Σx² / Σ(x−x̂)²)", en="10 log10(sum x^2 / sum (x - x')^2)"),
    )


def shown(matrix: "Tensor", floor: float, params: Params, **texts: object) -> Heatmap:
    """Tokens down, channels across, on a log scale that starts at ``floor``."""
    from labs.quantization.reduction import reduce_max

    cells, row_step, column_step = reduce_max(matrix, 128, 256)
    return Heatmap(
        provenance=MEASURED,
        values=array(cells.clamp(min=floor), "float32"),
        rows=Axis(title=Text(zh="token", en="token")),
        columns=Axis(title=Text(zh="通道", en="channel")),
        row_step=row_step,
        column_step=column_step,
        reduction="none" if row_step == column_step == 1 else "max",
        log=True,
        wide=True,
        **texts,  # type: ignore[arg-type]
    )


def activation_map(params: Params, x: "Tensor") -> Heatmap:
    """The activation; outliers are columns (a channel) or cells in the first row (the first token)."""
    magnitude = x.abs()
    site = SITES[params.site]
    return shown(
        magnitude,
        max(float(magnitude.max()) * 1e-5, 1e-12),
        params,
        id="activation",
        title=Text(
            zh=f"第 {params.layer} 层{site.zh}的 |x|", en=f"|x| of the {site.en}, layer {params.layer}"
        ),
        help=Text(
            zh="颜色取对数。亮的竖条是离群通道，最上面一行是首个 token；每格取最大值，离群值不会被平均掉。",
            en="Colours are logarithmic. Bright columns are outlying channels, the top row is the "
            "first token; "
            "each cell keeps its maximum, so no outlier is averaged away.",
        ),
        source=Text(zh="真实前向中截取", en="captured in a real forward pass"),
    )


def error_map(params: Params, name: str, found: "Damage", floor: float) -> Heatmap:
    """Error of one granularity, on the colour scale of its siblings."""
    return shown(
        found.error,
        floor,
        params,
        id=f"error_{name}",
        title=Text(
            zh=f"{SCALES[name].zh} {params.bits} 位的误差",
            en=f"Error at {params.bits} bits, {SCALES[name].en}",
        ),
        scale_group="error",
        help=Text(
            zh="三张误差图共用同一色标：逐张量处处一样差；逐 token 只差在离群的行；逐通道只差在离群的列。",
            en="The three error maps share their colours: per tensor is bad everywhere, per token in "
            "outlying "
            "rows only, per channel in outlying columns only.",
        ),
        source=Text(zh="|x − x̂|，逐元素", en="|x - x'|, element by element"),
    )


def channel_profile(params: Params, whole: "Tensor", peak: "Peak") -> Lines:
    """Each channel's largest magnitude, with and without the first token."""
    import numpy as np

    magnitude = whole.abs()
    channels = np.arange(whole.shape[1], dtype=np.float64)
    return Lines(
        id="channels",
        title=Text(zh="每个通道的最大幅值", en="Largest magnitude of each channel"),
        provenance=MEASURED,
        x=Axis(title=Text(zh="通道", en="channel")),
        y=Axis(title=Text(zh="最大 |x|", en="largest |x|"), log=True),
        series=[
            Series(name=WITH, x=channels, y=array(magnitude.amax(dim=0))),
            Series(name=WITHOUT, x=channels, y=array(magnitude[1:].amax(dim=0))),
        ],
        marks=[Mark(x=peak.channel, name=Text(zh=f"通道 {peak.channel}", en=f"channel {peak.channel}"))],
        markers=False,
        source=Text(zh="在 token 上取最大值", en="the maximum over tokens"),
        wide=True,
    )


def layer_curve(params: Params, all_tokens: "list[Peak]", later: "list[Peak]") -> Lines:
    """Where in the model outliers begin and end."""
    layers = array(range(len(all_tokens)))
    return Lines(
        id="layers",
        title=Text(
            zh="各层：最大值是中位通道的多少倍", en="By layer: how many times the median channel the peak is"
        ),
        provenance=MEASURED,
        unit="×",
        x=Axis(title=Text(zh="层", en="layer")),
        y=Axis(title=Text(zh="最大 ÷ 中位通道", en="peak / median channel"), unit="×", log=True),
        series=[
            Series(name=WITH, x=layers, y=array([peak.ratio for peak in all_tokens])),
            Series(name=WITHOUT, x=layers, y=array([peak.ratio for peak in later])),
        ],
        marks=[Mark(x=params.layer, name=Text(zh="当前层", en="this layer"))],
        source=Text(zh="一次前向，逐层截取", en="one pass, captured layer by layer"),
        wide=True,
    )


def sqnr_bars(all_tokens: "dict[str, Damage]", later: "dict[str, Damage]") -> Bars:
    """Three granularities, with and without the first token, measured and predicted."""

    def figures(found: "dict[str, Damage]", name: str) -> list[float]:
        values = [getattr(one, name) for one in found.values()]
        return [value if math.isfinite(value) else math.nan for value in values]

    predicted = Text(zh="公式", en="formula")
    estimated = Provenance.ESTIMATED
    return Bars(
        id="sqnr",
        title=Text(zh="三种 scale 的 SQNR", en="SQNR of three kinds of scale"),
        provenance=MEASURED,
        unit="dB",
        categories=list(SCALES.values()),
        series=[
            BarSeries(name=WITH, values=array(figures(all_tokens, "sqnr_db"))),
            BarSeries(
                name=Text(zh=f"{WITH.zh}：{predicted.zh}", en=f"{WITH.en}: {predicted.en}"),
                values=array(figures(all_tokens, "predicted_db")),
                provenance=estimated,
            ),
            BarSeries(name=WITHOUT, values=array(figures(later, "sqnr_db"))),
            BarSeries(
                name=Text(zh=f"{WITHOUT.zh}：{predicted.zh}", en=f"{WITHOUT.en}: {predicted.en}"),
                values=array(figures(later, "predicted_db")),
                provenance=estimated,
            ),
        ],
        y=Axis(title=Text(zh="SQNR", en="SQNR"), unit="dB"),
        help=Text(
            zh="注意：SQNR 会被离群值抬高，因为它们占了几乎全部能量。要与“变成 0 的值”一起看。",
            en="Beware: outliers lift the SQNR, for they are nearly all of the energy. Read it with "
            "the share "
            "of values that became 0.",
        ),
        source=FORMULA,
        wide=True,
    )


def zero_bars(all_tokens: "dict[str, Damage]", later: "dict[str, Damage]") -> Bars:
    """What SQNR hides: how many values vanish."""
    return Bars(
        id="zeroed",
        title=Text(zh="变成 0 的值", en="Values that became 0"),
        provenance=MEASURED,
        unit="%",
        categories=list(SCALES.values()),
        series=[
            BarSeries(name=WITH, values=array([100 * one.zeroed for one in all_tokens.values()])),
            BarSeries(name=WITHOUT, values=array([100 * one.zeroed for one in later.values()])),
        ],
        y=Axis(title=Text(zh="变成 0 的非零值", en="share of the non-zero values"), unit="%"),
        source=Text(zh="逐元素计数", en="counted element by element"),
    )


def explanation(
    params: Params, peak: "Peak", all_tokens: "dict[str, Damage]", later: "dict[str, Damage]"
) -> Markdown:
    """The figures of this run in words."""
    step = peak.value / (2 ** (params.bits - 1) - 1)
    lost, kept = 100 * all_tokens["tensor"].zeroed, 100 * later["tensor"].zeroed
    token, channel = 100 * all_tokens["token"].zeroed, 100 * all_tokens["channel"].zeroed
    zh = (
        f"通道 {peak.channel} 的最大幅值 {peak.value:,.0f}，是中位通道 {peak.median:.3g} 的 "
        f"**{peak.ratio:.0f} 倍**。"
        f"逐张量 {params.bits} 位的步长因此是 {step:.3g}，小于半步的值全部变成 0。\n\n"
        f"- 逐张量：{lost:.1f}% 的值变成 0；去掉首个 token 后 {kept:.1f}%。\n"
        f"- 逐 token：{token:.1f}%。每个 token 用自己的步长，首个 token 连累不到别人；整数 GEMM 也能用，"
        "因为 scale 对应输出的一行。\n"
        f"- 逐通道：{channel:.1f}%，误差只留在离群的列里。但 scale 沿求和维变化，整数 GEMM 用不了；"
        "SmoothQuant 把它"
        "搬进权重。"
    )
    en = (
        f"Channel {peak.channel} reaches {peak.value:,.0f}, **{peak.ratio:.0f} times** the median channel's "
        f"{peak.median:.3g}. One scale for the tensor at {params.bits} bits therefore has a step of "
        f"{step:.3g}, "
        "and whatever is smaller than half of that becomes 0.\n\n"
        f"- Per tensor: {lost:.1f} % of the values become 0; {kept:.1f} % without the first token.\n"
        f"- Per token: {token:.1f} %. Each token has its own step, so the first one harms no other; an "
        "integer "
        "GEMM can use it, for the scale belongs to a row of the output.\n"
        f"- Per channel: {channel:.1f} %, the error stays in outlying columns. But the scale varies "
        "along the sum, so "
        "no integer "
        "GEMM can use it; SmoothQuant moves it into the weights."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="这意味着什么", en="What this means"),
        provenance=MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )


WITH = Text(zh="含首个 token", en="with the first token")
WITHOUT = Text(zh="不含首个 token", en="without the first token")
FORMULA = Text(
    zh="uniform_sqnr_db(位宽, 峰值因数 = 半量程/均方根, 步数)；多数值落进 0 级时公式偏低",
    en="uniform_sqnr_db(bits, crest factor = half range / rms, steps); too low where most values fall to 0",
)

LAB = Lab(
    id="model/activation_outliers",
    title=Text(zh="激活离群值", en="Activation outliers"),
    summary=Text(
        zh="真实激活的热力图：几个通道大出几百倍，且多在首个 token。看三种 scale 各如何应对。",
        en="Heat maps of real activations: a few channels are hundreds of times larger, mostly at the "
        "first "
        "token. See what three kinds of scale make of them.",
    ),
    sections=["1.2.1"],
    questions=["1.2.1-05", "1.2.1-06", "1.2.1-09"],
    params=Params,
    run=run,
    needs_model=True,
    smoke=Params(layer=2, tokens=32),
    presets=[
        Preset(
            id="massive_channel",
            title=Text(zh="残差流里的巨大通道", en="The massive channel of the residual stream"),
            story=Text(
                zh="第 12 层之后，残差流的一个通道在首个 token 上比中位通道大几百倍。看各层曲线从哪里跃起。",
                en="From layer 12 on one channel of the residual stream is hundreds of times the "
                "median at the "
                "first token. See in the curve over layers where it jumps.",
            ),
            values={"layer": 12, "site": "residual"},
        ),
        Preset(
            id="without_first_token",
            title=Text(zh="去掉首个 token", en="Without the first token"),
            story=Text(
                zh="同一层，不看首个 token：离群小了一个数量级，逐张量量化立刻可用得多。",
                en="The same layer without the first token: the outlier shrinks, and one scale for "
                "the tensor "
                "does far better.",
            ),
            values={"layer": 12, "site": "residual", "skip_first_token": True},
        ),
        Preset(
            id="down_proj",
            title=Text(zh="down_proj 的输入", en="The input of down_proj"),
            story=Text(
                zh="SwiGLU 的乘积造出最尖的峰。这正是 W8A8 逐张量量化毁掉困惑度的地方。",
                en="SwiGLU's product makes the sharpest peaks. This is where W8A8 with one scale per "
                "tensor "
                "ruins perplexity.",
            ),
            values={"layer": 11, "site": "down_proj_input"},
        ),
        Preset(
            id="after_norm",
            title=Text(zh="归一化之后", en="After the norm"),
            story=Text(
                zh="RMSNorm 把每个 token 缩到同样的均方根：首个 token 不再特别大，剩下的是通道之间的差别。",
                en="RMSNorm brings every token to the same rms: the first is no longer huge, and what "
                "is left "
                "is the difference between channels.",
            ),
            values={"layer": 12, "site": "attention_input"},
        ),
        Preset(
            id="four_bits",
            title=Text(zh="激活只有 4 位", en="Activations in 4 bits"),
            story=Text(
                zh="只有 15 个级别时，逐 token 也不够：大部分值变成 0。W4A4 因此需要旋转或平滑。",
                en="With 15 levels even a scale per token is not enough: most values become 0. Hence "
                "W4A4 needs "
                "rotation or smoothing.",
            ),
            values={"layer": 11, "site": "down_proj_input", "bits": 4},
        ),
    ],
)
