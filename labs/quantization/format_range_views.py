"""What each format can represent: range and precision as figures, as points, and over magnitude."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from labs.quantization.format_pictures import levels_within, positive_levels, worst_relative_error
from labs.quantization.formats import FORMATS
from labs.results import Axis, Column, Lines, Mark, Provenance, Scatter, Series, Table, Tick
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.quantization.formats import FormatName
    from labs.results import Array

_ESTIMATED = Provenance.ESTIMATED


def range_table(absmax: float, highlight: FormatName) -> Table:
    """Range, precision, underflow, overflow and width of each format."""
    rows: list[list[Text | float | int | None]] = []
    for form in FORMATS.values():
        scale = form.scale(absmax) if form.scaled else 1.0
        positive = None if form.form else [level for level in form.unit_levels() if level > 0]
        smallest = (positive[0] if positive else form.form.min_subnormal if form.form else 0.0) * scale
        normal = form.form.min_normal * scale if form.form else None
        top = form.unit_max * scale
        ieee = form.form is not None and form.form.specials == "ieee"
        rows.append(
            [
                same(form.title),
                (form.form.storage_bits if form.form and form.form.storage_bits else form.bits),
                top,
                normal,
                smallest,
                20 * math.log10(top / smallest),
                same(f"{(form.form.mantissa_bits + 1) * math.log10(2):.1f}") if form.form else same("—"),
                same("∞") if ieee else Text(zh="饱和", en="max"),
            ]
        )
    return Table(
        id="range",
        title=Text(zh="范围、精度、下溢与上溢", en="Range, precision, underflow and overflow"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="格式", en="format")),
            Column(
                title=Text(zh="位宽", en="width"),
                unit="bit",
                help=Text(zh="一个值在内存里占的位数。", en="What a value takes in memory."),
            ),
            Column(title=Text(zh="最大值", en="largest")),
            Column(title=Text(zh="最小正规数", en="smallest normal")),
            Column(
                title=Text(zh="最小正数", en="smallest positive"),
                help=Text(zh="不到它一半的数下溢为 0。", en="What is below half of it becomes 0."),
            ),
            Column(
                title=Text(zh="范围", en="range"),
                unit="dB",
                help=Text(
                    zh="动态范围：最大值与最小正数之比。", en="Dynamic range: largest over smallest positive."
                ),
            ),
            Column(
                title=Text(zh="精度", en="digits"),
                help=Text(zh="十进制有效位数。", en="Significant decimal digits."),
            ),
            Column(
                title=Text(zh="超出", en="over"),
                help=Text(
                    zh="超出最大值时：变成 ∞，或饱和在最大值。",
                    en="What is beyond the largest becomes infinity, or the largest (max).",
                ),
            ),
        ],
        rows=rows,
        highlight=list(FORMATS).index(highlight),
        help=Text(
            zh="带 scale 的格式按当前 absmax 计算，scale 的存储另计。TF32 在内存里占 4 字节，只用 19 位。",
            en="Formats with a scale at the current absmax, their scales not counted. TF32 takes 4 "
            "bytes of memory and uses 19 bits.",
        ),
        source=Text(zh="由指数与尾数位数推出", en="from the widths of exponent and mantissa"),
        wide=True,
    )


def linear_levels(absmax: float) -> Scatter:
    """Each format is a row of points: evenly spaced for integers, denser towards 0 for floats."""
    return _levels_plot("levels", {name: levels_within(name, absmax) for name in FORMATS}, log=False)


def log_levels(absmax: float) -> Scatter:
    """The same on a log axis, where a float format is even and the range shows."""
    return _levels_plot("log_levels", {name: positive_levels(name, absmax) for name in FORMATS}, log=True)


def _levels_plot(result_id: str, levels: dict[str, Array], log: bool) -> Scatter:
    """One row a format, in the order of the bit table, the first on top."""
    rows = {name: len(FORMATS) - place for place, name in enumerate(FORMATS)}
    series = [
        Series(
            name=same(FORMATS[name].title),
            x=levels[name],
            y=np.full(len(levels[name]), float(row)),
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
        provenance=_ESTIMATED,
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
    magnitudes = np.logspace(-10, 6, 321)
    return Lines(
        id="gaps",
        title=Text(zh="各数量级上的最大相对误差", en="Largest relative error at each magnitude"),
        provenance=_ESTIMATED,
        unit="%",
        x=Axis(title=Text(zh="数值大小", en="magnitude"), log=True),
        y=Axis(title=Text(zh="最大相对误差", en="largest relative error"), unit="%", log=True),
        series=[
            Series(
                name=same(FORMATS[name].title), x=magnitudes, y=worst_relative_error(name, absmax, magnitudes)
            )
            for name in FORMATS
        ],
        markers=False,
        help=Text(
            zh="浮点格式在其范围内是一条锯齿横线：相对精度处处相同；整数格式是斜线：数越小越不准。"
            "线升到 100% 处下溢，线断处上溢。",
            en="A float format is a level saw: the same relative precision everywhere. An integer is "
            "a slope: the smaller the value, the worse. At 100 % it underflows; where the line ends "
            "it overflows.",
        ),
        source=Text(zh="相邻可表示值间隔的一半 ÷ 数值", en="half the gap between neighbours over the value"),
        wide=True,
    )


def with_mark(lines: Lines, value: float) -> Lines:
    """The current value, marked."""
    return msgspec.structs.replace(lines, marks=[Mark(x=value, name=Text(zh="当前值", en="the value"))])
