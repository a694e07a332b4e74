"""LoRA adapters: W + A B merged once against applied each time; bytes, and time for one and for many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from labs.caches import rotate
from labs.formulas.low_rank import (
    adapter_bytes,
    adapter_seconds,
    calls_to_repay,
    merge_seconds,
    product_seconds,
)
from labs.low_rank.layers import measured_roofs, shape_of
from labs.low_rank.merged_weights import DRIFTS, Step, cache_lines, drift_metric, round_trip, zipf_requests
from labs.low_rank.race import METHOD, Racer
from labs.relative_error import relative_error
from labs.results import Axis, Column, Lines, Metric, Provenance, Series, Table, array
from labs.roofline.explanation import prose
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.formulas.low_rank import Roofs
    from labs.measure import Timing
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_BUDGET_S, _ROUNDS = 0.06, 3
MERGE_FORMULA = Text(
    zh="max(2·n·k·r ÷ 峰值, 读 W 写 W′ ÷ 带宽) + 一次空调用",
    en="max(2 n k r / peak, W read and W' written / bandwidth) + a call",
)
APART_FORMULA = Text(
    zh="满秩一次 + 细长两次，第二次加到 y 上", en="one full product and two thin ones, the second added to y"
)


class Adapted(Racer):
    """Beside the full product: the same with an adapter applied, and merging one."""

    def __init__(self, ctx: Context, n: int, k: int, rank: int) -> None:
        super().__init__(ctx, n, k)
        self.rank = rank
        size = 4 * rank * (n + k)
        self.factors = rotate(lambda: (self.random(rank, k), self.random(n, rank)), size, ctx.device)
        self.thin: dict[int, Timing] = {}
        self.merge: Timing | None = None

    def time_thin(self, m: int) -> None:
        """``y += (x A) B`` alone: beside a full product its time would drown in the full product's noise."""
        x, y = self.random(m, self.k), self.random(m, self.n)

        def call() -> None:
            down, up = self.factors()
            y.addmm_(x @ down.t(), up.t(), beta=0.5)  # so that y stays small, however often it is called

        timing = self.ctx.measure(call, budget_s=_BUDGET_S)
        if m not in self.thin or timing.low_s < self.thin[m].low_s:
            self.thin[m] = timing

    def time_merge(self) -> None:
        down, up = self.factors()
        timing = self.ctx.measure(lambda: torch.addmm(self.full(), up, down), budget_s=_BUDGET_S)
        if self.merge is None or timing.low_s < self.merge.low_s:
            self.merge = timing

    @property
    def merge_s(self) -> float:
        assert self.merge is not None
        return self.merge.low_s

    def extra(self, m: int) -> float:
        """Seconds that an adapter adds to a product."""
        return self.thin[m].low_s

    def apart(self, m: int) -> float:
        """Seconds of a product with an adapter beside it."""
        return self.seconds(m) + self.extra(m)


def run_adapters(
    ctx: Context, *, projection: str, rank: int, rows: int, adapters: int, steps: int
) -> Iterator[Result]:
    n, k = shape_of(ctx, projection)
    yield sizes_table(n, k, rank)
    roofs, race = measured_roofs(ctx), Adapted(ctx, n, k, rank)
    for turn in range(_ROUNDS):
        ctx.progress(
            turn / (_ROUNDS + 1), Text(zh="合并与旁路轮流计时", en="timing merged and apart in turn")
        )
        race.time(rows)
        race.time_thin(rows)
        race.time_merge()
    yield from figures(race, rows, roofs)
    yield totals(race, rows)
    ctx.progress(0.7, Text(zh="一批里各用各的适配器", en="a batch in which each has its own adapter"))
    mixed = mixed_batch(ctx, race, adapters)
    yield mixed_table(mixed, adapters)
    times = Step(race.seconds(rows), race.apart(rows), race.merge_s)
    yield cache_lines(times, zipf_requests(adapters, ctx.seed), adapters, steps)
    drift = round_trip(ctx, n, k, rank)
    yield drift_metric(drift)
    yield explanation(race, rows, adapters, mixed, drift)


