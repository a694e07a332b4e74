"""The model's step under the roofs as results: a dot a part, where the time goes, what a change would buy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.formulas.decoder_demand import PRODUCTS
from labs.formulas.roofline import Demand
from labs.results import Array, Axis, Bars, BarSeries, Column, Metric, Provenance, Series, Table, array
from labs.roofline import roof_views
from labs.roofline.placed import VERDICTS, Placed
from labs.text import Text
from labs.timing_results import method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labs.measure import Timing
    from labs.results import Result
    from labs.roofline.bandwidths import Level
    from labs.roofline.next_steps import NextStep
    from labs.roofline.placed import Roof
    from labs.roofline.setting import Setting

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_COUNTED = Text(
    zh="字节与浮点运算由公式数出（labs.formulas.decoder_demand）：输入、权重各读一遍，输出写一遍",
    en="bytes and FLOPs by formula (labs.formulas.decoder_demand): inputs and weights read once, the output "
    "written once",
)
_SUM = Text(
    zh="各部分取访存、计算、调用开销三者中最大的，乘次数相加",
    en="the largest of traffic, computing and call overhead of each part, times its count, added up",
)


@dataclass
class Found:
    """All that is known of a step so far. ``levels`` empty: the machine has not been measured."""

    setting: Setting
    roof: Roof | None = None
    levels: list[Level] = field(default_factory=list)
    parts: list[Placed] = field(default_factory=list)
    whole: Timing | None = None

    @property
    def measured(self) -> list[Placed]:
        return [one for one in self.parts if one.timing]

    @property
    def bound_s(self) -> float:
        """Least seconds of a step: its parts follow one another."""
        return sum(one.count * one.bounds.least for one in self.parts)

    @property
    def parts_s(self) -> float:
        return sum(one.count * one.seconds for one in self.parts)

    @property
    def demand(self) -> Demand:
        total = Demand(0, 0, 0)
        for one in self.parts:
            total = total.plus(one.demand.times(one.count))
        return total

    def step(self) -> Placed:
        """The whole step as one operator."""
        assert self.roof is not None
        title = Text(zh="整步", en="the whole step")
        return Placed("step", title, self.demand, self.roof, self.whole)


def roofline(found: Found) -> Result:
    """Measured dots under the memory levels' roofs."""
    groups = {
        Text(zh="矩阵乘", en="matrix products"): [one for one in found.measured if one.name in PRODUCTS],
        Text(zh="注意力", en="attention"): [one for one in found.measured if one.name == "attention"],
        Text(zh="逐元素与归一化", en="elementwise and norms"): [
            one for one in found.measured if one.name not in (*PRODUCTS, "attention")
        ],
        Text(zh="整步", en="the whole step"): [found.step()] if found.whole else [],
    }
    return _scatter(found, list(roof_views.point_series(groups)), _MEASURED)


def growing_roofline(found: Found, levels: list[Level], peak: float) -> Result:
    """The roofs that have been measured so far, and nothing under them yet."""
    span = roof_views.span_of([one.demand.intensity for one in found.parts])
    peaks: dict[str, float] = {found.setting.precision: peak}
    return _roofline(list(roof_views.level_roofs(levels, peaks, span)), _MEASURED)


def preview_roofline(found: Found) -> Result:
    """Where each part could be at best: on the roof, at its intensity."""
    assert found.roof is not None
    points = Series(
        name=Text(zh="各部分最多能到", en="the most that each part can reach"),
        x=array([one.demand.intensity for one in found.parts]),
        y=array([one.demand.flops / one.bounds.least for one in found.parts]),
        labels=[one.title for one in found.parts],
        provenance=_ESTIMATED,
    )
    return _scatter(found, [points], _ESTIMATED)


def _scatter(found: Found, points: list[Series], provenance: Provenance) -> Result:
    assert found.roof is not None
    span = roof_views.span_of([one.demand.intensity for one in found.parts])
    peaks: dict[str, float] = {found.setting.precision: found.roof.peak}
    roofs = list(roof_views.level_roofs(found.levels, peaks, span))
    return _roofline([*roofs, *points], provenance)


def _roofline(series: list[Series], provenance: Provenance) -> Result:
    return roof_views.roofline(
        series,
        title=Text(zh="屋顶线下的各部分", en="The parts under the roofline"),
        source=_COUNTED,
        provenance=provenance,
    )


