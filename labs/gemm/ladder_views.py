"""What the ladder shows: ceilings, rates beside their bounds, what each rung mended, the reasons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.memory import arithmetic_intensity, ridge_point
from labs.gemm.ceilings import caches
from labs.gemm.rungs import LINE_BYTES, RUNGS, misses
from labs.results import Axis, Bars, BarSeries, Column, Markdown, Metric, Provenance, Table, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.gemm.ladder import Ladder, Timed, Way

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_GIGA = 1e9
_UNIT = "GFLOP/s"
_FAILED = Text(zh="与 torch 的结果不符，不显示速度", en="not what torch computes: no speed is shown")
METHOD = Text(
    zh="预热后的中位数，三轮取快者，每轮 0.1 到 0.5 s；慢的级只算 C 的前几行，一次仍超过 0.25 s 的只测一轮；"
    "触须是 20% 与 80% 分位；C 先填 NaN，与 torch 的结果相符才计时",
    en="median after warming up, the fastest of three rounds of 0.1 to 0.5 s; of slow rungs only the first "
    "rows of C, and one round where a call takes over 0.25 s even so; whiskers from the 20th to the 80th "
    "percentile; C is filled with NaN first, and only what agrees with torch is timed",
)
BOUND = Text(
    zh="内层循环的指令（实测的乘加与 L1 速率）、各级缓存缺失的搬运、把 A、B、C 读一遍与打包（公式 × 实测带宽"
    "），取最慢的",
    en="the slowest of the inner loop's instructions (measured rates of multiply-adds and of L1), fetching "
    "what each cache misses, and reading A, B, C once with packing (formulas, measured bandwidths)",
)


def ceilings(ladder: Ladder) -> Iterator[Metric]:
    """The machine's peak: chains of vector multiply-adds that touch no memory."""
    found = ladder.ceilings
    assert found is not None
    for identity, value, count in (("peak", found.peak, 1), ("peak_all", found.peak_all, found.threads)):
        if count == 1 and identity == "peak_all":
            continue
        yield Metric(
            id=identity,
            title=Text(zh=f"峰值，{count} 线程", en=f"Peak, {count} thread{'s' * (count > 1)}"),
            provenance=_MEASURED,
            unit="FLOP/s",
            value=value,
            help=Text(
                zh=f"12 条互不相关的向量乘加链，每条 {found.lanes} 个 fp32，全在寄存器里。没有东西能更快。",
                en=f"Twelve chains of vector multiply-adds, {found.lanes} fp32 numbers each, all in "
                "registers. Nothing can be faster.",
            ),
            source=Text(zh="原生 FMA 循环，取最快的五分之一", en="a native loop of FMAs, the fastest fifth"),
        )


def rates(ladder: Ladder, every: list[Way]) -> Bars:
    """Grows rung by rung."""
    done: list[Timed | None] = [*ladder.timed, *([None] * (len(every) - len(ladder.timed)))]
    failed = {i: _FAILED for i, one in enumerate(done) if one and one.timing is None}

    def values(of: str) -> list[float]:
        pick = {"rate": _rate, "low": _low, "high": _high, "bound": ladder.bound}[of]
        return [math.nan if one is None else pick(one) / _GIGA for one in done]

    return Bars(
        id="rates",
        title=Text(zh="一级一级爬上去", en="Rung by rung"),
        provenance=_MEASURED,
        unit=_UNIT,
        categories=[way.name for way in every],
        series=[
            BarSeries(
                name=Text(zh="实测", en="measured"),
                values=array(values("rate")),
                low=array(values("low")),
                high=array(values("high")),
            ),
            *(
                [
                    BarSeries(
                        name=Text(zh="至多（公式）", en="at best (formula)"),
                        values=array(values("bound")),
                        provenance=_ESTIMATED,
                    )
                ]
                if ladder.ceilings
                else []
            ),
        ],
        y=Axis(title=Text(zh="速度", en="rate"), unit=_UNIT),
        missing=failed,
        source=METHOD,
        wide=True,
    )