def figures(race: Adapted, rows: int, roofs: Roofs) -> Iterator[Metric]:
    n, k, rank = race.n, race.k, race.rank
    yield Metric(
        id="merge_time",
        title=Text(zh="合并一次 W + BA", en="Merging W + BA once"),
        provenance=_MEASURED,
        unit="s",
        value=race.merge_s,
        predicted=merge_seconds(n, k, rank, roofs),
        formula=MERGE_FORMULA,
        better="lower",
        source=METHOD,
    )
    yield Metric(
        id="apart_overhead",
        title=Text(zh="每次旁路多花的时间", en="Added by an adapter apart"),
        provenance=_MEASURED,
        unit="s",
        value=race.extra(rows),
        predicted=adapter_seconds(rows, n, k, rank, roofs) - product_seconds(rows, n, k, roofs),
        formula=APART_FORMULA,
        better="lower",
        source=METHOD,
    )
    repaid = calls_to_repay(race.merge_s, race.apart(rows), race.seconds(rows))
    foretold = calls_to_repay(
        merge_seconds(n, k, rank, roofs),
        adapter_seconds(rows, n, k, rank, roofs),
        product_seconds(rows, n, k, roofs),
    )
    yield Metric(
        id="repaid_after",
        title=Text(zh="合并几步之后回本", en="Steps to repay merging"),
        provenance=_MEASURED,
        value=repaid,
        predicted=foretold,
        formula=Text(zh="合并的时间 ÷ 每步多花的时间", en="merging / what applying adds a step"),
    )


def totals(race: Adapted, rows: int) -> Lines:
    counts = np.arange(65)
    merged, apart = race.seconds(rows), race.apart(rows)
    return Lines(
        id="totals",
        title=Text(
            zh=f"合并一次，还是每步旁路（m = {rows}）", en=f"Merged once or applied each step (m = {rows})"
        ),
        provenance=_MEASURED,
        unit="s",
        x=Axis(title=Text(zh="用这个适配器的步数", en="steps with this adapter")),
        y=Axis(title=Text(zh="累计时间", en="time in all"), unit="s"),
        series=[
            Series(
                name=Text(zh="先合并", en="merged first"),
                x=array(counts),
                y=array(race.merge_s + counts * merged),
            ),
            Series(
                name=Text(zh="每步旁路", en="applied each step"), x=array(counts), y=array(counts * apart)
            ),
        ],
        markers=False,
        source=METHOD,
    )


def sizes_table(n: int, k: int, rank: int) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for count in (1, 4, 16, 64, 256):
        merged, apart = (adapter_bytes(n, k, rank, count, 4, merged=way) for way in (True, False))
        rows.append([count, merged / 2**20, apart / 2**20, merged / apart])
    return Table(
        id="sizes",
        title=Text(zh="这一个投影占多少内存（FP32）", en="Memory of this projection (fp32)"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="适配器数", en="adapters")),
            Column(title=Text(zh="各自合并", en="each merged"), unit="MiB"),
            Column(title=Text(zh="一份底座加旁路", en="one base and factors"), unit="MiB"),
            Column(title=Text(zh="相差", en="times"), unit="×"),
        ],
        rows=rows,
        source=Text(zh="份数 × n·k；n·k + 份数 × r·(n + k)", en="count × n k; n k + count × r (n + k)"),
    )


def mixed_batch(ctx: Context, race: Adapted, adapters: int) -> dict[str, tuple[Timing, float]]:
    """A row an adapter: merged weights one after the other, against one base and a batched pair of thin
    products. With the largest difference of their outputs."""
    n, k, rank = race.n, race.k, race.rank
    x = race.random(adapters, k)
    downs = torch.randn(adapters, rank, k, device=ctx.device) * k**-0.5
    ups = torch.randn(adapters, n, rank, device=ctx.device) * rank**-0.5
    base = race.full()
    ctx.reserve(4 * n * k * adapters, Text(zh="各自合并的权重", en="the merged weights"))
    merged = [torch.addmm(base, up, down) for up, down in zip(ups, downs, strict=True)]

    def one_by_one() -> Tensor:
        return torch.cat([F.linear(row[None], weight) for row, weight in zip(x, merged, strict=True)])

    def batched() -> Tensor:
        thin = torch.bmm(downs, x[:, :, None])
        return F.linear(x, base) + torch.bmm(ups, thin)[:, :, 0]

    gap = relative_error(one_by_one(), batched())
    return {
        "merged": (ctx.measure(one_by_one, budget_s=_BUDGET_S), gap),
        "apart": (ctx.measure(batched, budget_s=_BUDGET_S), gap),
    }