def metrics(found: Found) -> Iterator[Metric]:
    """Time of a step beside its bound, tokens a second, intensity and ridge; empty where not known yet."""
    setting, timing, known = found.setting, found.whole, found.roof is not None
    tokens = setting.batch * setting.tokens
    least = found.bound_s if known else None
    noisy = timing is not None and timing.noisy
    yield Metric(
        id="step",
        title=Text(
            zh="一步的时间（噪声大）" if noisy else "一步的时间",
            en="Time of a step (noisy)" if noisy else "Time of a step",
        ),
        provenance=_MEASURED if timing else _ESTIMATED,
        unit="s",
        value=timing.median_s if timing else least,
        low=timing.low_s if timing else None,
        high=timing.high_s if timing else None,
        predicted=least if timing else None,
        formula=_SUM,
        better="lower",
        source=method(timing) if timing else _SUM,
        help=Text(
            zh="预测是下界：实测越接近它，剩下能优化的越少；远大于它，时间就花在上限之外的地方。",
            en="The prediction is a lower bound: near it nothing is left to win; far above it, time goes "
            "where "
            "no bound explains it.",
        ),
    )
    yield Metric(
        id="rate",
        title=Text(zh="吞吐", en="Throughput"),
        provenance=_MEASURED if timing else _ESTIMATED,
        unit="token/s",
        value=tokens / timing.median_s if timing else tokens / least if least else None,
        predicted=tokens / least if timing and least else None,
        formula=_SUM,
        better="higher",
        source=_SUM,
    )
    yield Metric(
        id="intensity",
        title=Text(zh="整步的算术强度", en="Intensity of the step"),
        provenance=_ESTIMATED,
        unit="FLOP/B",
        value=found.demand.intensity,
        source=_COUNTED,
        help=Text(
            zh="浮点运算 ÷ 必须搬的字节。批大小 1 的解码接近 2 ÷ 每个权重的字节。",
            en="FLOPs over bytes that must move. Decode of a single sequence is close to 2 over the bytes of "
            "a weight.",
        ),
    )
    yield Metric(
        id="ridge",
        title=Text(zh="本机的拐点", en="This machine's ridge"),
        provenance=_MEASURED,
        unit="FLOP/B",
        value=found.roof.ridge if found.roof is not None else None,
        source=Text(
            zh="计算峰值 ÷ 读内存的带宽，都是实测", en="compute peak over read bandwidth, both measured"
        ),
        help=Text(
            zh="强度低于它：访存是上限；高于它：计算是上限。",
            en="Below it memory is the bound, above it computing.",
        ),
    )


def tables(found: Found) -> Iterator[Table]:
    """How each part does, then what it asks for: in one table a reader would scroll sideways."""
    provenance = _MEASURED if found.measured else _ESTIMATED
    yield Table(
        id="parts",
        title=Text(zh="逐部分：一层一次", en="Part by part: once in a layer"),
        provenance=provenance,
        columns=_time_columns(),
        rows=_time_rows(found),
        source=_COUNTED,
        wide=True,
    )
    yield Table(
        id="demands",
        title=Text(zh="每个部分要做多少", en="What each part asks for"),
        provenance=provenance,
        columns=_demand_columns(),
        rows=_demand_rows(found),
        source=_COUNTED,
        wide=True,
    )


_Rows = list[list[Text | float | int | None]]


def _time_rows(found: Found) -> _Rows:
    """Without times before they are measured."""
    total = found.parts_s if len(found.measured) == len(found.parts) else math.nan
    known = found.roof is not None
    rows: _Rows = []
    for one in found.parts:
        seconds = one.seconds if one.timing else None
        rows.append(
            [
                one.title,
                _verdict(one) if known else None,
                100 * one.count * seconds / total if seconds and not math.isnan(total) else None,
                1e6 * seconds if seconds else None,
                1e6 * one.bounds.least if known else None,
                100 * one.share if seconds else None,
            ]
        )
    return rows


def _demand_rows(found: Found) -> _Rows:
    return [
        [
            one.title,
            one.demand.intensity,
            one.demand.flops / 1e6,
            one.demand.moved_bytes / 2**20,
            one.demand.moved_bytes / one.seconds / 1e9 if one.timing else None,
            one.demand.calls if one.timing else None,
            one.count,
        ]
        for one in found.parts
    ]


def _verdict(one: Placed) -> Text:
    verdict = VERDICTS[one.verdict]
    if one.timing is None or not one.timing.noisy:
        return verdict
    return Text(zh=f"{verdict.zh}（噪声大）", en=f"{verdict.en} (noisy)")


