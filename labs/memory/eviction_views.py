"""Hit ratio against cache size and over time, a curve a policy, and what the run says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.results import Axis, Column, Lines, Mark, Markdown, Metric, Provenance, Series, Table, array
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.memory.eviction import PolicyName, Request
    from labs.memory.prefix_trace import PrefixTrace

POLICIES: dict[PolicyName, Text] = {
    "lru": same("LRU"),
    "fifo": same("FIFO"),
    "lfu": same("LFU"),
    "gdsf": Text(zh="GDSF（按成本）", en="GDSF (by cost)"),
}
SIMULATED = Provenance.SIMULATED
_BOUND = Text(zh="Belady 上界（预知未来）", en="Belady's bound (knows the future)")
_WINDOWS = 30


def hit_ratio(served: Sequence[Request]) -> float:
    return sum(one.hits for one in served) / sum(one.blocks for one in served)


def saved_share(served: Sequence[Request]) -> float:
    return sum(one.saved for one in served) / sum(one.cost for one in served)


def curves(
    sizes: Sequence[int], ratios: dict[PolicyName, list[float]], bound: list[float], current: int
) -> Lines:
    """As far as computed: the lists may be shorter than ``sizes``."""
    series = [_curve(name, sizes, ratios[policy]) for policy, name in POLICIES.items() if policy in ratios]
    series.append(_curve(_BOUND, sizes, bound, reference=True))
    return Lines(
        id="hit_ratio",
        title=Text(zh="命中率与缓存大小", en="Hit ratio against cache size"),
        help=Text(
            zh="命中率 = 直接用上的块 ÷ 请求的全部块（含各自的新内容，它们不可能命中）。",
            en="Blocks found over all blocks of the requests, each one's own new blocks included, which "
            "cannot be found.",
        ),
        provenance=SIMULATED,
        unit="%",
        wide=True,
        x=Axis(title=Text(zh="缓存大小（每块 512 个 token）", en="cache (blocks of 512 tokens)"), log=True),
        y=Axis(title=Text(zh="命中率", en="hit ratio"), unit="%"),
        series=series,
        marks=[Mark(x=current, name=Text(zh="当前", en="current"))],
    )


def _curve(name: Text, sizes: Sequence[int], values: list[float], *, reference: bool = False) -> Series:
    return Series(name=name, x=array(sizes[: len(values)]), y=100 * array(values), reference=reference)


def over_time(runs: dict[PolicyName, list[Request]], bound: list[int]) -> Lines:
    """Hit ratio in windows of the trace."""
    count = len(bound)
    window = max(1, count // _WINDOWS)
    starts = range(0, count - window + 1, window)
    middle = array([start + window / 2 for start in starts])
    blocks = [one.blocks for one in next(iter(runs.values()))]
    series = [
        Series(
            name=POLICIES[policy],
            x=middle,
            y=100 * array([hit_ratio(served[start : start + window]) for start in starts]),
        )
        for policy, served in runs.items()
    ]
    best = [sum(bound[s : s + window]) / sum(blocks[s : s + window]) for s in starts]
    series.append(Series(name=_BOUND, x=middle, y=100 * array(best), reference=True))
    return Lines(
        id="over_time",
        title=Text(zh="命中率随时间（当前缓存大小）", en="Hit ratio over time (current cache size)"),
        help=Text(
            zh=f"每 {window} 个请求一个点。热点换了以后，看谁先跟上。",
            en=f"A point each {window} requests. When the fashion changes, see who follows first.",
        ),
        provenance=SIMULATED,
        unit="%",
        wide=True,
        x=Axis(title=Text(zh="第几个请求", en="request")),
        y=Axis(title=Text(zh="命中率", en="hit ratio"), unit="%"),
        series=series,
        markers=False,
    )


def table(runs: dict[PolicyName, list[Request]], evictions: dict[PolicyName, int], bound: float) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [POLICIES[policy], 100 * hit_ratio(served), 100 * saved_share(served), evictions[policy]]
        for policy, served in runs.items()
    ]
    rows.append([_BOUND, 100 * bound, None, None])
    best = max(range(len(runs)), key=lambda index: float(rows[index][2] or 0))  # type: ignore[arg-type]
    return Table(
        id="policies",
        title=Text(zh="四种策略，当前缓存大小", en="Four policies at the current cache size"),
        provenance=SIMULATED,
        columns=[
            Column(title=Text(zh="策略", en="policy")),
            Column(title=Text(zh="命中率", en="hit ratio"), unit="%"),
            Column(
                title=Text(zh="省下的预填充计算", en="prefill FLOPs spared"),
                unit="%",
                help=Text(
                    zh="按 Llama-3-8B 计：越靠后的块要看的前文越多，重算越贵。",
                    en="Of Llama-3-8B: a later block attends to more tokens and costs more to compute again.",
                ),
            ),
            Column(
                title=Text(zh="淘汰的块", en="blocks evicted"),
                help=Text(zh="越少说明留对了。", en="Fewer: the right ones were kept."),
            ),
        ],
        rows=rows,
        highlight=best,
        wide=True,
    )


def metrics(runs: dict[PolicyName, list[Request]], bound: float) -> list[Metric]:
    """LRU's ratio stands beside its prediction."""
    return [
        Metric(
            id="lru_hits",
            title=Text(zh="LRU 命中率", en="LRU's hit ratio"),
            provenance=SIMULATED,
            unit="%",
            value=100 * hit_ratio(runs["lru"]),
            better="higher",
            help=Text(
                zh="预测假设请求彼此独立、运行无限长、整篇进出；实际从空缓存开始，且只从末尾一块块地丢。",
                en="The prediction is for independent requests, an endless run and documents that come "
                "and go "
                "as a whole; this run starts empty and forgets ends block by block.",
            ),
        ),
        Metric(
            id="bound",
            title=Text(zh="任何策略的上界", en="Bound of every policy"),
            provenance=SIMULATED,
            unit="%",
            value=100 * bound,
            help=Text(
                zh="Belady：总是丢掉下次使用最晚的块。要预知未来，做不到，但说明还有多少余地。",
                en="Belady: always forget what is used again last. It needs the future; it tells how much "
                "room there is.",
            ),
        ),
    ]


