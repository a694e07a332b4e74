"""What one sees of the six allocators and why, in the run's own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.allocation import MIB
from labs.memory.allocators.caching import Caching
from labs.memory.allocators.contest import TITLES
from labs.results import Markdown, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.memory.allocators.contest import Name
    from labs.memory.allocators.replay import Replay


def explanation(runs: dict[Name, Replay], shown: Name, most_needed: int, serving: bool) -> Markdown:
    parts = [
        _shown(runs[shown], shown),
        *_failures(runs, most_needed / MIB),
        _classes(runs),
        *_caching(runs),
        _paged(runs, serving),
    ]
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.SIMULATED,
        body=Text(zh="\n\n".join(p.zh for p in parts), en="\n\n".join(p.en for p in parts)),
        wide=True,
    )


def _shown(run: Replay, name: Name) -> Text:
    worst, title = run.worst(), TITLES[name]
    free, largest = worst.free / MIB, worst.largest / MIB
    return Text(
        zh=f"**{title.zh}。** 光标停在 {worst.time_s:.2f} s：空闲 {free:,.0f} MiB，一次最多只拿得到 "
        f"{largest:,.0f} "
        f"MiB。同一刻真正需要 {worst.stored / MIB:,.0f} MiB，划给所有者的却有 {worst.used / MIB:,.0f} MiB。"
        f"{len(run.owners)} 个请求放下了 {run.served} 个。",
        en=f"**{title.en.capitalize()}.** The cursor stands at {worst.time_s:.2f} s: {free:,.0f} MiB are "
        "free, "
        f"and one request can get {largest:,.0f} MiB at most. {worst.stored / MIB:,.0f} MiB are really "
        "needed, "
        f"{worst.used / MIB:,.0f} MiB set aside. {run.served} of {len(run.owners)} requests found room.",
    )


def _failures(runs: dict[Name, Replay], most: float) -> Iterator[Text]:
    capacity = next(iter(runs.values())).allocator.capacity / MIB
    failed = {name: len(run.failed) for name, run in runs.items() if run.failed}
    if not failed:
        yield Text(
            zh=f"**都放下了。** 最多同时需要 {most:,.0f} MiB，内存有 {capacity:,.0f} MiB：空位这么多，碎片"
            "也挡不住"
            "谁。把内存调小再看。",
            en=f"**All found room.** {most:,.0f} MiB are needed at most, of {capacity:,.0f} MiB: with so "
            "much "
            "room fragmentation stops nobody. Make the arena smaller and look again.",
        )
        return
    listed_zh = "、".join(f"{TITLES[name].zh} {count} 个" for name, count in failed.items())
    listed_en = ", ".join(f"{TITLES[name].en} {count}" for name, count in failed.items())
    yield Text(
        zh=f"**放弃的请求。** 需要的最多只有 {most:,.0f} MiB，内存有 {capacity:,.0f} MiB，仍有请求放不下："
        f"{listed_zh}。缺的不是内存，是记账方式。",
        en=f"**Given up.** {most:,.0f} MiB are needed at most, of {capacity:,.0f} MiB, and yet requests "
        "found no "
        f"room: {listed_en}. It is not memory that is short, but the way it is handed out.",
    )


def _classes(runs: dict[Name, Replay]) -> Text:
    buddy, slab, first = (100 * runs[name].internal for name in ("buddy", "slab", "first_fit"))
    return Text(
        zh=f"**取整的代价。** 内部碎片：伙伴系统 {buddy:.1f}%，slab {slab:.1f}%，首次适应 {first:.1f}%。伙"
        "伴取整到 2 "
        "的幂，slab 的大小类每翻一倍有四档，首次适应照要的给。取整换来的是找得快、合并快、洞都能再用。",
        en=f"**The price of rounding.** Internal fragmentation: buddy {buddy:.1f} %, slab {slab:.1f} %, "
        "first "
        f"fit {first:.1f} %. Buddies round to powers of two, slab classes to four a doubling, first fit "
        "gives "
        "what was asked. What rounding buys: quick search, quick merging, holes that fit again.",
    )


def _caching(runs: dict[Name, Replay]) -> Iterator[Text]:
    run = runs["caching"]
    allocator = run.allocator
    assert isinstance(allocator, Caching), "by its name"
    asked = sum(size > 0 for size, _ in run.store.calls)
    yield Text(
        zh=f"**缓存分配器。** {asked} 次分配只向设备要了 {allocator.device_allocations} 次段，退回 "
        f"{allocator.device_frees} 次；代价是最多时握着 {run.most_held / MIB:,.0f} MiB，而需要的最多 "
        f"{run.most_stored / MIB:,.0f} MiB。退回只在要不到新段时发生。",
        en=f"**The caching allocator.** {asked} allocations asked the device for "
        f"{allocator.device_allocations} "
        f"segments and gave back {allocator.device_frees}; the price is {run.most_held / MIB:,.0f} MiB "
        "held at "
        f"the peak, where {run.most_stored / MIB:,.0f} MiB were needed. It gives back only when no new "
        "segment "
        "is to be had.",
    )


def _paged(runs: dict[Name, Replay], serving: bool) -> Text:
    run = runs["paged"]
    rest = (
        Text(
            zh="只有每条序列的最后一页没装满。代价是一张块表，和会按表取数的注意力 kernel。",
            en="Only a sequence's last page is not full. The price: a block table, and an attention kernel "
            "that reads through it.",
        )
        if serving
        else Text(
            zh="但张量很小时，一页装一个，剩下的全浪费；而且普通 kernel 要连续地址，得靠虚拟内存映射。",
            en="But a small tensor wastes the rest of its page, and ordinary kernels want contiguous "
            "addresses, which takes virtual memory.",
        )
    )
    return Text(
        zh=f"**分页。** 外部碎片恒为 0：任何空页都能用。内部碎片 {100 * run.internal:.1f}%，放弃 "
        f"{len(run.failed)} 个。{rest.zh}",
        en=f"**Pages.** External fragmentation is always 0: any free page will do. Internal "
        f"{100 * run.internal:.1f} %, {len(run.failed)} given up. {rest.en}",
    )