def _time_columns() -> list[Column]:
    return [
        Column(title=Text(zh="部分", en="part")),
        Column(
            title=Text(zh="判断", en="verdict"),
            help=Text(
                zh="三个下界里谁最大就受谁限制；实测超过最大下界 3 倍，就是远离所有上限：内核本身慢。",
                en="What its largest bound is; more than 3 times that bound it is far from all: the kernel "
                "itself is slow.",
            ),
        ),
        Column(title=Text(zh="占一步", en="of a step"), unit="%"),
        Column(title=Text(zh="实测", en="measured"), unit="µs"),
        Column(
            title=Text(zh="下界", en="least"),
            unit="µs",
            provenance=_ESTIMATED,
            help=Text(
                zh="访存、计算、调用开销三个下界里最大的。",
                en="The largest of traffic, computing and overhead.",
            ),
        ),
        Column(
            title=Text(zh="占上限", en="of the bound"),
            unit="%",
            help=Text(
                zh="下界 ÷ 实测。超过 100%：数据其实来自缓存，没有走内存。",
                en="Least over measured. Above 100 %: the data came from a cache, not from memory.",
            ),
        ),
    ]


def _demand_columns() -> list[Column]:
    return [
        Column(title=Text(zh="部分", en="part")),
        Column(title=Text(zh="强度", en="intensity"), unit="FLOP/B", provenance=_ESTIMATED),
        Column(title=Text(zh="运算", en="FLOPs"), unit="MFLOP", provenance=_ESTIMATED),
        Column(title=Text(zh="字节", en="bytes"), unit="MiB", provenance=_ESTIMATED),
        Column(title=Text(zh="带宽", en="traffic"), unit="GB/s"),
        Column(
            title=Text(zh="算子数", en="operators"),
            help=Text(
                zh="一次里框架真正派发了几个干活的 ATen 算子（不算 view 和分配），由 profiler 数出。",
                en="ATen operators that do some work in one call (no views, no allocations), by the "
                "profiler.",
            ),
        ),
        Column(title=Text(zh="每步次数", en="times a step"), provenance=_ESTIMATED),
    ]


def time_bars(found: Found) -> Bars:
    """A step's time by part, over all layers, beside what bounds it."""
    parts, scale = found.parts, 1e3

    def over_layers(seconds: Callable[[Placed], float]) -> Array:
        return array([scale * one.count * seconds(one) for one in parts])

    measured = BarSeries(
        name=Text(zh="实测", en="measured"),
        values=over_layers(lambda one: one.seconds),
        low=over_layers(lambda one: one.timing.low_s if one.timing else math.nan),
        high=over_layers(lambda one: one.timing.high_s if one.timing else math.nan),
        provenance=_MEASURED,
    )
    least = BarSeries(
        name=Text(zh="下界（三者中最大的）", en="least (the largest of three bounds)"),
        values=over_layers(lambda one: one.bounds.least),
        provenance=_ESTIMATED,
    )
    return Bars(
        id="time",
        title=Text(zh="一步的时间花在哪", en="Where the time of a step goes"),
        help=Text(
            zh="每个部分在所有层里合计。下界取访存、计算、调用开销三者中最大的；差距就是还能优化的余地。",
            en="Each part over all layers. The least is the largest of traffic, computing and call overhead; "
            "the gap is what is left to win.",
        ),
        provenance=_MEASURED,
        unit="ms",
        categories=[one.title for one in parts],
        y=Axis(title=Text(zh="时间", en="time"), unit="ms"),
        series=[measured, least],
        source=_COUNTED,
        wide=True,
    )


def next_table(found: Found, steps: Sequence[NextStep], checked: dict[str, Timing]) -> Table:
    """Predicted times after each change, beside what was measured where it could be tried here."""
    before = found.parts_s
    rows: list[list[Text | float | int | None]] = []
    for step in sorted(steps, key=lambda one: -one.gain(before)):
        tried = checked.get(step.name)
        real = None
        if tried is not None and found.whole is not None:
            real = step.work * found.whole.median_s / tried.median_s
        rows.append([step.title, 1e3 * step.seconds, step.gain(before), real])
    return Table(
        id="next",
        title=Text(zh="下一步能换来什么", en="What the next step would buy"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="改动", en="change")),
            Column(title=Text(zh="预计一步", en="predicted step"), unit="ms"),
            Column(
                title=Text(zh="吞吐变为", en="throughput becomes"),
                unit="×",
                help=Text(
                    zh="1 就是白做。批大小翻倍时，一步做两倍的 token。",
                    en="1: it buys nothing. Twice the batch computes twice the tokens a step.",
                ),
            ),
            Column(
                title=Text(zh="实测为", en="measured"),
                unit="×",
                provenance=_MEASURED,
                help=Text(zh="能在这里当场试的才有。", en="Where it could be tried here and now."),
            ),
        ],
        rows=rows,
        source=Text(
            zh="每个部分按改动后的上限重算，占上限的份额不变；部分之和为基准。",
            en="each part by its bound after the change, its share of the bound unchanged, against the sum "
            "of "
            "the parts.",
        ),
        wide=True,
    )
