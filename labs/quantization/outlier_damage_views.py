"""What the outlier lab shows of three kinds of scale: SQNR, what it hides, and where the errors lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.quantization.outlier_views import WITH, WITHOUT, token_map
from labs.results import Axis, Bars, BarSeries, Heatmap, Markdown, Metric, Provenance, array
from labs.text import Text

if TYPE_CHECKING:
    from labs.formulas.quantization import Granularity
    from labs.quantization.outliers import Damage, Peak

_MEASURED = Provenance.MEASURED
_SCALES = {
    "tensor": Text(zh="逐张量", en="per tensor"),
    "token": Text(zh="逐 token", en="per token"),
    "channel": Text(zh="逐通道", en="per channel"),
}
_FORMULA = Text(
    zh="uniform_sqnr_db(位宽, 峰值因数 = 半量程/均方根, 步数)；多数值落进 0 级时公式偏低",
    en="uniform_sqnr_db(bits, crest factor = half range / rms, steps); too low where most values fall to 0",
)


def sqnr_metric(tensor: Damage) -> Metric:
    """The worst case, one scale for all, beside what its crest factor predicts."""
    return Metric(
        id="sqnr_tensor",
        title=Text(zh="逐张量量化的 SQNR", en="SQNR with one scale for the tensor"),
        provenance=_MEASURED,
        unit="dB",
        value=tensor.sqnr_db,
        predicted=tensor.predicted_db,
        formula=_FORMULA,
        better="higher",
        source=Text(zh="10·log10(Σx² / Σ(x−x̂)²)", en="10 log10(sum x^2 / sum (x - x')^2)"),
    )


def error_map(name: Granularity, bits: int, found: Damage, floor: float) -> Heatmap:
    """Error of one granularity, on the colour scale of its siblings."""
    return token_map(
        found.error,
        floor,
        id=f"error_{name}",
        title=Text(
            zh=f"{_SCALES[name].zh} {bits} 位的误差",
            en=f"Error at {bits} bits, {_SCALES[name].en}",
        ),
        scale_group="error",
        help=Text(
            zh="三张误差图共用同一色标：逐张量处处一样差；逐 token 只差在离群的行；逐通道只差在离群的列。",
            en="The three error maps share their colours: per tensor is bad everywhere, per token in "
            "outlying rows only, per channel in outlying columns only.",
        ),
        source=Text(zh="|x − x̂|，逐元素", en="|x - x'|, element by element"),
    )


def sqnr_bars(all_tokens: dict[str, Damage], later: dict[str, Damage]) -> Bars:
    """Three granularities, with and without the first token, measured and predicted."""

    def figures(found: dict[str, Damage], name: str) -> list[float]:
        values = [getattr(one, name) for one in found.values()]
        return [value if math.isfinite(value) else math.nan for value in values]

    predicted = Text(zh="公式", en="formula")
    estimated = Provenance.ESTIMATED
    return Bars(
        id="sqnr",
        title=Text(zh="三种 scale 的 SQNR", en="SQNR of three kinds of scale"),
        provenance=_MEASURED,
        unit="dB",
        categories=list(_SCALES.values()),
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
            "the share of values that became 0.",
        ),
        source=_FORMULA,
        wide=True,
    )


def zero_bars(all_tokens: dict[str, Damage], later: dict[str, Damage]) -> Bars:
    """What SQNR hides: how many values vanish."""
    return Bars(
        id="zeroed",
        title=Text(zh="变成 0 的值", en="Values that became 0"),
        provenance=_MEASURED,
        unit="%",
        categories=list(_SCALES.values()),
        series=[
            BarSeries(name=WITH, values=array([100 * one.zeroed for one in all_tokens.values()])),
            BarSeries(name=WITHOUT, values=array([100 * one.zeroed for one in later.values()])),
        ],
        y=Axis(title=Text(zh="变成 0 的非零值", en="share of the non-zero values"), unit="%"),
        source=Text(zh="逐元素计数", en="counted element by element"),
    )


def explanation(
    bits: int, peak: Peak, shown: dict[str, Damage], other: dict[str, Damage], first: int
) -> Markdown:
    """The figures of this run in words: ``peak`` and ``shown`` are those of the tokens from ``first`` (0 or
    1) on, ``other`` of those that the other choice takes."""
    step = peak.value / (2 ** (bits - 1) - 1)
    tensor, beside = 100 * shown["tensor"].zeroed, 100 * other["tensor"].zeroed
    token, channel = 100 * shown["token"].zeroed, 100 * shown["channel"].zeroed
    contrast = WITH if first else WITHOUT
    zh = (
        f"通道 {peak.channel} 的最大幅值 {peak.value:,.0f}，是中位通道 {peak.median:.3g} 的 "
        f"**{peak.ratio:.0f} 倍**。"
        f"逐张量 {bits} 位的步长因此是 {step:.3g}，小于半步的值全部变成 0。\n\n"
        f"- 逐张量：{tensor:.1f}% 的值变成 0；{contrast.zh}则为 {beside:.1f}%。\n"
        f"- 逐 token：{token:.1f}%。每个 token 用自己的步长，首个 token 连累不到别人；整数 GEMM 也能用，"
        "因为 scale 对应输出的一行。\n"
        f"- 逐通道：{channel:.1f}%，误差只留在离群的列里。但 scale 沿求和维变化，整数 GEMM 用不了；"
        "SmoothQuant 把它搬进权重。"
    )
    en = (
        f"Channel {peak.channel} reaches {peak.value:,.0f}, **{peak.ratio:.0f} times** the median channel's "
        f"{peak.median:.3g}. One scale for the tensor at {bits} bits therefore has a step of "
        f"{step:.3g}, and whatever is smaller than half of that becomes 0.\n\n"
        f"- Per tensor: {tensor:.1f} % of the values become 0; {beside:.1f} % {contrast.en}.\n"
        f"- Per token: {token:.1f} %. Each token has its own step, so the first one harms no other; an "
        "integer GEMM can use it, for the scale belongs to a row of the output.\n"
        f"- Per channel: {channel:.1f} %, the error stays in outlying columns. But the scale varies "
        "along the sum, so no integer GEMM can use it; SmoothQuant moves it into the weights."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="这意味着什么", en="What this means"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )
