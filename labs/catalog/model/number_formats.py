"""Eleven ways to store a number: its bits, the values in reach, and the error on a real layer."""

import functools
import math
from collections.abc import Iterator
from typing import Annotated

from labs.context import Context
from labs.formulas.number_formats import spacing
from labs.quantization.bit_patterns import BitPattern, bit_pattern
from labs.quantization.fields import Layer, Module, Target
from labs.quantization.formats import FORMATS, FormatName, NumberFormat
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    BitField,
    BitRow,
    Bits,
    Column,
    Histogram,
    HistogramSeries,
    Lines,
    Mark,
    Markdown,
    Metric,
    Provenance,
    Result,
    Scatter,
    Series,
    Table,
    Tick,
    array,
)
from labs.spec import Field, Lab, LabError, LabParams, Preset
from labs.text import Text, same

MEASURED, ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
NAMES = list(FORMATS)


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
    patterns = {name: bit_pattern(params.value, name, params.absmax) for name in NAMES}
    yield bits(params, patterns)
    yield value_table(params, patterns)
    if ctx.preview:
        return
    yield range_table(params)
    yield ctx.memo(("format levels", params.absmax), lambda: linear_levels(params.absmax))
    yield ctx.memo(("format log levels", params.absmax), lambda: log_levels(params.absmax))
    gaps = ctx.memo(("format gaps", params.absmax), lambda: gap_lines(params.absmax))
    yield gaps if params.value == 0 else with_mark(gaps, abs(params.value))
    missing = missing_model(ctx)
    if missing:
        yield missing
    else:
        yield from layer_errors(params, ctx)


def missing_model(ctx: Context) -> Markdown | None:
    """Why there is no real layer to show, if so; everything else here needs none."""
    try:
        ctx.model_config()
    except LabError as error:
        return Markdown(
            id="no_model",
            title=Text(zh="没有真实的层可看", en="No real layer to look at"),
            provenance=MEASURED,
            body=error.text,
        )
    return None


def bits(params: Params, patterns: dict[str, BitPattern]) -> Bits:
    """One row a format; a clicked bit changes the value."""
    rows = []
    for name, pattern in patterns.items():
        rows.append(
            BitRow(
                name=same(FORMATS[name].title),
                fields=[BitField(role=role, bits=digits) for role, digits in pattern.fields],
                value=pattern.value,
                error=pattern.value - params.value,
                note=condition_note(pattern, FORMATS[name]),
                flips=list(pattern.flips),
            )
        )
    return Bits(
        id="bits",
        title=Text(zh=f"{params.value:g} 的位", en=f"The bits of {params.value:g}"),
        provenance=MEASURED,
        rows=rows,
        edits="value",
        highlight=NAMES.index(params.format),
        help=Text(
            zh="符号、指数、尾数、整数编码、查表编码、块 scale。scale 的位由 absmax 决定，不能点击。",
            en="Sign, exponent, mantissa, integer, table code, block scale. The scale's bits follow "
            "absmax and "
            "cannot be clicked.",
        ),
        source=Text(
            zh="按 IEEE 754 就近舍入、平局取偶编码", en="encoded to nearest, ties to even (IEEE 754)"
        ),
        wide=True,
    )


def condition_note(pattern: BitPattern, form: NumberFormat) -> Text | None:
    """What happened to the value beyond ordinary rounding."""
    top = form.form.max if form.form and not form.scaled else form.unit_max
    notes = {
        "exact": Text(zh="精确", en="exact"),
        "subnormal": Text(zh="次正规数：有效位变少", en="subnormal: fewer significant bits"),
        "underflow": Text(zh="下溢为 0", en="underflow to 0"),
        "overflow": Text(zh=f"上溢为 ∞（最大 {top:.5g}）", en=f"overflow to infinity (largest {top:.5g})"),
        "clipped": Text(zh="饱和在最大值", en="saturated at the largest value"),
    }
    return notes.get(pattern.condition)