def mixed_table(mixed: dict[str, tuple[Timing, float]], adapters: int) -> Table:
    names = {
        "merged": Text(zh="各读各的合并权重", en="a merged weight each"),
        "apart": Text(zh="共用底座，旁路批量算", en="one base, thin products batched"),
    }
    rows: list[list[Text | float | int | None]] = [
        [names[way], 1e6 * timing.low_s, 1e6 * timing.low_s / adapters, gap, timing.noise]
        for way, (timing, gap) in mixed.items()
    ]
    return Table(
        id="mixed",
        title=Text(
            zh=f"一批 {adapters} 条，各用各的适配器", en=f"A batch of {adapters}, each with its own adapter"
        ),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="做法", en="way")),
            Column(title=Text(zh="一步", en="a step"), unit="µs"),
            Column(title=Text(zh="每条", en="a sequence"), unit="µs"),
            Column(title=Text(zh="两者相差", en="difference")),
            Column(title=Text(zh="噪声", en="noise")),
        ],
        rows=rows,
        source=Text(zh="FP32；输出的相对差即第四列", en="fp32; the fourth column is that of their outputs"),
    )


def explanation(
    race: Adapted,
    rows: int,
    adapters: int,
    mixed: dict[str, tuple[Timing, float]],
    drift: dict[str, float],
) -> Result:
    extra, full = race.extra(rows), race.seconds(rows)
    repaid = calls_to_repay(race.merge_s, race.apart(rows), full)
    merged_s, apart_s = (mixed[way][0].low_s for way in ("merged", "apart"))
    quick = merged_s / apart_s
    parts = [
        Text(
            zh=f"**一个适配器：合并。** 旁路每步多 {extra * 1e6:.0f} µs（满秩 {full * 1e6:.0f} µs），合并"
            "一次 "
            f"{race.merge_s * 1e6:.0f} µs，{repaid:.1f} 步回本；之后推理与没有适配器一样快。",
            en=f"**One adapter: merge.** Applied apart it adds {extra * 1e6:.0f} µs a step (the full "
            "product takes "
            f"{full * 1e6:.0f}); merging takes {race.merge_s * 1e6:.0f} µs and is repaid after "
            f"{repaid:.1f} steps. "
            "From then on there is no adapter to be seen.",
        ),
        Text(
            zh=f"**许多适配器：旁路。** 一批 {adapters} 条各用各的，合并的权重没有一份能共用，一步 "
            f"{merged_s * 1e6:.0f} µs；共用底座、旁路批量算是 {apart_s * 1e6:.0f} µs，{quick:.1f} 倍。内存"
            "差得更多。",
            en=f"**Many adapters: apart.** In a batch of {adapters}, each with its own, no merged weight "
            "serves two "
            f"rows: {merged_s * 1e6:.0f} µs a step, against {apart_s * 1e6:.0f} with one base and batched "
            "thin "
            f"products, {quick:.1f} times. Memory differs even more.",
        ),
        Text(
            zh="**缓存。** 热的合并、冷的旁路：按热度缓存合并结果，未命中时先旁路，不必让请求等合并。别靠"
            "减回去"
            f"来卸载：BF16 下 {DRIFTS} 次之后 W 偏了 {drift['bf16']:.2%}。",
            en="**Caching.** Merge what is hot, apply what is cold: a miss need not wait for a merge. "
            "And do not "
            f"unload by subtracting: in bf16 W is off by {drift['bf16']:.2%} after {DRIFTS} rounds.",
        ),
    ]
    timings = [*race.times.values(), *race.thin.values(), *(one for one, _ in mixed.values())]
    if warning := noise_warning(timings):
        parts.append(warning)
    return prose(parts)
