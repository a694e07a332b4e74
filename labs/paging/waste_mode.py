"""Block size against waste, sharing, table size and speed: one pool, one workload, every block size."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.formulas.kv_cache import bytes_per_token, expected_last_block_waste, least_overhead_block_size
from labs.formulas.paged_attention import shared_prefix_tokens
from labs.paging.decode_case import make_case, make_store, shape_of
from labs.paging.paths import measure, ways
from labs.paging.waste import BLOCK_SIZES, POOL_TOKENS, Filled, fill, lengths, reserved
from labs.quantization.roofs import read_bandwidth
from labs.results import Axis, Column, Lines, Mark, Markdown, Metric, Provenance, Series, Table, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.results import Result

_MEASURED, _SIMULATED, _ESTIMATED = Provenance.MEASURED, Provenance.SIMULATED, Provenance.ESTIMATED
_ENTRY_BYTES = 4
_TIMED_BATCH, _TIMED_CONTEXT = 4, 2048
MOST = 4  # reserved room and the longest length, as a multiple of the mean
METHOD = Text(
    zh=f"引擎的块管理器，池共 {POOL_TOKENS} 个槽；长度取自对数正态分布，装到放不下为止",
    en=f"the engine's block manager with a pool of {POOL_TOKENS} slots; lengths are log-normal, admitted "
    "until one does not fit",
)


@dataclass
class Sweep:
    """``shares`` of the measured bandwidth by block size, empty where nothing can be timed."""

    block_size: int
    mean: int
    prefix: int
    token_bytes: float
    filled: dict[int, Filled] = field(default_factory=dict)
    shares: dict[int, float] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        return sorted(self.filled)

    @property
    def chosen(self) -> Filled:
        return self.filled[self.block_size]

    def wasted_bytes(self, size: int) -> float:
        """A sequence's share of the empty slots."""
        one = self.filled[size]
        return one.empty / one.sequences * self.token_bytes

    def table_bytes(self, size: int) -> float:
        return self.filled[size].table_bytes / self.filled[size].sequences


def run_waste(ctx: Context, *, block_size: int, mean: int, spread: float, prefix: int) -> Iterator[Result]:
    """The pool for each block size, then, not while a slider moves, the kernel's speed."""
    config = ctx.model_config()
    token_bytes = bytes_per_token(
        layers=config.layers, kv_heads=config.kv_heads, head_dim=config.head_dim, bytes_per_element=2
    )
    sweep = Sweep(block_size, mean, prefix, token_bytes)
    drawn = lengths(ctx.generator(), mean, spread, MOST * mean)
    for size in BLOCK_SIZES:
        ctx.check()
        sweep.filled[size] = fill(drawn, size, prefix)
    yield from figures(sweep)
    yield waste_curve(sweep)
    yield cost_curve(sweep)
    yield concurrency(sweep)
    if not ctx.preview:
        for _ in _time(ctx, sweep):
            yield table(sweep)
    yield table(sweep)
    yield explanation(sweep)


def _time(ctx: Context, sweep: Sweep) -> Iterator[None]:
    config = ctx.model_config()
    shape = shape_of(config, _TIMED_BATCH, _TIMED_CONTEXT, "fp32")
    way = ways(ctx.device)[0]
    ctx.progress(0.1, Text(zh="测量读内存的带宽", en="Measuring the read bandwidth"))
    bandwidth = read_bandwidth(ctx)
    store = make_store(ctx, config, shape, BLOCK_SIZES[-1])
    for index, size in enumerate(BLOCK_SIZES):
        ctx.progress(0.2 + 0.8 * index / len(BLOCK_SIZES), Text(zh=f"块大小 {size}", en=f"block size {size}"))
        measured = measure(ctx, way, make_case(ctx, store, shape, size, "shuffled"), size)
        if not math.isnan(measured.seconds):
            sweep.shares[size] = measured.share(bandwidth)
        yield


def expected_waste(stored: float, block_size: int) -> float:
    """Share of the slots that is empty if each sequence stores so many tokens of its own on average."""
    empty = expected_last_block_waste(block_size)
    return empty / (stored + empty)


