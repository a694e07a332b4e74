"""Every rung checked against torch, then timed, from the slowest to the fastest; torch is the peer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from labs.gemm import ladder_views as views
from labs.gemm.ceilings import Ceilings, caches, cpu_time, measure_ceilings, measured_again
from labs.gemm.native import Blocks, Kernels, kernels
from labs.gemm.rungs import ENOUGH_ROWS, RUNGS, bound, torch_bound
from labs.memory_budget import reserve
from labs.quantization.threads import threads
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.results import Result

# In units of u * k * max|A| * max|B|: the bound of a sum of k products in any order; no rung comes near it.
TOLERANCE = 1.0
_ULP = 2.0**-24
_BUDGET_S = 0.12
_ROUNDS = 3  # interleaved, so that a neighbour's burst does not hit one rung alone
# A call of a rung whose time grows with its rows takes about as long: a run can be stopped between calls.
_PROBE_S = 0.06
# A call this long outlasts a neighbour's burst: it is timed in the first round only.
SLOW_S = 0.25


@dataclass(frozen=True)
class Way:
    """A way to multiply. ``call(rows)`` computes the first ``rows`` rows of C into ``out``."""

    name: Text
    mends: Text
    call: Callable[[int], object]
    out: Tensor
    rung: int | None = None
    least_rows: int = ENOUGH_ROWS
    threads: int = 1


@dataclass(frozen=True)
class Timed:
    """``timing`` None: the check failed, ``difference`` says by how much. ``rows`` of C were computed."""

    way: Way
    difference: float
    rows: int
    flops: float
    timing: Timing | None

    @property
    def rate(self) -> float:
        return self.flops / self.timing.median_s if self.timing else float("nan")


@dataclass
class Ladder:
    """A run: shape, blocks, ceilings (None without the compiled rungs, for ``missing``), what was timed."""

    m: int
    n: int
    k: int
    blocks: Blocks
    threads: int
    ceilings: Ceilings | None = None
    missing: Text | None = None
    timed: list[Timed] = field(default_factory=list)

    def peak(self, count: int) -> float:
        """The fastest that anything went here with so many threads: what shares are of."""
        rates = [one.rate for one in self.timed if one.timing and one.way.threads == count]
        chains = (self.ceilings.peak if count == 1 else self.ceilings.peak_all) if self.ceilings else 0.0
        return max([chains, *rates], default=0.0)

    def bound(self, one: Timed) -> float:
        """FLOP/s at best, by formula from the measured ceilings."""
        if self.ceilings is None:
            return float("nan")
        sizes = {level: cache.size_bytes for level, cache in caches().items()}
        if one.way.rung is None:
            return torch_bound(one.way.threads, one.rows, self.n, self.k, sizes, self.ceilings)
        return bound(one.way.rung, one.rows, self.n, self.k, self.blocks, sizes, self.ceilings)


def run_ladder(ctx: Context, *, m: int, n: int, k: int, tile: int, thread_count: int) -> Iterator[Result]:
    """Ceilings, then rung after rung, each shown as soon as it is timed."""
    with threads(thread_count) as used:
        ladder = Ladder(m, n, k, Blocks(tile=tile), used)
        ctx.progress(0.0, Text(zh="编译内核（仅第一次）", en="Compiling the kernels (the first time only)"))
        compiled = kernels()
        if isinstance(compiled, Kernels):
            ladder.ceilings = measure_ceilings(ctx, compiled, used)
            yield from views.ceilings(ladder)
        else:
            ladder.missing = compiled
        reserve(4 * (m * k + k * n + 3 * m * n), Text(zh="矩阵", en="the matrices"), "cpu")
        a, b = (torch.randn(shape, generator=ctx.generator()) for shape in ((m, k), (k, n)))
        every = ways(a, b, ladder.blocks, used, compiled if isinstance(compiled, Kernels) else None)
        expected = a @ b
        for index, way in enumerate(every):
            ctx.progress(index / len(every) / _ROUNDS, way.name)
            ladder.timed.append(timed(ctx, way, a, b, expected))
            yield views.rates(ladder, every)
        for turn in range(1, _ROUNDS):
            for index, way in enumerate(every):
                ctx.progress((turn + index / len(every)) / _ROUNDS, way.name)
                ladder.timed[index] = again(ctx, ladder.timed[index])
            yield views.rates(ladder, every)
        if isinstance(compiled, Kernels) and ladder.ceilings:
            ladder.ceilings = measured_again(ctx, compiled, ladder.ceilings)
            yield from views.ceilings(ladder)
            yield views.rates(ladder, every)
        yield from views.figures(ladder)
        yield views.table(ladder)
        yield views.explanation(ladder)


def ways(a: Tensor, b: Tensor, blocks: Blocks, count: int, compiled: Kernels | None) -> list[Way]:
    """The compiled rungs, or numpy's loops where there is no compiler, then torch with one thread and all."""
    out = torch.empty(len(a), b.shape[1])
    found = numpy_ways(a, b, out) if compiled is None else native_ways(a, b, out, blocks, count, compiled)
    peer = Text(zh="同伴：torch 自带的库（MKL 或 oneDNN）", en="the peer: torch's library (MKL or oneDNN)")

    def torch_way(used: int) -> Way:
        return Way(
            _torch_name(used), peer, lambda rows: _torch(a[:rows], b, out[:rows], used), out, threads=used
        )

    return [*found, *(torch_way(used) for used in sorted({1, count}))]