def value_table(params: Params, patterns: dict[str, BitPattern]) -> Table:
    """Stored value and error, beside the half gap that bounds it."""
    rows: list[list[Text | float | int | None]] = []
    for name, pattern in patterns.items():
        stored, error = pattern.value, abs(pattern.value - params.value)
        finite = math.isfinite(stored)
        relative = 100 * error / abs(params.value) if params.value and finite else None
        rows.append(
            [
                same(FORMATS[name].title),
                stored if finite else same("∞" if stored > 0 else "−∞"),
                error if finite else same("∞"),
                relative,
                half_gap(params.value, FORMATS[name], params.absmax),
            ]
        )
    return Table(
        id="value",
        title=Text(zh="存成什么，差多少", en="What is stored, and how far off"),
        provenance=MEASURED,
        columns=[
            Column(title=Text(zh="格式", en="format")),
            Column(title=Text(zh="存储的值", en="stored value")),
            Column(title=Text(zh="绝对误差", en="absolute error")),
            Column(title=Text(zh="相对误差", en="relative error"), unit="%"),
            Column(
                title=Text(zh="误差上限（半个间隔）", en="bound: half a gap"),
                provenance=ESTIMATED,
                help=Text(
                    zh="就近舍入的误差不超过相邻两个可表示值间隔的一半；超出范围时没有上限。",
                    en="Rounding to nearest is at most half the gap off; out of range there is no bound.",
                ),
            ),
        ],
        rows=rows,
        highlight=NAMES.index(params.format),
        source=Text(zh="逐位编码再解码", en="encoded to bits and decoded again"),
    )


def half_gap(value: float, form: NumberFormat, absmax: float) -> float | None:
    """Half the gap between the representable values around ``value``; None out of range."""
    if not form.scaled:
        assert form.form is not None
        return spacing(value, form.form) / 2 if abs(value) <= form.form.max else None
    scale = form.scale(absmax)
    levels = form.unit_levels()
    above = next((index for index, level in enumerate(levels) if level >= value / scale), None)
    if above is None or (above == 0 and levels[0] > value / scale):
        return None
    return (levels[max(above, 1)] - levels[max(above, 1) - 1]) * scale / 2


def range_table(params: Params) -> Table:
    """Range, precision, underflow, overflow and bytes of each format."""
    rows: list[list[Text | float | int | None]] = []
    for form in FORMATS.values():
        scale = form.scale(params.absmax) if form.scaled else 1.0
        positive = None if form.form else [level for level in form.unit_levels() if level > 0]
        smallest = (positive[0] if positive else form.form.min_subnormal if form.form else 0.0) * scale
        normal = form.form.min_normal * scale if form.form else None
        top = form.unit_max * scale
        ieee = form.form is not None and form.form.specials == "ieee"
        rows.append(
            [
                same(form.title),
                (form.form.storage_bits if form.form and form.form.storage_bits else form.bits) / 8,
                top,
                normal,
                smallest,
                20 * math.log10(top / smallest),
                (form.form.mantissa_bits + 1) * math.log10(2) if form.form else None,
                Text(zh="∞", en="infinity") if ieee else Text(zh="饱和", en="saturates"),
            ]
        )
    return Table(
        id="range",
        title=Text(zh="范围、精度、下溢与上溢", en="Range, precision, underflow and overflow"),
        provenance=ESTIMATED,
        columns=[
            Column(title=Text(zh="格式", en="format")),
            Column(title=Text(zh="每值字节", en="bytes a value"), unit="B"),
            Column(title=Text(zh="最大值", en="largest")),
            Column(title=Text(zh="最小正规数", en="smallest normal")),
            Column(
                title=Text(zh="最小正数", en="smallest positive"),
                help=Text(zh="不到它一半的数下溢为 0。", en="What is below half of it becomes 0."),
            ),
            Column(title=Text(zh="动态范围", en="dynamic range"), unit="dB"),
            Column(title=Text(zh="十进制有效位", en="decimal digits")),
            Column(title=Text(zh="超出时", en="beyond the largest")),
        ],
        rows=rows,
        highlight=NAMES.index(params.format),
        help=Text(
            zh="带 scale 的格式按当前 absmax 计算，scale 的存储另计。TF32 在内存里占 4 字节，只用 19 位。",
            en="Formats with a scale at the current absmax, their scales not counted. TF32 takes 4 "
            "bytes of "
            "memory and uses 19 bits.",
        ),
        source=Text(zh="由指数与尾数位数推出", en="from the widths of exponent and mantissa"),
        wide=True,
    )


def linear_levels(absmax: float) -> Scatter:
    """Each format is a row of points: evenly spaced for integers, denser towards 0 for floats."""
    from labs.quantization.format_pictures import levels_within

    return levels_plot("levels", {name: levels_within(name, absmax) for name in NAMES}, log=False)


