"""Every format on one real matrix: how much of the signal survives, where the errors lie, what it costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from labs.quantization.formats import FORMATS
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Histogram,
    HistogramSeries,
    Metric,
    Provenance,
    Table,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.quantization.format_pictures import FormatError
    from labs.quantization.formats import FormatName

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
RELATIVE_ERRORS = np.logspace(-5.5, 0.1, 85)  # bin edges; the last bins hold an error of 1: became 0
_SQNR_FORMULA = Text(
    zh="浮点：6.02·尾数位 + 14.1 dB，与数值大小无关；整数：uniform_sqnr_db(位宽, absmax/均方根)",
    en="floats: 6.02 mantissa bits + 14.1 dB whatever the scale; integers: uniform_sqnr_db(bits, "
    "absmax / rms)",
)
_SHARING = {
    "none": Text(zh="无 scale", en="no scale"),
    "tensor": Text(zh="整个张量", en="the tensor"),
    "row": Text(zh="一行", en="a row"),
    "block": Text(zh="行内 32 个值", en="32 values of a row"),
}


def sqnr_metric(found: FormatError, name: FormatName, where: Text) -> Metric:
    """The chosen format, beside the formula."""
    return Metric(
        id="sqnr",
        title=Text(zh=f"{FORMATS[name].title} 的 SQNR", en=f"SQNR of {FORMATS[name].title}"),
        provenance=_MEASURED,
        unit="dB",
        value=found.sqnr_db,
        predicted=found.predicted_db if math.isfinite(found.sqnr_db) else None,
        formula=_SQNR_FORMULA,
        better="higher",
        help=Text(zh=f"在 {where.zh} 的真实数据上。", en=f"On the real values of {where.en}."),
        source=Text(zh="10·log10(Σx² / Σ(x−x̂)²)", en="10 log10(sum x^2 / sum (x - x')^2)"),
    )


def sqnr_bars(found: dict[str, FormatError], where: Text) -> Bars:
    """All formats, measured and by formula."""
    return Bars(
        id="sqnr_by_format",
        title=Text(zh=f"各格式的 SQNR：{where.zh}", en=f"SQNR by format: {where.en}"),
        provenance=_MEASURED,
        unit="dB",
        categories=[same(form.title) for form in FORMATS.values()],
        series=[
            BarSeries(
                name=Text(zh="实测", en="measured"),
                values=array([e.sqnr_db if math.isfinite(e.sqnr_db) else math.nan for e in found.values()]),
            ),
            BarSeries(
                name=Text(zh="公式", en="formula"),
                values=array(
                    [math.nan if e.predicted_db is None else e.predicted_db for e in found.values()]
                ),
                provenance=_ESTIMATED,
            ),
        ],
        y=Axis(title=same("SQNR"), unit="dB"),
        missing={
            index: Text(zh="没有误差：SQNR 无穷大", en="no error: infinite SQNR")
            for index, e in enumerate(found.values())
            if not math.isfinite(e.sqnr_db)
        },
        source=_SQNR_FORMULA,
        wide=True,
    )


def error_histogram(found: dict[str, FormatError], highlight: FormatName, where: Text) -> Histogram:
    """Relative errors of the chosen format and of one format of each kind."""
    compared = dict.fromkeys([highlight, "bf16", "fp8_e4m3", "int8", "nf4"])
    return Histogram(
        id="error_histogram",
        title=Text(zh=f"相对误差的分布：{where.zh}", en=f"Distribution of the relative error: {where.en}"),
        provenance=_MEASURED,
        x=Axis(title=Text(zh="相对误差 |x̂−x| / |x|", en="relative error |x' - x| / |x|"), log=True),
        series=[
            HistogramSeries(
                name=same(FORMATS[name].title), edges=RELATIVE_ERRORS, counts=array(found[name].relative)
            )
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


def price_table(found: dict[str, FormatError], elements: int, highlight: FormatName, where: Text) -> Table:
    """Bits and bytes beside the errors; ``elements`` is the size of the matrix."""
    return Table(
        id="format_errors",
        title=Text(zh=f"代价与所得：{where.zh}", en=f"Price and benefit: {where.en}"),
        provenance=_MEASURED,
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
                _SHARING[FORMATS[name].sharing],
                e.bits,
                e.bits * elements / 8 / 1024,
                e.sqnr_db if math.isfinite(e.sqnr_db) else same("∞"),
                100 * e.zeroed,
                e.largest,
            ]
            for name, e in found.items()
        ],
        highlight=list(FORMATS).index(highlight),
        source=Text(zh="每种格式按实际用法加 scale", en="each format with scales as in practice"),
        wide=True,
    )
