"""One number in every format: its bits, what is stored, and how far off that is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.number_formats import spacing
from labs.quantization.formats import FORMATS
from labs.results import BitField, BitRow, Bits, Column, Provenance, Table
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.quantization.bit_patterns import BitPattern
    from labs.quantization.formats import FormatName, NumberFormat

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED


def bit_rows(value: float, highlight: FormatName, patterns: dict[str, BitPattern]) -> Bits:
    """One row a format; a clicked bit changes the value."""
    rows = []
    for name, pattern in patterns.items():
        rows.append(
            BitRow(
                name=same(FORMATS[name].title),
                fields=[BitField(role=role, bits=digits) for role, digits in pattern.fields],
                value=pattern.value,
                error=pattern.value - value,
                note=_condition_note(pattern, FORMATS[name]),
                flips=list(pattern.flips),
            )
        )
    return Bits(
        id="bits",
        title=Text(zh=f"{value:.10g} 的位", en=f"The bits of {value:.10g}"),
        provenance=_MEASURED,
        rows=rows,
        edits="value",
        highlight=list(FORMATS).index(highlight),
        help=Text(
            zh="符号、指数、尾数、整数编码、查表编码、块 scale。scale 的位由 absmax 决定，不能点击。",
            en="Sign, exponent, mantissa, integer, table code, block scale. The scale's bits follow "
            "absmax and cannot be clicked.",
        ),
        source=Text(
            zh="按 IEEE 754 就近舍入、平局取偶编码", en="encoded to nearest, ties to even (IEEE 754)"
        ),
        wide=True,
    )


def _condition_note(pattern: BitPattern, form: NumberFormat) -> Text | None:
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


def value_table(value: float, absmax: float, highlight: FormatName, patterns: dict[str, BitPattern]) -> Table:
    """Stored value and error, beside the half gap that bounds it."""
    rows: list[list[Text | float | int | None]] = []
    for name, pattern in patterns.items():
        stored, error = pattern.value, abs(pattern.value - value)
        finite = math.isfinite(stored)
        relative = 100 * error / abs(value) if value and finite else None
        rows.append(
            [
                same(FORMATS[name].title),
                stored if finite else same("∞" if stored > 0 else "−∞"),
                error if finite else same("∞"),
                relative,
                _half_gap(value, FORMATS[name], absmax),
            ]
        )
    return Table(
        id="value",
        title=Text(zh="存成什么，差多少", en="What is stored, and how far off"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="格式", en="format")),
            Column(title=Text(zh="存储的值", en="stored value")),
            Column(title=Text(zh="绝对误差", en="absolute error")),
            Column(title=Text(zh="相对误差", en="relative error"), unit="%"),
            Column(
                title=Text(zh="误差上限（半个间隔）", en="bound: half a gap"),
                provenance=_ESTIMATED,
                help=Text(
                    zh="就近舍入的误差不超过相邻两个可表示值间隔的一半；超出范围时没有上限。",
                    en="Rounding to nearest is at most half the gap off; out of range there is no bound.",
                ),
            ),
        ],
        rows=rows,
        highlight=list(FORMATS).index(highlight),
        source=Text(zh="逐位编码再解码", en="encoded to bits and decoded again"),
    )


def _half_gap(value: float, form: NumberFormat, absmax: float) -> float | None:
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
