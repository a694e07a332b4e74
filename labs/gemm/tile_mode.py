"""Tile size against speed and traffic: one kernel, every size, beside what each cache would have to fetch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch

from labs.gemm.ceilings import caches, cpu_time, measure_ceilings
from labs.gemm.ladder import TOLERANCE, off_by
from labs.gemm.native import Blocks, Kernels, kernels
from labs.gemm.rungs import ENOUGH_ROWS, LINE_BYTES, RUNGS, bound, misses
from labs.results import Axis, Lines, Mark, Markdown, Metric, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.context import Context
    from labs.gemm.ceilings import Ceilings
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
TILES = (8, 16, 32, 64, 128, 256, 512)
_CACHE, _REGISTER, _PACKED = 3, 4, 5
_NAMES = {
    _CACHE: Text(zh="缓存分块：B 的块边长", en="cache tiles: side of B's tile"),
    _REGISTER: Text(zh="寄存器分块，不打包：B 的块边长", en="register tiles, unpacked: side of B's tile"),
    _PACKED: Text(zh="打包：k 方向的块", en="packed: block of k"),
}
_BUDGET_S = 0.06
_ROUNDS = 2  # interleaved, so that a neighbour's burst does not hit one size alone
_SLOW_S = 0.08
_ELEMENT = 4
_MOST_ROWS = 2 * ENOUGH_ROWS  # more of C would take longer and show the same
METHOD = Text(
    zh=f"单线程，C 的前 {_MOST_ROWS} 行，最快的五分之一（峰值也是），与 torch 相符才计时；每个大小两轮取快"
    "者，"
    "一次超过 0.08 s 的只测一轮",
    en=f"one thread, the first {_MOST_ROWS} rows of C, the fastest fifth (as of the peak), timed once it "
    "agrees with torch; the faster of two rounds, of one where a call takes over 0.08 s",
)


@dataclass
class Sweep:
    """FLOP/s by rung and tile; NaN where a check failed."""

    size: int
    ceilings: Ceilings
    rates: dict[tuple[int, int], float] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Of C that are computed."""
        return min(self.size, _MOST_ROWS)


def run_tiles(ctx: Context, *, size: int) -> Iterator[Result]:
    """Without a compiler by formula alone: the tile is a constant of compiled loops."""
    yield traffic(size)
    compiled = kernels()
    if not isinstance(compiled, Kernels):
        yield _without_compiler(compiled)
        return
    sweep = Sweep(size, measure_ceilings(ctx, compiled, 1))
    a, b = (torch.randn(rows, size, generator=ctx.generator()) for rows in (sweep.rows, size))
    out, expected = torch.empty_like(a), a @ b
    for turn in range(_ROUNDS):
        for index, tile in enumerate(TILES):
            for rung in _NAMES:
                share = (turn + index / len(TILES)) / _ROUNDS
                ctx.progress(share, Text(zh=f"块 {tile}", en=f"tile {tile}"))
                blocks = Blocks(tile=tile) if rung != _PACKED else Blocks(k=tile)
                call = partial(compiled.product, rung, a, b, out, blocks)
                if turn == 0:
                    out.fill_(torch.nan)
                    call()
                    right = off_by(out, expected, a, b) <= TOLERANCE
                    sweep.rates[rung, tile] = 0.0 if right else math.nan
                _time(ctx, sweep, (rung, tile), call)
            yield speed(sweep)
    yield from figures(sweep)
    yield explanation(sweep)


def _without_compiler(reason: Text) -> Markdown:
    body = Text(
        zh=f"**没有测速度**：{reason.zh}。块的大小是编译进循环里的常数；上面的字节由公式给出，不用测。装上 "
        "g++ 再运行，就能看到哪种块最快。",
        en=f"**No speed was measured**: {reason.en}. A tile's size is a constant of compiled loops; the "
        "bytes above come from a formula. With g++ one sees which tile is fastest.",
    )
    return _prose(body, Provenance.ESTIMATED)


def _prose(body: Text, provenance: Provenance) -> Markdown:
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=provenance,
        body=body,
        wide=True,
    )


def _time(ctx: Context, sweep: Sweep, key: tuple[int, int], call: Callable[[], None]) -> None:
    """Keeps the faster of the rounds; what is slow is timed once, and what failed its check never."""
    before, flops = sweep.rates[key], 2.0 * sweep.rows * sweep.size**2
    if math.isnan(before) or (before and flops / before > _SLOW_S):
        return
    sweep.rates[key] = max(before, flops / cpu_time(ctx, call, _BUDGET_S).low_s)


def _bound(sweep: Sweep, tile: int) -> float:
    sizes = {level: cache.size_bytes for level, cache in caches().items()}
    n = sweep.size
    return bound(_CACHE, sweep.rows, n, n, Blocks(tile=tile), sizes, sweep.ceilings)