def figures(ladder: Ladder) -> Iterator[Metric]:
    """Top against bottom, threads against one, our best against torch's."""
    rungs = [one for one in ladder.timed if one.way.rung is not None and one.timing]
    peers = [one for one in ladder.timed if one.way.rung is None and one.timing]
    if rungs:
        yield Metric(
            id="climb",
            title=Text(zh="最高一级 ÷ 最低一级", en="Top rung / bottom rung"),
            provenance=_MEASURED,
            unit="×",
            value=rungs[-1].rate / rungs[0].rate,
        )
        yield Metric(
            id="peer",
            title=Text(zh="最高一级 ÷ torch（同线程数）", en="Top rung / torch (as many threads)"),
            provenance=_MEASURED,
            unit="×",
            value=rungs[-1].rate / peers[-1].rate,
            better="higher",
        )
    if ladder.threads > 1:
        one, many = (rungs[-2], rungs[-1]) if len(rungs) > 1 else (peers[-2], peers[-1])
        yield Metric(
            id="thread_gain",
            title=Text(zh="多线程 ÷ 单线程", en="All threads / one"),
            provenance=_MEASURED,
            unit="×",
            value=many.rate / one.rate,
            predicted=ladder.threads,
            formula=Text(zh="线程数：算力成倍，缓存各用各的", en="the number of threads: compute scales"),
            better="higher",
        )


def table(ladder: Ladder) -> Table:
    """A row a way: rate, share, bound, misses, check."""
    return Table(
        id="rungs",
        title=Text(zh="每一级修好了什么", en="What each rung mends"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="级", en="rung")),
            Column(title=Text(zh="速度", en="rate"), unit=_UNIT),
            Column(title=Text(zh="比上一级", en="on the last"), unit="×"),
            Column(
                title=Text(zh="占峰值", en="of the peak"),
                unit="%",
                help=Text(
                    zh="同线程数下的实测峰值：FMA 循环或最快的乘法，取高者。",
                    en="Of the measured peak with as many threads: the loop of FMAs or the fastest product.",
                ),
            ),
            Column(title=Text(zh="至多", en="at best"), unit=_UNIT, provenance=_ESTIMATED, help=BOUND),
            Column(
                title=Text(zh="公式偏差", en="error of that"),
                unit="%",
                help=Text(
                    zh="（至多 − 实测）÷ 实测。大的偏差说明慢在公式没数的地方：组冲突、TLB、预取跟不上。",
                    en="(at best - measured) / measured. A large one: what the formula does not count is "
                    "slow, as set conflicts, the TLB, or prefetching that cannot follow.",
                ),
            ),
            _miss_column(1),
            _miss_column(2),
            Column(
                title=Text(zh="与 torch 之差", en="off torch"),
                help=Text(
                    zh="以 u·k·max|A|·max|B| 为单位，u = 2⁻²⁴；超过 1 就不计时。",
                    en="In units of u·k·max|A|·max|B|, u = 2^-24; above 1 nothing is timed.",
                ),
            ),
            Column(
                title=Text(zh="计时的行", en="rows timed"),
                help=Text(
                    zh="慢的几级只算 C 的前几行：它们的时间与行数成正比。",
                    en="Of slow rungs only the first rows of C: their time is proportional to them.",
                ),
            ),
            Column(title=Text(zh="噪声", en="noise")),
            Column(title=Text(zh="修好了什么", en="what it mends")),
        ],
        rows=[_row(ladder, i) for i in range(len(ladder.timed))],
        source=METHOD,
        wide=True,
    )


