"""Decomposing at run time: what it costs by each method, and after how many products it is repaid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from labs.formulas.low_rank import calls_to_repay, low_rank_flops, randomized_svd_flops, truncation_error
from labs.low_rank.decomposition import decompose
from labs.low_rank.layers import weight_of
from labs.low_rank.race import METHOD, Racer
from labs.relative_error import relative_error
from labs.results import Axis, Column, Lines, Metric, Provenance, Series, Table, array
from labs.roofline.explanation import prose
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.results import Result

_MEASURED = Provenance.MEASURED
_BUDGET_S = 0.15
OVERSAMPLING = 8  # columns beyond the rank: torch.svd_lowrank's documentation advises 5 to 10
_POWERS = (0, 2)
_ROUNDS = 2


@dataclass(frozen=True)
class Method:
    """A way to decompose: seconds, and the error of the weight that it leaves."""

    name: Text
    timing: Timing
    error: float
    power_iterations: int | None = None


def run_online(ctx: Context, *, layer: int, projection: str, rank: int, rows: int) -> Iterator[Result]:
    weight = weight_of(ctx, layer, projection).float().to(ctx.device)
    n, k = weight.shape
    rank = min(rank, min(n, k) - OVERSAMPLING)
    racer = Racer(ctx, n, k)
    for _ in range(_ROUNDS):
        for tried in (0, rank):
            ctx.progress(None, Text(zh="给乘法计时", en="timing the products"))
            racer.time(rows, tried)
    found: list[Method] = []
    for power in _POWERS:
        found.append(_randomized(ctx, weight, rank, power))
        yield totals(racer, rows, rank, found)
        yield table(racer, rows, rank, found)
    for name, call in _exact(weight, rank):
        ctx.progress(None, name)
        timing = ctx.measure(call, budget_s=_BUDGET_S)
        found.append(Method(name, timing, relative_error(call(), weight)))
        yield totals(racer, rows, rank, found)
        yield table(racer, rows, rank, found)
    yield from figures(racer, rows, rank, found, weight)
    yield explanation(racer, rows, rank, found)


def _randomized(ctx: Context, weight: Tensor, rank: int, power: int) -> Method:
    name = Text(zh=f"随机 SVD，{power} 次幂迭代", en=f"randomised SVD, {power} power iterations")
    ctx.progress(None, name)

    def call() -> Tensor:
        u, s, v = torch.svd_lowrank(weight, q=rank + OVERSAMPLING, niter=power)
        made: Tensor = (u[:, :rank] * s[:rank]) @ v[:, :rank].t()
        return made

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(ctx.seed)
        return Method(name, ctx.measure(call, budget_s=_BUDGET_S), relative_error(call(), weight), power)


def _exact(weight: Tensor, rank: int) -> Iterator[tuple[Text, Callable[[], Tensor]]]:
    def gram() -> Tensor:
        return decompose(weight).approximation(rank).to(weight.device)

    def full() -> Tensor:
        u, s, v = torch.linalg.svd(weight, full_matrices=False)
        made: Tensor = (u[:, :rank] * s[:rank]) @ v[:rank]
        return made

    yield Text(zh="Gram 矩阵的特征分解（双精度）", en="eigenvectors of the Gram matrix (double)"), gram
    yield Text(zh="完整 SVD", en="full SVD"), full


def saving(racer: Racer, rows: int, rank: int) -> float:
    return racer.seconds(rows) - racer.seconds(rows, rank)


def totals(racer: Racer, rows: int, rank: int, found: list[Method]) -> Lines:
    """Seconds after so many products with the same weight, the decomposition included."""
    counts = np.logspace(0, 7, 36)
    full, thin = racer.seconds(rows), racer.seconds(rows, rank)
    series = [
        Series(name=Text(zh="从不分解", en="never decomposed"), x=array(counts), y=array(counts * full))
    ]
    series += [
        Series(name=one.name, x=array(counts), y=array(one.timing.low_s + counts * thin)) for one in found
    ]
    return Lines(
        id="totals",
        title=Text(
            zh=f"做 N 次乘法一共要多久（秩 {rank}，m = {rows}）",
            en=f"N products in all (rank {rank}, m = {rows})",
        ),
        provenance=_MEASURED,
        unit="s",
        x=Axis(title=Text(zh="与同一权重相乘的次数 N", en="products with the same weight, N"), log=True),
        y=Axis(title=Text(zh="累计时间", en="time in all"), unit="s", log=True),
        series=series,
        markers=False,
        source=METHOD,
        wide=True,
    )


def table(racer: Racer, rows: int, rank: int, found: list[Method]) -> Table:
    full, thin = racer.seconds(rows), racer.seconds(rows, rank)
    cells: list[list[Text | float | int | None]] = []
    for one in found:
        repaid = calls_to_repay(one.timing.low_s, full, thin)
        cells.append(
            [
                one.name,
                1e3 * one.timing.low_s,
                one.timing.low_s / full,
                None if math.isinf(repaid) else repaid,
                100 * one.error,
                one.timing.noise,
            ]
        )
    return Table(
        id="methods",
        title=Text(zh="每种分解法", en="Each way to decompose"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="方法", en="method")),
            Column(title=Text(zh="时间", en="time"), unit="ms"),
            Column(title=Text(zh="抵几次满秩乘法", en="in full products"), unit="×"),
            Column(title=Text(zh="回本的乘法次数", en="products to repay"), help=_REPAID),
            Column(title=Text(zh="权重误差", en="error of the weight"), unit="%"),
            Column(title=Text(zh="噪声", en="noise")),
        ],
        rows=cells,
        source=METHOD,
        wide=True,
    )


_REPAID = Text(
    zh="分解的时间 ÷ 每次乘法省下的时间；空白：低秩乘法没有更快，永远回不了本。",
    en="The decomposition's time over what a product then spares; empty: thin products are no faster, never.",
)


def figures(racer: Racer, rows: int, rank: int, found: list[Method], weight: Tensor) -> Iterator[Metric]:
    n, k = weight.shape
    cheap = found[0]
    rate = 2 * rows * n * k / racer.seconds(rows)
    yield Metric(
        id="sketch_cost",
        title=Text(zh="草图抵几次满秩乘法", en="Sketch, in full products"),
        provenance=_MEASURED,
        unit="×",
        value=cheap.timing.low_s / racer.seconds(rows),
        predicted=sketch_products(n, k, rank, rows),
        formula=SKETCH_FORMULA,
        better="lower",
        help=Text(
            zh=f"满秩乘法此刻跑到 {rate / 1e9:.0f} GFLOP/s；草图是大矩阵乘法，每 FLOP 更快，但还有 QR 与小"
            " SVD。",
            en=f"The full product runs at {rate / 1e9:.0f} GFLOP/s here; a sketch is a large product and "
            "faster a "
            "FLOP, but there are QR and a small SVD as well.",
        ),
    )
    values = decompose(weight).singular_values
    yield Metric(
        id="sketch_error",
        title=Text(
            zh=f"随机 SVD（{_POWERS[-1]} 次幂迭代）的误差",
            en=f"Sketch's error, {_POWERS[-1]} powers",
        ),
        provenance=_MEASURED,
        unit="%",
        value=100 * found[1].error,
        predicted=100 * truncation_error(values, rank),
        formula=Text(zh="最优：√(舍去的 σ² ÷ 全部)", en="the best there is: √(discarded σ² / all)"),
        better="lower",
    )


def sketch_products(n: int, k: int, rank: int, rows: int) -> float:
    """FLOPs of the sketch without power iterations over those of a full product of ``rows``."""
    return randomized_svd_flops(n, k, rank + OVERSAMPLING, 0) / (2 * rows * n * k)


SKETCH_FORMULA = Text(
    zh="2 × (秩 + 8) ÷ m：按 FLOP，只数与 W 的乘法", en="2 × (rank + 8) / m: FLOPs of products with W"
)


def explanation(racer: Racer, rows: int, rank: int, found: list[Method]) -> Result:
    gain = saving(racer, rows, rank)
    n, k = racer.n, racer.k
    share = low_rank_flops(rows, n, k, rank) / (2 * rows * n * k)
    cheap, slow = found[0], found[-1]
    repaid = calls_to_repay(cheap.timing.low_s, racer.seconds(rows), racer.seconds(rows, rank))
    exact = calls_to_repay(slow.timing.low_s, racer.seconds(rows), racer.seconds(rows, rank))
    verdict = (
        Text(
            zh=f"随机 SVD 要 {repaid:,.0f} 次乘法回本，完整 SVD 要 {exact:,.0f} 次",
            en=f"randomised SVD takes {repaid:,.0f} products to repay, full SVD {exact:,.0f}",
        )
        if gain > 0
        else Text(
            zh="低秩乘法在这里没有更快，永远回不了本", en="thin products are no faster here: never repaid"
        )
    )
    parts = [
        Text(
            zh=f"**分解比乘法贵得多。** 秩 {rank} 只剩 {share:.0%} 的 FLOP，每次省 {gain * 1e6:.0f} µs；最"
            "便宜的分解 "
            f"{cheap.timing.low_s * 1e3:.1f} ms，完整 SVD {slow.timing.low_s * 1e3:.0f} ms。{verdict.zh}。",
            en=f"**Decomposing costs far more than multiplying.** Rank {rank} leaves {share:.0%} of the "
            "FLOPs and "
            f"spares {gain * 1e6:.0f} µs a product; the cheapest decomposition takes "
            f"{cheap.timing.low_s * 1e3:.1f} ms, "
            f"full SVD {slow.timing.low_s * 1e3:.0f} ms: {verdict.en}.",
        ),
        Text(
            zh="**权重不变，就别在线分解。** 权重上线之后不变，分解一次存盘即可，在线的代价毫无必要；只有"
            "权重或"
            "数据当场才有（适配器合并、KV、梯度）才轮得到它。草图的 FLOP 是一次乘法的 2(r+8)/m 倍：这里 "
            f"m = {rows}，"
            "解码时 m 小，倍数就大。",
            en="**Weights that do not change are not decomposed online.** Once is enough, and the "
            "factors are "
            "stored. Online is for what exists only then: merged adapters, KV, gradients. A sketch takes "
            "2(r+8)/m "
            f"times the FLOPs of a product: here m = {rows}, and with decode's small m the factor is large.",
        ),
        Text(
            zh=f"**误差。** 没有幂迭代的误差 {cheap.error:.1%}，{_POWERS[-1]} 次之后 "
            f"{found[1].error:.1%}，最优 "
            f"{slow.error:.1%}：奇异值降得慢时，草图要多走几趟才找得准方向。",
            en=f"**Error.** {cheap.error:.1%} without power iterations, {found[1].error:.1%} with "
            f"{_POWERS[-1]}, "
            f"{slow.error:.1%} at best: where singular values fall slowly, a sketch needs more passes to "
            "find the "
            "directions.",
        ),
    ]
    if warning := noise_warning([one.timing for one in found]):
        parts.append(warning)
    return prose(parts)