def speed(sweep: Sweep) -> Lines:
    series = []
    for rung, name in _NAMES.items():
        shown = [tile for tile in TILES if (rung, tile) in sweep.rates]
        rates = array([sweep.rates[rung, tile] / 1e9 for tile in shown])
        series.append(Series(name=name, x=array(shown), y=rates))
    peak = array([sweep.ceilings.peak / 1e9] * len(TILES))
    bounds = array([_bound(sweep, tile) / 1e9 for tile in TILES])
    return Lines(
        id="tile_speed",
        title=Text(zh="块多大最快", en="Which tile is fastest"),
        provenance=_MEASURED,
        unit="GFLOP/s",
        x=Axis(title=Text(zh="块的边长", en="tile"), log=True),
        y=Axis(title=Text(zh="速度", en="rate"), unit="GFLOP/s"),
        series=[
            *series,
            Series(
                name=Text(zh="峰值（FMA 循环）", en="peak (FMA loop)"), x=array(TILES), y=peak, reference=True
            ),
            Series(
                name=Text(zh="缓存分块至多（公式）", en="cache tiles at best (formula)"),
                x=array(TILES),
                y=bounds,
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        source=METHOD,
        wide=True,
    )


def _fetched(size: int, tile: int, level: int) -> float:
    found = misses(RUNGS[_CACHE], size, size, size, tile, caches()[level].size_bytes)
    assert found is not None
    return found.lines * LINE_BYTES


def traffic(size: int) -> Lines:
    """What cache tiles fetch from beyond each level; the marks are the largest tile that a level holds."""
    levels = sorted(caches())
    return Lines(
        id="tile_traffic",
        title=Text(
            zh="缓存分块要从各级之外取的字节", en="Bytes that cache tiles fetch from beyond each level"
        ),
        provenance=_ESTIMATED,
        unit="MB",
        x=Axis(title=Text(zh="块的边长", en="tile"), log=True),
        y=Axis(title=Text(zh="取来", en="fetched"), unit="MB", log=True),
        series=[
            Series(
                name=Text(zh=f"L{level} 之外", en=f"beyond L{level}"),
                x=array(TILES),
                y=array([_fetched(size, tile, level) / 1e6 for tile in TILES]),
            )
            for level in levels
        ]
        + [
            Series(
                name=Text(zh="每个数取一次", en="each number once"),
                x=array(TILES),
                y=array([3e-6 * _ELEMENT * size * size] * len(TILES)),
                reference=True,
            )
        ],
        marks=[
            Mark(
                x=math.sqrt(caches()[level].size_bytes / _ELEMENT),
                name=Text(zh=f"装满 L{level}", en=f"fills L{level}"),
            )
            for level in levels
            if math.sqrt(caches()[level].size_bytes / _ELEMENT) <= 2 * TILES[-1]
        ],
        source=Text(zh="labs.formulas.gemm.cache_misses", en="labs.formulas.gemm.cache_misses"),
        wide=True,
    )


def figures(sweep: Sweep) -> Iterator[Metric]:
    """Best tile against worst."""
    shown = (
        (_CACHE, "cache_gain", Text(zh="缓存分块", en="Cache tiles")),
        (_PACKED, "packed_gain", Text(zh="打包的 k 块", en="Packed, block of k")),
    )
    for rung, identity, what in shown:
        rates = {tile: sweep.rates[rung, tile] for tile in TILES}
        best, worst = max(rates, key=lambda t: rates[t]), min(rates, key=lambda t: rates[t])
        yield Metric(
            id=identity,
            title=Text(zh=f"{what.zh}：{best} ÷ {worst}", en=f"{what.en}: {best} / {worst}"),
            help=Text(
                zh="最快的块与最慢的块的速度之比。",
                en="The rate of the fastest tile over that of the slowest.",
            ),
            provenance=_MEASURED,
            unit="×",
            value=rates[best] / rates[worst],
            source=METHOD,
        )


def explanation(sweep: Sweep) -> Markdown:
    def best(rung: int) -> tuple[int, float]:
        tile = max(TILES, key=lambda t: sweep.rates[rung, t])
        return tile, sweep.rates[rung, tile] / 1e9

    (cache, c), (register, r), (packed, p) = (best(rung) for rung in _NAMES)
    small, peak = sweep.rates[_CACHE, TILES[0]] / 1e9, sweep.ceilings.peak / 1e9
    body = Text(
        zh=f"**两头都慢。** 块小，循环开头的开销和 A、C 的重读占主：边长 {TILES[0]} 只有 {small:.1f} GFLOP/s"
        f"；块大，B 的块装不进缓存。本机缓存分块最好在 {cache}（{c:.1f} GFLOP/s）。\n\n**不同的层要不同的块"
        f"。** 寄存器分块最好在 {register}（{r:.1f}），打包的 k 块最好在 {packed}（{p:.1f}，峰值的 "
        f"{p / peak:.0%}）：k 块要让 A、B 的细条装进 L1、A 的块装进 L2，又要长到能摊薄 C 的读写。没有一个对"
        "所有形状都好的值，所以库按形状选，或者自动调优。",
        en="**Slow at both ends.** Small tiles spend their time on the loops' starts and on reading A and C "
        f"again: {small:.1f} GFLOP/s with {TILES[0]}. Large tiles of B do not fit the cache. Here cache "
        f"tiles are best at {cache} ({c:.1f} GFLOP/s).\n\n**Each level wants its own.** Register tiles are "
        f"best at {register} ({r:.1f}), the packed kernel's block of k at {packed} ({p:.1f}, {p / peak:.0%} "
        "of the peak): slivers of A and B should fit L1 and the block of A L2, and k be long enough to "
        "spread the cost of C. No value is good for every shape: libraries choose by shape, or tune.",
    )
    return _prose(body, _MEASURED)