def log_levels(absmax: float) -> Scatter:
    """The same on a log axis, where a float format is even and the range shows."""
    from labs.quantization.format_pictures import positive_levels

    return levels_plot("log_levels", {name: positive_levels(name, absmax) for name in NAMES}, log=True)


def levels_plot(result_id: str, levels: dict[str, object], log: bool) -> Scatter:
    """One row a format, in the order of the bit table, the first on top."""
    import numpy as np

    rows = {name: len(NAMES) - place for place, name in enumerate(NAMES)}
    series = [
        Series(
            name=same(FORMATS[name].title),
            x=array(levels[name]),
            y=np.full(len(array(levels[name])), float(row)),
        )
        for name, row in rows.items()
    ]
    axis = Text(zh="数值（对数轴）", en="value (log axis)") if log else Text(zh="数值", en="value")
    return Scatter(
        id=result_id,
        title=Text(
            zh=f"可表示的值：{'对数' if log else '线性'}轴",
            en=f"Representable values, {'log' if log else 'linear'} axis",
        ),
        provenance=ESTIMATED,
        x=Axis(title=axis, log=log),
        y=Axis(
            title=Text(zh="格式", en="format"),
            ticks=[Tick(at=row, name=same(FORMATS[name].title)) for name, row in rows.items()],
        ),
        series=series,
        help=Text(
            zh="8 位及以下画出全部的值；更宽的格式只画屏幕分得开的一部分。",
            en="All values of formats up to 8 bits; of wider ones as many as a screen can tell apart.",
        ),
        source=Text(zh="枚举全部编码", en="all codes, enumerated"),
        wide=True,
    )


def gap_lines(absmax: float) -> Lines:
    """Precision over magnitude: the picture that holds range, precision and underflow together."""
    import numpy as np

    from labs.quantization.format_pictures import worst_relative_error

    magnitudes = np.logspace(-10, 6, 321)
    return Lines(
        id="gaps",
        title=Text(zh="各数量级上的最大相对误差", en="Largest relative error at each magnitude"),
        provenance=ESTIMATED,
        unit="%",
        x=Axis(title=Text(zh="数值大小", en="magnitude"), log=True),
        y=Axis(title=Text(zh="最大相对误差", en="largest relative error"), unit="%", log=True),
        series=[
            Series(
                name=same(FORMATS[name].title), x=magnitudes, y=worst_relative_error(name, absmax, magnitudes)
            )
            for name in NAMES
        ],
        markers=False,
        help=Text(
            zh="浮点格式在其范围内是一条锯齿横线：相对精度处处相同；整数格式是斜线：数越小越不准。"
            "线升到 100% 处下溢，线断处上溢。",
            en="A float format is a level saw: the same relative precision everywhere. An integer is "
            "a slope: the "
            "smaller the value, the worse. At 100 % it underflows; where the line ends it overflows.",
        ),
        source=Text(zh="相邻可表示值间隔的一半 ÷ 数值", en="half the gap between neighbours over the value"),
        wide=True,
    )


def with_mark(lines: Lines, value: float) -> Lines:
    """The current value, marked."""
    import msgspec

    return msgspec.structs.replace(lines, marks=[Mark(x=value, name=Text(zh="当前值", en="the value"))])


