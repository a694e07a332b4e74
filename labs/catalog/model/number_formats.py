"""Eleven ways to store a number: its bits, the values in reach, and the error on a real layer."""

import functools
from collections.abc import Iterator
from typing import Annotated

from labs.context import Context
from labs.quantization.bit_patterns import bit_pattern
from labs.quantization.fields import Layer, Module, Target
from labs.quantization.formats import FORMATS, FormatName
from labs.results import Markdown, Provenance, Result
from labs.spec import Field, Lab, LabError, LabParams, Preset
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """A value to store, a format to look at closely, and a matrix of the model to try all formats on."""

    value: Annotated[
        float,
        Field(
            zh="数值",
            en="Value",
            zh_help="要编码的数，任何有限值。点击下面的任一位会翻转它，并把数值改成翻转后的值。",
            en_help="Any finite number. Clicking a bit below flips it and sets this to what it then is.",
            step=0.01,
        ),
    ] = 0.1
    format: Annotated[
        FormatName,
        Field(
            zh="格式",
            en="Format",
            zh_help="突出显示的格式；误差直方图以它为主。",
            en_help="The format that is highlighted, and that the error histogram is about.",
            choices={name: same(form.title) for name, form in FORMATS.items()},
        ),
    ] = "bf16"
    absmax: Annotated[
        float,
        Field(
            zh="量程 absmax",
            en="Range (absmax)",
            zh_help="带 scale 的格式（INT8、INT4、NF4、FP4、MXFP4）把 [−absmax, absmax] 映射到编码。",
            en_help="Formats with a scale (INT8, INT4, NF4, FP4, MXFP4) map [-absmax, absmax] to codes.",
            ge=1e-6,
            le=1e6,
            scale="log",
        ),
    ] = 1.0
    target: Target = "weight"
    layer: Layer = 11
    module: Module = "down_proj"


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Bits first, which is all that a dragged value waits for; then the formats; then the real layer."""
    from labs.quantization.format_value_views import bit_rows, value_table

    patterns = {name: bit_pattern(params.value, name, params.absmax) for name in FORMATS}
    yield bit_rows(params.value, params.format, patterns)
    yield value_table(params.value, params.absmax, params.format, patterns)
    if ctx.preview:
        return
    yield from representable(params, ctx)
    missing = missing_model(ctx)
    if missing:
        yield missing
    else:
        yield from layer_errors(params, ctx)


def representable(params: Params, ctx: Context) -> Iterator[Result]:
    """What each format can hold at all."""
    from labs.quantization import format_range_views as views

    absmax = params.absmax
    yield views.range_table(absmax, params.format)
    yield ctx.memo(("format levels", absmax), lambda: views.linear_levels(absmax))
    yield ctx.memo(("format log levels", absmax), lambda: views.log_levels(absmax))
    gaps = ctx.memo(("format gaps", absmax), lambda: views.gap_lines(absmax))
    yield gaps if params.value == 0 else views.with_mark(gaps, abs(params.value))


def missing_model(ctx: Context) -> Markdown | None:
    """Why there is no real layer to show, if so; everything else here needs none."""
    try:
        ctx.model_config()
    except LabError as error:
        return Markdown(
            id="no_model",
            title=Text(zh="没有真实的层可看", en="No real layer to look at"),
            provenance=Provenance.MEASURED,
            body=error.text,
        )
    return None


def layer_errors(params: Params, ctx: Context) -> Iterator[Result]:
    """Every format on the real matrix: how much of the signal survives, and where the errors lie."""
    from labs.quantization import format_layer_views as views
    from labs.quantization.format_pictures import format_error
    from labs.quantization.layer_data import layer_data

    x = layer_data(ctx, params.layer, params.module).matrix(params.target)
    where = same(f"layers.{params.layer}.{params.module}")
    found = {}
    for index, (name, form) in enumerate(FORMATS.items()):
        ctx.progress(index / len(FORMATS), same(form.title))
        key = ("format error", params.layer, params.module, params.target, name)
        found[name] = ctx.memo(key, functools.partial(format_error, x, name, views.RELATIVE_ERRORS))
    yield views.sqnr_metric(found[params.format], params.format, where)
    yield views.sqnr_bars(found, where)
    yield views.error_histogram(found, params.format, where)
    yield views.price_table(found, x.numel(), params.format, where)


LAB = Lab(
    id="model/number_formats",
    title=Text(zh="数值格式", en="Number formats"),
    summary=Text(
        zh="把一个数存成 11 种格式，翻转它的每一位；再看真实的权重和激活在每种格式下损失多少。",
        en="Store one number in eleven formats and flip its bits; then see what each costs real weights "
        "and activations.",
    ),
    sections=["1.2.1"],
    questions=["1.2.1-01", "1.2.1-02", "1.2.1-03"],
    params=Params,
    run=run,
    smoke=Params(value=0.1, module="k_proj"),
    presets=[
        Preset(
            id="tenth",
            title=Text(zh="0.1 没有精确的二进制", en="0.1 has no exact binary"),
            story=Text(
                zh="没有一种格式存得下 0.1。比较各行的误差：尾数每多一位，误差约减半。",
                en="No format holds 0.1 exactly. Compare the errors: a mantissa bit more, about half "
                "the error.",
            ),
            values={"value": 0.1},
        ),
        Preset(
            id="fp16_overflow",
            title=Text(zh="70000：FP16 上溢，BF16 不会", en="70000: FP16 overflows, BF16 does not"),
            story=Text(
                zh="FP16 最大 65504，70000 变成 ∞；BF16 的指数与 FP32 同宽，只是粗一些。大模型多用 "
                "BF16 正因如此。",
                en="FP16 ends at 65504, so 70000 becomes infinity; BF16 has FP32's exponent and is merely "
                "coarser. That is why large models use BF16.",
            ),
            values={"value": 70000.0, "format": "fp16", "absmax": 100000.0},
        ),
        Preset(
            id="small_gradient",
            title=Text(zh="1e-7：谁会下溢", en="1e-7: who underflows"),
            story=Text(
                zh="FP16 落入次正规区，只剩一两个有效位；FP8 和整数直接变 0；BF16 若无其事。",
                en="FP16 is down to a bit or two of its subnormals; FP8 and the integers give 0; BF16 "
                "does not mind.",
            ),
            values={"value": 1e-7, "format": "fp16"},
        ),
        Preset(
            id="e4m3_e5m2",
            title=Text(zh="FP8 的两种分法", en="FP8, divided in two ways"),
            story=Text(
                zh="500 超过 E4M3 的最大值 448 而饱和；E5M2 放得下，却只有 2 位尾数。",
                en="500 is beyond E4M3's 448 and saturates; E5M2 holds it, with only 2 mantissa bits.",
            ),
            values={"value": 500.0, "format": "fp8_e4m3", "absmax": 500.0},
        ),
        Preset(
            id="outlier_activation",
            title=Text(
                zh="真实激活：离群值面前的浮点与整数",
                en="Real activations: floats and integers against an outlier",
            ),
            story=Text(
                zh="down_proj 的输入里有几千大小的值。看误差直方图右端：INT8 把多少值送到 0，FP8 却没有。",
                en="down_proj's input holds values in the thousands. At the histogram's right end see "
                "how many "
                "values INT8 sends to 0, and FP8 does not.",
            ),
            values={"target": "activation", "format": "int8", "value": 1.5, "absmax": 3000.0},
        ),
        Preset(
            id="four_bits",
            title=Text(zh="四种 4 位格式", en="Four formats of 4 bits"),
            story=Text(
                zh="INT4、NF4、FP4、MXFP4 都只有约 16 个值，摆放不同。谁的间隔最合权重的分布，谁的 "
                "SQNR 最高？",
                en="INT4, NF4, FP4 and MXFP4 have some 16 values each, placed differently. Whose gaps "
                "fit the "
                "weights best?",
            ),
            values={"format": "nf4", "value": 0.3},
        ),
    ],
)
