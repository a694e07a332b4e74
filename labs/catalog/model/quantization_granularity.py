"""The quantisation sliders: one real layer at once, and on release the whole model's perplexity."""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.quantization.config import QuantizerConfig
from labs.quantization.fields import Layer, Module, Target
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """The quantiser, the matrix that is looked at, and how much of the model is measured."""

    bits: Annotated[
        int,
        Field(
            zh="位宽",
            en="Bit width",
            zh_help="每个值的编码位数。每少 1 位，步长约翻倍，信噪比约降 6.02 dB。",
            en_help="Bits a code. One bit less doubles the step: about 6.02 dB of SQNR.",
            ge=2,
            le=8,
            step=1,
            unit="bit",
        ),
    ] = 4
    granularity: Annotated[
        Literal["tensor", "channel", "token", "group"],
        Field(
            zh="粒度",
            en="Granularity",
            zh_help="多少个值共用一个 scale：整个张量；一个通道（权重的一行、激活的一列）；"
            "一个 token（激活的一行；权重没有 token，按行处理）；或行内相邻的一组。",
            en_help="What shares a scale: the tensor; a channel (a weight's row, an activation's "
            "column); a "
            "token (an activation's row; a weight has none, so its rows); or neighbours within a row.",
            choices={
                "tensor": Text(zh="逐张量", en="per tensor"),
                "channel": Text(zh="逐通道", en="per channel"),
                "token": Text(zh="逐 token", en="per token"),
                "group": Text(zh="分组", en="per group"),
            },
        ),
    ] = "group"
    group_size: Annotated[
        int,
        Field(
            zh="组大小",
            en="Group size",
            zh_help="一组有几个相邻的值。576 不能被 128 整除，行末的组较短，照常有自己的 scale。",
            en_help="Neighbours in a group. 128 does not divide 576: the last group of a row is shorter "
            "and has its own scale.",
            ge=16,
            le=256,
            scale="log2",
            when={"granularity": ["group"]},
        ),
    ] = 128
    scheme: Annotated[
        Literal["symmetric", "asymmetric"],
        Field(
            zh="对称性",
            en="Scheme",
            zh_help="对称：网格以 0 为中心，只存 scale。非对称：网格贴合 [最小值, 最大值]，还要存零点。",
            en_help="Symmetric: centred on 0, only a scale is stored. Asymmetric: fits [min, max], at the "
            "price of a zero point.",
            choices={
                "symmetric": Text(zh="对称", en="symmetric"),
                "asymmetric": Text(zh="非对称", en="asymmetric"),
            },
        ),
    ] = "symmetric"
    zero_point: Annotated[
        Literal["integer", "float"],
        Field(
            zh="零点",
            en="Zero point",
            zh_help="整数：0 恰好落在一个编码上，网格最多偏移半步。浮点：直接存该组的最小值（GGUF Q4_1）。",
            en_help="Integer: 0 is a code of its own, at the price of up to half a step. Float: the "
            "group's "
            "minimum itself is stored (GGUF's Q4_1).",
            choices={
                "integer": Text(zh="整数", en="integer"),
                "float": Text(zh="浮点最小值", en="float minimum"),
            },
            when={"scheme": ["asymmetric"]},
        ),
    ] = "integer"
    rounding: Annotated[
        Literal["nearest", "stochastic", "truncate"],
        Field(
            zh="舍入",
            en="Rounding",
            zh_help="最近：误差不超过半步。随机：平均无偏，噪声功率翻倍。向零取整：误差可达一步，且有偏。",
            en_help="Nearest: at most half a step off. Stochastic: unbiased, twice the noise power. "
            "Truncate: up to a whole step off, and biased.",
            choices={
                "nearest": Text(zh="最近（平局取偶）", en="nearest even"),
                "stochastic": Text(zh="随机", en="stochastic"),
                "truncate": Text(zh="向零取整", en="truncate"),
            },
        ),
    ] = "nearest"
    clipping: Annotated[
        Literal["minmax", "percentile", "mse"],
        Field(
            zh="截断范围",
            en="Clipping",
            zh_help="最小-最大：不截断。百分位：舍弃最外侧的值。MSE：在 17 个收缩比例中取均方误差最小者。",
            en_help="Min-max clips nothing; percentile gives up the outermost values; MSE tries 17 "
            "narrower "
            "ranges and keeps the one with the least squared error.",
            choices={
                "minmax": Text(zh="最小-最大", en="min-max"),
                "percentile": Text(zh="百分位", en="percentile"),
                "mse": Text(zh="最小均方误差", en="least squares"),
            },
        ),
    ] = "minmax"
    percentile: Annotated[
        float,
        Field(
            zh="百分位",
            en="Percentile",
            zh_help="留在范围内的值所占比例。一组只有 32 个值时，99.9% 不会裁掉任何值。",
            en_help="Share of values that stay inside. In a group of 32, 99.9 % clips nothing.",
            ge=90,
            le=100,
            step=0.1,
            unit="%",
            when={"clipping": ["percentile"]},
        ),
    ] = 99.9
    target: Target = "weight"
    layer: Layer = 11
    module: Module = "down_proj"
    perplexity: Annotated[
        bool,
        Field(
            zh="测困惑度",
            en="Measure perplexity",
            zh_help="松开滑块后，把模型的全部线性层这样量化，并与原模型在同样的 token 上比较。",
            en_help="On release, quantise every linear layer so, and compare on the same tokens.",
            preview=False,
        ),
    ] = True
    sweep: Annotated[
        bool,
        Field(
            zh="扫描位宽与粒度",
            en="Sweep bits and granularity",
            zh_help="对 2–8 位和三种粒度逐点测困惑度并画成曲线；每点都会记住，再次运行立即得到。",
            en_help="Perplexity at 2 to 8 bits and three granularities, drawn as curves as they come; "
            "each point is remembered.",
            preview=False,
        ),
    ] = False
    windows: Annotated[
        int,
        Field(
            zh="文本窗口数",
            en="Text windows",
            zh_help="困惑度所用的窗口数，每个 512 个 token。窗口越多，误差棒越短，时间越长。",
            en_help="Windows of 512 tokens that perplexity is measured on: more of them, smaller errors, "
            "longer runs.",
            ge=1,
            le=8,
            step=1,
            preview=False,
        ),
    ] = 2

    def config(self) -> QuantizerConfig:
        """The quantiser that these parameters describe."""
        return QuantizerConfig(
            bits=self.bits,
            scheme=self.scheme,
            granularity=self.granularity,
            group_size=self.group_size,
            zero_point=self.zero_point,
            rounding=self.rounding,
            clipping=self.clipping,
            percentile=self.percentile,
            matrix=self.target,
        )


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Theory that needs no weight: the exact bytes, from the shape alone."""
    from labs.quantization.granularity_views import memory_prediction

    yield memory_prediction(params.target, params.module, params.config(), ctx)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """The layer first, in milliseconds; then, unless a slider is being dragged, the model."""
    from labs.quantization import granularity_model as model
    from labs.quantization import granularity_views as views
    from labs.quantization.layer_data import layer_data
    from labs.quantization.quantizer import quantize_dequantize
    from labs.quantization.threads import threads

    config = params.config()
    data = layer_data(ctx, params.layer, params.module)
    # While dragging, one thread: on a busy machine a second one makes each small operation wait for it.
    with threads(1 if ctx.preview else 0):
        quantized = quantize_dequantize(data.matrix(params.target), config, ctx.generator())
        where = same(f"layers.{params.layer}.{params.module}")
        yield views.sqnr_metric(data, quantized, where)
        yield views.output_metric(data, quantized)
        yield views.memory_metric(quantized)
        if params.perplexity:
            yield model.quantised_metric(params.windows)
            if not ctx.preview:
                yield model.baseline_metric(params.windows)
            yield model.loss_metric(params.windows)
        if params.sweep and not ctx.preview:
            yield model.sweep_curves(config, params.windows, {})
        yield views.histogram(ctx, data, quantized, where)
        yield views.error_map(data, quantized, where)
    if ctx.preview:
        return
    yield views.memory_table(quantized, ctx)
    yield views.module_bars(ctx, params.layer, config)
    yield model.explanation(ctx, data, quantized, params.layer, params.module)
    if params.perplexity:
        yield from model.perplexity_results(ctx, config, params.windows)
    if params.sweep:
        yield from model.sweep(ctx, config, params.windows)


LAB = Lab(
    id="model/quantization_granularity",
    title=Text(zh="量化粒度", en="Quantisation granularity"),
    summary=Text(
        zh="拖动位宽、粒度与截断，看一层真实权重的误差；松手后，看整个模型的困惑度如何变化。",
        en="Drag bits, granularity and clipping and watch a real layer's error; let go and see what it "
        "does to the whole model's perplexity.",
    ),
    sections=["1.2.1"],
    questions=["1.2.1-04", "1.2.1-05", "1.2.1-06", "1.2.1-07", "1.2.1-08", "1.2.1-09"],
    params=Params,
    run=run,
    predict=predict,
    needs_model=True,
    smoke=Params(windows=1),
    presets=[
        Preset(
            id="int8_channel",
            title=Text(zh="INT8 逐通道：几乎无损", en="INT8 per channel: almost free"),
            story=Text(
                zh="每个输出通道一个 scale，8 位。预计困惑度几乎不变，体积是 FP16 的一半。",
                en="One scale per output channel, 8 bits. Expect half the bytes of FP16 and hardly any "
                "change in perplexity.",
            ),
            values={"bits": 8, "granularity": "channel"},
        ),
        Preset(
            id="int4_tensor",
            title=Text(zh="INT4 逐张量：毁掉模型", en="INT4 per tensor: a ruined model"),
            story=Text(
                zh="一个离群权重撑大整个张量的步长，其余的值几乎都舍入成 0。看直方图里有几个级别真的用上了。",
                en="One outlying weight stretches the step for all; nearly every other weight rounds to 0. "
                "Count the levels that are really used.",
            ),
            values={"bits": 4, "granularity": "tensor"},
        ),
        Preset(
            id="int4_group128",
            title=Text(zh="INT4 分组 128：常用的折中", en="INT4 group 128: the usual compromise"),
            story=Text(
                zh="每 128 个值一个 scale，平均 4.125 位。离群值只影响自己的组；试试改成非对称。",
                en="A scale for 128 values, 4.125 bits on average. An outlier spoils its own group only. "
                "Now try asymmetric.",
            ),
            values={"bits": 4, "granularity": "group", "group_size": 128},
        ),
        Preset(
            id="int4_group32_lossless",
            title=Text(zh="INT4 分组 32：这里竟然无损", en="INT4 group 32: lossless here"),
            story=Text(
                zh="非对称、浮点最小值、32 个一组：正是默认模型 GGUF 文件的网格。误差为零，说明见下文。",
                en="Asymmetric with a float minimum in groups of 32: the very grid of the default model's "
                "GGUF file. The error is zero; the text below the plots says why.",
            ),
            values={
                "bits": 4,
                "scheme": "asymmetric",
                "zero_point": "float",
                "granularity": "group",
                "group_size": 32,
            },
        ),
        Preset(
            id="activation_per_tensor",
            title=Text(zh="激活逐张量 INT8：离群值作祟", en="INT8 activations per tensor: outliers at work"),
            story=Text(
                zh="8 位本来绰绰有余，但首个 token 的巨大激活决定了所有 token 的步长。再换成逐 token 比较。",
                en="8 bits would be plenty, but the first token's huge activation sets the step for all "
                "tokens. Then switch to per token.",
            ),
            values={"target": "activation", "bits": 8, "granularity": "tensor"},
        ),
        Preset(
            id="sweep",
            title=Text(zh="扫描：位宽 × 粒度", en="The sweep: bits × granularity"),
            story=Text(
                zh="21 个配置的困惑度曲线：粒度越细，曲线的拐点越靠左。每个点都跑真实模型，需要一会儿。",
                en="Perplexity at 21 settings: the finer the granularity, the further left the knee. Every "
                "point runs the real model, so it takes a while.",
            ),
            values={"sweep": True, "windows": 1},
        ),
    ],
)
