"""What one access shows and why, in words computed from its counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import SECTOR_BYTES
from labs.gpu.language import WARP
from labs.results import Markdown, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from labs.gpu.pattern import Pattern, Space

COUNTED = Text(zh="逐地址数，不是公式", en="counted address by address, not by a formula")


def explanation(pattern: Pattern, space: Space) -> Markdown:
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.SIMULATED,
        body=_global_text(pattern) if space == "global" else _shared_text(pattern),
        source=COUNTED,
    )


def _global_text(pattern: Pattern) -> Text:
    requests = pattern.global_requests()
    sectors = sum(len(request.sectors) for request in requests) / len(requests)
    lines = sum(len(request.lines) for request in requests) / len(requests)
    share = sum(request.asked for request in requests) / sum(request.moved for request in requests)
    asked = WARP * pattern.element_bytes
    reason = _why_global(pattern, sectors, share)
    return Text(
        zh=f"一个 warp 一次要 32 × {pattern.element_bytes} = {asked} 字节，"
        f"互不相同的话最少 {-(-asked // SECTOR_BYTES)} 个扇区；这里平均 **{sectors:.3g} 个扇区**，"
        f"落在 {lines:.3g} 条 128 字节的行里，搬来的字节有 **{share:.1%}** 是要的。{reason.zh}",
        en=f"A warp asks for 32 × {pattern.element_bytes} = {asked} bytes at once, at least "
        f"{-(-asked // SECTOR_BYTES)} sectors if all differ. Here it is **{sectors:.3g} sectors** on "
        f"average, in {lines:.3g} lines of 128 bytes, and **{share:.1%}** of the bytes moved are wanted. "
        f"{reason.en}",
    )


def _why_global(pattern: Pattern, sectors: float, share: float) -> Text:
    if pattern.step == 0:
        return Text(
            zh="所有 lane 要同一个元素：一个扇区供所有人，便宜；这种只读的数据也适合常量内存。",
            en="All lanes want one element: a sector serves them all. Constant memory is made for that too.",
        )
    if share > 0.999:
        return Text(
            zh="合并得满：次序打乱也一样，只看落在哪些扇区。",
            en="Fully coalesced; the order of lanes does not matter, only which sectors they fall in.",
        )
    if sectors >= WARP:
        return Text(
            zh="每个 lane 一个扇区：步长再大也不会更差，每 32 字节只用到一个元素。",
            en="One sector for each lane: a larger stride costs no more; of 32 bytes one element is used.",
        )
    if pattern.step == 1:
        return Text(
            zh="只是没有对齐到 32 字节：多搬一个扇区，不是翻倍；下一个 warp 很可能在缓存里用到它。",
            en="It is only not aligned to 32 bytes: one sector more, not twice as many, and the next warp "
            "may well find it in a cache.",
        )
    return Text(
        zh="lane 之间的空隙也搬来了；别的 warp 若很快用到它们，缓存能救回一部分，这里不算。",
        en="The gaps between lanes are moved as well; a cache saves some of it if another warp soon wants "
        "them, which is not counted here.",
    )


def _shared_text(pattern: Pattern) -> Text:
    requests = pattern.shared_requests()
    passes = sum(request.passes for request in requests) / len(requests)
    least = sum(request.least for request in requests) / len(requests)
    reason = _why_shared(pattern, passes, least)
    return Text(
        zh=f"32 个 bank，每拍每个 bank 给一个字。这个请求用 **{passes:.3g} 拍**，没有冲突时 {least:.3g} 拍。"
        f"{reason.zh}",
        en=f"32 banks, a word of each in a pass. This request takes **{passes:.3g} passes**; without "
        f"conflicts it would be {least:.3g}. {reason.en}",
    )


def _why_shared(pattern: Pattern, passes: float, least: float) -> Text:
    if pattern.step == 0:
        return Text(
            zh="所有 lane 要同一个字：广播，不是冲突。",
            en="All lanes want the same word: a broadcast, not a conflict.",
        )
    if passes == least:
        return Text(
            zh="没有两个 lane 在同一阶段要同一个 bank 的不同字。",
            en="No two lanes of a phase want different words of one bank.",
        )
    if pattern.step is not None:
        words = abs(pattern.step) * max(4, pattern.element_bytes) // 4
        common = int(np.gcd(words, WARP))
        return Text(
            zh=f"步长 {words} 个字，与 32 的最大公约数是 {common}；"
            "每行垫一个元素，步长变成奇数，冲突就没了。",
            en=f"The stride is {words} words and has the divisor {common} in common with 32; an element of "
            "padding a row makes it odd, and the conflict is gone.",
        )
    return Text(
        zh="看热力图：哪一列（bank）被几个 lane 要不同的字。",
        en="In the heat map see which column (bank) is asked for different words by several lanes.",
    )
