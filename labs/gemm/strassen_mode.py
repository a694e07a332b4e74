"""Strassen against one product: predicted from this machine's two rates, timed, and its error measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from labs.formulas.gemm import strassen_break_even, strassen_error, strassen_flops, strassen_seconds
from labs.gemm.strassen import Count, strassen
from labs.results import Axis, Column, Lines, Markdown, Metric, Provenance, Series, Table, array
from labs.simulator.hardware import device
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_SMALLEST, _SMALLEST_LEAF = 256, 64
_BUDGET_S = 0.1
_ROUNDS = 3
_ULP = 2.0**-24
ELEMENT_BYTES = 4
METHOD = Text(
    zh="递归到第几层为止，其下用 torch 的乘法；各层交错三轮，取最快一轮的 20% 分位",
    en="so many levels of recursion over torch's product; the 20th percentile of the fastest of three "
    "rounds, interleaved",
)


@dataclass
class Race:
    """Everything timed; ``bandwidth`` of sums (reads and writes), ``product_s`` of products by size."""

    size: int
    levels: int
    bandwidth: dict[int, float] = field(default_factory=dict)
    times: dict[tuple[int, int], Timing] = field(default_factory=dict)
    errors: dict[tuple[int, int], float] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        first = int(math.log2(_SMALLEST))
        return [2**power for power in range(first, int(math.log2(self.size)) + 1)]

    def seconds(self, size: int, levels: int) -> float:
        timing = self.times.get((size, levels))
        return timing.low_s if timing else math.nan

    def predicted(self, size: int, levels: int) -> float:
        """From the leaf's product as timed, and sums at the bandwidth measured on blocks of half the size."""
        leaf = self.seconds(size >> levels, 0)
        return strassen_seconds(size, leaf, levels, self.bandwidth.get(size // 2, math.nan), ELEMENT_BYTES)


def run_strassen(ctx: Context, *, size: int, levels: int) -> Iterator[Result]:
    """Sizes upwards: what a level needs of the products below it has been timed by then."""
    race = Race(size, levels)
    ctx.reserve(12 * ELEMENT_BYTES * size * size, Text(zh="矩阵与各层的和", en="the matrices and sums"))
    generator = torch.Generator().manual_seed(ctx.seed)
    count = Count()
    for n in (_SMALLEST_LEAF, 2 * _SMALLEST_LEAF):
        _time(ctx, race, n, 0, *_operands(n, ctx.device, generator))
    for index, n in enumerate(race.sizes):
        ctx.progress(index / len(race.sizes), same(f"{n} × {n}"))
        a, b = _operands(n, ctx.device, generator)
        exact = a.double() @ b.double()
        race.bandwidth[n // 2] = _sum_bandwidth(ctx, a, b)
        depths = [deep for deep in range(levels + 1) if n >> deep >= _SMALLEST_LEAF]
        for deep in depths:
            counted = Count()
            race.errors[n, deep] = _error(strassen(a, b, deep, counted), exact, a, b)
            if (n, deep) == (size, levels):
                count = counted
        for _ in range(_ROUNDS):  # interleaved, so that a neighbour's burst does not hit one depth alone
            for deep in depths:
                _time(ctx, race, n, deep, a, b)
        yield speedups(race)
        yield table(race)
    yield from figures(race, count)
    yield errors(race)
    yield elsewhere(race)
    yield explanation(race)


def _operands(n: int, where: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    a, b = (torch.rand(n, n, generator=generator).mul_(2).sub_(1).to(where) for _ in range(2))
    return a, b


def _sum_bandwidth(ctx: Context, a: Tensor, b: Tensor) -> float:
    """Bytes/s of a sum as the recursion has it: quarters of its operands, into memory that is new."""
    half = len(a) // 2
    timing = ctx.measure(lambda: a[:half, :half] + b[half:, half:], budget_s=0.1)
    return 3 * a.element_size() * half * half / timing.low_s


def _time(ctx: Context, race: Race, n: int, deep: int, a: Tensor, b: Tensor) -> None:
    """Keeps the faster of the rounds."""
    timing = ctx.measure(lambda: strassen(a, b, deep), budget_s=_BUDGET_S)
    old = race.times.get((n, deep))
    if old is None or timing.low_s < old.low_s:
        race.times[n, deep] = timing


def _error(out: Tensor, exact: Tensor, a: Tensor, b: Tensor) -> float:
    """Largest error in units of ``u max|A| max|B|``."""
    return float((out - exact).abs().max()) / (_ULP * float(a.abs().max()) * float(b.abs().max()))


def speedups(race: Race) -> Lines:
    """Above one, Strassen gains; dashed what the two rates predict."""
    sizes = race.sizes
    series = [
        Series(
            name=Text(zh="直接乘", en="one product"),
            x=array(sizes),
            y=array([1.0] * len(sizes)),
            reference=True,
        )
    ]
    for deep in range(1, race.levels + 1):
        shown = [n for n in sizes if (n, deep) in race.times]
        if not shown:
            continue
        series.append(
            Series(
                name=Text(zh=f"{deep} 层，实测", en=f"{deep} level{'s' * (deep > 1)}, measured"),
                x=array(shown),
                y=array([race.seconds(n, 0) / race.seconds(n, deep) for n in shown]),
            )
        )
        series.append(
            Series(
                name=Text(zh=f"{deep} 层，预测", en=f"{deep} level{'s' * (deep > 1)}, predicted"),
                x=array(shown),
                y=array([race.seconds(n, 0) / race.predicted(n, deep) for n in shown]),
                provenance=_ESTIMATED,
                reference=True,
            )
        )
    return Lines(
        id="speedups",
        title=Text(zh="Strassen 相对直接乘", en="Strassen against one product"),
        provenance=_MEASURED,
        unit="×",
        x=Axis(title=Text(zh="边长 n", en="size n"), log=True),
        y=Axis(title=Text(zh="加速", en="speed-up"), unit="×"),
        series=series,
        source=METHOD,
    )


def figures(race: Race, count: Count) -> Iterator[Metric]:
    n, deep = race.size, race.levels
    yield Metric(
        id="strassen_flops",
        title=Text(zh=f"{n} 阶、{deep} 层的 FLOP", en=f"FLOPs at n = {n}, {deep} levels"),
        provenance=_MEASURED,
        unit="FLOP",
        value=float(count.flops),
        predicted=strassen_flops(n, deep),
        formula=FLOPS_FORMULA,
        source=Text(zh="递归里逐次计数", en="counted in the recursion"),
    )
    yield Metric(
        id="strassen_gain",
        title=Text(zh=f"n = {n}，一层的加速", en=f"Speed-up of one level at n = {n}"),
        provenance=_MEASURED,
        unit="×",
        value=race.seconds(n, 0) / race.seconds(n, 1),
        predicted=race.seconds(n, 0) / race.predicted(n, 1),
        formula=Text(
            zh="7 个半边长的乘法（实测）+ 18 次加法 ÷ 加法的实测带宽",
            en="7 products of half the size (as timed) + 18 sums at their measured bandwidth",
        ),
        better="higher",
        source=METHOD,
    )
    yield Metric(
        id="break_even",
        title=Text(zh="预测的盈亏平衡边长", en="Predicted break-even size"),
        provenance=_ESTIMATED,
        value=break_even(race),
        formula=Text(zh="54 × 每数字节 × 峰值 ÷ 带宽", en="54 × bytes a number × peak / bandwidth"),
        help=Text(
            zh="一层省八分之一的乘法，付 18 次加法。峰值取最大边长的直接乘，带宽取该大小的加法。",
            en="A level saves an eighth of the products and pays 18 sums. The peak is that of the largest "
            "product, the bandwidth that of sums of such blocks.",
        ),
    )


FLOPS_FORMULA = Text(
    zh="7^层数 × 2 × (n/2^层数)³ + 各层 18 次加法", en="7^levels × 2 × (n/2^levels)³ + 18 sums a level"
)


def rate(race: Race) -> float:
    """FLOP/s of the largest plain product."""
    return 2.0 * race.size**3 / race.seconds(race.size, 0)


def break_even(race: Race) -> float:
    return strassen_break_even(rate(race), race.bandwidth[race.size // 2], ELEMENT_BYTES)


def errors(race: Race) -> Lines:
    """Measured, and the bounds that hold for any matrix."""
    shown = range(race.levels + 1)
    kept = [deep for deep in shown if (race.size, deep) in race.errors]
    return Lines(
        id="errors",
        title=Text(zh=f"误差随层数增长（n = {race.size}）", en=f"Error against levels (n = {race.size})"),
        provenance=_MEASURED,
        x=Axis(title=Text(zh="层数", en="levels")),
        y=Axis(
            title=Text(zh="最大误差 ÷ (u·max|A|·max|B|)", en="largest error / (u max|A| max|B|)"), log=True
        ),
        series=[
            Series(
                name=Text(zh="实测", en="measured"),
                x=array(kept),
                y=array([race.errors[race.size, deep] for deep in kept]),
            ),
            Series(
                name=Text(zh="Higham 的上界", en="Higham's bound"),
                x=array(kept),
                y=array([strassen_error(race.size, deep) for deep in kept]),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        source=Text(
            zh="对照双精度乘法；上界：Higham，Accuracy and Stability of Numerical Algorithms，第 2 版，定理 "
            "23.2",
            en="against a product in double precision; bound: Higham, Accuracy and Stability of Numerical "
            "Algorithms, 2nd ed., theorem 23.2",
        ),
    )


def table(race: Race) -> Table:
    """A row a size and depth."""
    rows: list[list[Text | float | int | None]] = []
    for n, deep in sorted(race.times):
        if n not in race.sizes:
            continue
        predicted = race.predicted(n, deep) if deep else math.nan
        rows.append(
            [
                n,
                deep,
                1e3 * race.seconds(n, deep),
                None if math.isnan(predicted) else 1e3 * predicted,
                None if math.isnan(predicted) else 100 * (predicted / race.seconds(n, deep) - 1),
                strassen_flops(n, deep) / (2 * n**3) * 100,
                race.errors[n, deep],
                race.times[n, deep].noise,
            ]
        )
    return Table(
        id="strassen_times",
        title=Text(zh="每个边长与层数", en="Each size and depth"),
        provenance=_MEASURED,
        columns=[
            Column(title=same("n")),
            Column(title=Text(zh="层数", en="levels")),
            Column(title=Text(zh="时间", en="time"), unit="ms"),
            Column(title=Text(zh="预测", en="predicted"), unit="ms", provenance=_ESTIMATED),
            Column(title=Text(zh="偏差", en="error"), unit="%", provenance=_ESTIMATED),
            Column(title=Text(zh="FLOP，占直接乘", en="FLOPs of one product's"), unit="%"),
            Column(title=Text(zh="最大误差", en="largest error"), help=_ERROR_UNIT),
            Column(title=Text(zh="噪声", en="noise")),
        ],
        rows=rows,
        source=METHOD,
        wide=True,
    )


_ERROR_UNIT = Text(
    zh="以 u·max|A|·max|B| 为单位，u = 2⁻²⁴，对照双精度。",
    en="In units of u·max|A|·max|B|, u = 2^-24, against double precision.",
)


def elsewhere(race: Race) -> Table:
    """The same formula with other devices' published figures."""
    rows: list[list[Text | float | int | None]] = [
        [
            Text(zh="本机，FP32（实测）", en="this machine, FP32 (measured)"),
            rate(race) / 1e12,
            race.bandwidth[race.size // 2] / 1e9,
            break_even(race),
        ]
    ]
    for name, element in (("a100-80gb-sxm", 2), ("h100-sxm", 2), ("b200-sxm", 2)):
        gpu = device(name)
        peak, bandwidth = gpu.peak("bf16"), gpu.memory_bandwidth
        size = strassen_break_even(peak, bandwidth, element)
        rows.append([same(f"{gpu.title}, BF16"), peak / 1e12, bandwidth / 1e9, size])
    return Table(
        id="elsewhere",
        title=Text(zh="换一台设备，从多大起才划算", en="From which size on other devices"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="设备", en="device")),
            Column(
                title=Text(zh="稠密峰值", en="dense peak"), unit="TFLOP/s", provenance=Provenance.REPORTED
            ),
            Column(title=Text(zh="带宽", en="bandwidth"), unit="GB/s", provenance=Provenance.REPORTED),
            Column(title=Text(zh="盈亏平衡的 n", en="break-even n")),
        ],
        rows=rows,
        source=Text(
            zh="54 × 每数字节 × 峰值 ÷ 带宽；峰值与带宽来自数据表，见 labs/simulator/hardware.toml",
            en="54 × bytes a number × peak / bandwidth; published figures: labs/simulator/hardware.toml",
        ),
    )


def explanation(race: Race) -> Markdown:
    n, flat = race.size, race.seconds(race.size, 0)
    best = max(range(1, race.levels + 1), key=lambda deep: flat / race.seconds(n, deep))
    gain, saved = flat / race.seconds(n, best), 1 - strassen_flops(n, best) / (2 * n**3)
    grown = race.errors[n, best] / race.errors[n, 0]
    won = gain > 1
    h100 = device("h100-sxm")
    far = strassen_break_even(h100.peak("bf16"), h100.memory_bandwidth, 2)
    body = Text(
        zh=f"**少算 {saved:.0%}，速度{'是' if won else '却只有'} {gain:.2f} 倍。** n = {n} 时最好的是 "
        f"{best} 层，{'赢了' if won else '没赢'}：省的是乘法，付的是受带宽限制的加法，而乘法每字节的活多"
        f"、跑得近峰值。两条速率预测的平衡点是 n ≈ "
        f"{break_even(race):,.0f}。\n\n**误差。** {best} 层时最大误差是直接乘的 "
        f"{grown:.1f} 倍，每层都再放大一些；低精度本来就没有几位可丢。\n\n**为什么推理库不用。** 同一公式放"
        f"到 H100 的 BF16 上，平衡点是 n ≈ {far:,.0f}，三边都要这么大；解码时 m 只有批大小。",
        en=f"**{saved:.0%} fewer FLOPs, {gain:.2f} times as fast.** At n = {n} the best is {best} "
        f"level{'s' * (best > 1)}: {'a gain' if won else 'no gain'}. What is saved are products, and what is "
        "paid are sums bound by bandwidth, while products do much work a byte and run near the peak. The two "
        f"rates predict a break-even of n = {break_even(race):,.0f}.\n\n**Error.** With {best} "
        f"level{'s' * (best > 1)} the largest error is {grown:.1f} times that of one product, and each level "
        "adds to it; low precision has no bits to spare.\n\n**Why inference libraries do without.** On an "
        f"H100 in BF16 the same formula gives n = {far:,.0f}, for all three sides; in decode m is no more "
        "than the batch.",
    )
    if gain > 1.05 / (1 - saved) or race.times[n, 0].noisy:
        body = Text(
            zh=f"{body.zh}\n\n**有噪声。** 计时时机器另有负载，别从这次的快慢下结论：省下的 FLOP 至多换来 "
            f"{1 / (1 - saved):.2f} 倍。",
            en=f"{body.en}\n\n**Noise.** The machine was busy meanwhile: do not conclude from these times. "
            f"The FLOPs saved are worth {1 / (1 - saved):.2f} times at most.",
        )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=body,
        wide=True,
    )