def _miss_column(level: int) -> Column:
    size = caches()[level].size_bytes // 1024 if level in caches() else 0
    return Column(
        title=Text(zh=f"L{level} 未命中", en=f"missing L{level}"),
        unit="MB",
        provenance=_ESTIMATED,
        help=Text(
            zh=f"从 L{level}（{size} KiB）之外取来的字节：公式按整行、LRU、全相联估计，乘以 {LINE_BYTES} B。",
            en=f"Bytes from beyond L{level} ({size} KiB): whole lines of {LINE_BYTES} B, by formula for an "
            "LRU cache without sets.",
        ),
    )


def _row(ladder: Ladder, index: int) -> list[Text | float | int | None]:
    one = ladder.timed[index]
    before = ladder.timed[index - 1] if index and one.way.rung is not None else None
    bound = ladder.bound(one)
    return [
        one.way.name,
        _shown(one.rate / _GIGA),
        _shown(one.rate / before.rate) if before else None,
        _shown(100 * one.rate / ladder.peak(one.way.threads)) if one.timing else None,
        _shown(bound / _GIGA),
        _shown(100 * (bound / one.rate - 1)),
        _missing(ladder, one, 1),
        _missing(ladder, one, 2),
        one.difference,
        one.rows,
        one.timing.noise if one.timing else None,
        one.way.mends if one.timing else _FAILED,
    ]


def _missing(ladder: Ladder, one: Timed, level: int) -> float | None:
    if one.way.rung is None or level not in caches():
        return None
    found = misses(
        RUNGS[one.way.rung], ladder.m, ladder.n, ladder.k, ladder.blocks.tile, caches()[level].size_bytes
    )
    return None if found is None else found.lines * LINE_BYTES / 1e6


def explanation(ladder: Ladder) -> Markdown:
    """In the run's own figures."""
    body = _told(ladder) if ladder.ceilings else _without_compiler(ladder)
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=body,
        wide=True,
    )


def _told(ladder: Ladder) -> Text:
    rate = {one.way.rung: one.rate / _GIGA for one in ladder.timed if one.timing}
    found, count = ladder.ceilings, ladder.threads
    assert found is not None
    single = next(one for one in ladder.timed if one.way.rung is None)
    steps = {index: rate.get(index, math.nan) for index in range(len(RUNGS))}
    tiles = steps[3] / steps[2]
    verdict = _tiles_verdict(tiles)
    share = steps[5] / (ladder.peak(1) / _GIGA)
    zh = (
        f"**同一组乘加，速度差 {max(rate.values()) / steps[0]:.0f} 倍。** {ladder.m}×{ladder.n}×{ladder.k}："
        f"朴素 {steps[0]:.2f} GFLOP/s；换循环序 ×{steps[1] / steps[0]:.1f}；向量指令再 "
        f"×{steps[2] / steps[1]:.1f}（一条指令 {found.lanes} 个数）；缓存分块 ×{tiles:.2f}：{verdict.zh}；寄"
        f"存器分块 ×{steps[4] / steps[3]:.1f}：前几级每次乘加要两读一写，L1 的端口先满，C 留在寄存器后才轮到"
        f"乘加单元当瓶颈；打包 ×{steps[5] / steps[4]:.2f}。\n\n**离峰值还有多远。** 单线程到峰值的 "
        f"{share:.0%}，torch 单线程是它的 {single.rate / _GIGA / steps[5]:.2f} 倍。"
    )
    en = (
        f"**The same multiply-adds, {max(rate.values()) / steps[0]:.0f} times apart.** {ladder.m} × "
        f"{ladder.n} × {ladder.k}: naive {steps[0]:.2f} GFLOP/s; another loop order "
        f"×{steps[1] / steps[0]:.1f}; vector instructions ×{steps[2] / steps[1]:.1f} ({found.lanes} numbers "
        f"each); cache tiles ×{tiles:.2f}: {verdict.en}; register tiles ×{steps[4] / steps[3]:.1f}: before, "
        "each multiply-add took two loads and a store, and the ports of L1 were the bound; with C in "
        f"registers the multiply-add units are; packing ×{steps[5] / steps[4]:.2f}.\n\n**How far from the "
        f"peak.** One thread reaches {share:.0%} of it, and torch's thread is "
        f"{single.rate / _GIGA / steps[5]:.2f} times as fast."
    )
    if count > 1:
        zh += f" {count} 线程得到 ×{steps[6] / steps[5]:.2f}。"
        en += f" {count} threads give ×{steps[6] / steps[5]:.2f}."
    if few := _bandwidth_bound(ladder):
        zh, en = f"{zh}\n\n{few.zh}", f"{en}\n\n{few.en}"
    if count > 1 and ladder.peak(count) < ladder.peak(1):
        zh += (
            f"\n\n**峰值量低了。** {count} 线程的峰值还不如 1 线程：量的时候别的程序占着核，{count} 线程的"
            "“至多”也跟着偏低。等机器闲下来再运行。"
        )
        en += (
            f"\n\n**A peak measured too low.** That of {count} threads is below that of one: other programs "
            f"held the cores, and what {count} threads can do at most came out too low as well. Run again "
            "when the machine is quiet."
        )
    noisy = [one.way.name for one in ladder.timed if one.timing and one.timing.noisy]
    if noisy:
        zh += f"\n\n**有噪声。** {'、'.join(name.zh for name in noisy)}的样本彼此相差很大，别从小差别下结论。"
        en += (
            f"\n\n**Noise.** Samples of {', '.join(name.en for name in noisy)} differ widely: do not "
            "conclude from small differences."
        )
    return Text(zh=zh, en=en)


