"""Activation outliers: the massive channel and the first token, and what each kind of scale makes of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.context import Context
from labs.quantization.fields import Layer
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Preset
from labs.text import Text

if TYPE_CHECKING:
    from labs.quantization.outliers import Damage

SITES = {
    "residual": Text(zh="残差流", en="residual stream"),
    "attention_input": Text(zh="注意力输入", en="attention input"),
    "mlp_input": Text(zh="MLP 输入", en="MLP input"),
    "down_proj_input": Text(zh="down_proj 输入", en="down_proj input"),
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
            "RMSNorm, what Q/K/V and gate/up really quantise. down_proj input: after SwiGLU.",
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
    from labs.quantization import outlier_damage_views as harm
    from labs.quantization import outlier_views as views
    from labs.quantization.outliers import GRANULARITIES, damage, find_peak, peaks_by_layer, site_activations

    first = int(params.skip_first_token)
    whole = site_activations(ctx, params.site)[params.layer][: params.tokens]
    x = whole[first:].contiguous()
    peak = find_peak(x)
    yield from views.peak_metrics(peak, params.tokens, first)
    yield views.activation_map(x, params.layer, SITES[params.site])
    damages: dict[str, Damage] = {name: damage(x, params.bits, name) for name in GRANULARITIES}
    yield harm.sqnr_metric(damages["tensor"])
    yield views.channel_profile(whole, peak)
    if not ctx.preview:
        yield views.layer_curve(
            params.layer,
            peaks_by_layer(ctx, params.site, params.tokens, 0),
            peaks_by_layer(ctx, params.site, params.tokens, 1),
        )
    # Three decades below the worst error tell the three maps apart; more would paint them all one colour.
    floor = max(float(damages["tensor"].error.max()) * 1e-3, 1e-12)
    for name in GRANULARITIES:
        yield harm.error_map(name, params.bits, damages[name], floor)
    other = whole[1 - first :].contiguous()
    others: dict[str, Damage] = {name: damage(other, params.bits, name) for name in GRANULARITIES}
    both = (others, damages) if first else (damages, others)
    yield harm.sqnr_bars(*both)
    yield harm.zero_bars(*both)
    yield harm.explanation(params.bits, peak, damages, others, first)


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