def figures(sweep: Sweep) -> Iterator[Metric]:
    """At the chosen block size, beside the formulas."""
    one = sweep.chosen
    spared = shared_prefix_tokens(sweep.prefix, sweep.block_size)
    own = sweep.mean + sweep.prefix - spared
    yield Metric(
        id="waste",
        title=Text(zh="已分配却空着的槽", en="Slots allocated and empty"),
        provenance=_SIMULATED,
        unit="%",
        value=100 * one.waste,
        predicted=100 * expected_waste(own, sweep.block_size),
        formula=WASTE_FORMULA,
        better="lower",
        source=METHOD,
    )
    yield Metric(
        id="sequences",
        title=Text(zh="池里同时放得下", en="Sequences in the pool"),
        provenance=_SIMULATED,
        value=one.sequences,
        predicted=(POOL_TOKENS - spared) / (own + expected_last_block_waste(sweep.block_size)),
        formula=Text(
            zh="槽数 ÷ (自己的平均 token 数 + (块大小 − 1)/2)",
            en="slots / (mean own tokens + (block size - 1) / 2)",
        ),
        better="higher",
        source=METHOD,
    )
    yield Metric(
        id="table_bytes",
        title=Text(zh="一条序列的块表", en="Block table of a sequence"),
        provenance=_SIMULATED,
        unit="B",
        value=sweep.table_bytes(sweep.block_size),
        predicted=_ENTRY_BYTES * ((sweep.mean + sweep.prefix) / sweep.block_size + 0.5),
        formula=Text(zh="4 B × (平均长度 ÷ 块大小 + 1/2)", en="4 B × (mean length / block size + 1/2)"),
        source=METHOD,
    )
    if sweep.prefix:
        yield Metric(
            id="reused",
            title=Text(zh="公共前缀中能共享的", en="Shared of the common prefix"),
            provenance=_SIMULATED,
            unit="token",
            value=one.reused / max(1, one.sequences - 1),
            predicted=spared,
            formula=Text(zh="⌊前缀 ÷ 块大小⌋ × 块大小", en="floor(prefix / block size) × block size"),
            better="higher",
            help=Text(zh="只有整块才能共享。", en="Only whole blocks can be shared."),
            source=METHOD,
        )


WASTE_FORMULA = Text(
    zh="(块大小 − 1)/2 ÷ (自己的平均 token 数 + (块大小 − 1)/2)",
    en="(block size - 1)/2 / (mean own tokens + (block size - 1)/2)",
)
_SIZE = Axis(title=Text(zh="块大小", en="block size"), unit="token", log=True)


def _mark(sweep: Sweep) -> list[Mark]:
    return [Mark(x=float(sweep.block_size), name=Text(zh="所选", en="chosen"))]


