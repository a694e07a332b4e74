"""Loop orders as one watches them: what each step touches, what of it was not in the cache, and the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from labs.formulas.gemm import cache_misses
from labs.gemm.loop_nests import LINE_NUMBERS, A, B, C, Recorded, record
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    EventKind,
    Lines,
    Markdown,
    Metric,
    Provenance,
    Series,
    TileRuns,
    Tiles,
    TileTensor,
    Trace,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.formulas.gemm import Misses, Order
    from labs.gemm.loop_nests import Matrix
    from labs.results import Result

_SIMULATED, _ESTIMATED = Provenance.SIMULATED, Provenance.ESTIMATED
ELEMENT_BYTES = 4
CLOCK = "loop_steps"
ORDERS: dict[Order, Text] = {
    "ijk": Text(zh="朴素 ijk", en="naive ijk"),
    "ikj": Text(zh="换循环序 ikj", en="order ikj"),
    "tiled": Text(zh="缓存分块", en="cache tiles"),
}
_READ, _UPDATED, _MISSED = range(3)
_CATEGORIES = [
    Text(zh="读，在缓存里", en="read, in the cache"),
    Text(zh="写，在缓存里", en="written, in the cache"),
    Text(zh="不在缓存里", en="not in the cache"),
]
METHOD = Text(
    zh=f"真的跑一遍循环，每次访问都过一个全相联的 LRU 缓存，一行 {LINE_NUMBERS} 个数",
    en="the loops really run, each access through a fully associative LRU cache with lines of "
    f"{LINE_NUMBERS} numbers",
)


def expected(order: Order, size: int, tile: int, cache_lines: int) -> Misses:
    """By the formula."""
    line = LINE_NUMBERS * ELEMENT_BYTES
    return cache_misses(order, size, size, size, cache_lines * line, tile, line, ELEMENT_BYTES)


def run_loops(ctx: Context, *, order: Order, size: int, tile: int, cache_lines: int) -> Iterator[Result]:
    """The chosen order in full, then all three compared."""
    numbers = torch.randint(-3, 4, (2, size, size), generator=ctx.generator()).float().numpy()
    a, b = numbers
    chosen = record(order, a, b, tile, cache_lines)
    yield figure(chosen, expected(order, size, tile, cache_lines))
    if not ctx.preview:
        yield trace(chosen, size)
        yield tiles(chosen, a, b)
        yield curve(chosen)
    found = {}
    for one in ORDERS:
        ctx.check()
        found[one] = chosen if one == order else record(one, a, b, tile, cache_lines)
    wanted = {one: expected(one, size, tile, cache_lines) for one in ORDERS}
    yield comparison(found, wanted)
    exact = bool((chosen.product == a @ b).all())
    yield explanation(chosen, found, size, tile, cache_lines, exact)


def figure(chosen: Recorded, wanted: Misses) -> Metric:
    return Metric(
        id="misses",
        title=Text(zh="缓存未命中（行）", en="Cache misses (lines)"),
        provenance=_SIMULATED,
        value=float(chosen.lines[-1].sum()),
        predicted=wanted.lines,
        formula=FORMULA,
        better="lower",
        source=METHOD,
    )


FORMULA = Text(
    zh="看整行、整列、整块是否装得下：labs.formulas.gemm.cache_misses",
    en="by which rows, columns and tiles fit: labs.formulas.gemm.cache_misses",
)


def trace(chosen: Recorded, size: int) -> Trace:
    """One event a step: there is no clock in this cache."""
    steps = chosen.steps
    missed = np.diff(chosen.lines.sum(axis=1), prepend=0)
    at = min(len(steps) - 1, 3 * size + size // 2)
    return Trace(
        id=CLOCK,
        title=Text(zh=f"{ORDERS[chosen.order].zh}：逐步回放", en=f"{ORDERS[chosen.order].en}, step by step"),
        provenance=_SIMULATED,
        times=array(range(len(steps))),
        steps=True,
        kinds=[
            EventKind(
                name=Text(zh="一步", en="a step"),
                template=Text(
                    zh="C[{i}, {j}…] 加上 A 的 {depth} 个数乘 B 的 {depth} 行，未命中 {missed} 行",
                    en="C[{i}, {j}...] takes {depth} numbers of A times {depth} rows of B; {missed} lines "
                    "missed",
                ),
            )
        ],
        kind_index=array([0] * len(steps), np.int64),
        columns={
            "i": array([step.i for step in steps], np.int64),
            "j": array([step.columns.start for step in steps], np.int64),
            "depth": array([len(step.depth) for step in steps], np.int64),
            "missed": array(missed, np.int64),
        },
        at=at,
        source=METHOD,
        wide=True,
    )


def tiles(chosen: Recorded, a: Matrix, b: Matrix) -> Tiles:
    """Missed parts are drawn over what the step touches."""
    rows: list[tuple[int, ...]] = []
    for event, (touched, missed) in enumerate(zip(chosen.touched, chosen.missed, strict=True)):
        rows += [(event, *access, _UPDATED if access.matrix == C else _READ) for access in touched]
        rows += [(event, *access, _MISSED) for access in missed]
    event, tensor, row, start, stop, category = np.array(rows, dtype=np.int64).T
    return Tiles(
        id="loop_tiles",
        title=Text(zh="这一步碰到哪里", en="What this step touches"),
        provenance=_SIMULATED,
        tensors=[
            TileTensor(name=same(name), rows=values.shape[0], columns=values.shape[1], values=values)
            for name, values in (("A", a), ("B", b), ("C = A·B", chosen.product))
        ],
        runs=TileRuns(
            event=array(event, np.int64),
            tensor=array(tensor, np.int64),
            row=array(row, np.int64),
            start=array(start, np.int64),
            stop=array(stop, np.int64),
            category=array(category, np.int64),
        ),
        categories=_CATEGORIES,
        clock=CLOCK,
        help=Text(
            zh="亮的是这一步碰到的，淡的是以前碰过的，红的要到缓存之外去取。",
            en="Bright: touched in this step; faint: before; misses come from beyond the cache.",
        ),
        source=METHOD,
        wide=True,
    )


def curve(chosen: Recorded) -> Lines:
    """Misses so far, of each matrix, on the clock."""
    x = array(range(len(chosen.steps)))
    return Lines(
        id="misses_so_far",
        title=Text(zh="累计未命中", en="Misses so far"),
        provenance=_SIMULATED,
        x=Axis(title=Text(zh="步", en="step")),
        y=Axis(title=Text(zh="缓存行", en="cache lines")),
        series=[
            Series(name=same(name), x=x, y=array(chosen.lines[:, matrix]))
            for matrix, name in ((A, "A"), (B, "B"), (C, "C"))
        ],
        markers=False,
        clock=CLOCK,
        source=METHOD,
    )


def comparison(found: dict[Order, Recorded], wanted: dict[Order, Misses]) -> Bars:
    return Bars(
        id="orders",
        title=Text(zh="三种循环序的未命中", en="Misses of three loop orders"),
        provenance=_SIMULATED,
        categories=list(ORDERS.values()),
        series=[
            BarSeries(
                name=Text(zh="逐次访问数出来", en="counted access by access"),
                values=array([float(found[order].lines[-1].sum()) for order in ORDERS]),
            ),
            BarSeries(
                name=Text(zh="公式", en="formula"),
                values=array([wanted[order].lines for order in ORDERS]),
                provenance=_ESTIMATED,
            ),
        ],
        y=Axis(title=Text(zh="缓存行", en="cache lines")),
        source=METHOD,
    )


def explanation(
    chosen: Recorded, found: dict[Order, Recorded], size: int, tile: int, cache_lines: int, exact: bool
) -> Markdown:
    """Which of row, column and tile fits, and what follows."""
    total = {order: int(one.lines[-1].sum()) for order, one in found.items()}
    column, row = size + size / LINE_NUMBERS, 2 * size / LINE_NUMBERS
    held = (min(tile, size) ** 2 + 2 * min(tile, size)) / LINE_NUMBERS
    least = 3 * size * size / LINE_NUMBERS
    verdict = Text(zh="相符", en="right") if exact else Text(zh="不符", en="wrong")

    def fits(lines: float) -> Text:
        inside = lines <= cache_lines
        return Text(zh="装得下" if inside else "装不下", en="fits" if inside else "does not fit")

    body = Text(
        zh=f"**谁装得下。** 缓存 {cache_lines} 行，每行 {LINE_NUMBERS} 个数。ijk 要留住 B 的一列和 A 的一行"
        f"，{column:.0f} 行：{fits(column).zh}；ikj 要留住 B、C 各一行，{row:.0f} 行：{fits(row).zh}；分块要"
        f"留住 B 的一块，{held:.0f} 行：{fits(held).zh}。\n\n**于是。** 三者算同样的 {size**3:,} 次乘加（结"
        f"果与 A@B {verdict.zh}），未命中分别是 {total['ijk']:,}、{total['ikj']:,}、{total['tiled']:,} 行；"
        f"每个数只取一次也要 {least:.0f} 行。把块加大，A 与 C 的重读变少，直到块装不下，B 就每行都重读一遍："
        "最好的块是恰好装得下的那个。",
        en=f"**What fits.** The cache has {cache_lines} lines of {LINE_NUMBERS} numbers. ijk must keep a "
        f"column of B and a row of A, {column:.0f} lines: that {fits(column).en}. ikj keeps a row of B and "
        f"one of C, {row:.0f} lines: that {fits(row).en}. Tiles keep a tile of B, {held:.0f} lines: that "
        f"{fits(held).en}.\n\n**So.** All three do the same {size**3:,} multiply-adds (the result is "
        f"{verdict.en}) and miss {total['ijk']:,}, {total['ikj']:,} and {total['tiled']:,} lines; fetching "
        f"each number once takes {least:.0f}. A larger tile reads A and C fewer times, until it no longer "
        "fits and B is read again for every row: the best tile is the one that just fits.",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_SIMULATED,
        body=body,
        wide=True,
    )
