"""What the speed mode shows: curves against block size and context, a table with every check, the reasons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.results import Axis, Column, Lines, Mark, Markdown, Metric, Provenance, Series, Table, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.paging.paths import Measured
    from labs.paging.speed import Speeds

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_PAGE_BYTES = 4096  # of the operating system, beyond which a processor's prefetcher does not look
_CLEARLY = 1.2  # times as long: more than rounds differ by
METHOD = Text(
    zh="预热后的中位数，几轮取最快的一轮；各层轮换，总量为末级缓存的两倍以上，所以每次都从内存读",
    en="median after warming up, the fastest of some rounds; layers of twice the last-level cache rotate, "
    "so that each call reads memory",
)
_LEAST = Text(
    zh="只读一遍 KV、块表和查询所需的时间，按实测带宽",
    en="reading KV, table and queries once, at the measured bandwidth",
)


def figures(speeds: Speeds) -> Iterator[Metric]:
    """The paged kernel at the chosen block size, against the bound and against contiguous memory."""
    kernel = _kernel(speeds)
    paged, flat = speeds.chosen(kernel), speeds.chosen(f"{kernel}_flat")
    yield Metric(
        id="bandwidth",
        title=Text(zh="读内存的带宽", en="Read bandwidth"),
        provenance=_MEASURED,
        unit="B/s",
        value=speeds.bandwidth,
        source=Text(
            zh="四倍末级缓存的缓冲区求和或求最大值，取快者；分母",
            en="sum or maximum over four times the last-level cache, the faster; what shares are of",
        ),
    )
    yield Metric(
        id="kv_bytes",
        title=Text(zh="一层注意力要读的 KV", en="KV that one layer's attention reads"),
        provenance=_MEASURED,
        unit="B",
        value=_kv_tensor_bytes(speeds),
        predicted=speeds.shape.traffic(speeds.block_size).kv_bytes,
        formula=KV_FORMULA,
    )
    if paged is None or paged.timing is None:
        return
    timing = paged.timing
    yield Metric(
        id="paged_time",
        title=Text(zh="分页注意力，一层", en="Paged attention, one layer"),
        provenance=_MEASURED,
        unit="s",
        value=timing.median_s,
        low=timing.low_s,
        high=timing.high_s,
        predicted=paged.needed_bytes / speeds.bandwidth,
        formula=_LEAST,
        better="lower",
        source=METHOD,
    )
    if flat is not None and flat.timing is not None:
        yield Metric(
            id="paging_cost",
            title=Text(zh="分页 ÷ 连续（同一内核）", en="Paged / contiguous (same kernel)"),
            provenance=_MEASURED,
            unit="×",
            value=paged.seconds / flat.seconds,
            predicted=paged.needed_bytes / flat.needed_bytes,
            formula=Text(zh="字节之比：多读一张块表", en="ratio of bytes: a block table more"),
            better="lower",
            help=Text(
                zh="同一段代码、同样的长度，只是 KV 在内存里的位置不同。",
                en="The same code and lengths; only where the KV lies differs.",
            ),
            source=METHOD,
        )


KV_FORMULA = Text(
    zh="2 × 序列数 × 上下文 × KV 头数 × 头维度 × 每个数的字节",
    en="2 × sequences × context × KV heads × head dim × bytes a number",
)


def _kv_tensor_bytes(speeds: Speeds) -> float:
    """Of the tensors that hold what one layer reads."""
    shape = speeds.shape
    tokens = shape.batch * shape.context
    return 2.0 * tokens * shape.kv_heads * shape.head_dim * shape.element_bytes


def by_block(speeds: Speeds) -> Lines:
    """Achieved share of the bandwidth against the block size; contiguous memory as level lines."""
    series, names = [], {key[0]: one.way.title for key, one in speeds.by_block.items()}
    for name, title in names.items():
        found = sorted((size, one) for (key, size), one in speeds.by_block.items() if key == name)
        shares = [100 * one.share(speeds.bandwidth) for _, one in found]
        if name.endswith("_flat"):
            series.append(Series(name=title, x=array([1, 256]), y=array(shares * 2), reference=True))
        else:
            series.append(Series(name=title, x=array([size for size, _ in found]), y=array(shares)))
    shape = speeds.shape
    return Lines(
        id="by_block",
        title=Text(zh="块大小与达到的带宽", en="Block size and achieved bandwidth"),
        help=Text(
            zh="必须读的字节 ÷ 时间 ÷ 实测带宽。先拼再算的要把 KV 读、写、再读，所以至多三分之一左右。",
            en="Bytes that must be read / time / measured bandwidth. Gathering reads, writes and reads "
            "again: a third at the best.",
        ),
        provenance=_MEASURED,
        unit="%",
        x=Axis(title=Text(zh="块大小", en="block size"), unit="token", log=True),
        y=Axis(title=Text(zh="达到的带宽份额", en="share of the bandwidth"), unit="%"),
        series=series,
        marks=[Mark(x=float(speeds.block_size), name=Text(zh="所选", en="chosen"))],
        source=Text(
            zh=f"{METHOD.zh}；{shape.batch} 条 × {shape.context} token，{shape.kv.upper()}",
            en=f"{METHOD.en}; {shape.batch} × {shape.context} tokens, {shape.kv.upper()}",
        ),
        wide=True,
    )


def by_context(speeds: Speeds) -> Lines:
    """Time against the context length at the chosen block size, with the bound."""
    series, names = [], {key[0]: one.way.title for key, one in speeds.by_context.items()}
    for name, title in names.items():
        found = sorted((length, one) for (key, length), one in speeds.by_context.items() if key == name)
        timed = [(length, one) for length, one in found if one.timing]
        if timed:
            lengths, times = array([n for n, _ in timed]), array([1e3 * one.seconds for _, one in timed])
            series.append(Series(name=title, x=lengths, y=times))
    bound = sorted({length: one.needed_bytes for (_, length), one in speeds.by_context.items()}.items())
    least = array([1e3 * needed / speeds.bandwidth for _, needed in bound])
    title = Text(zh="带宽允许的最短时间", en="least that the bandwidth allows")
    series.append(
        Series(name=title, x=array([n for n, _ in bound]), y=least, reference=True, provenance=_ESTIMATED)
    )
    return Lines(
        id="by_context",
        title=Text(zh="上下文长度与时间", en="Context length and time"),
        help=Text(
            zh="一层、全部序列。斜率为一：读多少字节，花多少时间。",
            en="One layer, all sequences. A slope of one: time goes with the bytes.",
        ),
        provenance=_MEASURED,
        unit="ms",
        x=Axis(title=Text(zh="上下文长度", en="context length"), unit="token", log=True),
        y=Axis(title=Text(zh="一层的时间", en="time of a layer"), unit="ms", log=True),
        series=series,
        source=METHOD,
        wide=True,
    )


def table(speeds: Speeds) -> Table:
    """Every measurement with its check, rate and share."""
    rows: list[list[Text | float | int | None]] = []
    kernel = _kernel(speeds)
    order = sorted(
        speeds.by_block.values(),
        key=lambda one: (one.way.name != kernel, one.way.name, not one.way.paged, one.block_size),
    )
    allowed = ", ".join(f"{limit:g}" for limit in sorted({one.tolerance for one in order}))
    for one in order:
        t = one.timing
        rows.append(
            [
                one.way.title,
                one.block_size or Text(zh="连续", en="contiguous"),
                1e6 * t.median_s if t else None,
                1e6 * t.low_s if t else None,
                1e6 * t.high_s if t else None,
                one.moved_bytes / t.median_s / 1e9 if t else None,
                100 * one.share(speeds.bandwidth) if t else None,
                one.difference,
                one.reason or Text(zh="通过", en="passed"),
            ]
        )
    return Table(
        id="checks",
        title=Text(zh="逐个测量与检查", en="Every measurement and its check"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="算法", en="way")),
            Column(title=Text(zh="块大小", en="block size")),
            Column(title=Text(zh="中位数", en="median"), unit="µs"),
            Column(title=Text(zh="20%", en="20th"), unit="µs"),
            Column(title=Text(zh="80%", en="80th"), unit="µs"),
            Column(
                title=Text(zh="搬运速率", en="memory rate"),
                unit="GB/s",
                help=Text(
                    zh="按它自己要搬的字节算：先拼再算的，KV 算三遍。",
                    en="Of the bytes that it moves itself: KV counts three times where it is gathered first.",
                ),
            ),
            Column(
                title=Text(zh="带宽份额", en="share"),
                unit="%",
                help=Text(
                    zh="按必须读的字节算。带宽本身也是测出来的，可能略超 100%。",
                    en="Of the bytes that must be read. The bandwidth is a measurement too: this may pass "
                    "100 %.",
                ),
            ),
            Column(
                title=Text(zh="与朴素实现之差", en="off the naive formula"),
                help=Text(
                    zh=f"相对误差（范数之比）。只有加法的次序不同，所以不为零；不超过 {allowed} 才算通过。",
                    en="Relative, by norms. Not zero, for additions happen in another order; what passes is "
                    f"at most {allowed}.",
                ),
            ),
            Column(title=Text(zh="检查", en="check")),
        ],
        rows=rows,
        source=METHOD,
        wide=True,
    )


def explanation(speeds: Speeds) -> Markdown:
    """What the curves say, in their own figures."""
    parts = [*_block_text(speeds), *_gather_text(speeds), *_bound_text(speeds), *_missing_text(speeds)]
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(part.zh for part in parts), en="\n\n".join(part.en for part in parts)),
        wide=True,
    )


def _kernel(speeds: Speeds) -> str:
    return "triton" if any(key == "triton" for key, _ in speeds.by_block) else "native"


def _timed(speeds: Speeds, way: str) -> dict[int, Measured]:
    return {size: one for (key, size), one in speeds.by_block.items() if key == way and one.timing}


def _block_text(speeds: Speeds) -> Iterator[Text]:
    paged, flat = _timed(speeds, _kernel(speeds)), _timed(speeds, f"{_kernel(speeds)}_flat").get(0)
    if not paged or flat is None:
        return
    small, large = min(paged), max(paged)
    yield Text(
        zh=f"**块大小。** 同一个内核，块大小 {small} 时一层 {1e3 * paged[small].seconds:.2f} ms，{large} "
        f"时 {1e3 * paged[large].seconds:.2f} ms，连续内存 {1e3 * flat.seconds:.2f} ms。"
        f"{_enough_text(paged, flat).zh}{_place_text(speeds).zh}",
        en=f"**Block size.** By the same kernel a layer takes {1e3 * paged[small].seconds:.2f} ms with "
        f"blocks of {small}, {1e3 * paged[large].seconds:.2f} ms with {large}, and "
        f"{1e3 * flat.seconds:.2f} ms in contiguous memory. {_enough_text(paged, flat).en} "
        f"{_place_text(speeds).en}",
    )


def _enough_text(paged: dict[int, Measured], flat: Measured) -> Text:
    """From which block size on all are as fast as contiguous memory, within what one can tell."""
    slow = [size for size in sorted(paged) if paged[size].seconds > 1.1 * flat.seconds]
    enough = next((size for size in sorted(paged) if not slow or size > slow[-1]), None)
    if enough is None:
        return Text(
            zh="最大的块也比连续内存慢 10% 以上。", en="Even the largest is more than 10 % slower than that."
        )
    return Text(
        zh=f"从块大小 {enough} 起，与连续内存的差距在 10% 以内。",
        en=f"From {enough} tokens a block on it is within 10 % of contiguous memory.",
    )


def _place_text(speeds: Speeds) -> Text:
    row = speeds.shape.head_dim * speeds.shape.element_bytes
    if speeds.order == "in_order":
        return Text(
            zh="物理块按顺序排着，地址其实是连续的，只是多查一次表：查表本身有多贵，看这条曲线有多平。",
            en="The blocks lie in order, so that addresses are contiguous and only the table is looked up "
            "as well: how level the curve is tells what that costs.",
        )
    return Text(
        zh=f"一个头的一行只有 {row:.0f} B，块小时每读几行就跳到别处，硬件预取跟不上；块有 "
        f"{math.ceil(_PAGE_BYTES / row)} 个 token 时，一个头的 K 恰好占满 {_PAGE_BYTES} B 的内存页。",
        en=f"A row of one head has {row:.0f} B. With small blocks the reader jumps after a few of them and "
        f"the prefetcher loses its track; at {math.ceil(_PAGE_BYTES / row)} tokens a head's keys fill a "
        f"page of {_PAGE_BYTES} B.",
    )


def _gather_text(speeds: Speeds) -> Iterator[Text]:
    kernel = _timed(speeds, _kernel(speeds)).get(speeds.block_size)
    gather = _timed(speeds, "gather").get(speeds.block_size)
    if kernel is None or gather is None:
        return
    moved, ratio = gather.moved_bytes / kernel.moved_bytes, gather.seconds / kernel.seconds
    slower = ratio > _CLEARLY
    yield Text(
        zh="**为什么要专门的内核。** 不改注意力内核，先按块表把 KV 拼成连续的再算，要把 KV 读一遍、"
        "写一遍、再读一遍："
        f"字节是 {moved:.1f} 倍，实测时间是 {ratio:.1f} 倍。"
        + (
            "PagedAttention 的内核边查表边读，不拼。"
            if slower
            else "这次时间没有跟着字节走：内核自己离带宽上限还远。"
        ),
        en="**Why a kernel of its own.** Copying the blocks together for an unchanged attention reads KV, "
        "writes "
        f"it, and reads it again: {moved:.1f} times the bytes, and measured {ratio:.1f} times the time. "
        + (
            "A paged kernel looks blocks up as it reads."
            if slower
            else "Here time did not follow the bytes: the kernel itself is far from the bandwidth."
        ),
    )


def _bound_text(speeds: Speeds) -> Iterator[Text]:
    kernel = _timed(speeds, _kernel(speeds)).get(speeds.block_size)
    if kernel is None or kernel.timing is None:
        return
    traffic = speeds.shape.traffic(speeds.block_size)
    least = traffic.moved_bytes / speeds.bandwidth
    yield Text(
        zh=f"**离上限多远。** 这一层必须读 {traffic.moved_bytes / 2**20:.1f} MiB，其中块表只有 "
        f"{traffic.table_bytes / 2**10:.1f} KiB（{traffic.table_bytes / traffic.moved_bytes:.2%}）；每字节 "
        f"{traffic.intensity:.2f} 次浮点运算，远在拐点以下，上限由带宽定。所选块大小的中位数达到实测带宽的 "
        f"{kernel.share(speeds.bandwidth):.0%}，最快的五分之一达到 {least / kernel.timing.low_s:.0%} 以上；"
        "两者差得多，就是别的程序占着核心或内存。",
        en=f"**How far from the bound.** The layer must read {traffic.moved_bytes / 2**20:.1f} MiB, of "
        f"which the tables are {traffic.table_bytes / 2**10:.1f} KiB "
        f"({traffic.table_bytes / traffic.moved_bytes:.2%}); {traffic.intensity:.2f} FLOPs a byte is far "
        "below the ridge, so bandwidth is the bound. At the chosen block size the median reaches "
        f"{kernel.share(speeds.bandwidth):.0%} of the measured bandwidth and the fastest fifth "
        f"{least / kernel.timing.low_s:.0%} or more; where these differ much, others hold cores or memory.",
    )


def _missing_text(speeds: Speeds) -> Iterator[Text]:
    for name in dict.fromkeys(key for key, _ in speeds.by_block):
        one = next(found for (key, _), found in speeds.by_block.items() if key == name)
        if one.reason is not None:
            yield Text(
                zh=f"**{one.way.title.zh}** 没有数字：{one.reason.zh}。",
                en=f"**{one.way.title.en}** has no figures: {one.reason.en}.",
            )