def waste_curve(sweep: Sweep) -> Lines:
    """Counted in the pool, and the formula."""
    sizes = array(sweep.sizes)
    owns = {
        size: sweep.mean + sweep.prefix - shared_prefix_tokens(sweep.prefix, size) for size in sweep.sizes
    }
    return Lines(
        id="waste_curve",
        title=Text(zh="块大小与浪费", en="Block size and waste"),
        provenance=_SIMULATED,
        unit="%",
        x=_SIZE,
        y=Axis(title=Text(zh="空着的槽", en="empty slots"), unit="%"),
        series=[
            Series(
                name=Text(zh="装满的池", en="the full pool"),
                x=sizes,
                y=array([100 * sweep.filled[size].waste for size in sweep.sizes]),
            ),
            Series(
                name=Text(zh="公式", en="formula"),
                x=sizes,
                y=array([100 * expected_waste(owns[size], size) for size in sweep.sizes]),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        marks=_mark(sweep),
        source=METHOD,
    )


def cost_curve(sweep: Sweep) -> Lines:
    """KiB a sequence that are no KV: empty slots and table."""
    sizes = array(sweep.sizes)
    waste = array([sweep.wasted_bytes(size) / 2**10 for size in sweep.sizes])
    table = array([sweep.table_bytes(size) / 2**10 for size in sweep.sizes])
    return Lines(
        id="cost_curve",
        title=Text(zh="每条序列白占的内存", en="Memory a sequence that holds no KV"),
        help=Text(
            zh="块表每块 4 B，随块变小而变长；空槽随块变大而变多。BF16 的 KV。",
            en="Tables of 4 B a block grow as blocks shrink; empty slots grow with the blocks. KV in BF16.",
        ),
        provenance=_SIMULATED,
        unit="KiB",
        x=_SIZE,
        y=Axis(title=Text(zh="每条序列", en="a sequence"), unit="KiB", log=True),
        series=[
            Series(name=Text(zh="空槽", en="empty slots"), x=sizes[1:], y=waste[1:]),
            Series(name=Text(zh="块表", en="block table"), x=sizes, y=table),
        ],
        marks=_mark(sweep),
        source=METHOD,
    )


def concurrency(sweep: Sweep) -> Lines:
    """Sequences that the pool holds, beside contiguous reservations."""
    sizes = array(sweep.sizes)
    alone = reserved(MOST * sweep.mean, sweep.prefix)
    return Lines(
        id="concurrency",
        title=Text(zh="池里同时放得下几条序列", en="Sequences that the pool holds at once"),
        help=Text(
            zh=f"连续预留：每条都占下最长可能的长度（平均的 {MOST} 倍）。",
            en=f"Reserved: contiguous room for the longest, {MOST} times the mean, for each.",
        ),
        provenance=_SIMULATED,
        x=_SIZE,
        y=Axis(title=Text(zh="序列数", en="sequences")),
        series=[
            Series(
                name=Text(zh="分页", en="paged"),
                x=sizes,
                y=array([sweep.filled[size].sequences for size in sweep.sizes]),
            ),
            Series(
                name=Text(zh="连续预留到最长", en="contiguous, reserved"),
                x=array([1, BLOCK_SIZES[-1]]),
                y=array([alone, alone]),
                reference=True,
                provenance=_ESTIMATED,
            ),
        ],
        marks=_mark(sweep),
        source=METHOD,
    )


def table(sweep: Sweep) -> Table:
    """Everything by block size: memory simulated, speed measured."""
    rows: list[list[Text | float | int | None]] = [
        [
            size,
            100 * one.waste,
            one.sequences,
            sweep.wasted_bytes(size) / 2**10,
            sweep.table_bytes(size) / 2**10,
            one.reused / max(1, one.sequences - 1) if sweep.prefix else None,
            100 * sweep.shares[size] if size in sweep.shares else None,
        ]
        for size, one in sorted(sweep.filled.items())
    ]
    return Table(
        id="block_sizes",
        title=Text(zh="一张表看块大小", en="Block size in one table"),
        provenance=_SIMULATED,
        columns=[
            Column(title=Text(zh="块大小", en="block size"), unit="token"),
            Column(title=Text(zh="空槽", en="empty"), unit="%"),
            Column(title=Text(zh="序列数", en="sequences")),
            Column(title=Text(zh="空槽 / 序列", en="empty, each"), unit="KiB"),
            Column(title=Text(zh="块表 / 序列", en="table, each"), unit="KiB"),
            Column(title=Text(zh="共享的前缀", en="prefix shared"), unit="token"),
            Column(
                title=Text(zh="带宽份额", en="share of bandwidth"),
                unit="%",
                provenance=_MEASURED,
                help=Text(
                    zh=f"分页注意力内核，{_TIMED_BATCH} 条 × {_TIMED_CONTEXT} token，FP32，块打乱，一轮。",
                    en=f"The paged kernel, {_TIMED_BATCH} × {_TIMED_CONTEXT} tokens, FP32, shuffled "
                    "blocks, one round.",
                ),
            ),
        ],
        rows=rows,
        highlight=sweep.sizes.index(sweep.block_size),
        source=METHOD,
        wide=True,
    )


def explanation(sweep: Sweep) -> Markdown:
    """Why small blocks, why not smaller, in the run's own figures."""
    one, small, large = sweep.chosen, sweep.filled[1], sweep.filled[BLOCK_SIZES[-1]]
    alone = reserved(MOST * sweep.mean, sweep.prefix)
    best = least_overhead_block_size(sweep.mean + sweep.prefix, sweep.token_bytes, _ENTRY_BYTES)
    zh = [
        f"**浪费。** 块大小 {one.block_size} 时空着 {one.waste:.1%} 的槽，{large.block_size} 时 "
        f"{large.waste:.1%}，1 时 {small.waste:.1%}。只有每条序列的最后一块会空，平均空 (块大小 − 1)/2 "
        f"个槽，与长度无关，所以序列越短越吃亏。同一个池放得下 {one.sequences} 条；若每条连续预留到最长，"
        f"只放得下 {alone} 条。",
        f"**只看内存。** 块表加空槽最省的块大小是 √(2 × 长度 × 4 B ÷ 每 token 字节) = {best:.2f} 个 token："
        "内存几乎总是要更小的块，因为一个 token 的 KV 比一个表项大几千倍。要大块的是速度与管理开销。",
    ]
    en = [
        f"**Waste.** With blocks of {one.block_size}, {one.waste:.1%} of the slots are empty; with "
        f"{large.block_size}, {large.waste:.1%}; with 1, {small.waste:.1%}. Only a sequence's last block "
        "is not full: (block size - 1)/2 slots on average, whatever its length, so short sequences lose "
        f"most. The pool holds {one.sequences} of them; were each to reserve its longest, {alone}.",
        "**Memory alone.** Table and empty slots together are least at sqrt(2 × length × 4 B / bytes a "
        f"token) = {best:.2f} tokens: memory nearly always asks for smaller blocks, for a token's KV is "
        "thousands of times a table entry. What asks for larger ones is speed and bookkeeping.",
    ]
    stored = one.tokens / one.sequences
    if abs(one.empty / one.sequences - expected_last_block_waste(one.block_size)) > 0.1 * one.block_size:
        zh.append(
            f"**与公式的差。** 公式假定长度落在块内各处机会均等；这里平均存 {stored:.0f} 个 token，"
            f"一块却有 {one.block_size} 个，长度集中在块的前段，空的就比一半多。"
        )
        en.append(
            "**Off the formula.** It takes lengths to end anywhere in a block equally often. With "
            f"{stored:.0f} tokens stored on average and {one.block_size} to a block they end early in it, "
            "and more than half is empty."
        )
    if len(sweep.shares) > 1:
        first, chosen = sweep.shares[min(sweep.shares)], sweep.shares.get(sweep.block_size, math.nan)
        most = max(sweep.shares, key=lambda size: sweep.shares[size])
        zh.append(
            f"**速度。** 同一个内核读打乱的块，块大小 1 时达到带宽的 {first:.0%}，{one.block_size} 时 "
            f"{chosen:.0%}，最快的是 {most}（{sweep.shares[most]:.0%}）。"
        )
        en.append(
            f"**Speed.** Reading shuffled blocks the same kernel reaches {first:.0%} of the bandwidth with "
            f"blocks of 1, {chosen:.0%} with {one.block_size}, and most, {sweep.shares[most]:.0%}, with "
            f"{most}."
        )
    if sweep.prefix:
        spared = shared_prefix_tokens(sweep.prefix, sweep.block_size)
        zh.append(
            f"**共享。** {sweep.prefix} 个 token 的公共前缀，块大小 {one.block_size} 时能共享 {spared} 个："
            "只有整块能共享。块一旦大过前缀，就一个也共享不了，每条序列各存一份。"
        )
        en.append(
            f"**Sharing.** Of a common prefix of {sweep.prefix} tokens, {spared} are shared with blocks of "
            f"{one.block_size}: only whole ones can be. With blocks longer than the prefix nothing is "
            "shared."
        )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_SIMULATED,
        body=Text(zh="\n\n".join(zh), en="\n\n".join(en)),
        wide=True,
    )