def explanation(
    trace: PrefixTrace,
    runs: dict[PolicyName, list[Request]],
    bound: float,
    capacity: int,
    changing: bool,
    one_off: bool,
    ends_only: bool,
) -> Markdown:
    ratios = {policy: 100 * hit_ratio(served) for policy, served in runs.items()}
    best = max(ratios, key=lambda policy: ratios[policy])
    lru, fifo, lfu, gdsf = (ratios[policy] for policy in POLICIES)
    total = sum(map(len, trace.chains))
    parts = [
        Text(
            zh=f"**规模。** {len(trace.chains)} 个请求共 {total:,} 块；反复出现的文档占 "
            f"{trace.document_blocks:,} 块，"
            f"缓存只有 {capacity:,} 块。命中率最高的是 {POLICIES[best].zh}（{ratios[best]:.1f}%），"
            f"而预知未来的上界是 {100 * bound:.1f}%：差的 {100 * bound - ratios[best]:.1f} 个百分点，"
            "是不知道谁还会再来的代价。",
            en=f"**Scale.** {len(trace.chains)} requests of {total:,} blocks in all; the documents that "
            f"recur have {trace.document_blocks:,}, the cache {capacity:,}. "
            f"{POLICIES[best].en} does best ({ratios[best]:.1f} %), and who knows the future could reach "
            f"{100 * bound:.1f} %: the {100 * bound - ratios[best]:.1f} points between are the price of not "
            "knowing who comes back.",
        ),
        Text(
            zh=f"**LRU 与 LFU。** LRU {lru:.1f}%，LFU {lfu:.1f}%。"
            + ("热点会变：LFU 记着过去的次数，旧热点赖着不走。" if changing else "")
            + ("一次性的长提示词会冲掉 LRU 的内容；LFU 不上当，它们只用过一次。" if one_off else "")
            + ("热度固定时，次数就是最好的预报，LFU 占优。" if not changing and lfu > lru else ""),
            en=f"**LRU and LFU.** LRU {lru:.1f} %, LFU {lfu:.1f} %. "
            + ("The fashion changes: LFU remembers old counts, and what was in stays. " if changing else "")
            + (
                "Long prompts that come once flush LRU's contents; LFU is not fooled, they were used once. "
                if one_off
                else ""
            )
            + (
                "While popularity is fixed, counts are the best forecast there is."
                if not changing and lfu > lru
                else ""
            ),
        ),
        _fifo(lru, fifo, ends_only),
        Text(
            zh=f"**按成本。** GDSF 命中 {gdsf:.1f}%，省下 {100 * saved_share(runs['gdsf']):.1f}% 的预填充计算"
            f"（LRU {100 * saved_share(runs['lru']):.1f}%）。块一样大，成本只随深度缓缓上升，所以它的主要好处"
            "来自“次数 ＋ 老化”，不是来自成本。",
            en=f"**By cost.** GDSF finds {gdsf:.1f} % and spares {100 * saved_share(runs['gdsf']):.1f} % of "
            f"the prefill FLOPs (LRU {100 * saved_share(runs['lru']):.1f} %). Blocks are equally large and "
            "cost only a little more the deeper they lie: its gain comes from counts that age rather than "
            "from costs.",
        ),
    ]
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=SIMULATED,
        body=Text(zh="\n\n".join(p.zh for p in parts), en="\n\n".join(p.en for p in parts)),
        wide=True,
    )


def _fifo(lru: float, fifo: float, ends_only: bool) -> Text:
    if ends_only and abs(lru - fifo) < 0.05:
        return Text(
            zh="**FIFO 与 LRU 为何重合。** 只许从链尾丢，而每个请求都在文档后面接上自己的新块：先得丢掉这些新"
            "块，文档的尾巴才露出来。于是谁最近被用过，谁就最后露出来，FIFO 也就成了 LRU。把“可淘汰的块”改成"
            "“任意”再看。",
            en="**Why FIFO and LRU coincide.** Only ends may go, and each request hangs blocks of its own on "
            "its document: these must go first before the document's end is bare. Who was used last is bare "
            "last, and so FIFO becomes LRU. Let any block be evicted, and look again.",
        )
    return Text(
        zh=f"**FIFO。** {fifo:.1f}%，LRU 是 {lru:.1f}%：FIFO 只看何时进来，热门的文档到点也走。",
        en=f"**FIFO.** {fifo:.1f} %, LRU {lru:.1f} %: FIFO looks at when a block came in, and a popular "
        "document goes when its time has come.",
    )