def native_ways(
    a: Tensor, b: Tensor, out: Tensor, blocks: Blocks, count: int, compiled: Kernels
) -> list[Way]:
    """One a rung; threads only where there are several."""

    def way(index: int) -> Way:
        rung, last = RUNGS[index], index == len(RUNGS) - 1
        used = count if last else 1
        return Way(
            rung.name,
            rung.mends,
            lambda rows: compiled.product(index, a[:rows], b, out[:rows], blocks, used),
            out,
            index,
            rung.least_rows,
            used,
        )

    return [way(index) for index in range(len(RUNGS) - (count == 1))]


def numpy_ways(a: Tensor, b: Tensor, out: Tensor) -> list[Way]:
    """What plain numpy can show of loop order."""
    left, right, to = a.numpy(), b.numpy(), out.numpy()

    def dots(rows: int) -> None:
        for i in range(rows):
            for j in range(right.shape[1]):
                to[i, j] = left[i] @ right[:, j]

    def whole_rows(rows: int) -> None:
        for i in range(rows):
            to[i] = left[i] @ right

    def tiles(rows: int) -> None:
        np.matmul(left[:rows], right, out=to[:rows])

    return [
        Way(
            Text(zh="numpy：逐个点积", en="numpy: dot by dot"),
            Text(zh="沿 B 的列走，每个数一次 Python 调用", en="columns of B, a Python call a number"),
            dots,
            out,
            least_rows=1,
        ),
        Way(
            Text(zh="numpy：逐行", en="numpy: row by row"),
            Text(zh="向量乘矩阵：B 每行都重读", en="vector times matrix: B is read again for each row"),
            whole_rows,
            out,
            least_rows=1,
        ),
        Way(
            Text(zh="numpy：整个", en="numpy: whole"),
            Text(zh="一次 BLAS 调用", en="one call of BLAS"),
            tiles,
            out,
        ),
    ]


def timed(ctx: Context, way: Way, a: Tensor, b: Tensor, expected: Tensor) -> Timed:
    """The check first, with C full of NaN; a rung that fails it is not timed."""
    rows = _rows(ctx, way, len(a))
    way.out.fill_(torch.nan)
    way.call(rows)
    difference = off_by(way.out[:rows], expected[:rows], a, b)
    flops = 2.0 * rows * a.shape[1] * b.shape[1]
    if not difference <= TOLERANCE:
        return Timed(way, difference, rows, flops, None)
    return Timed(way, difference, rows, flops, cpu_time(ctx, lambda: way.call(rows), _BUDGET_S))


def again(ctx: Context, one: Timed) -> Timed:
    """The faster of what was timed and another round; what is slow or failed its check, as it was."""
    if one.timing is None or one.timing.median_s > SLOW_S:
        return one
    timing = cpu_time(ctx, lambda: one.way.call(one.rows), _BUDGET_S)
    return replace(one, timing=timing) if timing.median_s < one.timing.median_s else one


def off_by(out: Tensor, expected: Tensor, a: Tensor, b: Tensor) -> float:
    """Largest difference in units of ``u k max|A| max|B|``; NaN where a number was not written."""
    scale = _ULP * a.shape[1] * float(a.abs().max()) * float(b.abs().max())
    return float((out - expected).abs().max()) / scale


def _rows(ctx: Context, way: Way, most: int) -> int:
    """As many rows as take ``_PROBE_S``: the time of these loops is proportional to the rows."""
    rows = min(most, way.least_rows)
    while True:
        ctx.check()
        start = time.perf_counter()
        way.call(rows)
        spent = time.perf_counter() - start
        if rows >= most or spent > _PROBE_S / 4:
            return min(most, max(rows, int(rows * _PROBE_S / max(spent, 1e-9))))
        rows = min(most, 4 * rows)


def _torch(a: Tensor, b: Tensor, out: Tensor, count: int) -> None:
    with threads(count):
        torch.mm(a, b, out=out)


def _torch_name(count: int) -> Text:
    return Text(zh=f"torch，{count} 线程", en=f"torch, {count} thread{'s' * (count > 1)}")
