"""Two thin products against one: from which rank they gain, predicted by the roofs and timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.low_rank import (
    break_even_rank,
    factor_parameters,
    low_rank_seconds,
    parameter_break_even,
    product_seconds,
)
from labs.low_rank.layers import measured_roofs, shape_of
from labs.low_rank.race import METHOD, Racer
from labs.results import Axis, Column, Lines, Mark, Metric, Provenance, Series, Table, array
from labs.roofline.explanation import prose
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.formulas.low_rank import Roofs
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_TOO_FAST = 1.25  # times that a product may beat its roof before the roof is to blame
_ROUNDS = 2
_EIGHTHS = (0.25, 0.5, 1, 2, 3, 4, 5, 6)  # of the smaller side
PARAMETER_FORMULA = Text(zh="n·k ÷ (n + k)：两个因子的数与原矩阵一样多", en="n k / (n + k): as many numbers")
TIME_FORMULA = Text(
    zh="满足 t(x·A) + t(·B) ≤ t(x·W) 的最大秩；每个乘法 = max(算力, 带宽) + 一次空调用，三者实测",
    en="the largest rank with t(x A) + t(B) ≤ t(x W); each product = max(compute, bandwidth) + an empty "
    "call, all three as measured here",
)


def ranks(n: int, k: int) -> list[int]:
    """Multiples of 8 that spread over the smaller side."""
    return sorted({max(8, round(min(n, k) * share / 8 / 8) * 8) for share in _EIGHTHS})


def run_break_even(ctx: Context, *, projection: str, tokens: int, batch: int) -> Iterator[Result]:
    n, k = shape_of(ctx, projection)
    yield parameter_metric(n, k)
    roofs = measured_roofs(ctx)
    racer, rows, tried = Racer(ctx, n, k), (batch, tokens), [0, *ranks(n, k)]
    for turn in range(_ROUNDS):
        for step, rank in enumerate(tried):
            share = (turn + step / len(tried)) / _ROUNDS
            ctx.progress(share, Text(zh=f"秩 {rank or '满'}", en=f"rank {rank or 'full'}"))
            for m in rows:
                racer.time(m, rank)
            if step:
                yield speedups(racer, rows, roofs)
    yield table(racer, rows, roofs)
    yield from figures(racer, rows, roofs)
    yield explanation(racer, rows, roofs)


def parameter_metric(n: int, k: int) -> Metric:
    return Metric(
        id="parameter_break_even",
        title=Text(zh="参数打平的秩", en="Rank with as many parameters"),
        provenance=_ESTIMATED,
        value=parameter_break_even(n, k),
        formula=PARAMETER_FORMULA,
        help=Text(
            zh="秩比它小，两个因子才比原矩阵小；FLOP 的平衡点也在这里。",
            en="Only below it are two factors smaller than the matrix; FLOPs break even here too.",
        ),
    )


def phase(m: int, rows: tuple[int, int]) -> Text:
    decode = m == rows[0]
    return Text(
        zh=f"{'解码' if decode else '预填充'} m = {m}", en=f"{'decode' if decode else 'prefill'}, m = {m}"
    )


def done_ranks(racer: Racer, m: int) -> list[int]:
    return sorted(rank for rows, rank in racer.times if rows == m and rank)


def gain(racer: Racer, m: int, rank: int) -> float:
    return racer.seconds(m) / racer.seconds(m, rank)


def predicted_gain(racer: Racer, m: int, rank: int, roofs: Roofs) -> float:
    n, k = racer.n, racer.k
    return product_seconds(m, n, k, roofs) / low_rank_seconds(m, n, k, rank, roofs)


def speedups(racer: Racer, rows: tuple[int, int], roofs: Roofs) -> Lines:
    """Above one, two thin products win."""
    shown = ranks(racer.n, racer.k)
    series = [
        Series(
            name=Text(zh="满秩", en="full product"),
            x=array([shown[0], shown[-1]]),
            y=array([1.0, 1.0]),
            reference=True,
        )
    ]
    for m in dict.fromkeys(rows):
        name, found = phase(m, rows), done_ranks(racer, m)
        series.append(
            Series(
                name=Text(zh=f"{name.zh}，实测", en=f"{name.en}, measured"),
                x=array(found),
                y=array([gain(racer, m, rank) for rank in found]),
            )
        )
        series.append(
            Series(
                name=Text(zh=f"{name.zh}，预测", en=f"{name.en}, predicted"),
                x=array(shown),
                y=array([predicted_gain(racer, m, rank, roofs) for rank in shown]),
                provenance=_ESTIMATED,
                reference=True,
            )
        )
    return Lines(
        id="speedups",
        title=Text(
            zh=f"两个细长乘法相对一个 {racer.n} × {racer.k}",
            en=f"Two thin products against {racer.n} × {racer.k}",
        ),
        provenance=_MEASURED,
        unit="×",
        x=Axis(title=Text(zh="秩 r", en="rank r")),
        y=Axis(title=Text(zh="加速", en="speed-up"), unit="×", log=True),
        series=series,
        marks=[
            Mark(x=parameter_break_even(racer.n, racer.k), name=Text(zh="参数打平", en="as many parameters"))
        ],
        source=METHOD,
        wide=True,
    )


def crossing(racer: Racer, m: int) -> float:
    """The rank at which the measured speed-up falls through one; 0 where nothing gains, the largest tried
    where everything does."""
    points = [(rank, gain(racer, m, rank)) for rank in done_ranks(racer, m)]
    winning = [index for index, (_, value) in enumerate(points) if value >= 1]
    if not winning:
        return 0.0
    last = winning[-1]
    if last == len(points) - 1:
        return float(points[-1][0])
    (low, above), (high, below) = points[last], points[last + 1]
    return low + (high - low) * (above - 1) / (above - below)


def figures(racer: Racer, rows: tuple[int, int], roofs: Roofs) -> Iterator[Metric]:
    for name, m in zip(("decode", "prefill"), rows, strict=True):
        where = phase(m, rows)
        yield Metric(
            id=f"break_even_{name}",
            title=Text(zh=f"平衡秩，{where.zh}", en=f"Break-even, {where.en}"),
            provenance=_MEASURED,
            value=crossing(racer, m),
            predicted=break_even_rank(m, racer.n, racer.k, roofs),
            formula=TIME_FORMULA,
            help=Text(
                zh="实测加速跌破 1 的秩（两个试过的秩之间线性内插）；0：试过的最小的秩也不赢。",
                en="Where the measured speed-up falls below 1, interpolated between ranks tried; 0: not even "
                "the smallest gained.",
            ),
            source=METHOD,
        )


def table(racer: Racer, rows: tuple[int, int], roofs: Roofs) -> Table:
    cells: list[list[Text | float | int | None]] = []
    for m in dict.fromkeys(rows):
        for rank in [0, *done_ranks(racer, m)]:
            predicted = (
                low_rank_seconds(m, racer.n, racer.k, rank, roofs)
                if rank
                else product_seconds(m, racer.n, racer.k, roofs)
            )
            share = factor_parameters(racer.n, racer.k, rank) / (racer.n * racer.k) if rank else 1.0
            measured = racer.seconds(m, rank)
            cells.append(
                [
                    phase(m, rows),
                    rank or Text(zh="满", en="full"),
                    100 * share,
                    1e6 * measured,
                    1e6 * predicted,
                    100 * (predicted / measured - 1),
                    racer.seconds(m) / measured,
                    racer.times[m, rank].noise,
                ]
            )
    return Table(
        id="times",
        title=Text(zh="每个秩", en="Each rank"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="阶段", en="phase")),
            Column(title=Text(zh="秩", en="rank")),
            Column(title=Text(zh="参数", en="parameters"), unit="%", provenance=_ESTIMATED),
            Column(title=Text(zh="时间", en="time"), unit="µs"),
            Column(title=Text(zh="预测", en="predicted"), unit="µs", provenance=_ESTIMATED),
            Column(title=Text(zh="偏差", en="error"), unit="%", provenance=_ESTIMATED),
            Column(title=Text(zh="加速", en="speed-up"), unit="×"),
            Column(title=Text(zh="噪声", en="noise")),
        ],
        rows=cells,
        source=METHOD,
        wide=True,
    )


def explanation(racer: Racer, rows: tuple[int, int], roofs: Roofs) -> Result:
    n, k, (m, more) = racer.n, racer.k, rows
    half = min(ranks(n, k), key=lambda rank: abs(factor_parameters(n, k, rank) / (n * k) - 0.5))
    share = factor_parameters(n, k, half) / (n * k)
    call, full = roofs.call_s * 1e6, racer.seconds(m) * 1e6
    parts = [
        Text(
            zh=f"**参数少不等于快。** 秩 {half} 只剩 {share:.0%} 的参数与 FLOP，理想加速 {1 / share:.2f} 倍；"
            f"实测解码 {gain(racer, m, half):.2f} 倍，预填充 {gain(racer, more, half):.2f} 倍。",
            en=f"**Fewer parameters are not yet faster.** Rank {half} leaves {share:.0%} of parameters "
            "and FLOPs, "
            f"worth {1 / share:.2f} times at best; measured: {gain(racer, m, half):.2f} times in decode, "
            f"{gain(racer, more, half):.2f} in prefill.",
        ),
        Text(
            zh=f"**差在哪里。** 一次乘法变两次：多一次调用（空调用 {call:.1f} µs，满秩解码一次 {full:.0f} "
            "µs），"
            "中间的 x·A 写出又读回，瘦矩阵还填不满计算单元，离峰值更远。矩阵越小，前两项占比越大。",
            en="**Where it goes.** One product becomes two: one call more "
            f"(an empty one takes {call:.1f} µs, the full product in decode {full:.0f} µs), x A is "
            "written and "
            "read again, and a thin matrix fills the units worse. The smaller the matrix, the more these "
            "weigh.",
        ),
        Text(
            zh=f"**平衡秩。** 按参数是 {parameter_break_even(n, k):.0f}；按本机的屋顶，解码 "
            f"{break_even_rank(m, n, k, roofs)}、预填充 {break_even_rank(more, n, k, roofs)}；实测 "
            f"{crossing(racer, m):.0f} 与 {crossing(racer, more):.0f}。",
            en=f"**Break-even.** By parameters {parameter_break_even(n, k):.0f}; by this machine's roofs "
            f"{break_even_rank(m, n, k, roofs)} in decode and {break_even_rank(more, n, k, roofs)} in "
            "prefill; "
            f"measured {crossing(racer, m):.0f} and {crossing(racer, more):.0f}.",
        ),
    ]
    parts.extend(_faster_than_roofs(racer, rows, roofs))
    if warning := noise_warning(list(racer.times.values())):
        parts.append(warning)
    return prose(parts)


def _faster_than_roofs(racer: Racer, rows: tuple[int, int], roofs: Roofs) -> Iterator[Text]:
    """Where the full product itself is faster than predicted, all predictions are too long."""
    for m in dict.fromkeys(rows):
        predicted, found = product_seconds(m, racer.n, racer.k, roofs), racer.seconds(m)
        if predicted > _TOO_FAST * found:
            name = phase(m, rows)
            yield Text(
                zh=f"**比屋顶还快。** {name.zh} 的满秩乘法比按屋顶算的快 {predicted / found:.1f} 倍：量屋顶时"
                "机器更忙，或者权重有一部分留在缓存里。预测的时间因此都偏长；屋顶每个会话只量一次，重开应用再"
                "量。",
                en=f"**Faster than its roof.** The full product in {name.en} is "
                f"{predicted / found:.1f} times as fast as the roofs say: the machine was busier when "
                "they were measured, or a part of the weights stayed in a cache. All predicted times are "
                "too long then; roofs are measured once a session: start the app again.",
            )