def layer_errors(params: Params, ctx: Context) -> Iterator[Result]:
    """Every format on the real matrix: how much of the signal survives, and where the errors lie."""
    import numpy as np

    from labs.quantization.format_pictures import format_error
    from labs.quantization.layer_data import layer_data

    x = layer_data(ctx, params.layer, params.module).matrix(params.target)
    where = same(f"layers.{params.layer}.{params.module}")
    bins = np.logspace(-5.5, 0.1, 85)
    found = {}
    for index, name in enumerate(NAMES):
        ctx.progress(index / len(NAMES), same(FORMATS[name].title))
        key = ("format error", params.layer, params.module, params.target, name)
        found[name] = ctx.memo(key, functools.partial(format_error, x, name, bins))
    chosen = found[params.format]
    yield Metric(
        id="sqnr",
        title=Text(
            zh=f"{FORMATS[params.format].title} 的 SQNR", en=f"SQNR of {FORMATS[params.format].title}"
        ),
        provenance=MEASURED,
        unit="dB",
        value=chosen.sqnr_db,
        predicted=chosen.predicted_db if math.isfinite(chosen.sqnr_db) else None,
        formula=SQNR_FORMULA,
        better="higher",
        help=Text(zh=f"在 {where.zh} 的真实数据上。", en=f"On the real values of {where.en}."),
        source=Text(zh="10·log10(Σx² / Σ(x−x̂)²)", en="10 log10(sum x^2 / sum (x - x')^2)"),
    )
    finite = {name: math.isfinite(error.sqnr_db) for name, error in found.items()}
    yield Bars(
        id="sqnr_by_format",
        title=Text(zh=f"各格式的 SQNR：{where.zh}", en=f"SQNR by format: {where.en}"),
        provenance=MEASURED,
        unit="dB",
        categories=[same(form.title) for form in FORMATS.values()],
        series=[
            BarSeries(
                name=Text(zh="实测", en="measured"),
                values=array([e.sqnr_db if finite[n] else math.nan for n, e in found.items()]),
            ),
            BarSeries(
                name=Text(zh="公式", en="formula"),
                values=array(
                    [math.nan if e.predicted_db is None else e.predicted_db for e in found.values()]
                ),
                provenance=ESTIMATED,
            ),
        ],
        y=Axis(title=same("SQNR"), unit="dB"),
        missing={
            index: Text(zh="没有误差：SQNR 无穷大", en="no error: infinite SQNR")
            for index, name in enumerate(NAMES)
            if not finite[name]
        },
        source=SQNR_FORMULA,
        wide=True,
    )
    compared = dict.fromkeys([params.format, "bf16", "fp8_e4m3", "int8", "nf4"])
    yield Histogram(
        id="error_histogram",
        title=Text(zh=f"相对误差的分布：{where.zh}", en=f"Distribution of the relative error: {where.en}"),
        provenance=MEASURED,
        x=Axis(title=Text(zh="相对误差 |x̂−x| / |x|", en="relative error |x' - x| / |x|"), log=True),
        series=[
            HistogramSeries(name=same(FORMATS[name].title), edges=bins, counts=array(found[name].relative))
            for name in compared
        ],
        help=Text(
            zh="误差为零的值不计。最右的一堆（误差 1 = 100%）是变成 0 的值：整数格式把小数值都送到那里。",
            en="Values without error are left out. The pile at the right end (an error of 1) became 0: "
            "integers send all small values there.",
        ),
        source=Text(zh="逐元素统计", en="counted element by element"),
        wide=True,
    )
    yield Table(
        id="format_errors",
        title=Text(zh=f"代价与所得：{where.zh}", en=f"Price and benefit: {where.en}"),
        provenance=MEASURED,
        columns=[
            Column(title=Text(zh="格式", en="format")),
            Column(title=Text(zh="scale 的共用范围", en="what shares a scale")),
            Column(title=Text(zh="每值位数（含 scale）", en="bits a value, scales included"), unit="bit"),
            Column(title=Text(zh="矩阵大小", en="matrix"), unit="KiB"),
            Column(title=same("SQNR"), unit="dB"),
            Column(title=Text(zh="变成 0 的值", en="became 0"), unit="%"),
            Column(title=Text(zh="最大误差", en="largest error")),
        ],
        rows=[
            [
                same(FORMATS[name].title),
                SHARING[FORMATS[name].sharing],
                e.bits,
                e.bits * x.numel() / 8 / 1024,
                e.sqnr_db if finite[name] else same("∞"),
                100 * e.zeroed,
                e.largest,
            ]
            for name, e in found.items()
        ],
        highlight=NAMES.index(params.format),
        source=Text(zh="每种格式按实际用法加 scale", en="each format with scales as in practice"),
        wide=True,
    )


SQNR_FORMULA = Text(
    zh="浮点：6.02·尾数位 + 14.1 dB，与数值大小无关；整数：uniform_sqnr_db(位宽, absmax/均方根)",
    en="floats: 6.02 mantissa bits + 14.1 dB whatever the scale; integers: uniform_sqnr_db(bits, "
    "absmax / rms)",
)
SHARING = {
    "none": Text(zh="无 scale", en="no scale"),
    "tensor": Text(zh="整个张量", en="the tensor"),
    "row": Text(zh="一行", en="a row"),
    "block": Text(zh="行内 32 个值", en="32 values of a row"),
}

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