def _bandwidth_bound(ladder: Ladder) -> Text | None:
    """What few rows change: the product takes no longer than reading its operands."""
    found = ladder.ceilings
    assert found is not None
    intensity = arithmetic_intensity(ladder.m, ladder.n, ladder.k, 32, 32, 32)
    ridge = ridge_point(found.peak, found.read[0])
    if intensity > ridge:
        return None
    return Text(
        zh=f"**这个形状受带宽限制。** 每字节只有 {intensity:.2f} FLOP，而内存的脊点是 {ridge:.1f}。微内核算"
        "的空行、打包的一写一读，都是多搬的字节：m 小时梯子要倒着爬，库会换成矩阵乘向量的内核。",
        en=f"**This shape is bound by bandwidth.** It has {intensity:.2f} FLOPs a byte, and the ridge of "
        f"memory lies at {ridge:.1f}. A micro-kernel's empty rows and packing's extra write and read are "
        "bytes moved for nothing: with a small m one climbs the ladder backwards, and libraries take a "
        "matrix-vector kernel.",
    )


def _tiles_verdict(gain: float) -> Text:
    if gain > 1.1:
        return Text(zh="B 不再从下一级反复取", en="B no longer comes again and again from the next level")
    return Text(
        zh="瓶颈还在 L1 的端口，少缺失换不来速度",
        en="the ports of L1 are still the bound, and fewer misses buy nothing",
    )


def _without_compiler(ladder: Ladder) -> Text:
    assert ladder.missing is not None
    best, worst = max(one.rate for one in ladder.timed), min(one.rate for one in ladder.timed)
    return Text(
        zh=f"**没有编译的几级。** {ladder.missing.zh}，所以只有 numpy 与 torch：最快与最慢差 "
        f"{best / worst:.0f} 倍，差别来自调用次数与重读 B。装上 g++ 就能看到完整的梯子。",
        en=f"**No compiled rungs.** {ladder.missing.en}; so numpy and torch only: {best / worst:.0f} times "
        "between the fastest and the slowest, by the number of calls and by reading B again. With g++ the "
        "whole ladder appears.",
    )


def _rate(one: Timed) -> float:
    return one.rate


def _low(one: Timed) -> float:
    return one.flops / one.timing.high_s if one.timing else math.nan


def _high(one: Timed) -> float:
    return one.flops / one.timing.low_s if one.timing else math.nan


def _shown(value: float) -> float | None:
    return None if math.isnan(value) else value
